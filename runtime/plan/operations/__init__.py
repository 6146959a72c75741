"""The operations of a plan, each described once: its name, its arguments, what it does, its sentence.

An operation is a function. Its name is the operation's, and its place here and in its module is its code on the wire.
Its parameters are its arguments: those of int and bool are numbers on the wire, the others strings, both in their order,
but for `origin` (the place in config.json that asks for it) and `side`. Its docstring says what it does, and its body
returns the sentence that `ocirun plan` prints. The decorator says who performs it, and the origin where it is always
the same.

`make generate` (csrc/tools/operations.py) writes both languages from this: runtime/plan/ops.py, csrc/operations.h,
csrc/arguments.h, csrc/dispatch.c. It reads the sources; at run time only the sentences are asked for. Pure, and cold.
"""

from . import entering, filesystem, process
from .table import ROWS

__all__ = ["ROWS", "entering", "filesystem", "process"]
