"""`exec --cgroup`: cgroups below the container's, in each hierarchy. Loaded only for that option."""

import posix

from runtime.errors import OcirunError
from runtime.files import components

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.host.cgroups import Hierarchy


def below(files: "list[str]", wanted: "Sequence[str]", hierarchies: "Sequence[Hierarchy]") -> "list[str]":
    """The files by which a process enters the ``wanted`` cgroups. ``files``: the same for the container's cgroups.

    ``wanted``: PATH or CONTROLLERS:PATH. OcirunError for a controller that none of the cgroups has, for a hierarchy named
    twice, and for "..".
    """
    result = list(files)
    for entry in wanted:
        controllers, colon, path = entry.rpartition(":")
        parts = components(path)
        if ".." in parts:
            raise OcirunError(
                f'--cgroup {entry!r}: the path is relative to the container\'s cgroup and may not contain ".."'
            )
        for index in _indices(files, controllers.split(","), hierarchies, entry) if colon else range(len(files)):
            if result[index] != files[index]:
                raise OcirunError(f"--cgroup {entry!r}: another --cgroup already names a cgroup in this hierarchy")
            directory, _, name = files[index].rpartition("/")
            result[index] = "/".join([directory, *parts, name])
    return result


def require(files: "list[str]", wanted: "Sequence[str]") -> None:
    """OcirunError for a cgroup that is not there. ``files``: what `below` has made of ``wanted``."""
    for file in files:
        if not posix.access(file, posix.F_OK):
            entries = " ".join(f"--cgroup {entry}" for entry in wanted)
            raise OcirunError(
                f"{entries}: there is no cgroup {file.rpartition('/')[0]}; "
                "PATH has to exist in every hierarchy, CONTROLLER:PATH in that of the controller"
            )


def _indices(files: "list[str]", names: "list[str]", hierarchies: "Sequence[Hierarchy]", entry: str) -> "list[int]":
    """The indices of the files that are in the hierarchies of the controllers."""
    result: list[int] = []
    for name in names:
        mounts = [
            hierarchy["mountpoint"].rstrip("/") + "/" for hierarchy in hierarchies if name in hierarchy["controllers"]
        ]
        indices = [index for index, file in enumerate(files) if file.startswith(tuple(mounts))]
        if not indices:
            raise OcirunError(f"--cgroup {entry!r}: the container is in no cgroup with a controller {name!r}")
        result += [index for index in indices if index not in result]
    return result
