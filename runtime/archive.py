"""Imports our modules from one file instead of fifty; `csrc/tools/archive.py` writes and describes it. Imported first.

In a working tree, a module that was edited since falls back to the ordinary import; so does everything if the file is
missing or another interpreter's.
"""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    Row = tuple[str, bool, int, int, int, int]
    Source = tuple[str, str, bool, int, int]
else:
    ModuleType = type(sys)

FIRST_READ = 4096  # bytes: usually more than the header
PACKAGES = ("oci_spec", "runtime")
DAMAGED = (OSError, EOFError, ValueError, TypeError, MemoryError, OverflowError)  # or missing


class Module(ModuleType):
    """A module without support for a module-level __getattr__, which only the two top-level packages have.

    `from M import x` asks each M for a __path__; an ordinary module raises and drops two exceptions to say that it has none.
    """

    __slots__ = ()
    __getattribute__ = object.__getattribute__


class Archive:
    """A finder and loader for ``sys.meta_path``. ``site`` is the directory above the packages."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.rows: dict[str, Row] | None = None  # of all modules, read when one outside the command's group is imported
        self.index = (0, 0)
        self.base = 0
        self.inode = 0

    def open(self) -> int:
        """Open the file. OSError if there is none, or not the one that was opened first: a `run` may outlive an upgrade."""
        descriptor = posix.open(f"{self.site}/runtime/modules.bin", posix.O_RDONLY | posix.O_CLOEXEC)
        inode = posix.fstat(descriptor).st_ino
        if self.inode not in (0, inode):
            posix.close(descriptor)
            raise OSError
        self.inode = inode
        return descriptor

    def read(self, start: int, length: int) -> bytes:
        """``start`` counts from the end of the header. Raises OSError."""
        descriptor = self.open()
        try:
            return posix.pread(descriptor, length, self.base + start)
        finally:
            posix.close(descriptor)

    def load(self, command: str) -> bool:
        """Read the header, and execute the modules of ``command``'s group. False if the file is another interpreter's."""
        descriptor = self.open()
        try:
            data = posix.read(descriptor, FIRST_READ)
            self.base = 8 + int.from_bytes(data[:8], "little")
            if self.base > len(data):
                data += posix.read(descriptor, self.base - len(data))
            magic, self.index, groups = marshal.loads(memoryview(data)[8:])
            if magic != MAGIC_NUMBER:
                return False
            start, length = groups.get(command, (0, 0))
            if length:
                sources, codes = marshal.loads(posix.pread(descriptor, length, self.base + start))
                if all(self.is_current(path, size, mtime) for _, path, _, size, mtime in sources):
                    self.execute(sources, codes)
            return True
        finally:
            posix.close(descriptor)

    def row(self, name: str) -> "Row | None":
        """The index's row for a module. None if it has none, or the file is damaged."""
        if self.rows is None:
            self.rows = {}
            try:
                self.rows = marshal.loads(self.read(*self.index))
            except DAMAGED:
                pass
        return self.rows.get(name)

    def is_current(self, path: str, size: int, mtime: int) -> bool:
        """Whether the source on disk is the compiled one. ``mtime``: in nanoseconds; 0 for an installed source."""
        if not mtime:
            return True
        try:
            status = posix.stat(f"{self.site}/{path}")
        except OSError:
            return False
        return status.st_mtime_ns == mtime and status.st_size == size

    def execute(self, sources: "tuple[Source, ...]", codes: "tuple[CodeType, ...]") -> None:
        """Do for each module what an import does. ``sources`` is in dependency order."""
        children: list[tuple[str, str, ModuleType]] = []
        loaded = sys.modules
        spec = ModuleSpec("runtime", self)  # type: ignore[arg-type]
        # Each import statement asks for this; without an answer it raises and drops an exception.
        setattr(spec, "_initializing", False)  # noqa: B010  # the type stubs do not have it
        for name, path, package, _, _ in sources:
            if name in loaded:
                continue
            parent, _, last = name.rpartition(".")
            file = f"{self.site}/{path}"
            module = Module(name) if parent else ModuleType(name)
            attributes = module.__dict__
            attributes["__file__"], attributes["__spec__"] = file, spec
            attributes["__package__"] = name if package else parent
            if package:
                attributes["__path__"] = [file.rpartition("/")[0]]
            loaded[name] = module
            if parent:
                children.append((parent, last, module))
        for parent, last, module in children:  # a package may come after modules that it imports
            setattr(loaded[parent], last, module)
        for (name, *_), code in zip(sources, codes, strict=True):
            if name != "runtime":
                exec(code, loaded[name].__dict__)

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":  # noqa: ARG002
        """The spec of a module, if the file has its current source."""
        row = self.row(name) if name.startswith(PACKAGES) else None  # the index need not be read for others
        if row is None or not self.is_current(row[0], row[2], row[3]):
            return None
        try:
            code = self.read(row[4], row[5])
        except OSError:
            return None
        origin = f"{self.site}/{row[0]}"
        spec = ModuleSpec(name, self, origin=origin, is_package=row[1])  # type: ignore[arg-type]
        spec.has_location = True
        spec.loader_state = code
        if row[1]:
            spec.submodule_search_locations = [origin.rpartition("/")[0]]
        return spec

    def create_module(self, spec: "ModuleSpec") -> None:
        """The ordinary module object."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        assert module.__spec__ is not None
        exec(marshal.loads(module.__spec__.loader_state), module.__dict__)


def install(site: str, arguments: "list[str]") -> None:
    """Put the archive of ``site`` before the other finders, with the modules of the command in ``arguments`` loaded."""
    archive = Archive(site)
    commands = ("create", "run", "exec", "start", "state", "kill", "delete")
    command = next((argument for argument in arguments if argument in commands), "")
    try:
        usable = archive.load(command)
    except DAMAGED:
        return
    if usable:
        sys.meta_path.insert(0, archive)
