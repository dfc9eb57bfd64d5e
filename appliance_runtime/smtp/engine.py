"""The SMTP server as a state machine without input and output (RFC 5321, 3207, 1870; listenerconfig.md 11).

Octets go in (`receive`), events come out (`next_event`), replies are taken away (`take_replies`). The engine knows the
grammar, the order of commands and the fixed replies. What depends on policy it asks its owner by an event and does
nothing more until the owner has answered.

Rules
1. A command line ends with LF; a CR before it belongs to the line end. At most 1000 octets without the line end.
2. States: command, data, deciding (an event waits for its answer), handshake (between our 220 to STARTTLS and
   `tls_established`), closed. Only `next_event` moves on; it returns None when it needs octets, an answer, or rule 10.
3. Events to be answered with `accept`, `refuse` or `close`: Sender, Recipient, StartTls, MessageComplete. All others are
   told only; their reply has been given.
4. One transaction at a time: MAIL begins it; RSET, HELO, EHLO, STARTTLS, QUIT and the answer to MessageComplete end it.
   What ends it before the message is complete is followed by Reset, except QUIT, which is followed by Quit.
5. While TLS is required and not active, every command but NOOP, EHLO, QUIT and STARTTLS gets 530 whatever its
   arguments are, and none of these counts as a bad command.
6. The sixth command of a connection that is not recognised ends it. STARTTLS is not recognised where TLS is off.
7. Octets behind the STARTTLS line, up to `tls_established`, are dropped unread; the session begins anew after it.
8. Events and replies do not depend on how the octets were cut into reads, except where Content is cut, and how much
   Header and Content comes of a message that will be refused.
9. The engine holds at most one unfinished line, or what `MessageData` holds, besides octets that wait for an answer.
10. While more than MANY_REPLIES replies are not taken away, it goes no further (`brimming`): its owner sends them, and calls
    `next_event` again when the client has taken them. Replies do not pile up for a client that reads none.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

from appliance_runtime.smtp import replies
from appliance_runtime.smtp.events import (
    BadRecipient,
    BadSender,
    CommandLine,
    Event,
    MessageComplete,
    Question,
    Quit,
    Recipient,
    Refused,
    Reset,
    Sender,
    StartTls,
    TooManyBadCommands,
    Unknown,
)
from appliance_runtime.smtp.grammar import FROM, POSTMASTER, TO, mail_parameters, parse_path
from appliance_runtime.smtp.message_data import MessageData, Refusal
from appliance_runtime.smtp.settings import EngineSettings
from appliance_state.model.listeners import ReceivingTls

MAX_LINE = 1000
TOLERATED_BAD_COMMANDS = 5
MANY_REPLIES = 100
"""of at most 512 octets or so"""


class State(enum.Enum):
    COMMAND = enum.auto()
    DATA = enum.auto()
    DECIDING = enum.auto()
    HANDSHAKE = enum.auto()
    CLOSED = enum.auto()


# A name of the module is found several times as fast as a member of an enumeration, and these are asked for with every command.
_COMMAND, _DATA, _DECIDING, _HANDSHAKE, _CLOSED = State


class Engine:
    """One SMTP connection. `hello`: name that the client gave; empty before HELO and EHLO."""

    def __init__(self, settings: EngineSettings, *, trace: bool = False) -> None:
        self._settings = settings
        self._trace = trace
        self._input = b""
        self._at = 0
        self._skipping = False
        self._line: bytes | None = None
        self._events: deque[Event] = deque()
        self._replies: list[bytes] = []
        self._tls_first = settings.tls is ReceivingTls.REQUIRE
        """only the commands of rule 5 are worked on"""
        self._bad_commands = 0
        self._question: Question | None = None
        self._data: MessageData | None = None
        self._has_sender = False
        self._recipients = 0
        self.hello = ""
        self.state = State.COMMAND
        self.tls_active = False
        self.trailing = False
        """octets came behind QUIT"""
        self.brimming = False
        """there is more to work on when the replies have been taken away"""

    # what the owner sees

    @property
    def in_transaction(self) -> bool:
        """Between MAIL and the end of its transaction."""
        return self._has_sender

    @property
    def in_message(self) -> bool:
        """Between DATA and the reply to the message."""
        return self._data is not None

    @property
    def deciding(self) -> bool:
        """An event waits for its answer."""
        return self.state is _DECIDING

    # what the owner does

    def receive(self, data: bytes) -> None:
        """Octets of the client, decrypted ones once TLS is active."""
        if self.state is _HANDSHAKE or self.state is _CLOSED:
            return
        self._input = self._input[self._at :] + data if self._input else data
        self._at = 0

    def take_replies(self) -> bytes:
        """Everything to be sent, in one piece."""
        taken, self._replies = self._replies, []
        self.brimming = False
        return b"".join(taken)

    def say(self, reply: bytes) -> None:
        """Put in a reply that no command asked for: the banner."""
        self._replies.append(reply)

    def accept(self, reply: bytes = b"") -> None:
        """Answer the event: yes, with its usual reply or another one."""
        question = self._answered()
        if isinstance(question, Recipient):
            self._recipients += 1
            reply = reply or replies.recipient_ok(question.address)
        elif isinstance(question, Sender):
            self._has_sender = True
            reply = reply or replies.sender_ok(question.address)
        elif isinstance(question, StartTls):
            self.state = _HANDSHAKE
            self._input, self._at = b"", 0
            reply = reply or replies.READY_FOR_TLS
        else:
            self._end_transaction()
            reply = reply or replies.OK
        self._replies.append(reply)

    def refuse(self, reply: bytes) -> None:
        """Answer the event: no."""
        if isinstance(self._answered(), MessageComplete):
            self._end_transaction()
        self._replies.append(reply)

    def close(self, reply: bytes = b"") -> None:
        """End the session, with or without a last reply; also in place of an answer. A transaction is dropped silently."""
        self._question = None
        self._end_transaction()
        self._events.clear()
        self.state = _CLOSED
        self._input, self._at = b"", 0
        if reply:
            self._replies.append(reply)

    def tls_established(self) -> None:
        """The handshake is complete: what was before it is forgotten (RFC 3207 4.2)."""
        self.state = _COMMAND
        self.tls_active = True
        self._tls_first = False
        self.hello = ""

    def next_event(self) -> Event | None:
        """What happened next; None = nothing before more octets, or an answer, come in."""
        while True:
            if self._events:
                return self._events.popleft()
            if self.state is _COMMAND:
                line = self._line
                if line is not None:
                    self._line = None
                elif not self._input:
                    return None
                elif len(self._replies) > MANY_REPLIES:
                    self.brimming = True
                    return None
                else:
                    line = self._next_line()
                    if line is None:
                        return None
                    if self._trace:
                        self._line = line
                        return CommandLine(_traced(line))
                event = self._command(line)
                if event is not None:
                    return event
            elif self.state is _DATA and self._input:
                self._read_data()
            else:
                return None

    # commands

    def _next_line(self) -> bytes | None:
        text, at = self._input, self._at
        if text.find(b"\n") == len(text) - 1 <= MAX_LINE and not at and not self._skipping:
            self._input = b""  # nearly always: one line, and nothing else
            return text[:-2] if text.endswith(b"\r\n") else text[:-1]
        while (end := text.find(b"\n", at)) >= 0:
            line = text[at:end]
            at = end + 1
            if at == len(text):
                text, at = b"", 0
            if line.endswith(b"\r"):
                line = line[:-1]
            if not self._skipping and len(line) <= MAX_LINE:
                self._input, self._at = text, at
                return line
            self._skipping = False
            self._replies.append(replies.LINE_TOO_LONG)
        if self._skipping or len(text) - at > MAX_LINE + 1:
            self._skipping = True
            text, at = b"", 0
        self._input, self._at = text, at
        return None

    def _command(self, line: bytes) -> Event | None:
        verb, _, argument = line.strip(b" \t").partition(b" ")
        verb = verb.upper()
        if self._tls_first and verb not in _BEFORE_TLS:
            return self._answer(replies.STARTTLS_FIRST)
        handler = _COMMANDS.get(verb)
        if handler is None:
            return self._unknown(line)
        argument = argument.strip()
        if verb in _WITHOUT_ARGUMENT:
            if verb == b"STARTTLS" and self._settings.tls is ReceivingTls.OFF:
                return self._unknown(line)
            if argument:
                return self._answer(replies.syntax_error(argument))
        return handler(self, argument)

    def _unknown(self, line: bytes) -> Event:
        self._bad_commands += 1
        if self._bad_commands > TOLERATED_BAD_COMMANDS:
            self.close(replies.TOO_MANY_BAD_COMMANDS)
            self._events.append(TooManyBadCommands())
        else:
            self._replies.append(replies.UNKNOWN_COMMAND)
        return Unknown(_text(line))

    def _helo(self, argument: bytes) -> Event | None:
        self.hello = _text(argument) or "unknown"
        return self._answer(self._settings.hello_reply, self._drop())

    def _ehlo(self, argument: bytes) -> Event | None:
        if not argument:
            return self._answer(replies.EHLO_NEEDS_DOMAIN)
        self.hello = _text(argument)
        settings = self._settings
        return self._answer(settings.ehlo_reply_in_tls if self.tls_active else settings.ehlo_reply, self._drop())

    def _mail(self, argument: bytes) -> Event | None:
        if not self.hello:
            return self._answer(replies.HELLO_FIRST)
        if self._has_sender:
            return self._answer(replies.SENDER_GIVEN)
        path = parse_path(FROM, argument)
        if path is None:
            return self._answer(replies.syntax_error(argument), BadSender(_text(argument)))
        problem = mail_parameters(path.rest.encode(), self._settings.max_message_size) if path.rest else None
        if problem is not None:
            return self._answer(problem, Refused(Refusal.SIZE) if problem is replies.MESSAGE_TOO_LARGE else None)
        address = path.given
        if path.local and path.domain is None:
            if self._settings.default_domain is None:
                return self._answer(replies.BAD_SENDER, BadSender(_text(argument)))
            address = f"{path.local}@{self._settings.default_domain}"
        return self._ask(Sender(address))

    def _rcpt(self, argument: bytes) -> Event | None:
        if not self._has_sender:
            return self._answer(replies.MAIL_FIRST)
        path = parse_path(TO, argument)
        if path is None or not path.local:
            return self._answer(replies.syntax_error(argument), BadRecipient(_text(b"RCPT " + argument)))
        if words := path.rest.split():
            return self._answer(replies.unknown_option(words[0].partition("=")[0].encode()))
        address = path.given
        if path.domain is None:
            # RFC 5321 4.5.1: <postmaster> is always an address.
            domain = self._settings.default_domain or (self._settings.host if path.local.lower() == POSTMASTER else None)
            if domain is None:
                return self._answer(replies.BAD_RECIPIENT, BadRecipient(_text(b"RCPT " + argument)))
            address = f"{path.local}@{domain}"
        return self._ask(Recipient(address))

    def _begin_data(self, _: bytes) -> Event | None:
        if not self._recipients:
            return self._answer(replies.RCPT_FIRST)
        settings = self._settings
        self._data = MessageData(clean=settings.clean_smtp, max_size=settings.max_message_size, max_header_lines=settings.max_header_lines)
        self.state = _DATA
        return self._answer(replies.GO_AHEAD)

    def _rset(self, _: bytes) -> Event | None:
        return self._answer(replies.RESET, self._drop())

    def _quit(self, _: bytes) -> Event | None:
        self.trailing = bool(self._input)
        self.close(self._settings.quit_reply)
        return Quit()

    def _starttls(self, _: bytes) -> Event | None:
        if self.tls_active:
            return self._answer(replies.TLS_ACTIVE)
        dropped = self._drop()
        question = self._ask(StartTls())
        if dropped is not None:
            self._events.append(question)
            return dropped
        return question

    def _answer(self, reply: bytes, event: Event | None = None) -> Event | None:
        """Give a reply that needs no decision, and tell of it by `event`."""
        self._replies.append(reply)
        return event

    # data

    def _read_data(self) -> None:
        assert self._data is not None
        pieces, rest = self._data.feed(self._input[self._at :] if self._at else self._input)
        self._events.extend(pieces)
        self._input, self._at = rest or b"", 0
        if rest is None:
            return
        refusal = self._data.refusal
        if refusal is None:
            self._events.append(self._ask(MessageComplete(self._data.verbatim)))
            return
        self.state = _COMMAND
        self._end_transaction()
        self._replies.append(refusal.value)
        self._events.append(Refused(refusal))

    # transaction

    def _ask(self, question: Question) -> Event:
        self._question = question
        self.state = _DECIDING
        return question

    def _answered(self) -> Question:
        question = self._question
        if question is None:
            raise RuntimeError("no event waits for an answer")
        self._question = None
        self.state = _COMMAND
        return question

    def _drop(self) -> Event | None:
        had_sender = self._has_sender
        self._end_transaction()
        return Reset() if had_sender else None

    def _end_transaction(self) -> None:
        self._has_sender = False
        self._recipients = 0
        self._data = None


_Handler = Callable[[Engine, bytes], Event | None]
_BEFORE_TLS = frozenset((b"NOOP", b"EHLO", b"QUIT", b"STARTTLS"))
_WITHOUT_ARGUMENT = frozenset((b"DATA", b"RSET", b"QUIT", b"STARTTLS"))
_COMMANDS: dict[bytes, _Handler] = {
    b"HELO": Engine._helo,
    b"EHLO": Engine._ehlo,
    b"MAIL": Engine._mail,
    b"RCPT": Engine._rcpt,
    b"DATA": Engine._begin_data,
    b"RSET": Engine._rset,
    b"NOOP": lambda engine, _: engine._answer(replies.OK),
    b"VRFY": lambda engine, _: engine._answer(replies.VERIFY),
    b"HELP": lambda engine, _: engine._answer(engine._settings.help_reply),
    b"AUTH": lambda engine, _: engine._answer(replies.NO_AUTH),
    b"QUIT": Engine._quit,
    b"STARTTLS": Engine._starttls,
}


def _text(octets: bytes) -> str:
    """For logs and the Received header; each octet that is not UTF-8 stays one (PEP 383)."""
    return octets.decode("utf-8", "surrogateescape")


def _traced(line: bytes) -> str:
    return "AUTH" if line.lstrip()[:4].upper() == b"AUTH" else _text(line)
