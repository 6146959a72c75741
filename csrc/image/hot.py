"""Which blocks of the image are hot: commands write to the objects in them, if only by counting references.

All objects of a command lie on a few pages then, and a process pays for each page that it writes to. A child of `seed` finds
them, by what the training calls (`contents.finish`).
"""

import gc
import sys
from bisect import bisect_right
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OWN = ("runtime.", "oci_spec.")
KINDS = (str, bytes, int, list, dict, tuple, set, frozenset)


def parts(value: Any) -> "Iterable[Any]":
    """The objects that are counted where this one is used."""
    kind = type(value)
    if kind in (tuple, list, set, frozenset):
        found: Iterable[Any] = value
    elif kind is dict:
        found = () if "__name__" in value else (*value, *value.values())  # not the variables of a module
    elif kind is CodeType:
        found = value.co_name, value.co_qualname
    elif kind is CellType:
        found = (value.cell_contents,)
    elif kind is ModuleType:
        found = value.__spec__, getattr(value, "__path__", None)  # which an import statement looks at
    elif isinstance(value, type):
        found = (value.__mro__,)
    elif kind.__module__.startswith(OWN):
        found = [getattr(value, name, None) for name in getattr(kind, "__slots__", ())]
    else:
        found = ()
    return found


def objects(called: "set[CodeType]") -> dict[int, object]:
    """The objects by their addresses: functions, what is in their code, and what they find by names of it."""
    found: dict[int, object] = {}

    def add(*values: Any) -> None:
        for value in values:
            if id(value) not in found:
                found[id(value)] = value
                add(*parts(value))

    functions = [value for value in gc.get_objects() if type(value) is FunctionType and value.__code__ in called]
    names = {name for code in called for name in code.co_names}

    def named(space: "Mapping[str, Any]") -> list[Any]:
        return [value for name, value in space.items() if name in names]

    for code in called:
        add(code, *code.co_names, *code.co_consts)
    for function in functions:
        add(function, function.__globals__, function.__closure__, function.__defaults__, function.__kwdefaults__)
    modules = {id(function.__globals__): function.__globals__ for function in functions}
    for space in (vars(sys.modules["builtins"]), *(vars(kind) for kind in KINDS), *modules.values()):
        for value in named(space):
            add(value)
            if type(value) in (type, ModuleType):
                add(*named(vars(value)))
    return found


def imported() -> dict[int, object]:
    """All objects that can be hot, when the modules have been imported and nothing was called yet."""
    gc.unfreeze()
    codes: set[CodeType] = set()
    rest = [value.__code__ for value in gc.get_objects() if type(value) is FunctionType]
    while rest:
        code = rest.pop()
        if code not in codes:
            codes.add(code)
            rest += [value for value in code.co_consts if type(value) is CodeType]
    return objects(codes)


def mark(record: memoryview, present: dict[int, object], called: "set[CodeType]") -> None:
    """Put sizes in the place of the addresses in the record of the heap's calls (image.h): 0 for a block that is not hot.

    A place is given out again and again: the last call that got it made what is there now. ``present``: what was `imported`,
    which is all that the record knows.
    """
    words = record.cast("Q")
    places = words[1::2].tolist()
    count = places.index(0)
    last = {places[i]: i for i in range(count)}
    for i in range(count):
        words[2 * i + 1] = 0
    starts = sorted(last)
    for address in objects(called).keys() & present.keys():
        number = bisect_right(starts, address) - 1
        if 0 <= number < len(starts) - 1:
            words[2 * last[starts[number]] + 1] = starts[number + 1] - starts[number]
