"""The engine without sockets: cuts of the stream, ends of messages, TLS, limits of lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.smtp import replies
from appliance_runtime.smtp.engine import MANY_REPLIES, Engine, State
from appliance_runtime.smtp.events import (
    BadRecipient,
    BadSender,
    CommandLine,
    Event,
    MessageComplete,
    Quit,
    Recipient,
    Refused,
    Reset,
    Sender,
    StartTls,
    TooManyBadCommands,
    Unknown,
)
from appliance_runtime.smtp.message_data import LONGEST_HELD_HEADER, Content, Header, Refusal
from appliance_runtime.smtp.settings import EngineSettings
from appliance_state.model.listeners import CleanSmtp, ReceivingTls

TO_DATA = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"


def settings(**changes: object) -> EngineSettings:
    return EngineSettings(**{"host": "h.test", "max_message_size": 2000, "max_header_lines": 20, **changes})  # type: ignore[arg-type]


class Run:
    """An engine whose questions are answered by rote: no to addresses that begin with `no`, yes to everything else."""

    def __init__(self, settings: EngineSettings, *, trace: bool = False) -> None:
        self.engine = Engine(settings, trace=trace)
        self.events: list[Event] = []
        self.replies = b""
        self.messages = 0

    def feed(self, pieces: Iterable[bytes]) -> Run:
        for piece in pieces:
            self.engine.receive(piece)
            more = True
            while more:
                while (event := self.engine.next_event()) is not None:
                    self._note(event)
                    self._answer(event)
                more = self.engine.brimming
                self.replies += self.engine.take_replies()
        return self

    def _answer(self, event: Event) -> None:
        match event:
            case Sender(address) | Recipient(address) if address.startswith("no"):
                self.engine.refuse(b"550 no\r\n")
            case Sender() | Recipient() | StartTls():
                self.engine.accept()
            case MessageComplete():
                self.messages += 1
                self.engine.accept(b"250 message\r\n")

    def _note(self, event: Event) -> None:
        if isinstance(event, Content) and self.events and isinstance(self.events[-1], Content):
            event = Content(self.events.pop().data + event.data)  # type: ignore[union-attr]
        if isinstance(event, Refused):
            while self.events and isinstance(self.events[-1], Header | Content):
                self.events.pop()
        self.events.append(event)

    @property
    def settled(self) -> list[Event]:
        """The events without the beginning of a message that may still be refused."""
        events = list(self.events)
        while self.engine.state is State.DATA and events and isinstance(events[-1], Header | Content):
            events.pop()
        return events

    @property
    def content(self) -> bytes:
        return b"".join(event.data for event in self.events if isinstance(event, Content))

    @property
    def lines(self) -> list[str]:
        return self.replies.decode().splitlines()


def run(data: bytes, **changes: object) -> Run:
    return Run(settings(**changes)).feed([data])


FRAGMENTS = st.sampled_from(
    [
        b"EHLO a\r\n", b"HELO\r\n", b"EHLO \r\n", b"MAIL FROM:<a@b>\r\n", b"mail from: a@b SIZE=100 BODY=8bitmime\r\n", b"MAIL FROM:<>\n",
        b"MAIL FROM:<a@b> SIZE=9999\r\n", b"MAIL FROM:<a b>\r\n", b"RCPT TO:<c@d>\r\n", b"RCPT TO:<no@d>\r\n", b"RCPT TO:<>\r\n",
        b"DATA\r\n", b"DATA\n", b"RSET\r\n", b"NOOP x\r\n", b"QUIT\r\n", b"STARTTLS\r\n", b"XYZZY\r\n", b"x" * 1001 + b"\r\n", b"x" * 999,
        b".\r\n", b"\r\n.\r\n", b"\r\n..\r\n", b"\n.\n", b"\r.\r", b"\r\n.\r", b"\r", b"\n", b".", b"Subject: s\r\n", b"\r\n\r\n", b"text",
        b"Received: x\r\n" * 60, b"X: y\r\n" * 15, b"y" * 700 + b"\r\n", b"\0\xff", TO_DATA, b"hello\r\n.\r\n",
    ]
)  # fmt: skip
STREAMS = st.lists(FRAGMENTS, max_size=25).map(b"".join)


@given(
    stream=STREAMS,
    cuts=st.lists(st.integers(0, 4000), max_size=12),
    clean=st.sampled_from(list(CleanSmtp)),
    tls=st.sampled_from(list(ReceivingTls)),
)
def test_cuts_of_the_stream_change_nothing(stream: bytes, cuts: list[int], clean: CleanSmtp, tls: ReceivingTls) -> None:
    limits = settings(clean_smtp=clean, tls=tls)
    whole = Run(limits, trace=True).feed([stream])
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = Run(limits, trace=True).feed(stream[a:b] for a, b in itertools.pairwise(edges))
    octets = Run(limits, trace=True).feed(stream[n : n + 1] for n in range(len(stream)))
    assert pieces.settled == octets.settled == whole.settled
    assert pieces.replies == octets.replies == whole.replies
    assert pieces.engine.state is octets.engine.state is whole.engine.state


@given(data=st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"x", b"\r\n.\r\n"]), max_size=30).map(b"".join))
def test_a_message_ends_at_cr_lf_dot_cr_lf_only_and_comes_back_as_it_was_meant(data: bytes) -> None:
    result = run(TO_DATA + data, clean_smtp=CleanSmtp.ALLOW)
    end = (b"\r\n" + data).find(b"\r\n.\r\n")
    if end < 0:
        assert not any(isinstance(event, MessageComplete) for event in result.events)
    else:
        meant = (b"\r\n" + data)[: end + 2].replace(b"\r\n.", b"\r\n")[2:]
        first = result.events.index(MessageComplete())
        assert b"".join(event.data for event in result.events[:first] if isinstance(event, Content)) == meant


SMUGGLING = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "CR.LF": b"\r.\n",
    "LF.CR": b"\n.\r",
    "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "CRCRLF.LF": b"\r\r\n.\n",
    "LFCR.CRLF": b"\n\r.\r\n",
    "CRLF NUL.CRLF": b"\r\n\0.\r\n",
    "CRLF.NUL CRLF": b"\r\n.\0\r\n",
    "CRLF. CRLF": b"\r\n. \r\n",
}


@pytest.mark.parametrize("clean", list(CleanSmtp))
@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling_sequences_end_no_message(name: str, clean: CleanSmtp) -> None:
    smuggled = b"MAIL FROM:<evil@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: evil\r\n"
    data = b"Subject: x\r\n\r\nbody" + SMUGGLING[name] + smuggled
    result = run(TO_DATA + data + b"\r\n.\r\n", clean_smtp=clean)
    assert [event for event in result.events if isinstance(event, Sender)] == [Sender("a@b")]
    bare = SMUGGLING[name].replace(b"\r\n", b"").strip(b". \0") != b""
    if clean is CleanSmtp.REJECT and bare:
        assert result.messages == 0
        assert result.lines[-1] == "554 message body contains illegal bare CR/LF characters."
    else:
        assert result.messages == 1
        assert smuggled in result.content
    if clean is CleanSmtp.FIX:
        assert result.content.count(b"\n") == result.content.count(b"\r\n") == result.content.count(b"\r")


def test_a_lone_dot_made_by_repair_stays_in_the_message() -> None:
    result = run(TO_DATA + b"Subject: x\r\n\r\na\n.\nb\r\n.\r\n", clean_smtp=CleanSmtp.FIX)
    assert result.content == b"Subject: x\r\n\r\na\r\n.\r\nb\r\n"


@pytest.mark.parametrize(
    ("sent", "kept", "missing"),
    [
        (b"", b"", True),
        (b"\r\n", b"\r\n", False),
        (b"\r\nbody\r\n", b"\r\nbody\r\n", False),
        (b"hello\r\n", b"hello\r\n", True),
        (b" folded: nothing\r\n", b" folded: nothing\r\n", True),
        (b"..\r\n", b".\r\n", True),
        (b"...\r\n..x\r\n", b"..\r\n.x\r\n", True),
        (b"A: b\r\n c\r\n\r\nx\r\n", b"A: b\r\n c\r\n\r\nx\r\n", False),
        (b"A: b\r\n", b"A: b\r\n", False),
        (b"A: " + b"x" * 20000 + b"\r\n\r\n", b"A: " + b"x" * 20000 + b"\r\n\r\n", False),
        (b"A: \0\xff\xfe\r\n\r\n\0", b"A: \0\xff\xfe\r\n\r\n\0\r\n", False),
    ],
)
def test_content(sent: bytes, kept: bytes, missing: bool) -> None:
    end = b".\r\n" if not sent or sent.endswith(b"\r\n") else b"\r\n.\r\n"
    result = run(TO_DATA + sent + end, max_message_size=100000)
    assert result.content == kept
    assert [event.missing for event in result.events if isinstance(event, Header)] == [missing]


def test_the_header_comes_before_the_content() -> None:
    result = run(TO_DATA + b"A: 1\r\nB: 2\r\n\r\nC: 3\r\n.\r\n")
    assert result.events[-3:] == [Header(b"A: 1\r\nB: 2\r\n", False), Content(b"A: 1\r\nB: 2\r\n\r\nC: 3\r\n"), MessageComplete()]


def test_a_header_that_does_not_end_is_let_go() -> None:
    engine = Run(settings(max_message_size=10**7, max_header_lines=0))
    engine.feed([TO_DATA, b"A: 1\r\n"])
    assert not any(isinstance(event, Header) for event in engine.events)
    engine.feed([b"B: " + b"x" * LONGEST_HELD_HEADER])
    header = engine.events[-2]
    assert isinstance(header, Header) and len(header.fields) == LONGEST_HELD_HEADER and not header.missing
    engine.feed([b"\r\nReceived: x" * 101 + b"\r\n\r\n.\r\n"])
    assert engine.events[-1] == Refused(Refusal.HOPS)


def test_an_empty_line_of_bare_lf_ends_a_header_wherever_it_is_cut() -> None:
    data = TO_DATA + b"A: b\n\nbody\r\n.\r\n"
    for cut in range(len(TO_DATA), len(data)):
        result = Run(settings(clean_smtp=CleanSmtp.ALLOW)).feed([data[:cut], data[cut:]])
        assert [event for event in result.events if isinstance(event, Header)] == [Header(b"A: b\n", False)]


def test_hops_in_a_header_that_is_too_long_to_be_held() -> None:
    result = Run(settings(max_message_size=10**7, max_header_lines=0)).feed([TO_DATA + b"B: " + b"x" * LONGEST_HELD_HEADER + b"\r\n"])
    hops = b"Received: x\r\n" * 101 + b"\r\n.\r\n"
    assert result.feed(hops[n : n + 1] for n in range(len(hops))).lines[-1] == HOPS


SIZE, HEADER, HOPS = "552 #5.3.4 message size exceeds limit", "552 #5.3.4 message header size exceeds limit", "554 Too many hops"


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"A: b\r\n\r\n" + b"x" * 1988 + b"\r\n", "250 message"),
        (b"A: b\r\n\r\n" + b"x" * 1991 + b"\r\n", SIZE),
        (b"A: b\r\n" * 20 + b"\r\n" + b"x\r\n" * 50, "250 message"),
        (b"A: b\r\n" * 21 + b"\r\n", HEADER),
        (b"A: b\r\n" * 21, HEADER),
        (b"line\r\n" * 40, "250 message"),
        (b"\r\n" + b"A: b\r\n" * 40, "250 message"),
    ],
)
def test_limits_of_a_message(data: bytes, reply: str) -> None:
    result = run(TO_DATA + data + b".\r\nNOOP\r\n")
    assert result.lines[-2:] == [reply, "250 ok"]


@pytest.mark.parametrize(("count", "reply"), [(100, "250 message"), (101, HOPS)])
def test_hops(count: int, reply: str) -> None:
    hops = b"".join(b"%s: by x\r\n" % (b"Received", b"RECEIVED", b"received")[n % 3] for n in range(count))
    data = TO_DATA + hops + b"X-Received: y\r\nA: Received: z\r\n\r\n" + b"Received: in the body\r\n" * 5 + b".\r\n"
    limits = {"max_message_size": 10**6, "max_header_lines": 0}
    assert run(data, **limits).lines[-1] == reply
    octets = Run(settings(**limits)).feed(data[n : n + 1] for n in range(len(data)))
    assert octets.lines[-1] == reply


def test_what_is_piped_behind_starttls_is_dropped() -> None:
    result = run(b"EHLO a\r\nSTARTTLS\r\nNOOP\r\nMAIL FROM:<a@b>\r\n", tls=ReceivingTls.ON)
    assert result.lines[-1] == "220 Go ahead with TLS"
    assert result.engine.state is State.HANDSHAKE
    result.feed([b"NOOP\r\nNO"])
    result.engine.tls_established()
    result.replies = b""
    result.feed([b"NOOP\r\n", b"MAIL FROM:<a@b>\r\n", b"STARTTLS\r\n", b"EHLO a\r\n"])
    assert result.lines == [
        "250 ok",
        "503 #5.5.1 HELO/EHLO first",
        "503 #5.5.1 TLS already active",
        "250-h.test",
        "250-8BITMIME",
        "250 SIZE 2000",
    ]


def test_starttls_drops_the_transaction_first() -> None:
    result = run(b"EHLO a\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n", tls=ReceivingTls.ON)
    assert result.events == [Sender("a@b"), Reset(), StartTls()]


def test_starttls_that_is_refused_leaves_the_session_as_it_is() -> None:
    engine = Engine(settings(tls=ReceivingTls.ON))
    engine.receive(b"EHLO a\r\nSTARTTLS\r\nNOOP\r\n")
    assert engine.next_event() == StartTls()
    assert engine.next_event() is None
    engine.refuse(replies.TLS_NOT_AVAILABLE)
    assert engine.next_event() is None
    assert engine.take_replies().endswith(b"454 TLS not available due to a temporary reason\r\n250 ok\r\n")


def test_an_answer_is_waited_for() -> None:
    engine = Engine(settings())
    engine.receive(b"EHLO a\r\nMAIL FROM:<a@b>\r\nNOOP\r\n")
    assert engine.next_event() == Sender("a@b")
    assert engine.deciding and engine.next_event() is None
    engine.receive(b"RSET\r\n")
    engine.accept()
    assert engine.next_event() == Reset()
    assert engine.take_replies().endswith(b"250 sender <a@b> ok\r\n250 ok\r\n250 reset\r\n")
    with pytest.raises(RuntimeError):
        engine.accept()


def test_lines() -> None:
    assert run(b"NOOP " + b"x" * 995 + b"\r\n").lines == ["250 ok"]
    assert run(b"NOOP " + b"x" * 995 + b"\n").lines == ["250 ok"]
    assert run(b"NOOP " + b"x" * 996 + b"\r\nNOOP\r\n").lines == ["500 Line too long", "250 ok"]
    endless = Run(settings())
    for _ in range(1000):
        endless.feed([b"x" * 5000])
        assert len(endless.engine._input) <= 1001
    assert endless.feed([b"\r\nNOOP\r\n"]).lines == ["500 Line too long", "250 ok"]


def test_replies_stay_short_whatever_they_repeat() -> None:
    long = b"x" * 900
    result = run(b"EHLO a\r\nMAIL FROM:<" + long + b" y>\r\nMAIL FROM:<" + long + b"@b>\r\nRCPT TO:<a@b> " + long + b"\r\n")
    assert len(result.lines) == 6
    assert max(map(len, result.lines)) <= 510


def test_bad_commands() -> None:
    result = run(b"A\r\n\r\n\0\r\nNOOP\r\nSTARTTLS\r\nEXPN x\r\nB\r\nNOOP\r\n")
    assert result.lines == [
        *["500 #5.5.1 command not recognized"] * 3,
        "250 ok",
        *["500 #5.5.1 command not recognized"] * 2,
        "421 Exceeded bad SMTP command limit, disconnecting.",
    ]
    assert result.events[-2:] == [Unknown("B"), TooManyBadCommands()]
    assert result.engine.state is State.CLOSED


def test_530_does_not_count_as_a_bad_command() -> None:
    result = run(b"XYZZY\r\n" * 20 + b"QUIT\r\n", tls=ReceivingTls.REQUIRE)
    assert result.lines == ["530 #5.7.0 Must issue a STARTTLS command first"] * 20 + ["221 h.test"]
    assert result.events == [Quit()]


@pytest.mark.parametrize("behind", [b"", b"NOOP\r\n"])
def test_nothing_follows_quit(behind: bytes) -> None:
    result = run(TO_DATA.replace(b"DATA", b"QUIT") + behind)
    assert result.lines[-1] == "221 h.test"
    assert result.events[-1] == Quit()
    assert result.engine.trailing == bool(behind)


def test_replies_do_not_pile_up() -> None:
    engine = Engine(settings())
    engine.receive(b"HELP\r\n" * 1000)
    given = 0
    while True:
        assert engine.next_event() is None
        taken = engine.take_replies()
        given += taken.count(b"214 rcpt")
        if not taken:
            break
        assert taken.count(b"214 rcpt") <= MANY_REPLIES + 1
    assert given == 1000 and not engine.brimming


def test_bad_addresses_are_told() -> None:
    result = run(b"EHLO a\r\nMAIL FROM:<a b>\r\nMAIL FROM:<joe>\r\nMAIL FROM:<>\r\nRCPT TO:<x y>\r\nRCPT TO:<jo\xe9@b>\r\n")
    assert result.events == [
        BadSender("FROM:<a b>"),
        BadSender("FROM:<joe>"),
        Sender(""),
        BadRecipient("RCPT TO:<x y>"),
        BadRecipient("RCPT TO:<jo\udce9@b>"),
    ]


def test_credentials_are_not_traced() -> None:
    result = Run(settings(), trace=True).feed([b"AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n auth login c2VjcmV0\r\nNOOP x\r\n"])
    assert result.events == [CommandLine("AUTH"), CommandLine("AUTH"), CommandLine("NOOP x")]


def test_ten_thousand_recipients_in_one_read() -> None:
    result = run(b"EHLO a\r\nMAIL FROM:<a@b>\r\n" + b"".join(b"RCPT TO:<r%d@d>\r\n" % n for n in range(10000)))
    assert result.lines[-1] == "250 recipient <r9999@d> ok"
    assert len(result.events) == 10001
