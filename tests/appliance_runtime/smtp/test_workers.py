"""Receiving workers: sessions are what they are without them, and what is left when one dies (appliance_runtime/smtp/workers)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import resource
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from appliance_runtime import supervisor
from appliance_runtime.queue.body import MEMORY_LIMIT
from appliance_runtime.queue.errors import QueueError, QueueFull
from appliance_runtime.smtp.workers import pool
from appliance_runtime.smtp.workers.frames import Answered, Frames, from_worker, to_appliance
from appliance_runtime.smtp.workers.pool import MIDS
from appliance_runtime.tls import ServerTls
from appliance_state.certificates.pem import load_der
from tests.appliance_runtime.smtp.bench import (
    HOST,
    METHODS,
    Bench,
    Client,
    blackhole_listener,
    certificate,
    public_listener,
)

LIMIT = 20.0
MESSAGE = b"From: a@sender.test\r\nSubject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def workers() -> int:
    return 2


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not happened():
            await asyncio.sleep(0.005)


def pids(bench: Bench) -> list[int]:
    return [worker.pid for worker in bench.workers.running]


def carried(bench: Bench) -> list[int]:
    return [len(worker.sessions) for worker in bench.workers.running]


def descriptors(pid: int | str) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid: int) -> int:
    """KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def serial(pem: str) -> int:
    return load_der(ssl.PEM_cert_to_DER_cert(pem)).serial_number


def shown(client: Client) -> int:
    """Serial number of the certificate that the client was shown."""
    der: bytes = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return load_der(der).serial_number


async def greeted(bench: Bench, *, tls: bool = False) -> Client:
    """A client that has said EHLO."""
    client = await bench.client()
    if tls:
        await client.start_tls()
    await client.command("EHLO client.test")
    return client


def without_numbers(lines: list[str]) -> list[str]:
    """MIDs are a worker's own."""
    return [re.sub(r"\bMID \d+", "MID", line) for line in lines]


def test_frames_may_come_in_any_pieces() -> None:
    sent = [(["lines", [["a", "\udce9\n", 1]]], b""), (["message", 1], bytes(range(256)) * 9), (["ended", 7], b"")]
    stream = b"".join(to_appliance(head, body) for head, body in sent)
    for size in (1, 3, 7, 8, 9, 1000, len(stream)):
        frames, got = Frames(), []
        for start in range(0, len(stream), size):
            frames.feed(stream[start : start + size])
            got += [(from_worker(head), body) for head, body in frames]
        assert got == sent


