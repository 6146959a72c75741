"""In the place of the standard library's module: attrs needs its `local`, subprocess its `Lock`.

The module itself keeps the numbers of the process's main thread, which are the builder's in an image, and runs a function in
each process that starts from it.
"""

from _thread import _local as local  # noqa: F401
from _thread import allocate_lock as Lock  # noqa: F401, N812
