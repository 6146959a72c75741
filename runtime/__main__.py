"""The entry point, started by the launcher: ``python3 -I -S -X utf8 SITE/runtime/__main__.py ARGUMENTS``.

Isolated and without ``site``, the interpreter finds only the standard library, so SITE is appended to its path. The
process ends by ``_exit``: finalising the interpreter costs 1 to 2 ms, and all output goes by system calls, unbuffered.
"""

import gc
import posix
import sys


def _start() -> int:
    gc.disable()  # the process lives for milliseconds, and `_exit` frees everything
    site = __file__.rpartition("/")[0].rpartition("/")[0] or "."
    sys.path.append(site)
    if "--debug" not in sys.argv:  # tracebacks need line numbers, which the archive leaves out
        from runtime.archive import install

        install(site, sys.argv[1:])
    from runtime.cli import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    posix._exit(_start())
