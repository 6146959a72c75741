"""Where the launcher starts the interpreter: ``python3 -I -S -X utf8 SITE/runtime/__main__.py ARGUMENTS``.

Isolated and without ``site``, the interpreter knows only the standard library, so the directory above this package is
appended. The process ends by ``_exit``: finalising the interpreter costs 1 to 2 ms, and everything that must be
written was written by system calls.
"""

import gc
import posix
import sys


def _start() -> int:
    gc.disable()  # a process of milliseconds: what a collection looks through, `_exit` frees
    site = __file__.rpartition("/")[0].rpartition("/")[0] or "."
    sys.path.append(site)
    if "--debug" not in sys.argv:  # tracebacks need the sources' line numbers
        from runtime.archive import install

        install(site, sys.argv[1:])
    from runtime.cli import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    posix._exit(_start())
