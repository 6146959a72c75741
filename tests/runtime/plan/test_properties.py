"""runtime.plan.properties: no property is silently ignored."""

import json

import pytest

from oci_spec import load_checked
from runtime.plan import plan, properties_table
from tests.integration import adapt
from tests.runtime.plan import machines, properties_page

WARNED = [path for path, (word, _) in properties_table.NOT_BUILT.items() if word == properties_table.WARNED]
FILTER = {"defaultAction": "SCMP_ACT_ALLOW"}
MOUNT = {"destination": "/m", "type": "none", "source": "/", "options": ["bind"]}
# A value of each that asks for something.
SAMPLES = {
    "/process/commandLine": "program.exe",
    "/process/user/username": "somebody",
    "/linux/personality/flags": ["ADDR_NO_RANDOMIZE"],
    "/linux/resources/memory/useHierarchy": False,
    "/solaris": {"milestone": "x"},
    "/windows": {"layerFolders": ["x"]},
    "/vm": {"kernel": {"path": "/vmlinuz"}},
    "/zos": {"namespaces": []},
    "/freebsd": {"jail": {}},
}


def put(path, value):
    """The default config with ``value`` there, and its pointer."""
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
    """The warnings of create: from the check and from the plan."""
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
    """docs/properties.md matches the table: python -m tests.runtime.plan.properties_page."""
    assert properties_page.PAGE.read_text() == properties_page.page()


def test_each_that_is_not_built_has_a_sample():
    """What the tests below try is what the table says."""
    assert set(SAMPLES) == set(properties_table.NOT_BUILT)


@pytest.mark.parametrize("path", WARNED)
def test_warned(path):
    """One warning names the property, and the rest is done."""
    spec, pointer = put(path, SAMPLES[path])
    assert [each for each in warnings_of(spec) if each.startswith(pointer)] == [pointer]


@pytest.mark.parametrize("name", adapt.names())
def test_what_managers_send_is_built(name):
    """None of the kept configs has a property that is warned about."""
    spec = adapt.load(name)
    _, warnings = plan(spec, machines.facts(spec), machines.options(spec))
    assert {pointer for pointer, _ in warnings} & {
        path.replace("*", "0") for path in properties_table.NOT_BUILT
    } == set()
