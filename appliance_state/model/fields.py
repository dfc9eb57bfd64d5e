"""Field kinds of the configuration values: ranges and texts, checked at construction, readable by the dialogs."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, cast

import attrs


class Choice(StrEnum):
    """A word of the model with the label that operators see."""

    label: str

    def __new__(cls, word: str, label: str = "") -> Choice:
        member = str.__new__(cls, word)
        member._value_ = word
        member.label = label or word
        return member


def number(low: int, high: int, *, default: int | object | None = attrs.NOTHING, inherits: bool = False) -> Any:
    """An integer from `low` to `high`; `inherits` also admits None, a value of its own being absent."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None and inherits:
            return
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{attribute.name} must be an integer from {low} to {high}.")

    return attrs.field(default=default, validator=check, metadata={"range": (low, high)})


def text(pattern: str, *, default: object = attrs.NOTHING, optional: bool = False) -> Any:
    """A string that matches `pattern` as a whole."""
    matcher = re.compile(pattern)

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None and optional:
            return
        if not isinstance(value, str) or not matcher.fullmatch(value):
            raise ValueError(f"{attribute.name} has an invalid value.")

    return attrs.field(default=default, validator=check)


def bounds(owner: type, field: str) -> tuple[int, int]:
    """The range of a `number` field, for questions and their error texts."""
    return cast(tuple[int, int], attrs.fields_dict(owner)[field].metadata["range"])


def default_of(owner: type, field: str) -> Any:
    """The factory value of a field, for the brackets of a question."""
    return factory_value(attrs.fields_dict(owner)[field])


def factory_value(field: attrs.Attribute[Any]) -> Any:
    """The factory value of an attribute; attrs.NOTHING where there is none."""
    default: Any = field.default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
