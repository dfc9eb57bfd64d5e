"""Menus: operations that an operator picks by word, under a status block (conventions.md 7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import define, field, frozen

from commands.dialog import Cancelled, Conversation, Refused

C = TypeVar("C")


@frozen
class Operation(Generic[C]):
    word: str
    summary: str
    run: Callable[[Conversation, C], Awaitable[None]]
    when: Callable[[C], bool]
    listed: bool


@define
class Menu(Generic[C]):
    """Operations that an operator picks by word. Declared once; used for the text, dispatch and completion."""

    status: Callable[[C], str | None] | None = None
    """text of the block that is printed before the menu each time"""
    operations: list[Operation[C]] = field(factory=list)

    def operation(
        self, word: str, summary: str, *, when: Callable[[C], bool] = lambda _: True, listed: bool = True
    ) -> Callable[[Callable[[Conversation, C], Awaitable[None]]], Callable[[Conversation, C], Awaitable[None]]]:
        """Declare an operation. Where `when` is false the word is not shown and unknown; `listed=False`: understood, not shown."""

        def declare(run: Callable[[Conversation, C], Awaitable[None]]) -> Callable[[Conversation, C], Awaitable[None]]:
            self.operations.append(Operation(word, summary, run, when, listed))
            return run

        return declare

    async def run(self, talk: Conversation, subject: C) -> None:
        """Status block and menu, again after every operation, until an empty answer."""
        while True:
            if self.status and (text := self.status(subject)):
                talk.show(text)
            chosen = await self._pick(talk, subject)
            if chosen is None:
                return
            talk.unrecorded = 0
            try:
                await chosen.run(talk, subject)
            except Cancelled:
                pass
            except Refused as refusal:
                talk.fail(str(refusal))
            talk.unrecorded = 0

    async def _pick(self, talk: Conversation, subject: C) -> Operation[C] | None:
        while True:
            possible = [operation for operation in self.operations if operation.when(subject)]
            word = await talk.menu([(operation.word, operation.summary) for operation in possible if operation.listed])
            if not word:
                return None
            for operation in possible:
                if operation.word == word:
                    return operation
            talk.fail(f'Unknown option "{word.lower() if len(word) <= 64 else word[:64].lower() + "..."}".')
