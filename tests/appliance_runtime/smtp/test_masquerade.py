"""Masquerading of addresses: which entry decides, what of a header is touched, and the message on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.smtp.masquerade import Masquerade
from appliance_state.model.listeners import MasqueradedField, Masquerading
from tests.appliance_runtime.smtp.bench import Bench, private_listener

ALL = frozenset(MasqueradedField)
ENTRIES = {
    "joe@inside.test": "joe.public@example.com",
    "ann": "ann@corp.test",
    "@inside.test": "@example.com",
    "@.inside.test": "@example.com",
    "@": "@default.test",
}


def table(entries: dict[str, str] = ENTRIES, fields: frozenset[MasqueradedField] = ALL) -> Masquerade:
    return Masquerade([Masquerading(original=old, new=new) for old, new in entries.items()], fields)


@pytest.mark.parametrize(
    ("address", "rewritten"),
    [
        ("joe@inside.test", "joe.public@example.com"),
        ("JOE@Inside.TEST", "joe.public@example.com"),
        ("jim@inside.test", "jim@example.com"),
        ("jim@a.b.inside.test", "jim@example.com"),
        ("ann@anywhere.test", "ann@corp.test"),
        ("ann", "ann@corp.test"),
        ("ann@inside.test", "ann@corp.test"),
        ("root", "root@default.test"),
        ("jim@outside.test", "jim@outside.test"),
        ("jim@notinside.test", "jim@notinside.test"),
        ("", ""),
    ],
)
def test_the_first_entry_that_matches(address: str, rewritten: str) -> None:
    assert table().rewrite(address) == rewritten


def test_order_decides_not_how_special_an_entry_is() -> None:
    assert table({"@inside.test": "@a.test", "joe@inside.test": "x@b.test"}).rewrite("joe@inside.test") == "joe@a.test"


@pytest.mark.parametrize(
    ("value", "rewritten"),
    [
        (b" joe@inside.test", b" joe.public@example.com"),
        (b" Joe <jim@inside.test>", b" Joe <jim@example.com>"),
        (b' "Inside, Joe" <jim@inside.test> (the @inside.test one), ann@x.test', b' "Inside, Joe" <jim@example.com> (the @inside.test one), ann@corp.test'),
        (b" jim@inside.test,\r\n\tJim <jim@sub.inside.test>", b" jim@example.com,\r\n\tJim <jim@example.com>"),
        (b" team: jim@inside.test, bob@inside.test;", b" team: jim@example.com, bob@example.com;"),
        (b" undisclosed-recipients:;", b" undisclosed-recipients:;"),
        (b" =?utf-8?q?J=C3=B6?= < jim@inside.test >", b" =?utf-8?q?J=C3=B6?= < jim@example.com >"),
        (b' <"a b"@inside.test>', b' <"a b"@example.com>'),
        (b" J\xc3\xb6 <jim@inside.test>", b" J\xc3\xb6 <jim@example.com>"),
        (b" root", b" root@default.test"),
        (b" jim@[192.0.2.1]", b" jim@[192.0.2.1]"),
        (b" <>", b" <>"),
        (b"", b""),
        (b" ,, jim@inside.test,", b" ,, jim@example.com,"),
        # no lists of addresses: left alone
        (b" jim @inside.test", b" jim @inside.test"),
        (b' "jim <jim@inside.test>', b' "jim <jim@inside.test>'),
        (b" jim@inside.test, <jim@inside.test", b" jim@inside.test, <jim@inside.test"),
        (b" (a (b) c) jim@inside.test", b" (a (b) c) jim@inside.test"),
        (b" <jim@inside.test> <bob@inside.test>", b" <jim@inside.test> <bob@inside.test>"),
        (b" <@relay.test:jim@inside.test>", b" <@relay.test:jim@inside.test>"),
        (b" Jim jim@inside.test", b" Jim jim@inside.test"),
    ],
)  # fmt: skip
def test_a_field(value: bytes, rewritten: bytes) -> None:
    header = b"Subject: jim@inside.test\r\nFrom:" + value + b"\r\nX-To: jim@inside.test\r\n"
    made, changes = table().header(header)
    assert made == header.replace(b"From:" + value, b"From:" + rewritten)
    assert bool(changes) == (value != rewritten)


def test_only_the_chosen_fields() -> None:
    header = (
        b"from: jim@inside.test\r\nTO : jim@inside.test\r\nCc: jim@inside.test\r\nReply-To: jim@inside.test\r\nSender: jim@inside.test\r\n"
    )
    assert table(fields=frozenset()).header(header) == (header, [])
    chosen = frozenset((MasqueradedField.TO, MasqueradedField.REPLY_TO))
    made, changes = table(fields=chosen).header(header)
    assert [line.split(b"@")[1] for line in made.splitlines()] == [
        b"inside.test",
        b"example.com",
        b"inside.test",
        b"example.com",
        b"inside.test",
    ]
    assert changes == [("To", "jim@inside.test", "jim@example.com"), ("Reply-To", "jim@inside.test", "jim@example.com")]
    assert table(fields=chosen).envelope_sender("jim@inside.test") == "jim@inside.test"


def test_a_field_that_was_cut_is_left_alone() -> None:
    header = b"From: jim@inside.test\r\nTo: jim@inside.test"
    assert table().header(header)[0] == b"From: jim@example.com\r\nTo: jim@inside.test"


@given(
    st.lists(
        st.sampled_from([b"a@inside.test", b"<", b">", b'"', b"(", b")", b",", b";", b":", b"\\", b" ", b"\r\n ", b"x", b"\xff"]),
        max_size=12,
    )
)
def test_whatever_stands_in_a_field_only_addresses_change(parts: list[bytes]) -> None:
    header = b"To:" + b"".join(parts) + b"\r\nSubject: a@inside.test\r\n"
    made, _ = table({"@inside.test": "@example.com"}).header(header)
    assert made.replace(b"@example.com", b"@inside.test") == header
    assert made.endswith(b"\r\nSubject: a@inside.test\r\n")


async def test_a_message_on_the_wire(bench: Bench) -> None:
    entries = tuple(Masquerading(original=old, new=new) for old, new in ENTRIES.items())
    await bench.start(
        private_listener(masquerade=entries, masquerade_headers=frozenset((MasqueradedField.ENVELOPE_SENDER, MasqueradedField.FROM)))
    )
    client = await bench.client("out")
    await client.command("EHLO a")
    body = b"joe@inside.test in the text\r\n"
    await client.deliver(
        b"From: Joe <joe@inside.test>\r\nTo: jim@inside.test\r\n\r\n" + body, sender="joe@inside.test", recipient="x@y.test"
    )
    await client.deliver(b"no header\r\n", sender="", recipient="x@y.test")
    await client.quit()
    lines = await bench.ended()
    first, second = bench.queue.messages
    assert (first.sender, second.sender) == ("joe.public@example.com", "")
    assert b"\r\nFrom: Joe <joe.public@example.com>\r\nTo: jim@inside.test\r\n\r\n" + body in bench.queue.bodies[0]
    assert bench.queue.bodies[1].endswith(b"\r\n\r\nno header\r\n")
    at = lines.index("MID 1 masquerading envelope sender from 'joe@inside.test' to 'joe.public@example.com'")
    assert lines[at - 1 : at + 3] == [
        "MID 1 matched all recipients for per-recipient policy DEFAULT in the outbound table",
        "MID 1 masquerading envelope sender from 'joe@inside.test' to 'joe.public@example.com'",
        "MID 1 masquerading header 'From' from 'joe@inside.test' to 'joe.public@example.com'",
        "MID 1 queued for delivery",
    ]
    assert "MID 1 ICID 1 From: <joe@inside.test>" in lines
