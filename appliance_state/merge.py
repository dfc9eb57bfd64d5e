"""Three-way merge of a pending copy with the running configuration (commit.md 3).

For every object and field: own == base takes the running value, running == base the own one, equal values agree,
anything else is a conflict. Tables merge by internal id or name, sets by additions and removals, ordered lists by the
rule of the specification. A conflict leaves the running value unless a decision says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import attrs
from attrs import define, field, frozen

from appliance_state.model import Config
from appliance_state.table import Table
from appliance_state.tree import NOUNS, identity, is_record, is_sequence, key, label, title

Side = Literal["own", "committed"]
_ABSENT = None


@frozen
class Conflict:
    """`path`: names from the section to the field; values in the operator's words."""

    path: tuple[str, ...]
    original: str
    own: str
    committed: str

    @property
    def title(self) -> str:
        """`listener "InboundMail": tls_certificate`."""
        section, *rest = self.path
        noun = NOUNS[section]
        if section == "alerts" and rest[:1] == ["recipients"]:
            noun, rest = "alert recipient", rest[1:]
        if (rest and section not in _SINGLETONS) or noun == "alert recipient":
            name, *rest = rest
            noun = f'{noun} "{name}"'
        return f"{noun}: {'.'.join(rest)}" if rest else noun


_SINGLETONS = frozenset(f.name for f in attrs.fields(Config) if not isinstance(getattr(Config(), f.name), Table))


@define
class _Merge:
    decisions: Mapping[tuple[str, ...], Side]
    conflicts: list[Conflict] = field(factory=list)

    def value(self, path: tuple[str, ...], base: Any, own: Any, running: Any) -> Any:
        if own is base or own == base:
            return running
        if running is base or running == base or own == running:
            return own
        if isinstance(own, Table):
            return self.table(path, base, own, running)
        if isinstance(own, frozenset):
            return (running | (own - base)) - (base - own)
        if is_sequence(base) and is_sequence(own) and is_sequence(running):
            return self.sequence(path, base, own, running)
        if isinstance(own, tuple) and all(isinstance(item, str) for item in (*base, *own, *running)):
            kept = [item for item in running if item in own or item not in base]
            return (*kept, *(item for item in own if item not in base and item not in running))
        if is_record(own) and is_record(base) and is_record(running):
            changes = {
                f.name: self.value((*path, f.name), getattr(base, f.name), getattr(own, f.name), getattr(running, f.name))
                for f in attrs.fields(type(own))
            }
            return attrs.evolve(running, **changes)
        return self.conflict(path, base, own, running)

    def conflict(self, path: tuple[str, ...], base: Any, own: Any, running: Any, words: tuple[str, str, str] | None = None) -> Any:
        side = self.decisions.get(path)
        if side is None:
            original, mine, theirs = words or (label(base), label(own), label(running))
            self.conflicts.append(Conflict(path, original, mine, theirs))
        return own if side == "own" else running

    def table(self, path: tuple[str, ...], base: Table[Any], own: Table[Any], running: Table[Any]) -> Table[Any]:
        sides = [{key(entry): entry for entry in table.entries()} for table in (base, own, running)]
        merged = self.entries(path, *sides)
        names: dict[str, Any] = {}
        for entry in list(merged.values()):
            name = getattr(entry, entry.KEY).casefold()
            if name in names:  # one added on each side, or renamed to the same name
                chosen = self.conflict(
                    (*path, title(entry)), None, entry, names[name], ("absent", "added on both sides", "added on both sides")
                )
                entry = chosen
            names[name] = entry
        return Table(names.values())

    def entries(self, path: tuple[str, ...], base: dict[str, Any], own: dict[str, Any], running: dict[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for name in {**running, **own}:
            b, o, t = base.get(name), own.get(name), running.get(name)
            entry = self.entry((*path, title(o if o is not None else t)), b, o, t)
            if entry is not None:
                merged[name] = entry
        return merged

    def entry(self, path: tuple[str, ...], base: Any, own: Any, running: Any) -> Any:
        if own is base or own == base:
            return running
        if running is base or running == base or own == running:
            return own
        if base is not None and own is not None and running is not None:
            return self.value(path, base, own, running)
        words = ("absent" if base is None else "present", _presence(own, base), _presence(running, base))
        return self.conflict(path, base, own, running, words)

    def sequence(self, path: tuple[str, ...], base: tuple[Any, ...], own: tuple[Any, ...], running: tuple[Any, ...]) -> tuple[Any, ...]:
        sides = [{identity(entry): entry for entry in side} for side in (base, own, running)]
        merged = self.entries(path, *sides)
        shared = [name for name in sides[0] if name in sides[1] and name in sides[2]]
        orders = [[name for name in side if name in shared] for side in sides]
        order = [name for name in sides[2] if name in merged]
        if orders[1] != orders[0]:
            own_order = [name for name in sides[1] if name in merged]
            if orders[2] == orders[0] or orders[1] == orders[2]:
                order = _interleave(own_order, order)
            else:
                order = self.conflict((*path, "order"), orders[0], _interleave(own_order, order), order, ("", "(changed)", "(changed)"))
        return tuple(merged[name] for name in _interleave(order, [name for name in sides[1] if name in merged]))


def _interleave(order: list[str], additions: list[str]) -> list[str]:
    """`order` with the missing names of `additions` put behind their own nearest predecessor, else first."""
    result = list(order)
    for position, name in enumerate(additions):
        if name not in result:
            before = next((n for n in reversed(additions[:position]) if n in result), None)
            result.insert(0 if before is None else result.index(before) + 1, name)
    return result


def _presence(entry: Any, base: Any) -> str:
    if entry is None:
        return "deleted"
    if base is None:
        return "added"
    fields = [f.name for f in attrs.fields(type(entry)) if getattr(entry, f.name) != getattr(base, f.name)]
    return ", ".join(f"{name} {label(getattr(entry, name))}" for name in fields if not isinstance(getattr(entry, name), Table))


def merge(
    base: Config, own: Config, running: Config, decisions: Mapping[tuple[str, ...], Side] | None = None
) -> tuple[Config, list[Conflict]]:
    """The merged tree, and the conflicts that `decisions` (by path) does not decide, sorted as they are listed."""
    work = _Merge(decisions or {})
    merged = cast(Config, work.value((), base, own, running))
    sections = [f.name for f in attrs.fields(Config)]
    return merged, sorted(work.conflicts, key=lambda c: (sections.index(c.path[0]), [part.casefold() for part in c.path]))
