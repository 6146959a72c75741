"""What jsonschema and referencing need of the package rpds, whose own code is a shared object and cannot be linked in.

Each change returns a copy, which costs more than rpds' trees; the maps here have some hundred entries at most.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class HashTrieMap(Mapping[Any, Any]):
    """An immutable mapping."""

    def __init__(self, value: "Mapping[Any, Any] | Iterable[tuple[Any, Any]]" = (), **members: Any) -> None:
        self._members: dict[Any, Any] = dict(value, **members)

    @classmethod
    def convert(cls, value: Any) -> "HashTrieMap":
        return value if isinstance(value, cls) else cls(value)

    def __getitem__(self, key: Any) -> Any:
        return self._members[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __hash__(self) -> int:
        return hash(frozenset(self._members.items()))

    def insert(self, key: Any, value: Any) -> "HashTrieMap":
        return HashTrieMap({**self._members, key: value})

    def remove(self, key: Any) -> "HashTrieMap":
        rest = dict(self._members)
        del rest[key]
        return HashTrieMap(rest)

    def update(self, *others: Any, **members: Any) -> "HashTrieMap":
        merged = dict(self._members)
        for other in others:
            merged.update(other)
        merged.update(members)
        return HashTrieMap(merged)


class HashTrieSet(frozenset[Any]):
    """An immutable set."""

    def insert(self, value: Any) -> "HashTrieSet":
        return HashTrieSet({*self, value})

    def discard(self, value: Any) -> "HashTrieSet":
        return HashTrieSet(item for item in self if item != value)

    def update(self, *others: Iterable[Any]) -> "HashTrieSet":
        return HashTrieSet(self.union(*others))


class List(tuple[Any, ...]):
    """An immutable list whose first item is the last pushed."""

    def push_front(self, value: Any) -> "List":
        return List((value, *self))

    @property
    def first(self) -> Any:
        return self[0]

    @property
    def rest(self) -> "List":
        return List(self[1:])