async def test_a_message_leaves_the_same_lines_in_the_same_order(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await greeted(bench)
    reply = await client.deliver(MESSAGE)
    assert await client.command("QUIT") == "221 mail3.example.com"
    assert await client.ended()
    message = (await finished(bench)).queue.messages[0]
    assert reply == f"250 ok:  Message {message.mid} accepted"
    (stored,) = bench.queue.bodies
    assert stored.startswith(b"Received: from client.test ([127.0.0.1]) by mail3.example.com with ESMTP; ") and stored.endswith(MESSAGE)
    assert without_numbers(bench.logs.lines) == [
        "New SMTP ICID 1 interface PublicNet (192.168.2.1) address 127.0.0.1 reverse dns host unknown verified no",
        "ICID 1 ACCEPT SG None match ALL SBRS not enabled country not enabled",
        "Start MID ICID 1",
        "MID ICID 1 From: <a@sender.test>",
        "MID ICID 1 RID 0 To: <joe@example.com>",
        'MID Subject "hello"',
        f"MID ready {len(stored)} bytes from <a@sender.test>",
        "MID matched all recipients for per-recipient policy DEFAULT in the inbound table",
        "MID queued for delivery",
        "ICID 1 close",
    ]
    assert (message.sender, message.recipients, message.direction) == ("a@sender.test", ("joe@example.com",), "inbound")
    assert (message.icid, message.listener, message.bounce_profile) == (1, "InboundMail", "Default")
    assert message.body.verbatim and message.body.size == len(stored)
    assert bench.counters.values == {"inj_msgs": 1, "inj_recips": 1}
    assert bench.counters.gauges == {"conn_in": 0}
    assert bench.workers.served == 1


async def finished(bench: Bench) -> Bench:
    """No session is open."""
    await bench.ended()
    return bench


@pytest.mark.parametrize("lines", [1, 1000, 3000, 30_000], ids=["small", "in memory", "beyond memory", "large"])
async def test_bodies_of_every_size_arrive_whole(bench: Bench, lines: int) -> None:
    await bench.start(public_listener())
    client = await greeted(bench)
    content = b"Subject: x\r\n\r\n" + b"".join(b"%039d\r\n" % number for number in range(lines))
    assert (await client.deliver(content)).startswith("250 ok:")
    (body,) = bench.queue.bodies
    assert body.endswith(content)
    made = bench.queue.messages[0].body
    assert (made.size, made.spool is not None) == (len(body), len(body) > MEMORY_LIMIT)
    assert list(bench.queue.spool.iterdir()) == ([made.spool] if made.spool else [])
    made.discard()
    assert list(bench.queue.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reply"),
    [(QueueFull("no room"), "452 #4.3.1 queue full"), (QueueError("the disk burns"), "451 #4.3.0 Server Error")],
)
async def test_what_the_queue_cannot_take_is_refused(bench: Bench, error: Exception, reply: str) -> None:
    await bench.start(public_listener())
    client = await greeted(bench)
    bench.queue.error = error
    assert await client.deliver() == reply
    bench.queue.error = None
    assert (await client.deliver()).startswith("250 ok:")
    await client.quit()
    assert without_numbers(await bench.ended()).count("Message finished MID aborted") == 1
    assert bench.counters.values == {"inj_msgs": 1, "inj_recips": 1}


async def test_a_body_that_a_worker_cannot_write(bench: Bench, tmp_path: Path) -> None:
    bench.queue.spool = tmp_path / "gone"
    await bench.start(public_listener())
    client = await greeted(bench)
    assert (await client.deliver(b"A: b\r\n\r\n" + b"x" * 70 + b"\r\n")).startswith("250 ok:"), "a small one needs no file"
    await client.deliver(b"A: b\r\n\r\n" + (b"x" * 70 + b"\r\n") * 2000)
    error = bench.queue.messages[-1].body.error
    assert error is not None and error.strerror == "No such file or directory", "the queue sees it, and refuses"


async def test_a_session_in_tls(bench: Bench) -> None:
    await bench.start(public_listener(tls="require"))
    client = await bench.client()
    assert await client.command("MAIL FROM:<a@b>") == "530 #5.7.0 Must issue a STARTTLS command first"
    await client.start_tls()
    await client.command("EHLO again.test")
    assert bench.receiver.opened.tls == 1
    assert await client.command("STARTTLS") == "503 #5.5.1 TLS already active"
    assert (await client.deliver()).startswith("250 ok:")
    await client.quit()
    lines = await bench.ended()
    assert "ICID 1 TLS success protocol TLSv1.3 cipher TLS_AES_256_GCM_SHA384" in lines
    assert b" with ESMTPS (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384); " in bench.queue.bodies[0]
    assert bench.receiver.opened.tls == 0


async def test_limits_hold_over_all_workers(bench: Bench) -> None:
    listener = public_listener(tls="on", max_rcpts_per_hour=3, client_concurrency=3)
    globals_ = attrs.evolve(bench.running.config.listener_globals, max_tls_connections=2)
    await bench.start(listener, listener_globals=globals_)
    first, second, third = await greeted(bench, tls=True), await greeted(bench, tls=True), await greeted(bench)
    assert sorted(carried(bench)) == [1, 2]
    assert (await (await bench.connect()).reply()).startswith("421"), "four of three connections"
    assert await third.command("STARTTLS") == "421 #4.4.5 Too many TLS sessions at this time"
    for client in (first, second):
        await client.command("MAIL FROM:<a@b.test>")
    replies = [await client.command("RCPT TO:<joe@example.com>") for client in (first, second, first, second)]
    assert replies[:3] == ["250 recipient <joe@example.com> ok"] * 3
    assert replies[3] == "452 Too many recipients received this hour"
    for client in (first, second):
        await client.quit()
    await bench.ended()
    assert bench.counters.values == {"rejected_recips": 1}
    assert (bench.receiver.opened.total, bench.receiver.opened.tls) == (0, 0)


async def test_policies_that_verify_clients_are_served_by_the_appliance(bench: Bench) -> None:
    await bench.start(public_listener(tls="on", tls_verify=True))
    client = await greeted(bench, tls=True)
    assert (await client.deliver()).startswith("250 ok:")
    assert (bench.workers.served, carried(bench)) == (0, [0, 0])


async def test_a_blackhole_listener(bench: Bench) -> None:
    await bench.start(blackhole_listener())
    client = await bench.client("hole")
    await client.command("EHLO a")
    assert (await client.deliver()).startswith("250 ok:")
    await client.quit()
    assert without_numbers(await bench.ended())[-3:] == [
        "Message aborted MID Dropped by listener 'BlackHole'",
        "Message finished MID aborted",
        "ICID 1 close",
    ]
    assert bench.counters.values == {"dropped_msgs": 1} and bench.queue.messages == []


async def test_more_messages_begin_at_once_than_a_worker_has_numbers_for(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await greeted(bench)
    count = 2 * MIDS + 10
    client.send(b"MAIL FROM:<a@b.test>\r\nRSET\r\n" * count)
    assert [await client.reply() for _ in range(2 * count)] == ["250 sender <a@b.test> ok", "250 reset"] * count
    await client.quit()
    begun = [int(line.split()[2]) for line in await bench.ended() if line.startswith("Start MID")]
    assert len(set(begun)) == len(begun) == count


async def test_settings_are_those_with_which_a_session_began(bench: Bench) -> None:
    await bench.start(public_listener())
    old = await greeted(bench)
    bench.configure(public_listener(accept=("new.test",)))
    at_once = await greeted(bench)
    await bench.workers_ready()
    new = await greeted(bench)
    assert bench.workers.served == 2, "while the workers are behind, the appliance serves"
    for client, recipient in ((old, "joe@example.com"), (at_once, "joe@new.test"), (new, "joe@new.test")):
        await client.command("MAIL FROM:<a@b.test>")
        assert await client.command(f"RCPT TO:<{recipient}>") == f"250 recipient <{recipient}> ok"
    assert (await new.command("RCPT TO:<joe@example.com>")).startswith("550")


async def test_settings_that_follow_each_other_at_once(bench: Bench) -> None:
    await bench.start(public_listener())
    for number in range(20):
        bench.configure(public_listener(accept=(f"d{number}.test",)))
    await bench.workers_ready()
    client = await greeted(bench)
    await client.command("MAIL FROM:<a@b.test>")
    assert await client.command("RCPT TO:<joe@d19.test>") == "250 recipient <joe@d19.test> ok"
    assert bench.workers.served == 1


async def test_a_certificate_is_replaced(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    old, waiting = await greeted(bench, tls=True), await bench.client()
    tls = ServerTls(credentials=certificate("new.example.com"), methods=METHODS, ciphers="HIGH", renegotiation=False)
    bench.running = attrs.evolve(bench.running, inbound_contexts={"demo": tls.context()})
    bench.share({"demo": tls})
    at_once = await greeted(bench, tls=True)
    await bench.workers_ready()
    by_worker = await greeted(bench, tls=True)
    assert bench.workers.served == 3
    await waiting.start_tls()
    assert [shown(client) for client in (at_once, by_worker)] == [serial(tls.credentials.certificate)] * 2
    assert shown(waiting) == shown(old) == serial(certificate(HOST).certificate)
    assert (await old.deliver()).startswith("250 ok:")


async def test_the_clients_that_a_worker_has_are_seen(bench: Bench) -> None:
    await bench.start(public_listener())
    await greeted(bench)
    (connection,) = bench.receiver.connections
    assert (str(connection.peer.address), connection.endpoint.owner) == ("127.0.0.1", "InboundMail")


async def test_a_worker_is_killed_in_the_middle_of_a_session(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    await bench.start(public_listener(tls="on"))
    first, second = await greeted(bench, tls=True), await greeted(bench, tls=True)
    await first.commands("MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    first.send(b"A: b\r\n\r\nhalf a mess")
    await bench.lines("To: <joe@example.com>")
    before = pids(bench)
    os.kill(before[0], signal.SIGKILL)
    with contextlib.suppress(ConnectionError):  # what the worker had not read, the kernel resets
        assert await first.reader.read() == b""
    lines = [line for line in await bench.lines("ICID 1 close") if "ICID 2" not in line]
    assert without_numbers(lines)[-4:] == [
        "Message aborted MID Receiving aborted",
        "Message finished MID aborted",
        "ICID 1 lost",
        "ICID 1 close",
    ]
    # The other worker's session goes on, a new one begins at once, and soon there are two workers again.
    assert (await second.deliver()).startswith("250 ok:")
    third = await greeted(bench, tls=True)
    assert (await third.deliver()).startswith("250 ok:")
    for client in (second, third):
        await client.quit()
    await bench.ended()
    await until(lambda: len(pids(bench)) == 2)
    await bench.workers_ready()
    assert before[1] in pids(bench) and before[0] not in pids(bench)
    (fault,) = bench.faults
    assert fault.startswith(f"receiving worker 1: WorkerEnded: process {before[0]} ended with signal 9; its sessions are lost (")
    bench.faults.clear()
    assert (bench.receiver.opened.tls, bench.receiver.opened.total) == (0, 0)
    assert bench.counters.gauges == {"conn_in": 0}


async def test_a_message_that_a_worker_had_passed_on_is_kept(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.queue.hold()
    client = await greeted(bench)
    await client.commands("MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    client.send(MESSAGE + b".\r\n")
    await until(lambda: bool(bench.queue.messages))
    os.kill(pids(bench)[0], signal.SIGKILL)
    assert await client.reply() == "", "no answer, so the client comes again"
    await bench.lines("ICID 1 close")
    bench.queue.let_go()
    assert without_numbers(await bench.lines("queued for delivery"))[-3:] == ["ICID 1 lost", "ICID 1 close", "MID queued for delivery"]
    assert not [line for line in bench.logs.lines if "aborted" in line]
    await until(lambda: bool(bench.faults))
    bench.faults.clear()


async def test_a_worker_that_hangs_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(pool, "SILENCE", 2.0)
    await bench.start(public_listener())
    client = await greeted(bench)
    hung, well = pids(bench)
    os.kill(hung, signal.SIGSTOP)
    assert await client.ended()
    await client.close()
    assert (await bench.ended())[-2:] == ["ICID 1 lost", "ICID 1 close"]
    await until(lambda: hung not in pids(bench) and len(pids(bench)) == 2)
    assert well in pids(bench), "one that is idle is not one that hangs"
    assert f"process {hung} ended with signal 9" in bench.faults[0]
    bench.faults.clear()


async def test_without_a_worker_the_appliance_does_it(bench: Bench) -> None:
    await bench.start(public_listener(tls="on"))
    for pid in pids(bench):
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not bench.workers.running)
    client = await greeted(bench, tls=True)
    assert (await client.deliver()).startswith("250 ok:")
    await client.quit()
    await until(lambda: len(bench.faults) == 2)
    bench.faults.clear()


async def test_a_worker_that_has_no_descriptor_to_spare(bench: Bench) -> None:
    await bench.start(public_listener())
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids(bench)}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid), hard))
    client = await bench.connect()
    assert await client.ended()
    await client.close()
    assert (await bench.ended())[-2:] == ["ICID 1 lost", "ICID 1 close"]
    assert bench.receiver.opened.total == 0
    for pid, limit in limits.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    assert (await (await greeted(bench)).deliver()).startswith("250 ok:")


async def test_a_hundred_sessions_leave_nothing(bench: Bench) -> None:
    await bench.start(public_listener(tls="on", client_concurrency=1000))
    for _ in range(2):
        await (await greeted(bench, tls=True)).quit()
    await bench.ended()
    gc.collect()
    before, tasks = [descriptors(pid) for pid in ("self", *pids(bench))], len(asyncio.all_tasks())

    async def session(number: int) -> None:
        client = await greeted(bench, tls=number % 2 == 0)
        assert (await client.deliver(b"Subject: s\r\n\r\n" + (b"x" * 70 + b"\r\n") * 20 * number)).startswith("250 ok:")
        if number % 3 == 0:
            client.reset()
        elif number % 3 == 1:
            await client.close()
        else:
            await client.quit()

    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*map(session, range(100)))
    await bench.ended()
    assert len(bench.queue.messages) == 100 and len({message.mid for message in bench.queue.messages}) == 100
    assert sum(line.endswith(" close") for line in bench.logs.lines) == 102
    for message in bench.queue.messages:
        message.body.discard()
    await until(lambda: [descriptors(pid) for pid in ("self", *pids(bench))] == before and len(asyncio.all_tasks()) == tasks)
    assert carried(bench) == [0, 0]
    assert (bench.receiver.opened.tls, bench.receiver.opened.total) == (0, 0)


async def test_sessions_end_when_the_appliance_wants_it(bench: Bench) -> None:
    await bench.start(public_listener())
    idle, sending, stuck = await greeted(bench), await greeted(bench), await greeted(bench)
    for client in (sending, stuck):
        await client.commands("MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    draining = asyncio.ensure_future(bench.receiver.drain(0.3))
    closing = "421 mail3.example.com Service closing transmission channel"
    assert await idle.reply() == closing
    sending.send(MESSAGE + b".\r\n")
    assert (await sending.reply()).startswith("250 ok:")
    assert await sending.reply() == closing
    assert await stuck.reply() == closing
    for client in (idle, sending, stuck):
        await client.close()
    await draining
    assert not bench.receiver.connections and carried(bench) == [0, 0]


async def test_a_client_that_takes_no_replies_is_not_read(bench: Bench) -> None:
    await bench.start(public_listener())
    client = await greeted(bench)
    client.writer.transport.set_write_buffer_limits(high=0)
    commands = b"NOOP\r\n" * 10_000
    sent = 0
    while True:
        client.send(commands)
        sent += 10_000
        try:
            async with asyncio.timeout(0.5):
                await client.writer.drain()
        except TimeoutError:
            break
        assert sent < 5_000_000, "it is read on and on"
    for pid in pids(bench):
        assert resident(pid) < 150_000
    async with asyncio.timeout(LIMIT):
        replies = await client.reader.readexactly(sent * len(b"250 ok\r\n"))
    assert replies == b"250 ok\r\n" * sent


async def test_what_a_worker_shows_of_itself(bench: Bench) -> None:
    """No secret where others look, no core file, and no signal to a group of processes ends its sessions."""
    await bench.start(public_listener(tls="on"))
    client = await greeted(bench, tls=True)
    for pid in pids(bench):
        process = Path(f"/proc/{pid}")
        for place in ("cmdline", "environ"):
            assert b"PRIVATE" not in (process / place).read_bytes() and b"ASYNCOS_SHELL_" not in (process / place).read_bytes()
        limits = (process / "limits").read_text()
        assert next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4:6] == ["0", "0"]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
    assert (await client.deliver()).startswith("250 ok:")


async def test_a_bug_in_a_worker_is_told(bench: Bench) -> None:
    await bench.start(public_listener())
    bench.workers.running[0].say(Answered(question=99, allowed=True))
    await until(lambda: bool(bench.faults))
    (fault,) = bench.faults
    assert fault.startswith("receiving worker: ") and "KeyError: 99" in fault
    bench.faults.clear()
    assert (await (await greeted(bench)).deliver()).startswith("250 ok:")


async def test_workers_end_when_they_are_asked_to(bench: Bench) -> None:
    await bench.start(public_listener())
    ended = pids(bench)
    await bench.workers.stop()
    assert not set(map(str, ended)) & set(os.listdir("/proc"))
    assert bench.workers.running == []
