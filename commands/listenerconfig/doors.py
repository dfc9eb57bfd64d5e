"""Batch doors to operations of a dialog: their answers are the words of the line, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from commands.arguments import Arguments
from commands.dialog import Conversation, Refused
from commands.listenerconfig.edited import EditedListener

EditOperation = Callable[[Conversation, EditedListener], Awaitable[None]]


async def answered(talk: Conversation, edited: EditedListener, args: Arguments, operation: EditOperation, *keys: str) -> None:
    """Run an operation with the next words as the answers to the questions `keys`; no further word may follow."""
    answers = {key: args.word(key) for key in keys}
    args.end()
    await operation(talk.answering(answers), edited)


async def with_file(
    talk: Conversation, edited: EditedListener, args: Arguments, operation: EditOperation, table: str, command: str
) -> None:
    """Run IMPORT or EXPORT with the file that the line names."""
    if (name := args.optional()) is None:
        raise Refused(f'The {table} "{command}" command requires a filename.')
    args.end()
    await operation(talk.answering({"file": name}), edited)
