"""Answers that are one of a few: yes or no, and entries of a numbered list (conventions.md 5, 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from commands.outcomes import Rejected

T = TypeVar("T")

YES_OR_NO = "Please answer Yes or No."
YES_NO_OR_DEFAULT = "Please answer Yes, No or Default."


def yes_or_no(answer: str) -> bool:
    """Errors: Rejected."""
    match answer.lower():
        case "y" | "yes":
            return True
        case "n" | "no":
            return False
    raise Rejected(YES_OR_NO)


def yes_no_or_default(answer: str) -> bool | None:
    """None = Default. Errors: Rejected."""
    if answer.lower() in ("d", "default"):
        return None
    try:
        return yes_or_no(answer)
    except Rejected:
        raise Rejected(YES_NO_OR_DEFAULT) from None


def one_option(answer: str, options: Sequence[tuple[T, str]], aliases: Callable[[T], Iterable[str]] | None = None) -> T:
    if answer.isascii() and answer.isdigit() and len(answer) < 10 and 1 <= int(answer) <= len(options):
        return options[int(answer) - 1][0]
    for value, text in options:
        names: list[str] = [text, *(aliases(value) if aliases else ()), *([str(value)] if isinstance(value, str) else [])]
        if answer.casefold() in (name.casefold() for name in names):
            return value
    raise Rejected(f"The value must be an integer from 1 to {len(options)}.")


def several_options(answer: str, options: Sequence[tuple[T, str]]) -> list[T]:
    chosen: set[int] = set()
    values = [value for value, _ in options]
    for part in (part.strip() for part in answer.split(",")):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if dash and first.isascii() and first.isdigit() and last.isascii() and last.isdigit() and len(part) < 20:
            if not 1 <= int(first) <= int(last) <= len(options):
                raise Rejected(f"The value must be an integer from 1 to {len(options)}.")
            chosen.update(range(int(first) - 1, int(last)))
        else:
            chosen.add(values.index(one_option(part, options)))
    return [values[n] for n in sorted(chosen)]
