"""setttymode: whether long output stops after each screenful, for this session (conventions.md 11). Not listed by `help`."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from commands.arguments import Arguments
from commands.dialog import Conversation, SyntaxProblem
from commands.registry import Command


async def _no_mode(talk: Conversation, session: Session) -> None:
    raise SyntaxProblem("Missing argument: <mode>.")


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    """`0` or `0 1` = off, `1` = on."""
    mode = args.operation("0", "1")
    if args.optional() not in (None, "1"):
        raise SyntaxProblem("Unknown option.")
    args.end()
    talk.terminal.paging = mode == "1"


COMMAND = Command("setttymode", "Switch the pager off or on.", dialog=_no_mode, batch=_batch, usage="setttymode 0|1", shown=False)
