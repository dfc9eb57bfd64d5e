"""The difference of two configurations in operator words: `showchanges`, the history, `print changes` (commit.md 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import attrs
from attrs import frozen

from appliance_state.model import Config
from appliance_state.model.certificates import KeyMaterial, SecretRef
from appliance_state.model.fields import factory_value
from appliance_state.table import Table, fold
from appliance_state.tree import INTERNAL, certificate_text, identity, is_record, is_sequence, label, quoted, title

Kind = Literal["added", "deleted", "changed"]


@frozen
class Change:
    """One difference. `path`: names from the section downwards; `text`: its line in the tree; `old`, `new`: values in words."""

    path: tuple[str, ...]
    kind: Kind
    text: str
    old: str | None = None
    new: str | None = None


def differences(base: Config, changed: Config) -> list[Change]:
    """All differences, in the order of the sections."""
    found: list[Change] = []
    for section in attrs.fields(Config):
        before, after = getattr(base, section.name), getattr(changed, section.name)
        if before is not after and before != after:
            found.extend(_compare((section.name,), before, after))
    return found


def changed_objects(base: Config, changed: Config) -> tuple[str, ...]:
    """The objects that differ, as `section` or `section/name`, without doubles."""
    found: dict[str, None] = {}
    for section in attrs.fields(Config):
        before, after = getattr(base, section.name), getattr(changed, section.name)
        if before is after or before == after:
            continue
        if isinstance(before, Table):
            names = {**dict.fromkeys(before), **dict.fromkeys(after)}
            found.update((f"{section.name}/{name}", None) for name in names if before.get(name) != after.get(name))
        else:
            found[section.name] = None
    return tuple(found)


def _compare(path: tuple[str, ...], before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Table):
        yield from _compare_entries(path, *({fold(getattr(e, e.KEY)): e for e in table.sorted()} for table in (before, after)))
    elif isinstance(before, frozenset):
        yield from (Change((*path, label(i)), "added", f'{path[-1]}: added "{label(i)}"', new=label(i)) for i in _ordered(after - before))
        yield from (
            Change((*path, label(i)), "deleted", f'{path[-1]}: removed "{label(i)}"', old=label(i)) for i in _ordered(before - after)
        )
    elif is_sequence(before) and is_sequence(after) and (before or after):
        old, new = {identity(e): e for e in before}, {identity(e): e for e in after}
        yield from _compare_entries(path, old, new)
        if [k for k in old if k in new] != [k for k in new if k in old]:
            yield Change((*path, "order"), "changed", "order: (changed)")
    elif isinstance(before, tuple) and all(isinstance(i, str) for i in (*before, *after)):
        yield from (Change((*path, i), "added", f"{path[-1]}: added {quoted(i)}", new=label(i)) for i in after if i not in before)
        yield from (Change((*path, i), "deleted", f"{path[-1]}: removed {quoted(i)}", old=label(i)) for i in before if i not in after)
    elif is_record(before) and is_record(after):
        for field in attrs.fields(type(before)):
            old_value, new_value = getattr(before, field.name), getattr(after, field.name)
            if field.name not in INTERNAL and old_value is not new_value and old_value != new_value:
                yield from _compare((*path, field.name), old_value, new_value)
    else:
        yield Change(path, "changed", _line(path[-1], before, after), label(before), label(after))


def _line(name: str, before: Any, after: Any) -> str:
    if isinstance(before, SecretRef) or isinstance(after, SecretRef):
        return f"{name}: (changed)"
    if isinstance(after, KeyMaterial):
        return f"key material: {certificate_text(after.certificate)}"
    return f"{name}: {quoted(before)} -> {quoted(after)}"


def _compare_entries(path: tuple[str, ...], before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    renamed = {entry.uid for entry in before.values() if getattr(entry, "uid", "")} & {
        entry.uid for entry in after.values() if getattr(entry, "uid", "")
    }
    old_by_uid = {entry.uid: entry for entry in before.values() if getattr(entry, "uid", "") in renamed}
    for key, entry in after.items():
        uid = getattr(entry, "uid", "")
        old = old_by_uid[uid] if uid in renamed else before.get(key)
        where = (*path, title(entry))
        if old is None:
            yield Change(where, "added", f"+ {title(entry)}", new="present")
            yield from _own_values(where, entry)
        elif old is not entry and old != entry:
            yield from _compare(where, old, entry)
    for key, entry in before.items():
        if key not in after and getattr(entry, "uid", "") not in renamed:
            yield Change((*path, title(entry)), "deleted", f"- {title(entry)}", old="present")


def _own_values(path: tuple[str, ...], entry: Any) -> Iterator[Change]:
    """The values of a new entry that are not the factory's, its name excepted."""
    for field in attrs.fields(type(entry)):
        value = getattr(entry, field.name)
        if field.name in INTERNAL or value is None or value in (factory_value(field), path[-1]):
            continue
        where = (*path, field.name)
        if isinstance(value, KeyMaterial):
            yield Change(where, "added", f"key material: {certificate_text(value.certificate)}", new=label(value))
        elif isinstance(value, frozenset):
            words = [label(item) for item in _ordered(value)]
            yield Change(where, "added", f"{field.name}: {', '.join(quoted(item) for item in _ordered(value))}", new=", ".join(words))
        elif isinstance(value, Table) or (is_sequence(value) and value):
            yield Change(where, "added", f"{field.name}: {len(value)}", new=str(len(value)))
        elif is_record(value):
            yield from _own_values(where, value)
        else:
            yield Change(where, "added", f"{field.name}: {quoted(value)}", new=label(value))


def _ordered(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=label)


def tree_lines(changes: Iterable[Change]) -> list[str]:
    """The changes as an indented tree, two blanks per level; only changed branches."""
    lines: list[str] = []
    shown: tuple[str, ...] = ()
    added: tuple[str, ...] | None = None
    for change in changes:
        is_entry = change.text[:2] in ("+ ", "- ")
        is_set = change.text.startswith(f"{change.path[-2]}: ") if len(change.path) > 1 else False
        branch = change.path[:-2] if is_set else change.path[:-1]
        inside = added is not None and change.path[: len(added)] == added
        for depth, name in enumerate(branch):
            if branch[: depth + 1] != shown[: depth + 1] and not (inside and added is not None and depth < len(added)):
                lines.append(f"{'  ' * depth}{'  ' if inside else ''}{name}")
        lines.append(f"{'  ' * len(branch)}{'  ' if inside and not is_entry else ''}{change.text}")
        shown = branch
        if is_entry:
            added = change.path if change.kind == "added" else None
            shown = change.path
    return lines
