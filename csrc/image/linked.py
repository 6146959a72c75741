"""The finder and loader of the image's modules, and the library from which it takes them while the image is made.

A process of the image reads no file of Python's: code and sources are in its memory, and the modules' file names begin
with "ocirun:", wherever they came from.
"""

import marshal
import posix
import sys
import zlib
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import CodeType, ModuleType

PREFIX = "ocirun:"  # no directory is called so


class Linked:
    """Finder and loader of the modules that are not built in.

    `library`: where their code and sources are read from, or compiled to, as long as the image is made.
    """

    def __init__(self, library: "Library") -> None:
        self.library: Library | None = library
        self.files: dict[str, str] = {}  # module -> file, relative
        # Compressed: the code of modules that are imported when they are needed, and all sources.
        self.codes: dict[str, bytes] = {}
        self.sources: dict[str, bytes] = {}

    def find_spec(self, name: str, *_unused: object) -> ModuleSpec | None:
        """The specification of a module; None for an unknown one."""
        file = self.files.get(name)
        if file is None and self.library:
            file = self.library.find(name)
        if file is None:
            return None
        self.files[name] = file
        directory, _, last = (PREFIX + file).rpartition("/")
        # The loader's protocol in the stubs has more than the import system uses.
        spec = ModuleSpec(name, self, origin=PREFIX + file, is_package=last == "__init__.py")  # type: ignore[arg-type]
        if last == "__init__.py":
            spec.submodule_search_locations = [directory]
        spec.has_location = True  # gives the module its __file__
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """The ordinary module object."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        name = module.__name__
        code = self.library.load(name) if self.library else marshal.loads(zlib.decompress(self.codes[name]))
        exec(code, module.__dict__)

    def get_source(self, name: str) -> str:
        """The source, for a traceback. ImportError if it was not kept."""
        compressed = self.library.source(name) if self.library else self.sources.get(name)
        if compressed is None:
            raise ImportError(f"the source of {name} is not in the image")
        return zlib.decompress(compressed).decode()

    def close(self, packages: "Sequence[str]") -> None:
        """Keep what a process of the image may need, and the sources of these packages, and forget the library."""
        assert self.library
        for name in self.library.rows:
            self.find_spec(name)
            if name not in sys.modules:
                self.codes[name] = self.library.code(name)
        for name in self.files:
            if name.partition(".")[0] in packages:
                self.sources[name] = self.library.source(name)
        self.library = None


class Library:
    """The compiled modules, in a file: compiling leaves holes in the heap, so another process does it (`fill`)."""

    def __init__(self, roots: "Sequence[str]") -> None:
        self.roots = roots
        self.file = posix.memfd_create("library")
        self.rows: dict[str, tuple[str, int, int, int, int]] = {}
        """name -> (file, where its code begins in the library, the sizes of the code, and of what follows it: the compressed
        source, the compressed code)
        """

    def find(self, name: str) -> str | None:
        """The file of a module, relative to the directory that contains it. None if there is none."""
        if name in self.rows:
            return self.rows[name][0]
        base = name.replace(".", "/")
        for root in self.roots:
            for file in (f"{base}/__init__.py", f"{base}.py"):
                try:
                    with open(f"{root}/{file}", "rb") as source:
                        self._add(name, file, source.read())
                except (FileNotFoundError, NotADirectoryError):
                    continue
                return file
        return None

    def _add(self, name: str, file: str, source: bytes) -> None:
        code = marshal.dumps(compile(source, PREFIX + file, "exec", dont_inherit=True, optimize=2))
        parts = code, zlib.compress(source, 9), zlib.compress(code, 9)
        first, second, third = map(len, parts)
        self.rows[name] = file, posix.lseek(self.file, 0, 2), first, second, third
        for data in parts:
            while data:
                data = data[posix.write(self.file, data) :]

    def code(self, name: str) -> bytes:
        """The marshalled code of a module, compressed."""
        _, start, size, source, compressed = self.rows[name]
        return posix.pread(self.file, compressed, start + size + source)

    def load(self, name: str) -> "CodeType":
        """The code of a module, read without large blocks, which would leave holes."""
        with open(self.file, "rb", closefd=False) as file:
            file.seek(self.rows[name][1])
            code: CodeType = marshal.load(file)
            return code

    def source(self, name: str) -> bytes:
        """The compressed source of a module."""
        _, start, size, compressed, _ = self.rows[name]
        return posix.pread(self.file, compressed, start + size)

    def directory(self, package: str) -> "Path":
        """Where a package is. The place of importlib.resources.files."""
        from pathlib import Path

        place = self.rows[package][0].removesuffix("/__init__.py")
        return next(path for path in (Path(root, place) for root in self.roots) if path.exists())

    def fill(self, import_all: "Callable[[], None]", import_cold: "Callable[[], None]") -> list[str]:
        """Compile, in a child, the modules that ``import_all`` imports, then those of ``import_cold``, and those that are
        already here.

        Returns the names of the first, in their order.
        """
        reading, writing = posix.pipe()
        child = posix.fork()
        if child == 0:
            try:
                present = [name for name, module in sys.modules.items() if getattr(module, "__file__", None)]
                import_all()
                names = [name for name in self.rows if name in sys.modules]
                import_cold()
                for name in present:
                    self.find(name)
                with open(writing, "wb") as pipe:
                    pipe.write(marshal.dumps((names, self.rows)))
            except BaseException:
                sys.excepthook(*sys.exc_info())
                posix._exit(1)
            posix._exit(0)
        posix.close(writing)
        imported: list[str] = []
        with open(reading, "rb") as pipe:
            try:
                imported, self.rows = marshal.load(pipe)
            except EOFError:  # the child has failed
                pass
        _, status = posix.waitpid(child, 0)
        if status:
            sys.exit("the image's modules cannot be imported")
        return imported
