"""The rooms of ARCHITECTURE.md and who may know whom."""

from collections.abc import Iterator

import pytest

from tests.guards.sources import TREE, imports, python_files

# Room -> prefixes of modules that nothing in it may import, not even inside a function.
SYSTEM = ("os", "posix", "subprocess", "socket", "_socket", "fcntl", "select", "signal", "pathlib", "ctypes")
FORBIDDEN = {
    "oci_spec": ("runtime", "ctypes", "cffi", "subprocess", "socket", "fcntl"),
    "runtime/plan": (*SYSTEM, "runtime.host", "runtime.process", "runtime.lifecycle", "runtime.cgroups"),
    "runtime/host": ("runtime.commands", "runtime.cli", "runtime.lifecycle", "runtime.process", "runtime.plan"),
    "runtime/process": ("oci_spec", "runtime.commands", "runtime.cli", "runtime.lifecycle"),
    "runtime/criu": (
        "oci_spec",
        "runtime.commands",
        "runtime.cli",
        "runtime.lifecycle",
        "runtime.cgroups",
        "runtime.host",
    ),
    "runtime/cgroups": ("runtime.commands", "runtime.cli", "runtime.lifecycle", "runtime.plan"),
    "runtime/doctor": ("runtime.commands", "runtime.cli", "runtime.lifecycle"),
    "runtime/reference": ("runtime.commands", "runtime.cli", "runtime.process", "runtime.cgroups"),
    "runtime/verify": ("runtime.commands", "runtime.cli", "runtime.lifecycle", "runtime.process"),
    "runtime/images": ("runtime.commands", "runtime.cli", "argparse"),
    "runtime/lifecycle": ("runtime.commands", "runtime.cli", "argparse"),
}

# What a module may import when it is loaded: modules that are built into the interpreter, and ours.
BUILTIN = {
    "__future__", "_blake2", "_json", "_socket", "_struct", "builtins", "errno", "fcntl", "gc", "marshal", "posix", "select", "sys",
    "time", "_thread", "_signal", "termios", "math", "binascii", "_imp",
    "_frozen_importlib", "_frozen_importlib_external",
}  # fmt: skip

# Modules off the hot path: each says what it needs a larger module for.
COLD = {
    "oci_spec/generate_shapes.py": "writes _shapes.py, by hand and in a test",
    "runtime/shapes.py": "types, for type checkers only",
    "runtime/images/bundles/shapes.py": "types, for type checkers only",
    "oci_spec/places.py": "functools' cache: the schema is read once",
    "oci_spec/schema_files.py": "json and pathlib, to read the schema for a report",
    "oci_spec/schemas.py": "words a failure, with jsonschema",
    "runtime/api/aio/child.py": "asyncio",
    "runtime/api/aio/client.py": "asyncio, and subprocess to start the worker",
    "runtime/api/aio/container.py": "asyncio",
    "runtime/api/aio/images.py": "asyncio",
    "runtime/api/aio/link.py": "json, and socket to send descriptors",
    "runtime/api/aio/streams.py": "asyncio",
    "runtime/api/aio/waiting.py": "asyncio",
    "runtime/api/aio/worker.py": "threading, one for each call",
    "runtime/cgroups/systemd/dbus.py": "os, socket and jeepney, to talk to systemd",
    "runtime/commands/report_forms.py": "a report for a person",
    "runtime/doctor/kernel.py": "zlib, for /proc/config.gz",
    "runtime/doctor/report.py": "textwrap, for people",
    "runtime/reference/sources.py": "functools' cache: a source is read once",
    "runtime/reference/text.py": "textwrap, for people",
    "runtime/shim.py": "site, where cffi's backend is found only by it",
}
# A name that the room may have all the same.
ALLOWED = {
    ("runtime/plan/failures.py", "posix"): "the wait status of a hook, taken apart",
    ("runtime/plan/mounts.py", "runtime.cgroups.layout"): "names of controllers from the facts, pure",
}

# Rooms in which no module may come back to itself by its imports, not even inside a function; the exceptions say why.
STRAIGHT = ("runtime/host", "runtime/images", "runtime/plan", "runtime/process", "runtime/verify", "runtime/lifecycle")
CIRCLES = {
    "runtime.process.foreground": "imports `terminal` for a program that has one; that goes by its rules for signals",
}

