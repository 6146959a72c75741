"""runtime.plan.properties: nothing that a config can say is ignored in silence."""

import json

import pytest

from oci_spec import load_checked
from runtime.errors import InvalidConfig
from runtime.plan import plan, properties, properties_table
from runtime.plan.seccomp import normalise
from tests.integration import adapt
from tests.runtime.plan import machines, properties_page

REFUSED = [path for path, (word, _) in properties_table.NOT_BUILT.items() if word == properties_table.REFUSED]
WARNED = [path for path, (word, _) in properties_table.NOT_BUILT.items() if word == properties_table.WARNED]
FILTER = {"defaultAction": "SCMP_ACT_ALLOW"}
MOUNT = {"destination": "/m", "type": "none", "source": "/", "options": ["bind"]}
MAPPING = [{"containerID": 0, "hostID": 100000, "size": 1}]
# A value of each that asks for something.
SAMPLES = {
    "/mounts/*/uidMappings": MAPPING,
    "/mounts/*/gidMappings": MAPPING,
    "/process/commandLine": "program.exe",
    "/process/user/username": "somebody",
    "/linux/personality/flags": ["ADDR_NO_RANDOMIZE"],
    "/linux/netDevices": {"eth9": {}},
    "/linux/resources/memory/useHierarchy": False,
    "/solaris": {"milestone": "x"},
    "/windows": {"layerFolders": ["x"]},
    "/vm": {"kernel": {"path": "/vmlinuz"}},
    "/zos": {"namespaces": []},
    "/freebsd": {"jail": {}},
}


def put(path, value):
    """The default config with ``value`` there, and the pointer of it."""
    spec = machines.spec_with(seccomp=dict(FILTER))
    spec["mounts"] = [dict(MOUNT)]
    spec["linux"]["resources"]["memory"] = {}
    if path.startswith("/linux/personality/"):
        spec["linux"]["personality"] = {"domain": "LINUX"}
    *parents, last = path.replace("*", "0").split("/")[1:]
    section = spec
    for name in parents:
        section = section[int(name)] if isinstance(section, list) else section.setdefault(name, {})
    section[last] = value
    return spec, path.replace("*", "0")


def warnings_of(spec):
    """What create would warn about: the check and the plan."""
    _, problems = load_checked(json.dumps(spec).encode())
    assert [problem for problem in problems if problem.severity == "error"] == []
    _, warnings = plan(spec, machines.facts(spec), machines.options(spec))
    return {problem.pointer for problem in problems} | {pointer for pointer, _ in warnings}


def test_every_property_of_the_schema_has_a_verdict():
    """The table has each one, and none that the schema does not have."""
    known = properties_page.of_linux()
    for path in known:
        properties_table.verdict(path)
    assert set(properties_table.TABLE) - set(known) == set()


def test_the_page_is_the_tables():
    """`docs/properties.md` is made anew from the table: python -m tests.runtime.plan.properties_page."""
    assert properties_page.PAGE.read_text() == properties_page.page()


def test_each_that_is_not_built_has_a_sample():
    """What the tests below try is what the table says."""
    assert set(SAMPLES) == set(properties_table.NOT_BUILT)


def test_what_the_hot_check_names_is_in_the_table():
    """Its tuples and the table have one verdict."""
    named = {f"/linux/{name}" for name in properties.REFUSED_LINUX}
    assert {path for path in REFUSED if not path.startswith("/mounts/")} == named


@pytest.mark.parametrize("path", REFUSED)
def test_refused(path):
    """A plan names the property and makes nothing; an empty value asks for nothing."""
    spec, pointer = put(path, SAMPLES[path])
    with pytest.raises(InvalidConfig, match="not supported by this version") as caught:
        plan(spec, machines.facts(spec), machines.options(spec))
    assert caught.value.pointer == pointer
    spec, _ = put(path, type(SAMPLES[path])())
    assert machines.planned(spec)


@pytest.mark.parametrize("path", WARNED)
def test_warned(path):
    """One warning names the property, and the rest is done."""
    spec, pointer = put(path, SAMPLES[path])
    assert [each for each in warnings_of(spec) if each.startswith(pointer)] == [pointer]


def complete(spec):
    """All that create does with a config before anything is made: the filter and the plan."""
    normalise(spec["linux"]["seccomp"])
    return plan(spec, machines.facts(spec), machines.options(spec))


@pytest.mark.parametrize(("path", "value"), [row[:2] for row in properties_table.VALUES])
def test_values_that_are_refused(path, value):
    """A value that is not built, of a property that is, is refused where it stands."""
    section = path.rpartition("/")[0]
    if section == "/mounts/*":
        spec, pointer = put(path, ["bind", value])
    else:
        spec, pointer = put(path, value)
    with pytest.raises(InvalidConfig, match="not supported by this version") as caught:
        complete(spec)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("name", adapt.names())
def test_what_managers_send_is_built(name):
    """None of the kept configs has a property that is refused or warned about."""
    spec = adapt.load(name)
    _, warnings = plan(spec, machines.facts(spec), machines.options(spec))
    assert {pointer for pointer, _ in warnings} & {
        path.replace("*", "0") for path in properties_table.NOT_BUILT
    } == set()
