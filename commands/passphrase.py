"""passphrase, passwd, password: change the own passphrase, at once and without commit (users-and-access.md 3)."""

from __future__ import annotations

import asyncio

from appliance_runtime.accounts import hash_passphrase, passphrase_problems
from appliance_runtime.commit import Author, CommitRefused
from appliance_runtime.sessions import Session
from appliance_state.model.certificates import SecretRef
from appliance_state.table import evolve
from commands.dialog import Conversation, Refused
from commands.registry import Command

INCORRECT = "The passphrase is not correct."
MISMATCH = "The passphrases do not match."


def is_local(session: Session) -> bool:
    """The operator of the local terminal has proved to be the owner of the state directory already."""
    return session.interface is None and session.kind != "gui"


async def change(talk: Conversation, session: Session) -> None:
    appliance = session.appliance
    first = is_local(session)
    if not first:
        old = await talk.hidden("Old passphrase:", key="old")
        if not await appliance.accounts.confirm(session.user, old, remote=session.remote, protocol="SSH"):
            raise Refused(INCORRECT)
    new = await _new_passphrase(talk, session, gap=first)
    hashed = await asyncio.to_thread(hash_passphrase, new)
    ref = SecretRef(session.draft.new_id())
    config = appliance.running()[1]
    account = evolve(config.users[session.user], passphrase=ref)
    author = Author(user=session.user, kind=session.kind, pid=session.pid)
    try:
        await appliance.change_now(config.with_(users=config.users.put(account)), {ref: hashed}, author)
    except CommitRefused as refusal:
        raise Refused("\n".join(f"Error: {problem}" for problem in refusal.problems)) from None
    talk.say("Passphrase changed.")


async def _new_passphrase(talk: Conversation, session: Session, *, gap: bool) -> str:
    """Asked until it fits the policy and was typed twice."""
    while True:
        new = await talk.hidden("New passphrase:", key="new", gap=gap)
        problems = passphrase_problems(new, session.user, session.appliance.running()[1].user_policy)
        if problems:
            talk.fail("\n".join(problems))
        elif new == await talk.hidden("Retype new passphrase:", key="again", gap=False):
            return new
        else:
            talk.fail(MISMATCH)
        gap = True


COMMAND = Command("passphrase", "Change your passphrase.", dialog=change, aliases=("passwd", "password"))
