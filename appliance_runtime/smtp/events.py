"""What the engine tells its owner. The engine's rules say which events are to be answered."""

from __future__ import annotations

from attrs import field, frozen

from appliance_runtime.smtp.message_data import Content, Header, Refusal


@frozen
class Sender:
    """MAIL FROM. To be answered. Empty text = the null sender."""

    address: str


@frozen
class Recipient:
    """RCPT TO, with a domain. To be answered."""

    address: str


@frozen
class StartTls:
    """STARTTLS. To be answered; `accept` = handshake follows."""


@frozen
class MessageComplete:
    """The final dot of a message that may be accepted. To be answered with the reply to it."""

    verbatim: bool = field(default=False, eq=False)
    """the content is what was sent: no dot was removed, and every line ends in CR LF"""


@frozen
class Refused:
    """A message was refused: at the final dot, or by its SIZE at MAIL."""

    refusal: Refusal


@frozen
class BadSender:
    """MAIL with an address that is none: argument of the command."""

    argument: str


@frozen
class BadRecipient:
    """RCPT with an address that is none: the whole command."""

    command: str


@frozen
class Unknown:
    """A command that is not recognised."""

    command: str


@frozen
class CommandLine:
    """Told before a command is worked on, when the engine was made with `trace`. Credentials are left out."""

    text: str


@frozen
class Reset:
    """The transaction was dropped."""


@frozen
class Quit:
    """The client has said goodbye; the engine is closed."""


@frozen
class TooManyBadCommands:
    """The engine is closed."""


Question = Sender | Recipient | StartTls | MessageComplete
"""Events that are to be answered."""
Event = (
    Question | Header | Content | Refused | BadSender | BadRecipient | Unknown | CommandLine | Reset | Quit | TooManyBadCommands
)  # fmt: skip
