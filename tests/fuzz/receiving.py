"""Fuzzing of what strangers and files bring in: SMTP streams, headers, host access, recipient access and domain map files.

Inputs are made from a seed, so that a failure comes back with the same seed and number: valid pieces in any order, cut,
doubled and with octets changed, in reads of any size. Whatever happens must be an answer, a refusal that the function
declares, or the end of the session; and what `check` asks must hold. Run as a program: `python -m tests.fuzz.receiving`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from appliance_runtime.delivery.transaction import dot_stuffed
from appliance_runtime.smtp.engine import MAX_LINE, Engine, State
from appliance_runtime.smtp.events import MessageComplete, Recipient, Sender, StartTls
from appliance_runtime.smtp.masquerade import Masquerade
from appliance_runtime.smtp.message_data import LONGEST_HELD_HEADER, Content, Header
from appliance_runtime.smtp.received import message_id, received_date, received_field, subject
from appliance_runtime.smtp.settings import EngineSettings
from appliance_state.hat_text import TableError, host_access_text, parse_host_access
from appliance_state.model.listeners import CleanSmtp, MasqueradedField, Masquerading, ReceivingTls
from commands.listenerconfig.rat_text import parse_domain_map, parse_recipient_access, recipient_access_text

INPUTS = 200_000
LONGEST_REPLY_LINE = 512
TABLE_ENTRIES = (
    "$A\n    ACCEPT\n", "$B\n    RELAY {\n        tls = \"require\"\n        max_message_size = 10M\n    } (note)\n", "$C\n    REJECT\n",
    "G:\n    192.0.2.1 (one)\n    10.1.1.10-20\n        $A (group)\n", "H:\n    .partner.test\n        ACCEPT {\n    tls_verify = on\n}\n",
    "2001:db8::/32\n    CONTINUE\n", "10.2.3.\n    TCPREFUSE (a (b) \\( c)\n", "mail.a.test\n    $B\n", "# note\n", "\n",
)  # fmt: skip
DATE = received_date(datetime(2026, 3, 6, 9, 0, tzinfo=UTC), ZoneInfo("UTC"))
CLIENT = "192.0.2.1"
MASQUERADE = Masquerade(
    [Masquerading(original="@inside.test", new="@mask.test"), Masquerading(original="joe", new="ann@mask.test")],
    frozenset(MasqueradedField),
)
MESSAGE = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"

SMTP_PIECES = (
    b"EHLO client.test\r\n", b"HELO\r\n", b"HELO x y\r\n", MESSAGE, MESSAGE, b"MAIL FROM:<>\r\n", b"MAIL FROM:<a@b.test> SIZE=10\r\n",
    b"MAIL FROM:<a@b> SIZE=99999999999999999999\r\n", b"MAIL FROM:<a@b> BODY=8BITMIME RET=FULL\r\n", b"RCPT TO:<@r.test:c@d.test>\r\n",
    b'RCPT TO:<"a b"@[192.0.2.1]>\r\n', b"RCPT TO:<c@[IPv6:::1]>\r\n", b"RCPT TO:<c>\r\n", b"RCPT TO: c@d.test\r\n", b"DATA\r\n",
    b"RSET\r\n", b"NOOP\r\n", b"VRFY x\r\n", b"HELP\r\n", b"AUTH LOGIN\r\n", b"STARTTLS\r\n", b"QUIT\r\n", b"\r\n", b"\r\n.\r\n", b".\r\n",
    b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n..\r\n", b"Subject: =?utf-8?q?x=C3?=\r\n", b"Subject: =?x?b?!!?=\r\n folded\r\n",
    b"From: Joe <joe@inside.test>, ", b"To: joe,\r\n\tann@inside.test (x), \"a, b\" <c@inside.test>; ", b"Cc: group: joe@inside.test;\r\n",
    b"Message-ID: <x@y>\r\n", b"Received: by x\r\n", b"\0\xff\x80", b"\xc3\xa9", b"x" * 998 + b"\r\n", b"y" * 1100, b"\r", b"\n", b" ", b"<",
)  # fmt: skip
TABLE_PIECES = (
    "$A\n", "ACCEPT", "RELAY", "REJECT", "TCPREFUSE", "CONTINUE", " {\n", "}\n", "G:\n", "ALL\n", "    $A", " (note)", "(", ")", "\\", '"',
    'tls = "require"\n', "max_message_size = 10M\n", "max_concurrency=1", "significant_bits = 33\n", 'smtp_banner_text = "a\\nb"\n',
    "spam_check = 1\n", "sbrs[-10:-3]\n", "192.0.2.1\n", "10.1.1.10-20\n", "10.2.3.\n", "2001:db8::/32\n", ".partner.test\n", "# note\n",
    "1.2.3.4/33\n", "0.0.0.0-255.255.255.255\n", "@a.test ", "u@.a.test ", "@b.test\n", "[1.2.3.4]", "joe@", "ALL REJECT\n",
    " ACCEPT (code=250, text=\"x\", bypass=yes)\n", "code=999", "\n", "\t", "\x00", "é", "\udcff", "9" * 30, "=", ",",
)  # fmt: skip


def mixed(chance: random.Random, pieces: Sequence[bytes]) -> bytes:
    """Pieces in any order, with octets changed, left out and doubled."""
    made = bytearray().join(chance.choices(pieces, k=chance.randint(1, 30)))
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        at = chance.randrange(len(made)) if made else 0
        match chance.randrange(3):
            case 0:
                made[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                del made[at : at + chance.randint(1, 20)]
            case _:
                made[at:at] = made[at : at + chance.randint(1, 40)]
    return bytes(made)


def smtp_session(chance: random.Random) -> None:
    """A stream in reads of any size, at an engine of any settings; half of them begin with a message on its way."""
    settings = EngineSettings(
        host="h.test",
        max_message_size=chance.choice((1024, 10_000_000)),
        max_header_lines=chance.choice((0, 5)),
        tls=chance.choice(tuple(ReceivingTls)),
        clean_smtp=chance.choice(tuple(CleanSmtp)),
        default_domain=chance.choice((None, "default.test")),
    )
    engine = Engine(settings, trace=chance.random() < 0.2)
    data = mixed(chance, SMTP_PIECES)
    if chance.random() < 0.6:
        data = b"EHLO a\r\n" + MESSAGE + data + b"\r\n.\r\n" + mixed(chance, SMTP_PIECES)
    content = bytearray()
    at = 0
    while at < len(data):
        end = len(data) if chance.random() < 0.3 else at + chance.randint(1, 200)
        engine.receive(data[at:end])
        at = end
        more = True
        while more:
            _work(engine, settings, content, chance)
            more = engine.brimming
            _replies(engine)
        if engine.state is State.HANDSHAKE:
            engine.tls_established()


def _work(engine: Engine, settings: EngineSettings, content: bytearray, chance: random.Random) -> None:
    while (event := engine.next_event()) is not None:
        match event:
            case Header():
                content.clear()
                _header(engine, event)
            case Content(octets):
                content += octets
            case MessageComplete():
                _message(bytes(content), settings)
        if isinstance(event, Sender | Recipient | StartTls | MessageComplete):
            if chance.random() < 0.8:
                engine.accept(b"250 ok\r\n" if isinstance(event, MessageComplete) else b"")
            else:
                engine.refuse(b"451 later\r\n")


def _header(engine: Engine, header: Header) -> None:
    """What receiving does with a header must give safe fields, whatever stands in it."""
    assert len(header.fields) <= LONGEST_HELD_HEADER
    field = received_field(hello=engine.hello, client=CLIENT, host="h.test", cipher=None, date=DATE)
    assert field.count(b"\n") == 1 and field.endswith(b"\r\n") and field.isascii()
    for value in (message_id(header.fields), subject(header.fields)):
        assert value is None or isinstance(value, str)
    masked, changes = MASQUERADE.header(header.fields)
    assert masked.count(b"\n") == header.fields.count(b"\n") and (changes or masked == header.fields)


def _message(content: bytes, settings: EngineSettings) -> None:
    """A message on its way out again ends once, and holds no bare line end that a peer could take for another one."""
    assert len(content) <= settings.max_message_size
    if settings.clean_smtp is not CleanSmtp.ALLOW:
        assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    wire = dot_stuffed(content)
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")
    assert wire == b".\r\n" or wire.find(b"\r\n.\r\n") == len(wire) - 5


def _replies(engine: Engine) -> None:
    replies = engine.take_replies()
    assert replies == b"" or replies.endswith(b"\r\n")
    for line in replies.split(b"\r\n")[:-1]:
        assert len(line) + 2 <= LONGEST_REPLY_LINE and line[:3].isdigit() and line[3:4] in (b" ", b"-")
        assert line.isascii() and line.decode().isprintable()
    if engine.state is State.COMMAND:
        assert len(engine._input) - engine._at <= MAX_LINE + 1


def _text(chance: random.Random) -> str:
    return "".join(chance.choices(TABLE_PIECES, k=chance.randint(1, 15)))


def host_access_file(chance: random.Random) -> None:
    """Every file is a table, or an error with its line; what is read and written again is the same."""
    text = "".join(chance.sample(TABLE_ENTRIES, k=chance.randint(1, 6)))
    for _ in range(chance.choice((0, 0, 1, 2))):
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(TABLE_PIECES) + text[at + chance.choice((0, 0, 1, 5)) :]
    text = text if chance.random() < 0.7 else _text(chance)
    try:
        table = parse_host_access(text if chance.random() < 0.3 else f"{text}\nALL\n    ACCEPT\n")
    except TableError:
        return
    written = host_access_text(table.policies, table.groups)
    again = parse_host_access(written)
    assert (again.policies, again.groups) == (tuple(sorted(table.policies, key=lambda p: p.name.casefold())), table.groups)


def recipient_access_file(chance: random.Random) -> None:
    try:
        entries = parse_recipient_access(_text(chance))
    except TableError:
        return
    assert parse_recipient_access(recipient_access_text(entries)) == entries


def domain_map_file(chance: random.Random) -> None:
    try:
        parse_domain_map(_text(chance))
    except TableError:
        return


TARGETS: tuple[tuple[Callable[[random.Random], None], int], ...] = (
    (smtp_session, 14),
    (host_access_file, 4),
    (recipient_access_file, 1),
    (domain_map_file, 1),
)
"""with their shares"""


def fuzz(seed: int, inputs: int, first: int = 0) -> None:
    """Work on inputs `first` to `first + inputs` of a seed. Errors: whatever goes wrong, with a note that says how to see it again."""
    functions = [function for function, share in TARGETS for _ in range(share)]
    for number in range(first, first + inputs):
        chance = random.Random(seed * 1_000_003 + number)
        try:
            functions[number % len(functions)](chance)
        except BaseException as error:
            error.add_note(f"again: python -m tests.fuzz.receiving --seed {seed} --first {number} --inputs 1")
            raise


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz receiving.")
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    started = time.process_time()
    fuzz(seed, options.inputs, options.first)
    print(f"seed {seed}: {options.inputs} inputs without a failure, {time.process_time() - started:.1f} s of CPU")


if __name__ == "__main__":
    main()
