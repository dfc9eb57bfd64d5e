"""rollbackconfig: return to an earlier configuration (commit.md 6)."""

from __future__ import annotations

from appliance_runtime.clock import short_date
from appliance_runtime.commit import CommitRefused
from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.store import Generation, StoreFailed
from commands.answers import integer
from commands.arguments import Arguments
from commands.commit import author, report
from commands.dialog import Conversation, Refused
from commands.registry import Command

NO_POINTS = "There are no saved configurations."


def _rows(points: list[Generation], timezone: str) -> list[str]:
    def description(point: Generation) -> str:
        return (point.comment.splitlines() or [""])[0][:30]

    return [f"{f'{n}. {short_date(p.at, timezone)}':<35}{p.who:<16}{description(p)}" for n, p in enumerate(points, 1)]


def _table(points: list[Generation], timezone: str) -> str:
    heading = f"   {'Committed On':<32}{'User':<16}Description"
    return "\n".join(["Previous Commits :", heading, "-" * 81, *_rows(points, timezone)])


def _kept(old: Config, running: Config) -> Config:
    """The old configuration with the accounts as they are now."""
    return old.with_(users=running.users, user_policy=running.user_policy)


async def rollbackconfig(talk: Conversation, session: Session) -> None:
    """In batch the answers are `number`, `sure` and `commit`."""
    appliance = session.appliance
    timezone = session.draft.config.system.timezone
    points = appliance.store.rollback_points()
    if not points:
        raise Refused(NO_POINTS)
    if not talk.batch:
        if session.draft.changed:
            talk.show("You have uncommitted changes. They will be discarded if you roll back.")
        talk.show(_table(points, timezone))
    number = await talk.select("Enter the number of the config to revert to.", integer(1, len(points)), key="number")
    if not await talk.confirm("Are you sure you want to roll back the configuration?", key="sure", default=False):
        return
    point = points[number - 1]
    try:
        old = appliance.store.content(point.id)
    except (KeyError, StoreFailed):
        raise Refused("The saved configuration cannot be read.") from None
    session.draft.discard()
    session.draft.config = _kept(old, appliance.running()[1])
    date = short_date(point.at, timezone)
    done = f"Reverted to {date:<29}{point.who:<16}{point.comment}".rstrip()
    if await talk.confirm(f"{done}\nDo you want to commit this configuration now?", key="commit", default=False) and session.draft.changed:
        try:
            await appliance.committer.commit(session.draft, author(session), f"Rollback to {date}", True)
        except CommitRefused as refusal:
            report(talk, refusal)
            return
        talk.note("Committed the changes successfully")


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    first = args.word("number")
    if first.lower() == "list":
        args.end()
        points = session.appliance.store.rollback_points()
        talk.say("\n".join(_rows(points, session.draft.config.system.timezone)) if points else NO_POINTS)
        return
    now = args.word("Y|N")
    args.end()
    door = talk.answering({"number": first, "sure": "y", "commit": now})
    await rollbackconfig(door, session)


COMMAND = Command(
    "rollbackconfig",
    "Rollback to one of the previously committed configurations",
    rollbackconfig,
    _batch,
    needs_commit=True,
    usage="rollbackconfig list\nrollbackconfig <n> Y|N",
)
