"""runtime.plan.idmapped: the parent makes the mount with its id maps, init binds it."""

import pytest

from runtime.plan import explain, ops
from tests.runtime.plan.test_mounts import named, plan

UIDS = [{"containerID": 0, "hostID": 1000, "size": 5}, {"containerID": 9, "hostID": 9, "size": 1}]
GIDS = [{"containerID": 0, "hostID": 2000, "size": 5}]
MAPS = ["0 1000 5\n9 9 1\n", "0 2000 5\n"]


def mapped(*options, **entry):
    """The two operations of one such mount."""
    first, second = plan({"destination": "/a", "source": "data", "options": list(options), **entry})
    return named(first), named(second)


@pytest.mark.parametrize(
    ("options", "recursive", "map_all"),
    [
        (("bind", "idmap"), 0, 0),
        (("rbind", "idmap"), 1, 0),
        (("rbind", "ridmap"), 1, 1),
        (("rbind", "idmap", "ridmap"), 1, 1),
        (("rbind",), 1, 0),
    ],
)
def test_bind(options, recursive, map_all):
    """The source is relative to the bundle, whether an option or only mappings ask for id maps."""
    tree, bind = mapped(*options, uidMappings=UIDS, gidMappings=GIDS)
    assert tree == {
        "op": "idmap_tree",
        "side": ops.HOST,
        "origin": "/mounts/0",
        "recursive": recursive,
        "map_all": map_all,
        **dict.fromkeys(("attr_set", "attr_clr", "rec_set", "rec_clr"), 0),
        "source": "/bundle/data",
        "type": None,
        "options": [],
        "maps": MAPS,
    }
    assert (bind["op"], bind["destination"], bind["source"], bind["recursive"]) == ("bind", "/a", None, recursive)


def test_without_mappings():
    """Without its own mappings, the parent uses the container's user namespace."""
    tree, _ = mapped("bind", "idmap", new_user_namespace=True)
    assert tree["maps"] == []


def test_new_file_system():
    """The file system's options go with the mount, the mount's own with both, to be locked; a tmpfs is made read-only last."""
    tree, bind = mapped(
        "idmap",
        "sync",
        "size=1k",
        "nosuid",
        "ro",
        "private",
        "rnodev",
        type="tmpfs",
        uidMappings=UIDS,
        gidMappings=GIDS,
    )
    assert (tree["type"], tree["options"]) == ("tmpfs", ["sync", "size=1k"])
    assert (tree["attr_set"], tree["rec_set"]) == (2, 4)
    assert (bind["attr_set"], bind["propagation"], bind["rec_set"]) == (2, 1 << 18, 4)
    tree, bind = mapped("idmap", "ro", "user_xattr", type="ext4", uidMappings=UIDS, gidMappings=GIDS)
    assert (tree["options"], tree["attr_set"], bind["attr_set"]) == (["ro", "user_xattr"], 1, 1)


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (
            ops.idmap_tree("/s", None, [], MAPS, True, True, ""),
            (
                "clone the mount at /s with what is mounted below it, its uids mapped: 0-4 as the host's 1000-1004, "
                "9 as the host's 9; gids: 0-4 as the host's 2000-2004, in all of them"
            ),
        ),
        (
            ops.idmap_tree("s", "tmpfs", ["size=1k"], [], False, False, ""),
            "make a mount of tmpfs with size=1k, its ids mapped as the container's",
        ),
        (ops.net_device("eth1", "eth0", ""), "move the network device eth1 into the container as eth0"),
        (ops.net_device("eth1", "eth1", ""), "move the network device eth1 into the container"),
    ],
)
def test_sentences(operation, text):
    assert explain.sentence(operation) == text
