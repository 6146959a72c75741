"""What the image contains: `seed` imports this module, calls `finish`, dumps, and a process of the image calls `main`.

All modules are imported here, in the order of their use. One that cannot be imported here could not be imported there, so
the build fails. Nothing of the builder stays: no path, no variable.

Usage: seed OUTPUT HASH_SEED STDLIB csrc/image SITE PROGRAM DIRECTORY   (the last two: for `training`; "" "": without it)
"""

import gc
import posix
import sys
from _frozen_importlib import ModuleSpec
from _imp import _fix_co_filename, create_builtin, exec_builtin  # type: ignore[attr-defined]
from zlib import crc32

from linked import PREFIX, Library, Linked  # type: ignore[import-not-found]  # found by its directory, csrc/image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType

STDLIB, HERE = sys.path
SITE, PROGRAM, DIRECTORY = sys.argv[1:]

# First what every command needs, then command by command: what is used together lies on the same pages.
HOT = (
    "runtime.cli",
    "runtime.commands.state",
    "runtime.lifecycle.state",
    "runtime.commands.start",
    "runtime.lifecycle.start",
    "runtime.commands.kill",
    "runtime.lifecycle.kill",
    "runtime.commands.delete",
    "runtime.lifecycle.delete",
    "runtime.cgroups.members",
    "runtime.cgroups.tree",
    "runtime.commands.create",
    "oci_spec.verdict",
    "runtime.lifecycle.create",
    "oci_spec.rules",
    "oci_spec.rules.process",
    "oci_spec.rules.config",
    "oci_spec.rules.linux",
    "oci_spec.rules.resources",
    "runtime.plan.mounts",
    "runtime.plan.devices",
    "runtime.plan.paths",
    "runtime.commands.run",
    "runtime.lifecycle.run",
    "runtime.process.foreground",
    "runtime.process.interruption",
    "runtime.commands.exec",
    "runtime.lifecycle.exec",
)
PACKAGES = ("runtime", "oci_spec")
# Tools of the build, types, the Python API, and the launcher's own way to import. A name stands for what is below it, too.
LEFT_OUT = (
    "oci_spec.generate_shapes",
    "oci_spec.generate_types",
    "oci_spec.types",
    "runtime.__main__",
    "runtime.api",
    "runtime.archive",
    "runtime.images.bundles.shapes",
    "runtime.import",
    "runtime.shapes",
)
NEVER = {"site"}  # for an installation that is not complete
BUILDING = ("training", "hot", "stray")  # not in the image
# Kept as code, and imported by a process that needs it: half of the room. A name stands for what is below it, too.
COLD = (
    "subprocess",
    *BUILDING,
    "oci_spec.mistakes",
    "oci_spec.places",
    "oci_spec.rules.arguments",
    "oci_spec.rules.profile",
    "oci_spec.rules.surprises",
    "oci_spec.schema_files",
    "runtime.cgroups.denied",
    "runtime.commands.bundle",
    "runtime.commands.checkpoint",
    "runtime.commands.doctor",
    "runtime.commands.explain",
    "runtime.commands.mounts",
    "runtime.commands.report_forms",
    "runtime.commands.restore",
    "runtime.commands.seccomp_lines",
    "runtime.commands.validate",
    "runtime.commands.verify",
    "runtime.criu",
    "runtime.doctor",
    "runtime.host.elf",
    "runtime.host.executable",
    "runtime.host.kernel_checks",
    "runtime.host.mountinfo",
    "runtime.host.overlay",
    "runtime.host.program_file",
    "runtime.host.reach",
    "runtime.host.unexpected",
    "runtime.images",
    "runtime.lifecycle.cgroup_options",
    "runtime.lifecycle.checkpoint",
    "runtime.lifecycle.criu",
    "runtime.lifecycle.criu_external",
    "runtime.lifecycle.criu_images",
    "runtime.lifecycle.mounts",
    "runtime.lifecycle.network",
    "runtime.lifecycle.plan_text",
    "runtime.lifecycle.planning",
    "runtime.lifecycle.reasons",
    "runtime.lifecycle.restore",
    "runtime.lifecycle.restrictions",
    "runtime.lifecycle.seccomp_explain",
    "runtime.lifecycle.trace_forms",
    "runtime.lifecycle.verification",
    "runtime.plan.call_text",
    "runtime.plan.contradictions",
    "runtime.plan.filter_verdict",
    "runtime.plan.kernel_limits",
    "runtime.plan.live_mounts",
    "runtime.plan.mount_data",
    "runtime.process.notifications",
    "runtime.reference",
    "runtime.verify",
)
# What the standard library imports when it is called: for a traceback, and to encode text.
LATE = ("linecache", "tokenize", "encodings.ascii", "encodings.latin_1", "encodings.unicode_escape")


