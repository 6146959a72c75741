"""Whether the program of a config, and its hooks, can be executed: what only the kernel would say at execve. Cold."""

import posix

from runtime.errors import PROGRAM, OcirunError
from runtime.host import executable, reach
from runtime.host.container_tree import Tree, Unknown, tree_of
from runtime.kernel import S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oci_spec import Row
    from oci_spec.types import Config, HookKind

EARLY: "tuple[HookKind, ...]" = ("prestart", "createRuntime", "createContainer", "startContainer")
KINDS: "tuple[HookKind, ...]" = (*EARLY, "poststart", "poststop")
RULE, HOOK = "host:program_file", "host:hook_file"


def rows(spec: "Config", bundle: str) -> "Iterator[Row]":
    """Rows, as `checks.rows` has them, for a config that schema and rules accept. ``bundle`` is an absolute path."""
    tree = _tree(spec, bundle)
    if not tree:
        return
    hooks = spec.get("hooks", {})
    sure = not any(hooks.get(kind) for kind in EARLY)
    for pointer, message, remedy, fails in of_process(spec, tree):
        yield pointer, "error" if fails and sure else "warning", message, remedy, RULE
    host, machine = Tree("/"), posix.uname().machine
    for kind in KINDS:
        place = tree if kind == "startContainer" else host
        for index, hook in enumerate(hooks.get(kind, ())):
            for message, fix, _ in executable.faults(place, hook["path"], hook.get("env", ()), machine):
                yield f"/hooks/{kind}/{index}/path", "warning", message, fix, HOOK


def of_process(spec: "Config", tree: Tree) -> "Iterator[tuple[str, str, str | None, bool]]":
    """(pointer, message, remedy, whether execve fails) for the program of ``spec``, as the tree has it."""
    process = spec.get("process", {})
    env = process.get("env", ())
    program = _find(process.get("args", ()), env, process.get("cwd", "/"), tree)
    if program:
        for message, remedy, fails in executable.faults(tree, program, env, posix.uname().machine):
            yield PROGRAM, message, remedy, fails
        for pointer, message, fix in reach.faults(spec, tree, program, _is_script(tree, program)):
            yield pointer, message, fix, True


def explained(error: OcirunError, spec: "Config", bundle: str, tree: "Tree | None" = None) -> None:
    """Add to an error of execve what is wrong with the file, if that is known. ``tree``: instead of the bundle's."""
    tree = tree or _tree(spec, bundle)
    for pointer, message, remedy, fails in of_process(spec, tree) if tree else ():
        if fails:
            kernel = error.message.partition("; ")[0]
            error.message = f"{kernel}; {message}" + (f": {remedy}" if remedy else "")
            error.pointer = pointer
            return


def _tree(spec: "Config", bundle: str) -> "Tree | None":
    root = spec.get("root", {}).get("path")
    if not root:
        return None
    return tree_of(root if root[:1] == "/" else f"{bundle}/{root}", spec.get("mounts", ()), bundle, exact=True)


def _find(args: "Sequence[str]", env: "Sequence[str]", cwd: str, tree: Tree) -> str:
    """The path of the program in the container, "" if it is not found (`checks.check_program` says so)."""
    if not args or not args[0]:
        return ""
    name = args[0]
    if "/" in name:
        paths = [name if name[0] == "/" else f"{cwd}/{name}"]
    else:
        path = next((entry[5:] for entry in reversed(env) if entry.startswith("PATH=")), None)
        if path is None:
            return ""
        paths = [f"{directory or cwd}/{name}" for directory in path.split(":")]
    for path in paths:
        try:
            mode = tree.mode(path)
        except (OSError, Unknown):
            continue
        if mode & 0o111 and mode & S_IFMT != S_IFDIR:
            return path
    return ""


def _is_script(tree: Tree, path: str) -> bool:
    try:
        descriptor = executable.Reader(tree).open(path)
    except (OSError, Unknown):
        return False
    try:
        return posix.pread(descriptor, 2, 0) == b"#!"
    finally:
        posix.close(descriptor)
