"""exit, quit, q: leave the session; pending changes are asked about (conventions.md 15.3)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from commands.dialog import Conversation, EndOfInput
from commands.registry import Command

QUESTION = """\
Configuration changes entered but not committed. Exiting will lose changes.
Type 'commit' at the command prompt to commit changes.
Are you sure you wish to exit?"""


async def leave(talk: Conversation, session: Session) -> None:
    """End of input is a Yes. An exec request has nobody to ask and leaves at once."""
    if session.draft.changed and session.kind != "exec":
        try:
            session.closing = await talk.confirm(QUESTION, key="exit", default=False)
        except EndOfInput:
            session.closing = True
    else:
        session.closing = True


COMMAND = Command("exit", "Log out of this session.", dialog=leave, aliases=("quit", "q"))