# The rooms of runtime/images, and which of them each may know, be it for types only. The modules that all may know know none;
# the others beside the rooms are the commands, which know any.
IMAGES = {
    "tar": (),
    "trees": (),
    "layers": ("tar", "trees"),
    "layouts": ("tar",),
    "store": ("tar", "trees", "layers", "layouts"),
    "bundles": ("trees", "layouts", "store"),
}
ALL_KNOW = ("budget", "documents", "errors", "names", "progress", "writing")


def breaches(room: str, names: set[str]) -> Iterator[str]:
    for name in names:
        for prefix in FORBIDDEN[room]:
            if name == prefix or name.startswith(prefix + "."):
                yield name


def forbidden_imports(room: str, file: str) -> list[str]:
    return sorted(name for name in breaches(room, imports(file, everywhere=True)) if (file, name) not in ALLOWED)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_does_not_know_what_is_above_it(room: str):
    """No module of the room imports, anywhere in it, what the room must not know."""
    found = {name: forbidden_imports(room, name) for name in python_files(room)}
    assert {name: modules for name, modules in found.items() if modules} == {}


def module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def reached(module: str, graph: dict[str, set[str]]) -> set[str]:
    """All that the module leads to, itself only by a circle."""
    found: set[str] = set()
    waiting = list(graph[module])
    while waiting:
        name = waiting.pop()
        if name in graph and name not in found:
            found.add(name)
            waiting += graph[name]
    return found


@pytest.mark.parametrize("room", STRAIGHT)
def test_imports_go_one_way(room: str):
    """No module of the room leads back to itself, but by those that say why."""
    graph = {module_of(file): imports(file, everywhere=True) for file in python_files(room)}
    for module in graph.keys() & CIRCLES.keys():
        graph[module] = {name for name in graph[module] if module not in graph.get(name, ())}
    assert [module for module in graph if module in reached(module, graph)] == []


def test_the_rooms_of_images():
    """Each module of runtime/images knows only what its room may know, and each room is in the table."""
    root = "runtime/images"
    assert {path.name for path in (TREE / root).iterdir() if (path / "__init__.py").exists()} == set(IMAGES)
    files = {f"{root}/{name}.py": () for name in ALL_KNOW}
    files |= {file: (room, *known) for room, known in IMAGES.items() for file in python_files(f"{root}/{room}")}
    found = {}
    for file, rooms in files.items():
        names = {name for name in imports(file, everywhere=True, types=True) if name.startswith("runtime.images.")}
        found[file] = sorted(name for name in names if name.split(".")[2] not in (*ALL_KNOW, *rooms))
    assert {file: names for file, names in found.items() if names} == {}


def test_only_one_module_is_the_door_to_c():
    """runtime/shim.py alone imports the extension."""
    rooms = python_files("runtime", "oci_spec")
    importers = [name for name in rooms if "runtime._shim" in imports(name, everywhere=True)]
    assert importers in (["runtime/shim.py"], [])


@pytest.mark.parametrize("name", python_files("runtime", "oci_spec"))
def test_a_module_loads_only_what_is_built_in(name: str):
    """At load a module imports builtin modules and ours; larger ones are imported where a cold path needs them."""
    foreign = {module for module in imports(name) if module.split(".")[0] not in BUILTIN | {"runtime", "oci_spec"}}
    assert not foreign or name in COLD


def test_cold_modules_exist():
    """The table of exceptions names no module that is gone."""
    assert [name for name in COLD if not (TREE / name).exists()] == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a loop, in its order; [] where there is none."""
    done: set[str] = set()

    def search(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return trail[trail.index(name) :]
        if name in done:
            return []
        loops = (search(other, [*trail, name]) for other in sorted(graph.get(name, ())))
        loop = next(filter(None, loops), [])
        done.add(name)
        return loop

    return next(filter(None, (search(name, []) for name in sorted(graph))), [])


@pytest.mark.parametrize("room", ["runtime/cgroups", "conformance/bench"])
def test_a_room_has_no_import_circle(room: str):
    """No module of the room imports, not even inside a function or for types, one that imports it."""
    modules = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in python_files(room)
    }
    graph = {module: imports(name, everywhere=True, types=True) & set(modules) for module, name in modules.items()}
    assert circle(graph) == []
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d"]
