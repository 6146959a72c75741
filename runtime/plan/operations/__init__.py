"""The operations of a plan, each described once: its name, its arguments, what it does, its sentence.

An operation is a function with the operation's name. Its order here and in its module determines its code on the wire. Its
parameters are the arguments: int and bool ones are numbers on the wire, the others strings, each in order, except
`origin` (the config pointer that asks for it) and `side`. Its docstring says what it does, and its body returns the
sentence that `ocirun plan` prints. The decorator says who performs it, and gives the origin if it is always the same.

`make generate` (csrc/tools/operations.py) writes both languages from these sources: runtime/plan/ops.py,
csrc/operations.h, csrc/arguments.h, csrc/dispatch.c. At run time only the sentences are used. Pure and cold.
"""

from . import entering, filesystem, process
from .table import ROWS

__all__ = ["ROWS", "entering", "filesystem", "process"]
