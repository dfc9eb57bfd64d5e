"""workqueue: messages that are accepted and not yet handed to delivery (operations.md 4.1)."""

from __future__ import annotations

from appliance_runtime.clock import long_date
from appliance_runtime.commit import CommitRefused
from appliance_runtime.sessions import Session
from commands.answers import text
from commands.arguments import Arguments
from commands.continuous import Rows, ask_seconds, display, display_some
from commands.dialog import Conversation, Refused
from commands.menu import Menu
from commands.registry import Command

LONGEST_REASON = 256


def status_text(session: Session) -> str:
    pause = session.appliance.suspending.now.pause
    state = "Operational" if pause is None else f"Paused by {pause.user}" + (f": {pause.reason}" if pause.reason else "")
    return f"Status:   {state}\nMessages: {session.appliance.queue.unprocessed}"


def paused(session: Session) -> bool:
    return session.appliance.suspending.now.pause is not None


def running(session: Session) -> bool:
    return not paused(session)


menu: Menu[Session] = Menu(status=status_text)


@menu.operation("STATUS", "Display work queue status")
async def status(talk: Conversation, session: Session) -> None:
    appliance = session.appliance
    talk.show(f"Status as of: {long_date(appliance.clock.now(), appliance.running()[1].system.timezone)}\n{status_text(session)}")


@menu.operation("PAUSE", "Pause the work queue", when=running)
async def pause(talk: Conversation, session: Session) -> None:
    question = "Manually pause work queue?  This will only affect unprocessed messages. "
    if await talk.confirm(question, key="sure", default=False):
        reason = await talk.ask_optional("Reason for pausing work queue:", text(LONGEST_REASON), key="reason")
        try:
            await session.appliance.suspending.pause_work_queue(session.user, reason or "")
        except CommitRefused as refusal:
            raise Refused(f"Error: {refusal}") from None


@menu.operation("RESUME", "Resume the work queue", when=paused)
async def resume(talk: Conversation, session: Session) -> None:
    try:
        await session.appliance.suspending.resume_work_queue(session.user)
    except CommitRefused as refusal:
        raise Refused(f"Error: {refusal}") from None


HEADING = "Time      Pending        In       Out"
EDGES = (17, 27, 37)


def _rate(session: Session) -> Rows:
    """Messages in the work queue; those that came in, and those that were handed to delivery, since the row before."""
    counters, queue = session.appliance.counters, session.appliance.queue
    before: tuple[int, int] | None = None

    async def cells() -> list[str]:
        nonlocal before
        received, pending = counters.columns("inj_msgs").uptime, queue.unprocessed
        came = 0 if before is None else received - before[0]
        left = 0 if before is None else max(0, came + before[1] - pending)
        before = received, pending
        return [f"{pending:,}", f"{came:,}", f"{left:,}"]

    return cells


@menu.operation("RATE", "Display work queue statistics over time")
async def rate(talk: Conversation, session: Session) -> None:
    await display(talk, session, HEADING, _rate(session), EDGES, await ask_seconds(talk))


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("status", "pause", "resume", "rate"):
        case "status":
            args.end()
            await status(talk, session)
        case "pause":
            await pause(talk.answering({"sure": "y", "reason": " ".join(args.rest())}), session)
        case "resume":
            args.end()
            await resume(talk, session)
        case "rate":
            await display_some(talk, session, HEADING, _rate(session), EDGES, args)


COMMAND = Command(
    "workqueue",
    "Display or change the state of the work queue.",
    dialog=menu.run,
    batch=_batch,
    usage="""\
workqueue status
workqueue pause [<reason>]
workqueue resume
workqueue rate <seconds> [<count>]""",
)
