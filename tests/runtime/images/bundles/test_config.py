"""Image configs → config.json.

`pytest tests/runtime/images/bundles/test_config.py --write-goldens` writes goldens/ anew; git shows what changed.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oci_spec
from runtime.host.overlay import split
from runtime.images.bundles.config import STEERING, runtime_config
from runtime.images.errors import BadImage

HERE = Path(__file__).parent
USERS = {"passwd": "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\n", "group": "ada:x:1000:\nstaff:x:50:ada\n"}
OVERLAY = {"lower": ["/store/2", "/store/a:b"], "upper": "/b/upper", "work": "/b/work", "user": False}
IDS = [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}]
ROOTLESS = {"uid": 1000, "gid": 1000, "uid_map": IDS, "gid_map": IDS}
ALONE = {"uid": 1000, "gid": 1000, "uid_map": IDS[:1], "gid_map": IDS[:1]}

SERVER = {
    "architecture": "arm64",
    "os": "linux",
    "os.version": "12",
    "os.features": ["one", "two"],
    "variant": "v8",
    "author": "Ada <ada@example.com>",
    "created": "2024-01-02T03:04:05.678Z",
    "config": {
        "User": "ada",
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Env": ["A=1", "EMPTY=", "A=2=3"],
        "Entrypoint": ["/bin/server", "--flag"],
        "Cmd": ["start", ""],
        "Volumes": {"/var/lib/server": {}, "/var//lib/server/": {}, "/cache": {}},
        "WorkingDir": "/srv",
        "Labels": {"org.opencontainers.image.author": "the label's", "com.example.a": "", "com.example.b": "2"},
        "StopSignal": "SIGQUIT",
    },
    "rootfs": {"type": "layers", "diff_ids": []},
}
SCRATCH = {"architecture": "amd64", "os": "linux", "config": None, "rootfs": {"type": "layers", "diff_ids": []}}
CASES = {
    "server": (SERVER, {"overlay": OVERLAY}),
    "server-rootless": (SERVER, {"overlay": {**OVERLAY, "user": True}, "rootless": ROOTLESS, "cgroup_namespace": True}),
    "scratch-alone": (SCRATCH, {"rootless": ALONE, "terminal": True}),
}


def converted(config=None, users=None, **options):
    image = {**SCRATCH, "config": {"Cmd": ["x"], **(config or {})}}
    return runtime_config(image, users=users or USERS, **options)


@pytest.mark.parametrize("name", CASES)
def test_goldens(name, request):
    """Known images give exactly these documents and warnings."""
    image, options = CASES[name]
    spec, warnings = runtime_config(image, users=USERS, **options)
    path = HERE / f"goldens/{name}.json"
    text = json.dumps({"config.json": spec, "warnings": warnings}, indent=1) + "\n"
    if request.config.getoption("--write-goldens"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", CASES)
def test_validate_has_nothing_to_say(name):
    """Schema, rules and advice accept the document without a warning."""
    image, options = CASES[name]
    spec, _ = runtime_config(image, users=USERS, **options)
    assert oci_spec.check(json.dumps(spec).encode(), "config") == []


@pytest.mark.parametrize(
    ("config", "place", "reason"),
    [
        ({"Env": "A=1"}, "/config/Env", "not a list"),
        ({"Env": ["A=1", 2]}, "/config/Env/1", "not a string"),
        ({"Env": ["A=\0"]}, "/config/Env/0", "NUL"),
        ({"Cmd": [["x"]]}, "/config/Cmd/0", "not a string"),
        ({"Entrypoint": [""]}, "/config/Entrypoint", "empty"),
        ({"WorkingDir": 7}, "/config/WorkingDir", "not a string"),
        ({"User": "eve"}, "/config/User", "no user eve"),
        ({"User": ["ada"]}, "/config/User", "not a string"),
        ({"Volumes": ["/x"]}, "/config/Volumes", "not an object"),
        ({"Volumes": {"x/y": {}}}, "/config/Volumes/x~1y", "absolute"),
        ({"Labels": {"a/b": 1}}, "/config/Labels/a~1b", "not a string"),
        ({"ExposedPorts": []}, "/config/ExposedPorts", "not an object"),
        ({"StopSignal": 9}, "/config/StopSignal", "not a string"),
    ],
)
def test_a_wrong_config_is_an_error_by_its_place(config, place, reason):
    """What has the wrong type, or no meaning, is an error that names the place in the image's config."""
    with pytest.raises(BadImage) as caught:
        converted(config)
    assert f"the image's config: {place}: " in str(caught.value)
    assert reason in str(caught.value)