def link_shim() -> None:
    """Put the extension where an import finds it: the importer of builtin modules knows no submodules."""
    import runtime

    spec = ModuleSpec("runtime._shim", sys.meta_path[0], origin="built-in")  # type: ignore[arg-type]
    module = sys.modules["runtime._shim"] = create_builtin(spec)
    runtime._shim = module
    exec_builtin(module)


def link_resources() -> None:
    """jsonschema reads its schemas while the image is made; the package importlib.resources would bring unneeded modules."""
    import importlib

    module = sys.modules["importlib.resources"] = type(sys)("importlib.resources")
    importlib.resources = module
    module.files = library.directory  # type: ignore[attr-defined]


def link_init() -> None:
    """Read the init program, which a process of the image starts from memory."""
    from runtime.process import init_program

    init_program.linked = init_program.read(f"{SITE}/runtime/init")


def register_at_fork(**functions: "Callable[..., object]") -> None:
    """In the place of os.register_at_fork. A process of the image calls no such function: it has one thread, as the image.

    A module that needs the call, because it keeps something random, say, must not be in the image.
    """
    modules = sorted({function.__module__ for function in functions.values()})
    sys.exit(f"a new process has to call a function of {', '.join(modules)}")


def own_modules() -> "list[str]":
    """The modules of our packages."""
    import os

    names = [
        f"{directory}/{file}".removeprefix(f"{SITE}/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for package in PACKAGES
        for directory, _, files in os.walk(f"{SITE}/{package}")
        for file in files
        if file.endswith(".py")
    ]
    return sorted(name for name in names if not is_among(name, LEFT_OUT))


def is_among(name: str, roots: "Sequence[str]") -> bool:
    return f"{name}.".startswith(tuple(f"{root}." for root in roots))


def is_cold(name: str) -> bool:
    return is_among(name, COLD)


def late_imports(name: str) -> "Iterator[str]":
    """What the functions of a module of ours import."""
    import ast

    for function in ast.walk(ast.parse(linked.get_source(name))):
        for node in ast.walk(function) if isinstance(function, ast.FunctionDef) else ():
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module


def late_names(names: "list[str]") -> "list[str]":
    """What the functions of these modules import, but for cold modules."""
    late = {imported for name in names for imported in late_imports(name)}
    return sorted(name for name in late - NEVER if not is_cold(name))


def import_all() -> None:
    """Import what the image contains: in the order of HOT, then the rest."""
    link_shim()
    link_resources()
    own = [name for name in own_modules() if not is_cold(name)]
    for name in (*HOT, *own):
        __import__(name)
    for name in (*late_names(own), *LATE):
        __import__(name)


def import_cold() -> None:
    """Import the cold modules, so that their code is in the library, and that of what they need."""
    own = [name for name in own_modules() if is_cold(name)]
    for name in ("subprocess", *BUILDING, *own):
        __import__(name)
    for name in late_names(own):
        __import__(name)


def import_again(names: "list[str]") -> None:
    """Import what the child of `Library.fill` did, module by module, without garbage between their objects."""
    link_shim()
    link_resources()
    for name in names:
        __import__(name)
        gc.collect()
        gc.freeze()


def forget_builder() -> None:
    """Rename what the interpreter imported from the builder's directories before `linked` was there."""
    roots = tuple(f"{root}/" for root in (STDLIB, HERE))

    def renamed(path: str) -> str:
        return f"{PREFIX}{path.removeprefix(next(root for root in roots if path.startswith(root)))}"

    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(roots):
            spec = linked.find_spec(name)
            assert spec
            module.__spec__, module.__loader__, module.__file__ = spec, linked, spec.origin
            module.__dict__.pop("__cached__", None)
            if spec.submodule_search_locations:
                module.__path__ = spec.submodule_search_locations
    for code in early:
        if code.co_filename.startswith(roots):
            _fix_co_filename(code, renamed(code.co_filename))
    early.clear()


def own_state() -> "dict[str, dict[str, int]]":
    """Checksums of the plain values of our modules, by module and name. Small: what is freed leaves holes in the heap."""
    plain = (dict, list, set, int, str, bytes, type(None))
    return {
        module: {
            name: crc32(repr(value).encode(errors="surrogatepass"))
            for name, value in vars(sys.modules[module]).items()
            if isinstance(value, plain) and name != "__builtins__"
        }
        for module in sys.modules
        if module.partition(".")[0] in PACKAGES
    }


def train(watched: bool) -> "set[CodeType]":
    """Run the commands. Fails if a module remembers something of them: it would be wrong in another process.

    ``watched``: returns the code that they called.
    """
    import training  # type: ignore[import-not-found]

    from runtime import seccomp
    from runtime.process import interruption

    called: set[CodeType] = set()

    def call(arguments: "list[str]") -> int:
        if watched:
            sys.setprofile(lambda frame, *_: called.add(frame.f_code))
        status: int = command(arguments)
        sys.setprofile(None)
        interruption.release()  # as the end of the process does
        gc.collect()  # no command does: what they leave would be a tenth of the file
        return status

    before = own_state()
    try:
        if PROGRAM:
            training.train(call, DIRECTORY, PROGRAM)
    except training.Untrained as error:
        if not watched:
            print(f"the image is not trained, so commands take up to twice as long: {error}", file=sys.stderr)
    seccomp.loaded_library.clear()
    after = own_state()
    changed = [
        f"{module}.{name}"
        for module, values in after.items()
        for name, value in values.items()
        if value != before.get(module, {}).get(name)
    ]
    if changed:
        sys.exit(f"the training stays in {', '.join(changed)}")
    return called


def main() -> int:
    """What a process of the image does."""
    return command(argv[1:])


def finish(record: "memoryview | None" = None) -> "Callable[[str, int], int] | None":
    """The last step before the dump, which the function that is returned checks (`stray.check`).

    With ``record``, the end of a process that only finds out what is hot (`hot.mark`).
    """
    from pathlib import Path

    from oci_spec import schema_files, schemas

    own_schema, schema_files.SCHEMA = schema_files.SCHEMA, Path(SITE, "oci_spec/schema")
    for kind in ("config", "process", "state", "features"):
        schemas.validator(kind)  # reads the schema
    schema_files.SCHEMA = own_schema
    del sys.modules["importlib.resources"]
    link_init()
    forget_builder()
    linked.close(PACKAGES)
    if record:
        import hot  # type: ignore[import-not-found]

        present = hot.imported()
        hot.mark(record, present, train(watched=True))
        return None
    train(watched=False)
    from stray import check  # type: ignore[import-not-found]

    for name in BUILDING:
        sys.modules.pop(name, None)
        del linked.codes[name]
    sys.path_importer_cache.clear()
    sys.path_hooks.clear()
    del sys.path[:], argv[:], sys.meta_path[2:]
    sys.meta_path.append(linked)
    del posix.register_at_fork
    sys.image = True  # type: ignore[attr-defined]  # for --version
    posix.environ.clear()
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    found: Callable[[str, int], int] = check
    return found


posix.register_at_fork = register_at_fork  # type: ignore[assignment]
gc.disable()
# The code that the interpreter imported by itself. Asked for later, the collector's list would be a hole of a megabyte.
early = [value.__code__ for value in gc.get_objects() if type(value) is type(main)]
library = Library((f"{HERE}/standins", HERE, SITE, STDLIB))
linked = Linked(library)
sys.meta_path.insert(2, linked)
import_again(library.fill(import_all, import_cold))

from runtime.cli import main as command  # noqa: E402

argv = sys.argv
