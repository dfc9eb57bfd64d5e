"""Whole sessions over real sockets: the log in its order, counters, what reaches the queue (logs-and-alerts.md 2)."""

from __future__ import annotations

from appliance_runtime.queue.errors import QueueError, QueueFull
from tests.appliance_runtime.smtp.bench import Bench, blackhole_listener, client_context, private_listener, public_listener

OPEN = "New SMTP ICID 1 interface PublicNet (192.168.2.1) address 127.0.0.1 reverse dns host unknown verified no"
POLICY = "ICID 1 ACCEPT SG None match ALL SBRS not enabled country not enabled"
MESSAGE = b"From: a@sender.test\r\nSubject: hello\r\nMessage-ID: <1@sender.test>\r\n\r\nbody\r\n"
RECEIVED = b"Received: from client.test ([127.0.0.1]) by mail3.example.com with ESMTP; Fri, 06 Mar 2026 09:00:00 +0000\r\n"


async def test_a_message_leaves_its_lines_in_their_order(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    assert client.banner == "220 mail3.example.com ESMTP"
    assert await client.command("EHLO client.test") == "250-mail3.example.com\n250-8BITMIME\n250 SIZE 10485760"
    assert await client.deliver(MESSAGE) == "250 ok:  Message 1 accepted"
    assert await client.command("QUIT") == "221 mail3.example.com"
    assert await client.ended()
    await client.close()
    stored = RECEIVED + MESSAGE
    assert await bench.ended() == [
        OPEN,
        POLICY,
        "Start MID 1 ICID 1",
        "MID 1 ICID 1 From: <a@sender.test>",
        "MID 1 ICID 1 RID 0 To: <joe@example.com>",
        "MID 1 Message-ID '<1@sender.test>'",
        'MID 1 Subject "hello"',
        f"MID 1 ready {len(stored)} bytes from <a@sender.test>",
        "MID 1 matched all recipients for per-recipient policy DEFAULT in the inbound table",
        "MID 1 queued for delivery",
        "ICID 1 close",
    ]
    assert bench.queue.bodies == [stored]
    message = bench.queue.messages[0]
    assert (message.sender, message.recipients, message.direction) == ("a@sender.test", ("joe@example.com",), "inbound")
    assert (message.icid, message.listener, message.bounce_profile) == (1, "InboundMail", "Default")
    assert bench.counters.values == {"inj_msgs": 1, "inj_recips": 1}
    assert bench.counters.gauges == {"conn_in": 0}


async def test_a_message_in_tls(bench: Bench) -> None:
    await bench.start(public_listener(tls="require"))
    client = await bench.client()
    assert await client.command("EHLO client.test") == "250-mail3.example.com\n250-8BITMIME\n250-SIZE 10485760\n250 STARTTLS"
    await client.start_tls(client_context())
    assert await client.command("MAIL FROM:<a@b.test>") == "503 #5.5.1 HELO/EHLO first"
    assert await client.command("EHLO again.test") == "250-mail3.example.com\n250-8BITMIME\n250 SIZE 10485760"
    assert await client.command("STARTTLS") == "503 #5.5.1 TLS already active"
    assert await client.deliver() == "250 ok:  Message 1 accepted"
    await client.quit()
    lines = await bench.ended()
    assert lines[2] == "ICID 1 TLS success protocol TLSv1.3 cipher TLS_AES_256_GCM_SHA384"
    assert not [line for line in lines if "TLS was required" in line]
    assert bench.queue.bodies[0].startswith(
        b"Received: from again.test ([127.0.0.1]) by mail3.example.com with ESMTPS (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384); "
        b"Fri, 06 Mar 2026"
    )
    assert bench.receiver.opened.tls == 0


async def test_relayed_mail_counts_as_outgoing_and_gets_a_message_id(bench: Bench) -> None:
    await bench.start(private_listener())
    client = await bench.client("out")
    await client.command("EHLO client.test")
    assert await client.deliver(b"no header at all\r\n", recipient="x@anywhere.test") == "250 ok:  Message 1 accepted"
    await client.quit()
    assert "ICID 1 RELAY SG RELAYLIST match 127.0.0.0/8 SBRS not enabled country not enabled" in await bench.ended()
    assert "MID 1 matched all recipients for per-recipient policy DEFAULT in the outbound table" in bench.logs.lines
    assert "MID 1 Message-ID '<20260306090000.1@mail3.example.com>'" in bench.logs.lines
    assert bench.queue.messages[0].direction == "outbound"
    assert bench.queue.bodies[0] == (RECEIVED + b"Message-ID: <20260306090000.1@mail3.example.com>\r\n\r\nno header at all\r\n")


async def test_a_blackhole_listener_answers_and_drops(bench: Bench) -> None:
    await bench.start(blackhole_listener())
    client = await bench.client("hole")
    await client.command("EHLO client.test")
    assert await client.deliver(recipient="x@anywhere.test") == "250 ok:  Message 1 accepted"
    await client.quit()
    lines = await bench.ended()
    assert lines[-3:] == ["Message aborted MID 1 Dropped by listener 'BlackHole'", "Message finished MID 1 aborted", "ICID 1 close"]
    assert bench.queue.messages == []
    assert bench.counters.values == {"dropped_msgs": 1}


async def test_250_only_after_the_queue_has_stored_the_message(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.queue.hold()
    client = await bench.client()
    await client.command("EHLO client.test")
    await client.commands("MAIL FROM:<a@b.test>", "RCPT TO:<joe@example.com>", "DATA")
    client.send(MESSAGE + b".\r\nNOOP\r\n")
    await bench.lines("in the inbound table")
    assert "MID 1 queued for delivery" not in bench.logs.lines
    bench.queue.let_go()
    assert await client.reply() == "250 ok:  Message 1 accepted"
    assert await client.reply() == "250 ok"
    await client.quit()


async def test_a_queue_that_cannot_store(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    await client.command("EHLO client.test")
    for error, reply in ((QueueFull(), "452 #4.3.1 queue full"), (QueueError(), "451 #4.3.0 Server Error")):
        bench.queue.error = error
        assert await client.deliver() == reply
    bench.queue.error = None
    assert await client.deliver() == "250 ok:  Message 3 accepted"
    await client.quit()
    await bench.ended()
    assert bench.logs.lines.count("Message aborted MID 1 Receiving aborted") == 1
    assert bench.counters.values == {"inj_msgs": 1, "inj_recips": 1}


async def test_a_client_that_vanishes(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    await client.command("EHLO client.test")
    await client.commands("MAIL FROM:<a@b.test>", "RCPT TO:<joe@example.com>", "DATA")
    client.send(b"Subject: half\r\n\r\nof a mess")
    await client.close()
    assert (await bench.ended())[-4:] == [
        "Message aborted MID 1 Receiving aborted",
        "Message finished MID 1 aborted",
        "ICID 1 lost",
        "ICID 1 close",
    ]


async def test_a_client_that_vanishes_while_its_message_is_stored(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.queue.hold()
    client = await bench.client()
    await client.command("EHLO client.test")
    await client.commands("MAIL FROM:<a@b.test>", "RCPT TO:<joe@example.com>", "DATA")
    client.send(MESSAGE + b".\r\n")
    await bench.lines("in the inbound table")
    client.reset()
    await bench.ended()
    assert bench.logs.lines[-1].endswith("in the inbound table")
    bench.queue.let_go()
    assert (await bench.lines("ICID 1 close"))[-3:] == ["MID 1 queued for delivery", "ICID 1 lost", "ICID 1 close"]


async def test_a_client_that_closes_its_side_gets_all_its_replies(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.queue.hold()
    client = await bench.connect()
    client.send(b"EHLO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\n" + MESSAGE + b".\r\nQUIT\r\n")
    client.writer.write_eof()
    await bench.lines("in the inbound table")
    bench.queue.let_go()
    replies = [await client.reply() for _ in range(7)]
    assert replies[-2:] == ["250 ok:  Message 1 accepted", "221 mail3.example.com"]
    assert await client.ended()
    await client.close()
    assert (await bench.ended())[-1] == "ICID 1 close"
    assert "ICID 1 lost" not in bench.logs.lines


async def test_reset_and_quit_end_a_transaction(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await bench.client()
    await client.commands("EHLO a.test", "MAIL FROM:<a@b.test>", "RSET", "MAIL FROM:<c@b.test>", "EHLO a.test", "MAIL FROM:<d@b.test>")
    await client.quit()
    await bench.ended()
    for mid in (1, 2, 3):
        at = bench.logs.lines.index(f"Message aborted MID {mid} Receiving aborted")
        assert bench.logs.lines[at + 1] == f"Message finished MID {mid} aborted"
    assert bench.logs.lines[-1] == "ICID 1 close"
