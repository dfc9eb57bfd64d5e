"""Sets of (class, severity): what an alert recipient subscribes to. Class and severity may each be All (alertconfig.md 1, 2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from appliance_state.model.alerts import ALL, CLASSES, SEVERITIES
from commands.answers import words
from commands.dialog import INVALID, Rejected

Pair = tuple[str, str]
Subscriptions = frozenset[Pair]


def pairs(classes: Iterable[str], severities: Sequence[str]) -> Subscriptions:
    """Every class with every severity."""
    return frozenset((name, severity) for name in classes for severity in severities)


def classes_of(subscriptions: Subscriptions) -> list[str]:
    """Classes in the order of the list."""
    return [name for name in (ALL, *CLASSES) if any(name == own for own, _ in subscriptions)]


def severities_of(subscriptions: Subscriptions, alert_class: str) -> list[str]:
    """Severities of one class in the order of the list."""
    return [severity for severity in (ALL, *SEVERITIES) if (alert_class, severity) in subscriptions]


def covers(wide: Pair, narrow: Pair) -> bool:
    return all(w in (ALL, n) for w, n in zip(wide, narrow, strict=True))


def added(subscriptions: Subscriptions, more: Subscriptions) -> Subscriptions:
    return subscriptions | more


def tidied(subscriptions: Subscriptions) -> Subscriptions:
    """Without those that another one covers."""
    return frozenset(pair for pair in subscriptions if not any(other != pair and covers(other, pair) for other in subscriptions))


def removed(subscriptions: Subscriptions, less: Subscriptions) -> Subscriptions:
    """Nothing of `less` is subscribed to any more; an All is spelled out as far as that needs it."""
    for gone in less:
        left: set[Pair] = set()
        for pair in subscriptions:
            left.update(one for one in _spelled_out(pair, gone) if not covers(gone, one))
        subscriptions = frozenset(left)
    return subscriptions


def _spelled_out(pair: Pair, gone: Pair) -> list[Pair]:
    """`pair` as several narrower ones where only a part of it is within `gone`."""
    if not all(ALL in (p, g) or p == g for p, g in zip(pair, gone, strict=True)):
        return [pair]
    classes = CLASSES if pair[0] == ALL != gone[0] else (pair[0],)
    severities = SEVERITIES if pair[1] == ALL != gone[1] else (pair[1],)
    return [(name, severity) for name in classes for severity in severities]


def parse_classes(names: Iterable[str]) -> list[str]:
    """Errors: Rejected."""
    return _known(names, CLASSES, "class")


def parse_severities(names: Iterable[str]) -> list[str]:
    """Errors: Rejected."""
    return _known(names, SEVERITIES, "severity")


def parse_pairs(value: str) -> Subscriptions:
    """`Updater:Critical,Warning`. Errors: Rejected."""
    name, colon, severities = value.partition(":")
    if not colon:
        raise Rejected(INVALID)
    return pairs(parse_classes([name.strip()]), parse_severities(words(severities)))


def _known(names: Iterable[str], known: Sequence[str], kind: str) -> list[str]:
    by_name = {name.casefold(): name for name in (ALL, *known)}
    for name in names:
        if name.casefold() not in by_name:
            raise Rejected(f'Unknown alert {kind} "{name}".')
    wanted = {by_name[name.casefold()] for name in names}
    return [name for name in (ALL, *known) if name in wanted]
