"""An immutable table of named entries: the collections of the configuration.

Names compare without regard to case and are stored as typed. A change returns a new table that shares all other
entries, so a candidate of 100,000 entries costs one shallow copy, and unchanged entries stay identical objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import attrs


class Named(Protocol):
    """An entry of a table. `KEY` names the field that holds its name."""

    __attrs_attrs__: ClassVar[Any]
    KEY: ClassVar[str]


T = TypeVar("T", bound=Named)


def fold(name: str) -> str:
    """The form of a name in which two names are compared."""
    return name.casefold()


class Table(Mapping[str, T]):
    """Entries by name, in the order in which they were added."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[T] = ()) -> None:
        self._entries: dict[str, T] = {fold(getattr(entry, entry.KEY)): entry for entry in entries}

    def __getitem__(self, name: str) -> T:
        return self._entries[fold(name)]

    def __iter__(self) -> Iterator[str]:
        return (getattr(entry, entry.KEY) for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and fold(name) in self._entries

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self._entries == other._entries if isinstance(other, Table) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._entries))

    def __repr__(self) -> str:
        return f"Table({list(self._entries.values())!r})"

    def entries(self) -> tuple[T, ...]:
        """All entries in creation order."""
        return tuple(self._entries.values())

    def sorted(self) -> list[T]:
        """All entries by name, without regard to case: the order of listings."""
        return [self._entries[key] for key in sorted(self._entries)]

    def put(self, *entries: T) -> Table[T]:
        """This table with `entries` added, or put in the place of those with the same name."""
        changed = dict(self._entries)
        for entry in entries:
            changed[fold(getattr(entry, entry.KEY))] = entry
        return self._from(changed)

    def replace(self, name: str, entry: T) -> Table[T]:
        """This table with `entry` in the place of the entry `name`, which may have another name (renaming).

        Errors: KeyError when there is no entry `name`.
        """
        old, new = fold(name), fold(getattr(entry, entry.KEY))
        if old not in self._entries:
            raise KeyError(name)
        if old == new:
            return self.put(entry)
        return self._from({(new if key == old else key): (entry if key == old else kept) for key, kept in self._entries.items()})

    def without(self, *names: str) -> Table[T]:
        """This table less `names`; names that it does not hold are ignored."""
        gone = {fold(name) for name in names}
        return self._from({key: entry for key, entry in self._entries.items() if key not in gone})

    @classmethod
    def _from(cls, entries: dict[str, T]) -> Table[T]:
        table: Table[T] = cls.__new__(cls)
        table._entries = entries
        return table


def evolve(entry: T, **changes: Any) -> T:
    """A copy of a frozen value with other fields; its validators run."""
    changed: T = attrs.evolve(entry, **changes)  # type: ignore[misc]
    return changed
