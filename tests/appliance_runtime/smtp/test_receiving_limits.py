"""Limits of connections, messages, recipients and time (listenerconfig.md 11, 14)."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from appliance_runtime.clock import settle
from appliance_runtime.smtp import sessions as sessions_module
from appliance_state.model.listeners import Access, Behavior, CleanSmtp, ListenerGlobals, RatEntry
from tests.appliance_runtime.smtp.bench import EVERYONE, Bench, group, private_listener, public_listener

PATIENT = ListenerGlobals(counter_reset_period=900, unsuccessful_timeout=3600, max_connection_time=86400)
LISTENER = "421 #4.4.5 Too many connections to this listener."
HOST = "421 #4.4.5 Too many connections to this host."
CLIENT = "421 #4.4.5 Too many connections from your host."


async def test_connection_limits(bench: Bench) -> None:
    inbound = public_listener(max_concurrency=3, client_concurrency=2)
    outbound = private_listener(max_concurrency=2)
    await bench.start(inbound, outbound, listener_globals=ListenerGlobals(max_connections=4))
    clients = [await bench.client(source="127.0.0.2"), await bench.client(source="127.0.0.2")]
    refused = await bench.client(source="127.0.0.2")
    assert refused.banner == CLIENT
    assert await refused.ended()
    clients.append(await bench.client(source="127.0.0.3"))
    assert (await bench.client(source="127.0.0.4")).banner == LISTENER
    clients.append(await bench.client("out"))
    assert (await bench.client("out")).banner == HOST
    assert (await bench.client(source="127.0.0.5")).banner == LISTENER
    assert bench.receiver.opened.total == 4
    await clients[0].quit()
    again = await bench.client(source="127.0.0.2")
    assert again.banner.startswith("220 ")
    for client in (*clients[1:], again):
        await client.quit()
    opened = bench.receiver.opened
    assert (opened.total, dict(opened.by_listener), dict(opened.by_client)) == (0, {}, {})
    lines = bench.logs.lines
    at = lines.index("ICID 3 Receiving Failed: Connection limit exceeded")
    assert lines[at - 1] == "ICID 3 ACCEPT SG None match ALL SBRS not enabled country not enabled"
    assert lines[at + 1] == "ICID 3 close"


async def test_tcp_refuse_comes_before_the_limits_and_counts_for_none(bench: Bench) -> None:
    refusing = group("BAD", "127.0.0.9", behavior=Behavior.TCPREFUSE)
    await bench.start(public_listener(max_concurrency=1, hat_sender_groups=(refusing, EVERYONE)))
    client = await bench.client()
    with pytest.raises(ConnectionResetError):  # which may be faster than the client's own side of the connection
        refused = await bench.connect(source="127.0.0.9")
        await refused.reader.read()
    await client.quit()


async def test_one_client_more_than_the_default_of_ten(bench: Bench) -> None:
    await bench.start(public_listener())
    for _ in range(10):
        assert (await bench.client()).banner.startswith("220 ")
    assert (await bench.client()).banner == CLIENT


async def test_clients_whose_name_is_looked_up_count_already(bench: Bench) -> None:
    bench.names.wait = asyncio.Event()
    await bench.start(public_listener(max_concurrency=1))
    waiting = await bench.connect()
    while not bench.names.asked:
        await asyncio.sleep(0.002)
    assert (await bench.client()).banner == LISTENER
    assert len(bench.names.asked) == 1, "who is over a limit waits for no name"
    bench.names.wait.set()
    assert (await waiting.reply()).startswith("220 ")


async def test_messages_of_a_session(bench: Bench) -> None:
    await bench.start(public_listener(max_msgs_per_session=2))
    client = await bench.client()
    await client.command("EHLO a")
    await client.commands(*["MAIL FROM:<a@b>", "RSET"] * 5)
    assert [await client.deliver(), await client.deliver()] == ["250 ok:  Message 6 accepted", "250 ok:  Message 7 accepted"]
    assert await client.command("MAIL FROM:<a@b>") == "421 #4.x.2 Too many messages for this session"
    assert await client.ended()
    await client.close()
    assert (await bench.ended())[-2:] == ["ICID 1 Receiving Failed: Connection limit exceeded", "ICID 1 close"]


async def test_recipients_of_a_message(bench: Bench) -> None:
    await bench.start(public_listener(max_rcpts_per_msg=2))
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b>")
    replies = await client.commands("RCPT TO:<x@no.test>", *(f"RCPT TO:<r{n}@example.com>" for n in range(3)))
    assert [reply[:3] for reply in replies] == ["550", "250", "250", "452"]
    assert replies[3] == "452 #4.5.3 Too many recipients"
    await client.command("DATA")
    assert await client.command(".") == "250 ok:  Message 1 accepted"
    assert (await client.commands("MAIL FROM:<a@b>", "RCPT TO:<r@example.com>"))[1].startswith("250 ")
    await client.quit()
    assert bench.counters.values == {"inj_msgs": 1, "inj_recips": 2, "rejected_recips": 2}


async def test_recipients_per_hour(bench: Bench) -> None:
    await bench.start(public_listener(max_rcpts_per_hour=2, significant_bits=24), listener_globals=PATIENT)
    first, second = await bench.client(source="127.0.0.2"), await bench.client(source="127.0.0.3")
    for client in (first, second):
        await client.commands("EHLO a", "MAIL FROM:<a@b>")
    assert await first.command("RCPT TO:<r@example.com>") == "250 recipient <r@example.com> ok"
    assert await second.command("RCPT TO:<r@example.com>") == "250 recipient <r@example.com> ok"
    assert await second.command("RCPT TO:<s@example.com>") == "452 Too many recipients received this hour"
    assert await first.command("RCPT TO:<s@example.com>") == "452 Too many recipients received this hour"
    await bench.clock.advance(900)
    assert await first.command("RCPT TO:<s@example.com>") == "250 recipient <s@example.com> ok"
    assert "MID 2 ICID 2 To: <s@example.com> Rejected by Injection Control" in bench.logs.lines
    assert bench.counters.values == {"rejected_recips": 2}


async def test_the_hourly_limit_counts_over_listeners_and_commits_and_has_its_own_text(bench: Bench) -> None:
    limited = public_listener(max_rcpts_per_hour=1, max_rcpts_per_hour_code=451, max_rcpts_per_hour_text="Slow down, $RemoteIP\nplease")
    await bench.start(limited, private_listener())
    relay = await bench.client("out")
    await relay.commands("EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<x@anywhere.test>")
    bench.configure(limited, private_listener())
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b>")
    assert await client.command("RCPT TO:<joe@example.com>") == "451-Slow down, 127.0.0.1\n451 please"


async def test_a_recipient_may_bypass_the_hourly_limit(bench: Bench) -> None:
    rat = (RatEntry(address="free@", bypass_receiving_control=True), RatEntry(address="ALL", access=Access.ACCEPT))
    await bench.start(public_listener(rat=rat, max_rcpts_per_hour=1))
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b>")
    replies = await client.commands(*(f"RCPT TO:<{user}@example.com>" for user in ("free", "free", "joe", "ann", "free")))
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "452", "250"]


SIZE = "552 #5.3.4 message size exceeds limit"


async def test_sizes(bench: Bench) -> None:
    await bench.start(public_listener(max_message_size=2000))
    client = await bench.client()
    await client.command("EHLO a")
    assert await client.command("MAIL FROM:<a@b> SIZE=2001") == SIZE
    assert await client.deliver(b"A: b\r\n\r\n" + b"x" * 1990 + b"\r\n") == "250 ok:  Message 1 accepted"
    assert await client.deliver(b"A: b\r\n\r\n" + b"x" * 400000 + b"\r\n") == SIZE
    assert await client.deliver() == "250 ok:  Message 3 accepted"
    await client.quit()
    lines = await bench.ended()
    assert lines.count("ICID 1 Receiving Failed: Message size exceeds limit") == 2
    at = lines.index("Message aborted MID 2 Receiving aborted")
    assert lines[at - 1 : at + 2] == [
        "ICID 1 Receiving Failed: Message size exceeds limit",
        "Message aborted MID 2 Receiving aborted",
        "Message finished MID 2 aborted",
    ]


@pytest.mark.parametrize(
    ("data", "reply", "reason"),
    [
        (b"A: b\r\n" * 11, "552 #5.3.4 message header size exceeds limit", "Message header size exceeds limit"),
        (b"Received: x\r\n" * 101, "554 Too many hops", "Message loop"),
        (b"A: b\r\n\r\nx\ny\r\n", "554 message body contains illegal bare CR/LF characters.", "Message contains bare CR or LF"),
    ],
)
async def test_other_refusals_of_messages(bench: Bench, data: bytes, reply: str, reason: str) -> None:
    lines = 0 if b"Received" in data else 10
    await bench.start(public_listener(clean_smtp=CleanSmtp.REJECT), listener_globals=ListenerGlobals(max_header_lines=lines))
    client = await bench.client()
    await client.command("EHLO a")
    assert await client.deliver(data) == reply
    await client.quit()
    assert f"ICID 1 Receiving Failed: {reason}" in await bench.ended()
    assert bench.queue.messages == []


TIMED_OUT = "421 Timed out waiting for successful message injection, disconnecting."
OVERTIME = "421 Exceeded allowable connection time, disconnecting."


async def test_no_accepted_message_in_time(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    await bench.clock.advance(299)
    client.send(b"Subject: slow\r\n")
    await bench.clock.advance(1)
    assert await client.reply() == TIMED_OUT
    assert await client.ended()
    await client.close()
    assert (await bench.ended())[-4:] == [
        "ICID 1 disconnected address 127.0.0.1, no messages injected within timeout period",
        "Message aborted MID 1 Receiving aborted",
        "Message finished MID 1 aborted",
        "ICID 1 close",
    ]


async def test_private_listeners_wait_longer(bench: Bench) -> None:
    await bench.start(private_listener())
    client = await bench.client("out")
    await bench.clock.advance(719)
    assert await client.command("NOOP") == "250 ok"
    await bench.clock.advance(1)
    assert await client.reply() == OVERTIME
    await client.close()
    assert "ICID 1 disconnected address 127.0.0.1, exceeded allowable connection time" in await bench.ended()


async def test_a_message_that_is_being_stored_came_in_time(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.queue.hold()
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    client.send(b"A: b\r\n\r\n.\r\n")
    await bench.lines("in the inbound table")
    await bench.clock.advance(301)
    bench.queue.let_go()
    assert await client.reply() == "250 ok:  Message 1 accepted"
    assert await client.command("NOOP") == "250 ok"
    await client.quit()


async def test_connection_time_is_not_over_in_the_middle_of_a_message(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    await client.command("EHLO a")
    assert await client.deliver() == "250 ok:  Message 1 accepted"
    await client.commands("MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    client.send(b"Subject: long\r\n")
    await bench.clock.advance(720)
    client.send(b"\r\n.\r\nNOOP\r\n")
    assert await client.reply() == "250 ok:  Message 2 accepted"
    assert await client.reply() == OVERTIME
    assert await client.ended()


async def test_connection_time_is_over_between_commands_of_a_message(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    await client.command("EHLO a")
    await client.deliver()
    await client.command("MAIL FROM:<a@b>")
    await bench.clock.advance(720)
    assert await client.reply() == OVERTIME
    assert "Message aborted MID 2 Receiving aborted" in await bench.lines("ICID 1 close")


async def test_a_commit_that_shortens_the_limits_is_for_new_connections(bench: Bench) -> None:
    await bench.start(public_listener())
    old = await bench.client()
    bench.configure(public_listener(), listener_globals=ListenerGlobals(unsuccessful_timeout=10))
    new = await bench.client()
    await bench.clock.advance(10)
    assert await new.reply() == TIMED_OUT
    assert await old.command("NOOP") == "250 ok"
    await bench.clock.advance(290)
    assert await old.reply() == TIMED_OUT


async def test_a_client_that_is_silent_for_too_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "SILENCE_LIMIT", 0.05)
    await bench.start(private_listener())
    client = await bench.client("out")
    assert await client.reply() == "421 mail3.example.com Service closing transmission channel"
    assert await client.ended()
    await client.close()
    assert (await bench.ended())[-2:] == ["ICID 1 lost", "ICID 1 close"]


async def test_nothing_is_watched_when_nobody_is_connected(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    await client.quit()
    await bench.ended()
    await bench.clock.advance(100000)
    await settle()
    assert bench.clock._waiting == []


async def test_parameters_of_the_group_decide(bench: Bench) -> None:
    trusted = group("TRUSTED", "127.0.0.2", max_msgs_per_session=1)
    made = public_listener(max_msgs_per_session=2, hat_sender_groups=(trusted, EVERYONE))
    await bench.start(attrs.evolve(made))
    for source, count in (("127.0.0.2", 1), ("127.0.0.3", 2)):
        client = await bench.client(source=source)
        await client.command("EHLO a")
        replies = [(await client.deliver())[:3] for _ in range(count + 1)]
        assert replies == ["250"] * count + ["421"]
