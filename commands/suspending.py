"""suspend, suspendlistener, suspenddel and their opposites; shutdown (operations.md 5).

They act at once and need no commit. Sessions and deliveries under way get some seconds before they are ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from appliance_runtime.commit import CommitRefused
from appliance_runtime.sessions import Session
from appliance_state.model.listeners import Listener
from commands.answers import domain, integer, words
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, yes_or_no
from commands.registry import Batch, Command, Dialog

DEFAULT_SECONDS = 30
LONGEST = 3600
SECONDS_QUESTION = "Enter the number of seconds to wait before abruptly closing connections."
SEVERAL = "Separate multiple entries with commas."
ALL = "ALL"
NOT_RECEIVING = "Receiving is not suspended."
NOT_DELIVERING = "Mail delivery is not suspended."

seconds_of = integer(0, LONGEST)


async def _ask_seconds(talk: Conversation) -> int:
    return await talk.ask(SECONDS_QUESTION, seconds_of, key="seconds", default=DEFAULT_SECONDS)


def _listeners(session: Session) -> list[Listener]:
    return session.appliance.running()[1].listeners.sorted()


def _suspended_listeners(session: Session) -> list[Listener]:
    now = session.appliance.suspending.now
    return [listener for listener in _listeners(session) if now.listener(listener.uid)]


async def _choose_listeners(talk: Conversation, what: str, listeners: Sequence[Listener]) -> Sequence[Listener] | None:
    """None = all of them."""
    rows: list[tuple[Listener | None, str]] = [(None, "All"), *((listener, listener.name) for listener in listeners)]
    above = f"Choose the listener(s) you wish to {what}.\n{SEVERAL}"
    chosen = await talk.choose_many(rows, key="listeners", above=above, default=[None])
    return _part(listeners, [one for one in chosen if one is not None] if None not in chosen else listeners)


def _part(every: Sequence[Listener], chosen: Sequence[Listener]) -> Sequence[Listener] | None:
    return None if len(chosen) == len(every) else chosen


def _given_listeners(session: Session, names: Sequence[str], every: Sequence[Listener]) -> Sequence[Listener] | None:
    """The listeners that a batch line names; no name, and `all`, are all of them. Errors: Refused."""
    if not names or [name.lower() for name in names] == ["all"]:
        return None
    known = session.appliance.running()[1].listeners
    for name in names:
        if name not in known:
            raise Refused(f'There is no listener "{name}".')
        if known[name] not in every:
            raise Refused(f"Receiving is not suspended for {known[name].name}.")
    meant = {known[name].uid for name in names}
    return _part(every, [listener for listener in every if listener.uid in meant])


def _for(names: Sequence[str] | None) -> str:
    return "" if names is None else f" for {', '.join(names)}"


def _names(listeners: Sequence[Listener] | None) -> Sequence[str] | None:
    return None if listeners is None else [listener.name for listener in listeners]


def _waiting(talk: Conversation, text: str) -> None:
    if not talk.batch:
        talk.say(text)


async def _report(talk: Conversation, *results: Awaitable[str]) -> None:
    """One block of result lines; what could not be done stands in the place of its line."""
    lines: list[str] = []
    for result in results:
        try:
            lines.append(await result)
        except CommitRefused as refusal:
            lines += [f"Error: {problem}" for problem in refusal.problems]
            talk.failed = True
    talk.show("\n".join(lines))


# -- suspending -----------------------------------------------------------------------------------------------------------


async def suspendlistener(talk: Conversation, session: Session) -> None:
    every = _listeners(session)
    chosen = await _choose_listeners(talk, "suspend", every) if len(every) > 1 else None
    await _suspend(talk, session, await _ask_seconds(talk), receiving=(chosen,))


async def suspenddel(talk: Conversation, session: Session) -> None:
    seconds = await _ask_seconds(talk)
    question = "Enter one or more domains [comma-separated] to which you want to suspend delivery."
    everything: tuple[Sequence[str] | None] = (None,)
    chosen = await talk.ask(question, _domains, key="domains", default=everything, shown=ALL)
    await _suspend(talk, session, seconds, delivery=chosen)


async def suspend(talk: Conversation, session: Session) -> None:
    await _suspend(talk, session, await _ask_seconds(talk), receiving=(None,), delivery=(None,))


async def _suspend(
    talk: Conversation,
    session: Session,
    seconds: int,
    *,
    receiving: tuple[Sequence[Listener] | None] | None = None,
    delivery: tuple[Sequence[str] | None] | None = None,
) -> None:
    """Suspend listeners, deliveries, or both; then nothing new begins on either side while one of them is waited for."""
    suspending, clock = session.appliance.suspending, session.appliance.clock
    talk.gap()
    try:
        if receiving is not None:
            _waiting(talk, "Waiting for listeners to exit...")
            await suspending.suspend_receiving(receiving[0], session.user)
        if delivery is not None:
            await suspending.suspend_delivery(delivery[0], session.user)
    except CommitRefused as refusal:
        for problem in refusal.problems:
            talk.fail(f"Error: {problem}")
        return
    started = clock.now()
    if receiving is not None:
        await suspending.end_sessions(receiving[0], seconds)
        talk.say(f"Receiving suspended{_for(_names(receiving[0]))}.")
    if delivery is not None:
        _waiting(talk, "Waiting for outgoing deliveries to finish...")
        await suspending.end_deliveries(max(0.0, seconds - (clock.now() - started).total_seconds()))
        talk.say(f"Mail delivery suspended{_for(delivery[0])}.")


def _domains(answer: str) -> tuple[Sequence[str] | None]:
    """Domains, or None for ALL, as the only element. Errors: Rejected."""
    if answer.upper() == ALL:
        return (None,)
    return (list(dict.fromkeys(domain(word) for word in words(answer))),)


async def shutdown(talk: Conversation, session: Session) -> None:
    """As a SIGTERM, with the seconds that are given. What is suspended, and what is not, is so again after the next start."""
    seconds = await _ask_seconds(talk)
    if await talk.confirm("Are you sure you want to shut down the appliance?", key="sure", default=False):
        await _shut_down(talk, session, seconds)


async def _shut_down(talk: Conversation, session: Session, seconds: int) -> None:
    appliance = session.appliance
    suspending, clock = appliance.suspending, appliance.clock
    talk.gap()
    _waiting(talk, "Waiting for listeners to exit...")
    try:
        await suspending.wind_down()
    except CommitRefused as refusal:
        talk.fail(f"Error: {refusal}")
        return
    started = clock.now()
    try:
        await suspending.end_sessions(None, seconds)
        talk.say("Receiving suspended.")
        _waiting(talk, "Waiting for outgoing deliveries to finish...")
        await suspending.end_deliveries(max(0.0, seconds - (clock.now() - started).total_seconds()))
        talk.say("Mail delivery suspended.")
    finally:
        appliance.shutdown_asked.set()


# -- resuming -------------------------------------------------------------------------------------------------------------


async def _receive_again(session: Session, listeners: Sequence[Listener] | None) -> str:
    if not _receiving_is_suspended(session):
        return NOT_RECEIVING
    await session.appliance.suspending.resume_receiving(listeners, session.user)
    return f"Receiving resumed{_for(_names(listeners))}."


async def _deliver_again(session: Session, domains: Sequence[str] | None) -> str:
    if not _delivery_is_suspended(session):
        return NOT_DELIVERING
    await session.appliance.suspending.resume_delivery(domains, session.user)
    return f"Mail delivery resumed{_for(domains)}."


def _receiving_is_suspended(session: Session) -> bool:
    return session.appliance.suspending.now.receiving or bool(_suspended_listeners(session))


def _delivery_is_suspended(session: Session) -> bool:
    now = session.appliance.suspending.now
    return now.delivery or bool(now.domains)


async def resumelistener(talk: Conversation, session: Session) -> None:
    suspended = _suspended_listeners(session)
    chosen = await _choose_listeners(talk, "resume", suspended) if len(suspended) > 1 else None
    await _report(talk, _receive_again(session, chosen))


async def resumedel(talk: Conversation, session: Session) -> None:
    domains = sorted(session.appliance.suspending.now.domains)
    chosen: Sequence[str] | None = None
    if domains:
        rows: list[tuple[str | None, str]] = [(None, "All"), *((name, name) for name in domains)]
        above = f"Choose the domain(s) to which you wish to resume delivery.\n{SEVERAL}"
        answer = await talk.choose_many(rows, key="domains", above=above, default=[None])
        names = [name for name in answer if name is not None]
        chosen = None if None in answer or len(names) == len(domains) else names
    await _report(talk, _deliver_again(session, chosen))


async def resume(talk: Conversation, session: Session) -> None:
    await _report(talk, _receive_again(session, None), _deliver_again(session, None))


# -- batch ----------------------------------------------------------------------------------------------------------------


def _given_seconds(args: Arguments) -> int:
    """The number at the beginning of the line, if there is one."""
    if args.tokens and args.tokens[0].isdigit():
        return seconds_of(args.word("seconds"))
    return DEFAULT_SECONDS


async def _suspendlistener_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    seconds = _given_seconds(args)
    listeners = _given_listeners(session, args.rest(), _listeners(session))
    await _suspend(talk.answering({}), session, seconds, receiving=(listeners,))


async def _suspenddel_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    seconds = _given_seconds(args)
    domains = _domains(", ".join(args.rest()) or ALL)
    await _suspend(talk.answering({}), session, seconds, delivery=domains)


async def _suspend_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    seconds = _given_seconds(args)
    args.end()
    await _suspend(talk.answering({}), session, seconds, receiving=(None,), delivery=(None,))


async def _shutdown_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    seconds = _given_seconds(args)
    sure = args.word("sure")
    args.end()
    if yes_or_no(sure):
        await _shut_down(talk.answering({}), session, seconds)


async def _resumelistener_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    listeners = _given_listeners(session, args.rest(), _suspended_listeners(session))
    await _report(talk.answering({}), _receive_again(session, listeners))


async def _resumedel_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    domains = _domains(", ".join(args.rest()) or ALL)
    suspended = session.appliance.suspending.now.domains
    for name in domains[0] or ():
        if name not in suspended:
            raise Refused(f"Mail delivery is not suspended for {name}.")
    await _report(talk.answering({}), _deliver_again(session, domains[0]))


def _command(name: str, summary: str, dialog: Dialog, batch: Batch | None, arguments: str = "") -> Command:
    return Command(name, summary, dialog=dialog, batch=batch, usage=f"{name} {arguments}" if arguments else "")


COMMANDS = (
    _command("suspend", "Suspend receiving and deliveries.", suspend, _suspend_batch, "[<seconds>]"),
    _command("suspendlistener", "Suspend receiving.", suspendlistener, _suspendlistener_batch, "[<seconds>] [<listener>...|all]"),
    _command("suspenddel", "Suspend deliveries.", suspenddel, _suspenddel_batch, "[<seconds>] [<domain>...|all]"),
    _command("shutdown", "Shut down the appliance.", shutdown, _shutdown_batch, "[<seconds>] Y"),
    _command("resume", "Resume receiving and deliveries.", resume, None),
    _command("resumelistener", "Resume receiving.", resumelistener, _resumelistener_batch, "[<listener>...]"),
    _command("resumedel", "Resume deliveries.", resumedel, _resumedel_batch, "[<domain>...]"),
)
