"""Imports our modules from one file instead of fifty: `csrc/bundle.py` writes it and describes it. The first import.

In the tree a module that was edited since is left to the ordinary import; so is everything when the file is not there
or is another interpreter's.
"""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


class Bundle:
    """A finder and loader for ``sys.meta_path``. ``site`` is the directory above the packages, ``data`` the whole file."""

    def __init__(self, site: str, modules: "dict[str, tuple[str, bool, int, int, int]]", data: bytes) -> None:
        self.site = site
        self.modules = modules
        self.data = memoryview(data)

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":  # noqa: ARG002
        """The spec of a module that the file has as it is on disk."""
        row = self.modules.get(name)
        if row is None:
            return None
        relative, package, size, time, _ = row
        origin = f"{self.site}/{relative}"
        if time:
            try:
                status = posix.stat(origin)
            except OSError:
                return None
            if status.st_mtime_ns != time or status.st_size != size:
                return None
        spec = ModuleSpec(name, self, origin=origin, is_package=package)  # type: ignore[arg-type]
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [origin.rpartition("/")[0]]
        return spec

    def create_module(self, spec: "ModuleSpec") -> None:
        """The ordinary module object."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        exec(marshal.loads(self.data[-self.modules[module.__name__][4] :]), module.__dict__)


def install(site: str) -> None:
    """Put the bundle of ``site`` before the other finders, if there is one for this interpreter."""
    try:
        descriptor = posix.open(f"{site}/runtime/modules.bin", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return
    try:
        data = posix.read(descriptor, posix.fstat(descriptor).st_size)
    finally:
        posix.close(descriptor)
    magic, modules = marshal.loads(data)
    if magic == MAGIC_NUMBER:
        sys.meta_path.insert(0, Bundle(site, modules, data))
