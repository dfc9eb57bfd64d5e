"""showrecipients, deleterecipients, bouncerecipients, delivernow, oldmessage, showmessage, removemessage (operations.md 4).

They work on the queue as it is, at once. What came from senders is shown with its control characters escaped; bodies never.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from attrs import frozen

from appliance_runtime.clock import long_date
from appliance_runtime.delivery import intervention
from appliance_runtime.delivery.agent import DeliveryAgent
from appliance_runtime.delivery.intervention import Selection, selected
from appliance_runtime.logs.escaping import escape
from appliance_runtime.queue.errors import QueueError
from appliance_runtime.queue.schedule import Message, Recipient
from appliance_runtime.sessions import Session
from appliance_runtime.smtp.received import subject
from appliance_runtime.web.figures import age
from commands.answers import domain, integer, text
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused
from commands.partial_domains import is_domain
from commands.registry import Command

LONGEST_SENDER = 320
HEADER_END = b"\r\n\r\n"
NO_MESSAGES = "No messages found."
LISTING_HEAD = """\
MID/      Bytes/   Sender/                  Subject
[RID]     [Atmps]  Recipient"""


@frozen(kw_only=True)
class _Action:
    """What is done to the selected messages, in the words of its command."""

    verb: str
    doing: str
    done: str
    confirmed: bool
    run: Callable[[DeliveryAgent, Selection], Awaitable[int]] | None
    """returns the number of messages; None = they are only shown"""


SHOW = _Action(verb="show", doing="Showing", done="", confirmed=False, run=None)
DELETE = _Action(verb="delete", doing="Deleting", done="deleted", confirmed=True, run=intervention.delete)
BOUNCE = _Action(verb="bounce", doing="Bouncing", done="bounced", confirmed=True, run=intervention.bounce)


# -- answers --------------------------------------------------------------------------------------------------------------


def host(answer: str) -> str:
    """A domain, or `.domain` for its subdomains, in lower case."""
    if not is_domain(answer):
        return domain(answer)  # the error that tells the rules
    return answer.lower()


def sender(answer: str) -> str:
    """An envelope sender; `<>` is that of bounces."""
    if answer.startswith("<") and answer.endswith(">"):
        return answer[1:-1]
    return text(LONGEST_SENDER)(answer)


mid_of = integer(1, 10**12 - 1)


# -- recipients -----------------------------------------------------------------------------------------------------------


async def _ask_selection(talk: Conversation, action: _Action) -> Selection | None:
    """None = not confirmed."""
    kinds = [("host", "By recipient host."), ("sender", "By Envelope From address."), ("all", "All.")]
    above = f"Please select how you would like to {action.verb} messages:"
    kind = await talk.choose(kinds, key="kind", above=above, default="host")
    if kind == "host":
        given = await talk.ask(f"Please enter the hostname for the messages you wish to {action.verb}.", host, key="host")
        selection, what = Selection(host=given), f'messages being delivered to "{given}"'
    elif kind == "sender":
        question = f"Please enter the Envelope From address for the messages you wish to {action.verb}."
        address = await talk.ask(question, lambda answer: (sender(answer),), key="sender")
        selection, what = Selection(sender=address[0]), f'messages with the Envelope From address of "{escape(address[0])}"'
    else:
        selection, what = Selection(), "messages in the delivery queue (all active recipients)"
    if action.confirmed and not await talk.confirm(f"Are you sure you want to {action.verb} all {what}?", key="sure", default=False):
        return None
    return selection


async def _act(talk: Conversation, session: Session, action: _Action, selection: Selection) -> None:
    agent = session.appliance.agent
    if not talk.batch:
        talk.show(f"{action.doing} messages, please wait.")
    if action.run is None:
        await _list(talk, session, selection)
        return
    try:
        count = await action.run(agent, selection)
    except QueueError as error:
        raise Refused(f"Error: {error}") from None
    talk.say(f"{count} messages {action.done}.")


def _recipients_command(name: str, summary: str, action: _Action) -> Command:
    async def dialog(talk: Conversation, session: Session) -> None:
        selection = await _ask_selection(talk, action)
        if selection is not None:
            await _act(talk, session, action, selection)

    async def batch(talk: Conversation, session: Session, args: Arguments) -> None:
        match args.operation("host", "sender", "all"):
            case "host":
                selection = Selection(host=host(args.word("host")))
            case "sender":
                selection = Selection(sender=sender(args.word("address")))
            case _:
                selection = Selection()
        args.end()
        await _act(talk.answering({}), session, action, selection)

    return Command(name, summary, dialog=dialog, batch=batch, usage=f"{name} host <host> | sender <address> | all")


async def _list(talk: Conversation, session: Session, selection: Selection) -> None:
    found = list(selected(session.appliance.agent, selection))
    if not found:
        talk.say(NO_MESSAGES)
        return
    await talk.page_lines(_rows(session, selection, [mid for mid, _ in found]))


async def _rows(session: Session, selection: Selection, mids: Sequence[int]) -> AsyncIterator[str]:
    """The lines of the table, without messages that have gone meanwhile."""
    for line in LISTING_HEAD.split("\n"):
        yield line
    for mid in mids:
        header = await _header(session, mid)
        message = session.appliance.queue.message(mid)
        recipients = selection.of(message) if message is not None else []
        if message is not None and recipients:
            for row in _listing(message, recipients, header):
                yield row


def _listing(message: Message, recipients: list[Recipient], header: bytes) -> Iterator[str]:
    envelope = message.envelope
    title = escape(subject(header) or "")
    yield f"{envelope.mid:<9} {envelope.size:<8} {escape(envelope.sender):<24} {title}".rstrip()
    for recipient in sorted(recipients, key=lambda one: one.rid):
        yield f"  {f'[{recipient.rid}]':<9} {f'[{recipient.attempts}]':<6} {escape(recipient.address)}"


async def _header(session: Session, mid: int) -> bytes:
    """The header of a queued message; empty when it is gone or cannot be read."""
    try:
        body = await session.appliance.queue.body(mid)
    except QueueError:
        return b""
    return body.partition(HEADER_END)[0] + b"\r\n"


# -- delivernow -----------------------------------------------------------------------------------------------------------


async def delivernow(talk: Conversation, session: Session) -> None:
    kinds = [("domain", "By recipient domain"), ("all", "All messages")]
    kind = await talk.choose(kinds, key="kind", above="Please choose an option for scheduling immediate delivery.", default="domain")
    if kind == "all":
        _deliver_now(talk, session, None)
        return
    question = "Please enter the recipient domain to schedule for delivery."
    _deliver_now(talk, session, await talk.ask(question, domain, key="domain"))


async def _delivernow_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    given = args.word("domain")
    args.end()
    _deliver_now(talk.answering({}), session, None if given.lower() == "all" else domain(given))


def _deliver_now(talk: Conversation, session: Session, name: str | None) -> None:
    now = session.appliance.suspending.now
    if now.destination(name) if name is not None else now.delivery:
        raise Refused("Mail delivery is suspended." if name is None else f"Deliveries to {name} are suspended.")
    intervention.deliver_now(session.appliance.agent, name)
    talk.show(f"Scheduling all messages{'' if name is None else f' to {name}'} for delivery.")


# -- single messages ------------------------------------------------------------------------------------------------------


def _not_found(mid: int) -> Refused:
    return Refused(f"MID {mid} was not found.")


async def _shown(session: Session, mid: int) -> str:
    """Header and recipients of a message. Errors: Refused."""
    header = await _header(session, mid)
    message = session.appliance.queue.message(mid)
    if message is None:
        raise _not_found(mid)
    lines = [escape(line) for line in header.rstrip(b"\r\n").split(b"\r\n")]
    timezone = session.appliance.running()[1].system.timezone
    recipients = sorted((one for parcel in message.parcels.values() for one in parcel.recipients.values()), key=lambda one: one.rid)
    rows = [_recipient_row(one, long_date(one.due, timezone)) for one in recipients]
    return "\n".join([*lines, "", "", f"MID {mid}, recipients:", *rows])


def _recipient_row(recipient: Recipient, due: str) -> str:
    reason = f", {escape(recipient.last_reason)}" if recipient.last_reason else ""
    return f"[{recipient.rid}] {escape(recipient.address)}, attempts {recipient.attempts}, next attempt {due}{reason}"


async def oldmessage(talk: Conversation, session: Session) -> None:
    oldest = session.appliance.queue.oldest()
    if oldest is None:
        talk.show(NO_MESSAGES)
        return
    since = age(session.appliance.clock.now() - oldest.received)
    talk.show(f"MID {oldest.mid}: {since} old\n{await _shown(session, oldest.mid)}")


async def _ask_mid(talk: Conversation) -> int:
    return await talk.ask("Enter the MID of the message.", mid_of, key="mid")


async def showmessage(talk: Conversation, session: Session) -> None:
    talk.show(await _shown(session, await _ask_mid(talk)))


async def _showmessage_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    mid = mid_of(args.word("mid"))
    args.end()
    talk.say(await _shown(session, mid))


async def removemessage(talk: Conversation, session: Session) -> None:
    mid = await _ask_mid(talk)
    shown = await _shown(session, mid)
    if not talk.batch:
        talk.show(shown.partition("\n\n\n")[0])
    if await talk.confirm("Remove this message?", key="sure", default=False):
        try:
            removed = await intervention.remove(session.appliance.agent, mid)
        except QueueError as error:
            raise Refused(f"Error: {error}") from None
        if not removed:
            raise _not_found(mid)
        talk.say(f"MID {mid} has been removed.")


async def _removemessage_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    mid = args.word("mid")
    sure = args.word("sure")
    args.end()
    await removemessage(talk.answering({"mid": mid, "sure": sure}), session)


COMMANDS = (
    _recipients_command("showrecipients", "Show messages from the queue by recipient host or sender.", SHOW),
    _recipients_command("deleterecipients", "Delete messages from the queue by recipient host or sender.", DELETE),
    _recipients_command("bouncerecipients", "Bounce messages from the queue by recipient host or sender.", BOUNCE),
    Command(
        "delivernow",
        "Reschedule messages for immediate delivery.",
        dialog=delivernow,
        batch=_delivernow_batch,
        usage="delivernow <domain> | all",
    ),
    Command("oldmessage", "Display the oldest message in the queue.", dialog=oldmessage),
    Command("showmessage", "Display a message of the queue.", dialog=showmessage, batch=_showmessage_batch, usage="showmessage <mid>"),
    Command(
        "removemessage", "Remove a message from the queue.", dialog=removemessage, batch=_removemessage_batch, usage="removemessage <mid> Y"
    ),
)