def test_the_top_level_is_checked_too():
    """A config section, and fields for annotations, of the wrong type."""
    for image, place in (({"config": []}, "/config"), ({"os": 1}, "/os"), ({"os.features": "x"}, "/os.features")):
        with pytest.raises(BadImage, match=f": {place}: "):
            runtime_config({**SERVER, **image}, users=USERS)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"Cmd": None}, "names no program (Entrypoint, Cmd): sh is run"),
        ({"WorkingDir": "srv"}, "/config/WorkingDir: srv is relative"),
        ({"Env": ["ALONE", "=x", "B=1"]}, "/config/Env/0: 'ALONE' is not NAME=value, and left out"),
        ({"Volumes": {"/proc/x": {}, "/": {}}}, "/config/Volumes/~1proc~1x: no volume can be there"),
        ({"Healthcheck": {"Test": ["CMD", "true"]}}, "/config/Healthcheck: nobody here runs it"),
        ({"Labels": {"": "x"}}, "/config/Labels: the label  has no name"),
        *(({"Labels": {f"{prefix}x": "y"}}, "tells a runtime what to do") for prefix in STEERING),
    ],
)
def test_what_is_left_out_is_told(config, words):
    """What the image says and does not get is a warning, and the rest of it counts."""
    spec, warnings = converted(config)
    assert words in "\n".join(warnings)
    assert oci_spec.check(json.dumps(spec).encode(), "config") == []
    assert "annotations" not in spec or set(spec["annotations"]) == {
        "org.opencontainers.image.os",
        "org.opencontainers.image.architecture",
    }


def test_environment():
    """PATH is added unless the image has one, TERM for a terminal, and nothing of the image's is changed."""
    env = converted({"Env": ["X=1"]})[0]["process"]["env"]
    assert env == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "X=1"]
    assert converted({"Env": ["PATH=", "TERM=dumb"]}, terminal=True)[0]["process"]["env"] == ["PATH=", "TERM=dumb"]
    assert converted({"Env": ["PATH=/b"]}, terminal=True)[0]["process"]["env"] == ["PATH=/b", "TERM=xterm"]


def test_users_in_a_user_namespace():
    """An id that is not mapped is an error with the remedy; additional groups are left out with a warning."""
    with pytest.raises(BadImage, match=r"user 1000 is not mapped.*larger range in /etc/subuid"):
        converted({"User": "ada"}, rootless=ALONE)
    with pytest.raises(BadImage, match=r"group 70000 is not mapped.*/etc/subgid"):
        converted({"User": "0:70000"}, rootless=ROOTLESS)
    spec, warnings = converted({"User": "ada"}, rootless=ROOTLESS)
    assert spec["process"]["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [50]}
    assert not warnings
    users = {**USERS, "group": USERS["group"] + "far:x:70000:ada\nroot:x:1:root\n"}
    spec, warnings = converted({"User": "ada"}, users=users, rootless=ROOTLESS)
    assert spec["process"]["user"]["additionalGids"] == [50]
    assert "left out: 70000" in warnings[0]
    spec, warnings = converted({"User": "root"}, users=users, rootless=ALONE)
    assert spec["process"]["user"] == {"uid": 0, "gid": 0}
    assert "left out: 1" in warnings[0]


def test_paths_of_layers_are_escaped():
    """A colon or a backslash in a layer's path does not end it, for what reads the options too."""
    paths = ["/a:b", "/c\\d", "/e\\:f"]
    overlay = {"lower": paths, "upper": "/u", "work": "/w", "user": True}
    options = converted(overlay=overlay)[0]["mounts"][0]["options"]
    assert split(options[0].removeprefix("lowerdir=")) == paths
    assert options[-1] == "userxattr"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["User", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ExposedPorts", "Healthcheck"]
)
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plausible = st.fixed_dictionaries(
    {},
    optional={
        "User": st.sampled_from(["", "ada", "0:50", "7"]),
        "Env": st.lists(st.builds("{}={}".format, strings, strings)),
        "Cmd": st.lists(strings, min_size=1),
        "WorkingDir": strings,
        "Volumes": st.dictionaries(strings.map("/{}".format), st.just({}), max_size=3),
        "Labels": st.dictionaries(strings.map("com.{}".format), strings, max_size=3),
    },
)


@given(st.dictionaries(names, json_values) | plausible, st.sampled_from([None, ROOTLESS, ALONE]))
def test_any_config_is_converted_or_refused(config, rootless):
    """Whatever an image says: an error with its place, or a document in which validate finds no error."""
    try:
        spec, _ = runtime_config({**SCRATCH, "config": config}, users=USERS, rootless=rootless)
    except BadImage as error:
        problems = [] if str(error).startswith("the image's config: /") else [str(error)]
    else:
        found = oci_spec.check(json.dumps(spec).encode(), "config")
        problems = [str(problem) for problem in found if problem.severity == "error"]
    assert problems == []
