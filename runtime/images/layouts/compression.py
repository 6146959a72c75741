"""The stream of a layer that is written: gzip, zstd by its program, or as it is. The same bytes give the same blob."""

import posix

from runtime.errors import OcirunError, system_failure
from runtime.process.id_tools import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.layouts.layout import BlobFile

_LEVEL = 6
_GZIP = 31  # the window of zlib, with gzip's header: no name, and the time 0
_PIECE = 1 << 20


class Writer:
    """Compresses what is written to it into ``blob``; whole when the ``with`` block ends without an error."""

    def __init__(self, kind: str, blob: "BlobFile") -> None:
        self._kind = kind
        self._blob = blob
        self._plain = -1

    def __enter__(self) -> "Writer":
        if self._kind == "gzip":
            import zlib

            self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        elif self._kind == "zstd":
            self._program = find("zstd")
            if not self._program:
                raise OcirunError("the program zstd is not installed: install the package zstd, or use --compress gzip")
            self._plain = self._blob.scratch()
        return self

    def write(self, data: bytes) -> None:
        if self._kind == "gzip":
            self._blob.write(self._gzip.compress(data))
        elif self._plain >= 0:
            from runtime.images.writing import write_all

            write_all(self._plain, data)
        else:
            self._blob.write(data)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if error is None and self._kind == "gzip":
                self._blob.write(self._gzip.flush())
            elif error is None and self._plain >= 0:
                self._compress()
        finally:
            if self._plain >= 0:
                posix.close(self._plain)

    def _compress(self) -> None:
        """Compress the file of all that was written."""
        ours, theirs = posix.pipe2(posix.O_CLOEXEC)
        posix.lseek(self._plain, 0, 0)
        actions = [(posix.POSIX_SPAWN_DUP2, self._plain, 0), (posix.POSIX_SPAWN_DUP2, theirs, 1)]
        try:
            child = posix.posix_spawn(str(self._program), ["zstd", "-qc", "-T1"], {}, file_actions=actions)
        except OSError as error:
            raise system_failure(f"run {self._program}", error) from None
        finally:
            posix.close(theirs)
        while piece := posix.read(ours, _PIECE):
            self._blob.write(piece)
        posix.close(ours)
        status = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
        if status:
            raise OcirunError(f"zstd failed with status {status}")
