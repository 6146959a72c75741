"""Which blocks of the image are hot: commands write to the objects in them, if only by counting references.

All objects of a command lie on a few pages then, and a process pays for each page that it writes to. A child of `seed` finds
them, by what the training calls (`contents.finish`).
"""

import gc
import sys
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = (str, bytes, int, list, dict, tuple, set, frozenset)
END = 1 << 64


def objects(called: "set[CodeType]") -> dict[int, object]:
    """The objects by their addresses: functions, what is in their code, and what they find by names of it."""
    found: dict[int, object] = {}

    def add(*values: Any) -> None:
        for value in values:
            if id(value) in found:
                continue
            found[id(value)] = value
            if type(value) in (tuple, list, set, frozenset):
                add(*value)
            elif type(value) is dict and "__name__" not in value:  # not the variables of a module
                add(*value, *value.values())

    functions = [value for value in gc.get_objects() if type(value) is FunctionType and value.__code__ in called]
    names = {name for code in called for name in code.co_names}

    def named(space: "Mapping[str, Any]") -> list[Any]:
        return [value for name, value in space.items() if name in names]

    for code in called:
        add(code, code.co_name, code.co_qualname, *code.co_names, *code.co_consts)
    for function in functions:
        add(function, function.__globals__, function.__closure__, function.__defaults__, function.__kwdefaults__)
    modules = {id(function.__globals__): function.__globals__ for function in functions}
    for space in (vars(sys.modules["builtins"]), *(vars(kind) for kind in KINDS), *modules.values()):
        for value in named(space):
            add(value)
            if type(value) in (type, ModuleType):
                add(*named(vars(value)))
    return found


def mark(record: memoryview, called: "set[CodeType]") -> None:
    """Put sizes in the place of the addresses in the record of the heap's blocks (image.h): 0 for a block that is not hot."""
    gc.unfreeze()
    addresses = iter(sorted(objects(called)))
    words = record.cast("Q")
    places = memoryview(bytes(record)).cast("Q")[1::2].tolist()  # a copy, since the record grows by each block
    count = places.index(0)
    words[2 * count] = 0
    address = next(addresses, END)
    for i in range(count):
        place, after = places[i], places[i + 1]
        while address < place:
            address = next(addresses, END)
        words[2 * i + 1] = after - place if address < after else 0
