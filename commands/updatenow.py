"""updatenow: update the bundle of trusted roots, at once and without commit (tls-tools.md 4)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused
from commands.registry import Command

REQUESTED = "Success - All component updates requested"
FORCED = "Success - Force update for all components requested"


async def updatenow(talk: Conversation, session: Session) -> None:
    """The update goes on in the background; its outcome is in system_logs."""
    session.appliance.trust.updater.request()
    talk.say(REQUESTED)


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    wait = "wait" in args.declare(flags=("wait",))
    force = args.operation("force") == "force" if args.tokens else False
    args.end()
    if not wait:
        session.appliance.trust.updater.request(force=force)
        talk.say(FORCED if force else REQUESTED)
        return
    outcome = await session.appliance.trust.updater.update(force=force)
    if outcome.reason is not None:
        raise Refused(outcome.text)
    talk.say(outcome.text)


COMMAND = Command(
    "updatenow",
    "Update all components.",
    dialog=updatenow,
    batch=_batch,
    usage="updatenow [force] [--wait]",
)
