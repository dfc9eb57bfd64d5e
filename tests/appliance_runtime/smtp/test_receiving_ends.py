"""How sessions end when the appliance wants it, and clients that behave badly (listenerconfig.md 12)."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct

import pytest

from appliance_runtime.clock import settle
from appliance_runtime.logs.messages import DEBUG
from appliance_runtime.services import Endpoint
from appliance_runtime.smtp import receiver as receiver_module
from appliance_runtime.smtp.connection import LINGER, Connection
from tests.appliance_runtime.smtp.bench import Bench, private_listener, public_listener

CLOSING = "421 mail3.example.com Service closing transmission channel"


async def test_a_removed_listener_lets_its_sessions_finish_their_message(bench: Bench) -> None:
    await bench.start(public_listener(), private_listener())
    idle, busy, other = await bench.client(), await bench.client(), await bench.client("out")
    await busy.commands("EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    bench.accepting["in"].close()
    bench.configure(private_listener())
    bench.receiver.configuration_changed()
    assert await idle.reply() == CLOSING
    assert await idle.ended()
    busy.send(b"A: b\r\n\r\n.\r\n")
    assert await busy.reply() == "250 ok:  Message 1 accepted"
    assert await busy.reply() == CLOSING
    assert await busy.ended()
    assert await other.command("NOOP") == "250 ok"
    with pytest.raises(ConnectionRefusedError):
        await bench.connect()


async def test_a_session_without_an_end_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "GONE_LISTENER", 0.02)
    await bench.start(public_listener(), private_listener())
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    bench.configure(private_listener())
    bench.receiver.configuration_changed()
    assert await client.reply() == CLOSING
    await client.close()
    assert (await bench.ended())[-3:] == ["Message aborted MID 1 Receiving aborted", "Message finished MID 1 aborted", "ICID 1 close"]


async def test_clients_of_a_removed_listener_that_are_not_decided_about(bench: Bench) -> None:
    bench.names.wait = asyncio.Event()
    await bench.start(public_listener(), private_listener())
    inbound, outbound = await bench.connect(), await bench.connect("out")
    while len(bench.names.asked) < 2:
        await asyncio.sleep(0.002)
    bench.configure(private_listener())
    bench.receiver.configuration_changed()
    assert await inbound.ended()
    bench.names.wait.set()
    assert (await outbound.reply()).startswith("220 ")


async def test_a_moved_listener(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    bench.configure(public_listener(port=2525))
    bench.receiver.configuration_changed()
    assert await client.reply() == CLOSING


async def test_other_commits_leave_sessions_alone(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    bench.configure(public_listener(name="Renamed", max_msgs_per_session=1))
    bench.receiver.configuration_changed()
    await client.command("EHLO a")
    assert await client.deliver() == "250 ok:  Message 1 accepted"
    assert await client.deliver() == "250 ok:  Message 2 accepted", "a session keeps the limits with which it began"
    await client.quit()
    assert bench.queue.messages[0].listener == "InboundMail"


async def test_draining_one_listener_only(bench: Bench) -> None:
    await bench.start(public_listener(), private_listener())
    inbound, outbound = await bench.client(), await bench.client("out")
    await bench.receiver.drain(1.0, ["in"])
    assert await inbound.reply() == CLOSING
    assert await outbound.command("NOOP") == "250 ok"


async def test_draining_waits_for_messages_and_then_does_not(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.queue.hold()
    storing, slow = await bench.client(), await bench.client()
    for client in (storing, slow):
        await client.commands("EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    storing.send(b"A: b\r\n\r\n.\r\n")
    await bench.lines("in the inbound table")
    draining = asyncio.ensure_future(bench.receiver.drain(0.05))
    assert await slow.reply() == CLOSING
    assert not draining.done()
    bench.queue.let_go()
    assert await storing.reply() == "250 ok:  Message 1 accepted"
    assert await storing.reply() == CLOSING
    for client in (storing, slow):
        await client.close()
    await draining
    assert not bench.receiver.connections


async def test_draining_ends_look_ups_and_handshakes(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    shaking = await bench.client()
    await shaking.command("STARTTLS")
    bench.names.wait = asyncio.Event()
    waiting = await bench.connect()
    while len(bench.names.asked) < 2:
        await asyncio.sleep(0.002)
    draining = asyncio.ensure_future(bench.receiver.drain(0.02))
    assert await waiting.ended()
    assert await shaking.ended()
    for client in (waiting, shaking):
        await client.close()
    await draining
    assert bench.receiver.opened.total == 0
    assert "ICID 1 TLS failed: timeout" in bench.logs.lines


async def test_draining_a_connection_that_is_about_to_begin(bench: Bench) -> None:
    bench.names.wait = asyncio.Event()
    await bench.start(public_listener())
    client = await bench.connect()
    while not bench.names.asked:
        await asyncio.sleep(0.002)
    bench.names.wait.set()
    draining = asyncio.ensure_future(bench.receiver.drain(1.0, ["in"]))
    while not bench.receiver.connections:
        await asyncio.sleep(0)
    assert (await client.reply()).startswith("220 ")
    assert await client.reply() == CLOSING
    await client.close()
    await draining


async def test_no_listener_any_more(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.configure()
    client = await bench.connect()
    assert await client.ended()


async def test_closing_twice_and_restarting(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.accepting["in"].close()
    bench.accepting["in"].close()
    bench.ports.clear()
    await bench.start(public_listener())
    client = await bench.client()
    await client.quit()


async def test_running_out_of_descriptors_is_no_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "RETRY_ACCEPT", 0.01)
    bench.configure(public_listener())

    class Exhausted(socket.socket):
        failures = 2

        def accept(self) -> tuple[socket.socket, object]:
            if Exhausted.failures:
                Exhausted.failures -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    sock = Exhausted(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    bench.ports["in"] = sock.getsockname()[1]
    bench.accepting["in"] = await bench.receiver.accept_on(Endpoint("smtp", "InboundMail", "in", "192.168.2.1", 25), sock)
    client = await bench.client()
    await client.quit()
    assert Exhausted.failures == 0


async def test_the_last_reply_arrives_though_octets_follow_it(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    client.send(b"GARBAGE\r\n" * 50000)
    for _ in range(5):
        assert await client.reply() == "500 #5.5.1 command not recognized"
    assert await client.reply() == "421 Exceeded bad SMTP command limit, disconnecting."
    client.reset()
    await bench.ended()


async def test_a_client_that_reads_no_replies_is_not_read_from(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    sent = 0
    for _ in range(400):
        client.send(b"HELP\r\n" * 10000)
        sent += 60000
        await settle(3)
    (connection,) = bench.receiver.connections
    assert client.writer.transport.get_write_buffer_size() > sent / 2, "most of it was not taken"
    assert connection.transport.get_write_buffer_size() < 128 * 1024
    client.reader._transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(60000):
        assert (await client.reply()).endswith("214 rcpt rset vrfy")
    client.reset()


async def test_a_client_that_takes_no_replies_is_not_waited_for(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    (connection,) = bench.receiver.connections
    assert isinstance(connection, Connection)
    for _ in range(400):
        client.send(b"HELP\r\n" * 10000)
        await settle(3)
    async with asyncio.timeout(5):
        while not connection.transport.get_write_buffer_size():
            await settle(3)
    connection.cut()
    await asyncio.wait_for(connection.closed, 3 * LINGER)
    assert await bench.ended()
    client.reset()


async def test_a_client_whose_admission_ends_before_it_begins(bench: Bench) -> None:
    await bench.start(public_listener())
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as client:
        accepted, _ = listening.accept()
        bench.receiver.admit(Endpoint("smtp", "InboundMail", "in", "192.168.2.1", 25), accepted, "127.0.0.1")
        assert bench.receiver.opened.total == 1
        await bench.receiver.drain(0)
        await settle()
        assert client.recv(1) == b""
    assert bench.receiver.opened.total == 0
    assert bench.names.asked == []


async def test_nothing_is_sent_to_a_client_that_has_gone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    port = await bench.start(public_listener())
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asyncio.sleep(0.05)
        client.send(b"HELP\r\n" * 10000)
    assert (await bench.ended())[-2:] == ["ICID 1 lost", "ICID 1 close"]
    assert caplog.records == []


async def test_a_client_that_closes_its_side_before_it_reads_gets_every_reply(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(b"HELP\r\n" * 20000)
    client.writer.write_eof()
    await asyncio.sleep(0.05)
    client.reader._transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(20000):
        assert (await client.reply()).endswith("214 rcpt rset vrfy")
    assert await client.ended()
    assert (await bench.ended())[-2:] == ["ICID 1 lost", "ICID 1 close"]


async def test_octets_behind_quit_do_not_cost_the_reply_to_it(bench: Bench) -> None:
    await bench.start(public_listener())
    for behind in (b"NOOP\r\n", b"x" * 5_000_000):
        client = await bench.client()
        client.send(b"QUIT\r\n" + behind)
        assert await client.reply() == "221 mail3.example.com"
        assert await client.ended(), "and not by a reset"
        await client.writer.drain()
        await client.close()


async def test_octet_by_octet(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    script = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\nA: b\r\n\r\n..x\r\n.\r\nQUIT\r\n"
    for n in range(len(script)):
        client.send(script[n : n + 1])
        await asyncio.sleep(0)
    replies = [await client.reply() for _ in range(6)]
    assert replies[-2:] == ["250 ok:  Message 1 accepted", "221 mail3.example.com"]
    assert bench.queue.bodies[0].endswith(b"\r\nA: b\r\n\r\n.x\r\n")


async def test_what_comes_before_the_banner_waits(bench: Bench) -> None:
    bench.names.wait = asyncio.Event()
    await bench.start(public_listener())
    client = await bench.connect()
    client.send(b"EHLO a\r\nNOOP\r\n")
    await settle()
    bench.names.wait.set()
    assert (await client.reply()).startswith("220 ")
    assert (await client.reply()).startswith("250-")
    assert await client.reply() == "250 ok"
    await client.quit()


async def test_ten_thousand_recipients(bench: Bench) -> None:
    await bench.start(private_listener())
    client = await bench.client("out")
    client.send(b"EHLO a\r\nMAIL FROM:<a@b>\r\n" + b"".join(b"RCPT TO:<r%d@d.test>\r\n" % n for n in range(10000)) + b"DATA\r\n.\r\n")
    for _ in range(10003):
        reply = await client.reply()
    assert reply == "354 go ahead"
    assert await client.reply() == "250 ok:  Message 1 accepted"
    assert len(bench.queue.messages[0].recipients) == 10000
    await client.quit()


async def test_an_endless_line(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    for _ in range(200):
        client.send(b"x" * 65536)
        await client.writer.drain()
    client.send(b"\r\nNOOP\r\n")
    assert await client.reply() == "500 Line too long"
    assert await client.reply() == "250 ok"
    await client.quit()


async def test_strange_octets_in_a_message_arrive_unchanged(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    await client.command("EHLO a")
    data = b"Subject: \xff\xfe\0\r\n\r\n\0\x80\xff" + b"x" * 20000 + b"\r\n\x1a\x04\r\n"
    assert await client.deliver(data) == "250 ok:  Message 1 accepted"
    await client.quit()
    await bench.ended()
    assert bench.queue.bodies[0].endswith(b"\r\n" + data)
    assert 'MID 1 Subject "\\xff\\xfe\\x00"' in bench.logs.lines


async def test_level_debug_shows_the_dialogue(bench: Bench) -> None:
    bench.logs.level = DEBUG
    await bench.start(public_listener())
    client = await bench.client()
    await client.commands("EHLO a", "AUTH PLAIN c2VjcmV0", "XYZZY")
    await client.deliver(b"Subject: s\r\n\r\nsecret body\r\n")
    await client.quit()
    text = "\n".join(await bench.ended())
    for line in ("ICID 1 > 220 mail3", "ICID 1 < EHLO a", "ICID 1 > 250-8BITMIME", "ICID 1 < AUTH\n", "ICID 1 Unknown command: XYZZY"):
        assert line in text
    assert "secret" not in text and "c2VjcmV0" not in text


async def test_a_message_that_is_given_up_leaves_no_file(bench: Bench) -> None:
    await bench.start(private_listener())
    client = await bench.client("out")
    await client.commands("EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<x@y.test>", "DATA")
    client.send(b"A: b\r\n\r\n" + b"x" * 600000)
    while not bench.queue.made or bench.queue.made[0].spool is None:
        await asyncio.sleep(0.002)
    assert list(bench.queue.spool.iterdir())
    client.reset()
    await bench.ended()
    assert not list(bench.queue.spool.iterdir())
