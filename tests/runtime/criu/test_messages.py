"""runtime.criu.messages: CRIU's requests and responses, byte for byte."""

import pytest

from runtime.criu import messages, wire

FULL = {
    "images_dir_fd": 5,
    "pid": 77,
    "leave_running": True,
    "tcp_established": False,
    "log_level": 4,
    "log_file": "dump.log",
    "ps": ("::1", 27277),
    "ext_mnt": [("/data", "/srv"), ("/etc/hosts", "/h")],
    "cg_root": [("", "/c"), ("cpu", "/d")],
    "inherit_fd": [("pipe:[5]", 1)],
    "manage_cgroups_mode": 0,
    "external": ["net[9]:extRootNetNS"],
    "empty_ns": 0x40000000,
    "join_ns": [],
    "lsm_profile": None,
    "network_lock": 3,
}
GOLDEN = (
    "08 01 12 8701 0805 104d 1801 4804 520864756d702e6c6f67 5a09 0a033a3a31 108dd501"
    " ba010d 0a052f64617461 12042f737276 ba0110 0a0a2f6574632f686f737473 12022f68"
    " ca0106 0a00 12022f63 ca0109 0a03637075 12022f64 da010c 0a08706970653a5b355d 1001"
    " 900200 aa0213 6e65745b395d3a657874526f6f744e65744e53 b0028080808004 800403"
).replace(" ", "")


def test_a_request():
    """Every kind of option is in the request, in the order of its numbers; what is not asked for is left out."""
    assert messages.request(messages.DUMP, FULL).hex() == GOLDEN


def test_other_requests():
    """A question has no options, or those of its features."""
    assert messages.request(messages.VERSION).hex() == "080a"
    assert messages.request(messages.FEATURE_CHECK, features=["lazy_pages"]).hex() == "08092a021001"
    assert (messages.notified(True).hex(), messages.notified(False).hex()) == ("08061801", "08061800")


RESPONSES = [
    ([(1, 2), (2, True), (4, [(1, 99)])], (2, True, "", 99, 0, "")),
    ([(1, 6), (2, True), (5, [(1, "post-restore"), (2, 42)])], (6, True, "post-restore", 42, 0, "")),
    ([(1, 1), (2, False), (7, -1), (9, "no")], (1, False, "", 0, 1, "no")),
    ([(1, 1), (2, False), (7, 52)], (1, False, "", 0, 52, "")),
]


@pytest.mark.parametrize(("fields", "expected"), RESPONSES)
def test_a_response(fields, expected):
    """Its kind, its success, and what a notification, a restore or a failure tells."""
    told = messages.Response(wire.encode(fields))
    assert (told.kind, told.success, told.script, told.pid, told.errno, told.message) == expected


def test_versions_and_features():
    """The version's three numbers, and the features that are there."""
    version = messages.Response(wire.encode([(1, 10), (2, True), (10, [(1, 3), (2, 17), (4, 1)])]))
    assert version.version == (3, 17, 1)
    features = messages.Response(wire.encode([(1, 9), (2, True), (8, [(1, True), (2, False)])]))
    assert features.features == {"mem_track"}


@pytest.mark.parametrize("data", ["0a0141", "080110012a0141", "0801100128", "2801"])
def test_a_malformed_response(data):
    """A response with a field of another type is a ValueError."""
    with pytest.raises(ValueError, match=r"field|number"):
        messages.Response(bytes.fromhex(data))
