"""Nothing that was accepted is lost: kill -9, shared commits, full disk, damaged files (delivery.md 8.1, alertconfig.md 7.19)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from appliance_runtime.child import child
from appliance_runtime.clock import FakeClock
from appliance_runtime.queue import database as database_module
from appliance_runtime.queue import opening
from appliance_runtime.queue import store as store_module
from appliance_runtime.queue import writer as writer_module
from appliance_runtime.queue.database import ADD_MESSAGE, Database, Statement
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage, QueueError, QueueFull, UnreadableMessage
from appliance_runtime.queue.store import Outcome
from appliance_runtime.queue.storing import packed

Store = Callable[..., Awaitable[int]]
Make = Callable[..., NewMessage]
CHILD = Path(__file__).with_name("queue_child.py")
ROOT = Path(__file__).parents[3]
LARGE = b"0123456789abcde\n" * 40_000


class AlertList:
    def __init__(self) -> None:
        self.raised: list[tuple[str, str, str, str, str]] = []

    def raise_(self, *alert: str) -> None:
        self.raised.append(alert)  # type: ignore[arg-type]


async def test_kill_at_any_moment(folder: Path, clock: FakeClock) -> None:
    rng = random.Random(4711)
    accepted: dict[int, int] = {}
    delivered: set[int] = set()
    given: list[int] = []
    for _ in range(5):
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(CHILD), str(folder), stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
        )
        assert child.stdout is not None
        first = await asyncio.wait_for(child.stdout.readline(), 20)
        await asyncio.sleep(rng.uniform(0.02, 0.35))
        child.send_signal(signal.SIGKILL)
        output = (first + await child.stdout.read()).decode().splitlines()
        await child.wait()
        for line in output:
            match line.split():
                case ["accepted", mid, size]:
                    accepted[int(mid)] = int(size)
                case ["delivered", mid]:
                    delivered.add(int(mid))
                case ["number", mid]:
                    given.append(int(mid))
    assert len(accepted) > 50 and len(delivered) > 10
    assert len(given) == len(set(given))

    queue = await MessageQueue.open(folder, clock)
    # The number after the last one that was given: nothing is skipped while the machine goes on. The last line may be cut off.
    assert 0 <= queue.coming()["mid"] - 1 - max(given) <= 8
    stored = {message.envelope.mid: message for message in queue.messages()}
    # Every third message is delivered by the child, and its record may be on disk before the child could say so.
    assert {mid for mid in accepted if mid % 3} <= stored.keys()
    assert not delivered & stored.keys()
    for mid, message in stored.items():
        octets = await queue.body(mid)
        assert octets.startswith(f"{mid}\r\n".encode())
        assert len(octets) == message.envelope.size == accepted.get(mid, len(octets))
    spooled = {path.name for path in (folder / "spool").iterdir()}
    assert spooled == {message.envelope.spool for message in stored.values()} - {None}
    assert any(message.envelope.place for message in stored.values())
    assert list((folder / "aside").iterdir()) == []
    await queue.close()


async def test_messages_share_commits(queue: MessageQueue, clock: FakeClock, make_message: Make) -> None:
    before = queue.transactions
    await asyncio.gather(*(queue.accept(make_message(queue, clock)) for _ in range(500)))
    assert queue.transactions - before <= 10
    messages = queue.due("d.test", clock.now(), 500)
    before = queue.transactions
    assert all(await asyncio.gather(*(queue.delivered(message.mid, [0]) for message in messages)))
    assert queue.transactions - before <= 10


def test_every_commit_is_synced(tmp_path: Path) -> None:
    connection = Database(tmp_path / "queue.sqlite", limit=2**20).open()
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA secure_delete").fetchone() == (0,)
    connection.close()


async def test_spool_files_are_synced_before_the_row_that_names_them(
    queue: MessageQueue, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, transaction = writer_module.sync_directory, queue._store_process.transaction
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        order.append("file")
        real_fsync(descriptor)

    monkeypatch.setattr("appliance_runtime.queue.body.os.fsync", fsync)
    monkeypatch.setattr(writer_module, "sync_directory", lambda path: (sync(path), order.append(path.name)))

    async def ordered(statements: list[Statement]) -> Outcome:
        order.append("row")
        return await transaction(statements)

    monkeypatch.setattr(queue._store_process, "transaction", ordered)
    await store(octets=LARGE)
    # The directory is opened and synced by the same call, which counts as a file once more.
    assert [step for step, before in zip(order, ["", *order], strict=False) if step != before] == ["file", "spool", "row"]


async def test_full_disk(folder: Path, clock: FakeClock, make_message: Make) -> None:
    alerts = AlertList()
    queue = await MessageQueue.open(folder, clock, size_limit=40 * database_module.PAGE_SIZE)
    queue.report_to(alerts.raise_)
    stored = []
    with pytest.raises(QueueFull):
        for _ in range(50):
            message = make_message(queue, clock, octets=b"x" * 15_000)
            await queue.accept(message)
            stored.append(message.mid)
    with pytest.raises(QueueFull):
        await queue.accept(make_message(queue, clock, octets=b"x" * 15_000))
    assert 1 < len(stored) < 40
    assert [alert[0] for alert in alerts.raised] == ["disk.full"]
    assert alerts.raised[0][4].endswith(" is full; messages cannot be written.")
    # What is delivered makes room again.
    for message in queue.due("d.test", clock.now(), 100):
        await queue.delivered(message.mid, [0])
    await queue.accept(make_message(queue, clock, octets=b"x" * 15_000))
    with pytest.raises(QueueFull):
        for _ in range(50):
            await queue.accept(make_message(queue, clock, octets=b"x" * 15_000))
    assert [alert[0] for alert in alerts.raised] == ["disk.full"] * 2
    count = queue.message_count
    await queue.close()
    again = await MessageQueue.open(folder, clock)
    assert again.message_count == count
    await again.close()


async def test_no_room_for_a_large_body(queue: MessageQueue, folder: Path, make_message: Make, clock: FakeClock) -> None:
    real = os.write
    with pytest.MonkeyPatch.context() as patch:

        def write(descriptor: int, data: memoryview) -> int:
            if len(data) > 50_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, data)

        patch.setattr("appliance_runtime.queue.body.os.write", write)
        message = make_message(queue, clock, octets=LARGE)
        with pytest.raises(QueueFull):
            await queue.accept(message)
    assert list((folder / "spool").iterdir()) == []


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that stores is on a disk that fails as the file `failures` says."""
    monkeypatch.setattr(store_module, "PROCESS", "tests.support.failing_storing")
    monkeypatch.setattr(store_module, "PAUSE", 0.0)


def rows(folder: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(folder / "queue.sqlite")) as reader:
        return [mid for (mid,) in reader.execute("SELECT mid FROM message ORDER BY mid")]


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("failure", ["begin", "lost", "kept", "die"])
async def test_a_failed_commit_is_no_success(
    queue: MessageQueue, folder: Path, clock: FakeClock, make_message: Make, store: Store, failure: str
) -> None:
    faults: list[str] = []
    queue.on_fault = faults.append
    kept = await store()
    (folder / "failures").write_text(f"{failure}\n")
    messages = [make_message(queue, clock) for _ in range(5)]
    results = await asyncio.gather(*(queue.accept(message) for message in messages), return_exceptions=True)
    assert [type(result) for result in results] == [QueueError] * 5
    assert (folder / "failures").read_text() == ""
    after = await store()
    assert [message.envelope.mid for message in queue.messages()] == [kept, after]
    assert rows(folder) == [kept, after]
    assert faults == (["the process that stores messages has ended"] if failure == "die" else [])


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("failure", ["begin", "lost", "kept", "die"])
async def test_records_are_repeated_until_they_are_stored(
    queue: MessageQueue, folder: Path, clock: FakeClock, store: Store, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    monkeypatch.setattr(writer_module, "RETRY", 0.01)
    first, second = await store(), await store()
    queue.due("d.test", clock.now(), 2)
    (folder / "failures").write_text(f"{failure}\n" * 5)
    assert await queue.delivered(first, [0])
    await queue.deferred(second, [0], next_attempt=clock.now() + timedelta(seconds=60), reason="busy")
    reader = sqlite3.connect(folder / "queue.sqlite")
    async with asyncio.timeout(20):
        while (folder / "failures").read_text() or reader.execute("SELECT attempts FROM attempt").fetchall() != [(1,)]:
            await asyncio.sleep(0.005)
    reader.close()
    assert rows(folder) == [second]


async def test_a_process_that_cannot_begin_is_no_success(
    queue: MessageQueue, clock: FakeClock, make_message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[str] = []
    queue.on_fault = faults.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "PROCESS", "tests.support.no_such_module")
        patch.setattr(store_module, "PAUSE", 60.0)
        for reason in ("has ended", "is not running", "is not running"):
            with pytest.raises(QueueError, match=f"the process that stores messages {reason}"):
                await queue.accept(make_message(queue, clock))
        assert len(faults) == 1
    monkeypatch.setattr(store_module, "PAUSE", 0.0)
    await queue.accept(make_message(queue, clock))
    assert queue.message_count == 1


async def test_a_process_that_has_ended_with_nothing_to_do_costs_no_message(
    queue: MessageQueue, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PAUSE", 0.0)
    faults: list[str] = []
    queue.on_fault = faults.append
    first = await store()
    (storing,) = children(os.getpid())
    os.kill(storing, signal.SIGKILL)
    async with asyncio.timeout(20):
        while children(os.getpid()):
            await asyncio.sleep(0.005)
    second = await store()
    assert rows(folder) == [first, second]
    assert faults == ["the process that stores messages has ended"]


async def test_nobody_waits_for_a_writer_with_a_fault(queue: MessageQueue, clock: FakeClock, make_message: Make, folder: Path) -> None:
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report["message"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue._store_process, "transaction", None)
        waiting = [asyncio.create_task(queue.accept(make_message(queue, clock))) for _ in range(3)]
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [type(result) for result in results] == [QueueError] * 3
    assert reports == ["a transaction of the queue has failed"]
    await queue.accept(make_message(queue, clock))
    assert rows(folder) == [4]


async def test_what_the_appliance_had_not_sent_whole_is_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    requests = [packed((str(path), 2**30)), packed([(ADD_MESSAGE, (mid, b"envelope", 1, b"body")) for mid in (1, 2)])]
    near, far = socket.socketpair()
    with near:
        async with child(store_module.PROCESS, channel=far):
            far.close()
            near.sendall(b"".join([*requests, packed([(ADD_MESSAGE, (3, b"envelope", 1, b"body"))])[:-1]]))
            near.settimeout(20)
            assert await asyncio.to_thread(near.recv, 100) == b"null\n"
            near.close()
    assert rows(tmp_path) == [1, 2]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_the_next_run_waits_for_the_process_of_one_that_was_killed(folder: Path, clock: FakeClock) -> None:
    """What that process has begun, and is slow with, the next run reads; nothing is written behind its back."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(folder), stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    )
    assert program.stdout is not None
    while not (await asyncio.wait_for(program.stdout.readline(), 20)).startswith(b"accepted"):
        pass
    (storing,) = children(program.pid)
    os.kill(storing, signal.SIGSTOP)
    program.kill()
    await program.wait()
    opening = asyncio.create_task(MessageQueue.open(folder, clock))
    await asyncio.sleep(0.2)
    assert not opening.done()
    os.kill(storing, signal.SIGCONT)
    queue = await asyncio.wait_for(opening, 20)
    assert [message.envelope.mid for message in queue.messages()] == rows(folder)
    await queue.close()


async def test_a_directory_that_somebody_else_writes(
    folder: Path, queue: MessageQueue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LEAVING", 0.02)
    with pytest.raises(QueueError, match="is written by another process"):
        await MessageQueue.open(folder, clock)
    assert queue.message_count == 0


def edit(folder: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(folder / "queue.sqlite")
    with connection:
        connection.execute(sql, values)
    connection.close()


async def test_a_damaged_body_is_set_aside_at_its_turn(folder: Path, clock: FakeClock, make_message: Make) -> None:
    queue = await MessageQueue.open(folder, clock)
    for octets in (b"first\r\n", b"second\r\n", LARGE, LARGE):
        await queue.accept(make_message(queue, clock, "a@d.test", "b@e.test", octets=octets))
    spool = {message.envelope.mid: message.envelope.spool for message in queue.messages()}
    await queue.close()
    edit(folder, "UPDATE message SET body = ? WHERE mid = 1", b"forged\n")
    damaged = folder / "spool" / str(spool[3])
    damaged.write_bytes(b"cut")
    (folder / "spool" / str(spool[4])).unlink()

    alerts = AlertList()
    queue = await MessageQueue.open(folder, clock)
    queue.report_to(alerts.raise_)
    for message in queue.due("d.test", clock.now(), 10):
        if message.mid == 2:
            assert await queue.body(2) == b"second\r\n"
            continue
        with pytest.raises(UnreadableMessage):
            await queue.body(message.mid)
        queue.release(message.mid, "d.test")  # what delivery does with the lease then
        assert await queue.delivered(message.mid, [0])
    assert [message.envelope.mid for message in queue.messages()] == [2]
    assert queue.active_recipients == 2
    assert [alert[:4] for alert in alerts.raised] == [("queue.corrupt", f"aside/{mid}.body", "System", "Critical") for mid in (1, 3, 4)]
    assert alerts.raised[0][4] == "A message file of the queue could not be read and was set aside: aside/1.body"
    assert (folder / "aside" / "1.body").read_bytes() == b"forged\n"
    assert (folder / "aside" / "3.body").read_bytes() == b"cut"
    assert b'"mid":4' in (folder / "aside" / "4.envelope").read_bytes()
    await queue.close()
    queue = await MessageQueue.open(folder, clock)
    assert [message.envelope.mid for message in queue.messages()] == [2]
    await queue.close()


async def test_a_damaged_envelope_is_set_aside_at_the_start(folder: Path, clock: FakeClock, make_message: Make) -> None:
    queue = await MessageQueue.open(folder, clock)
    for _ in range(3):
        await queue.accept(make_message(queue, clock))
    await queue.close()
    edit(folder, "UPDATE message SET envelope = ? WHERE mid = 2", b"{}")
    alerts = AlertList()
    queue = await MessageQueue.open(folder, clock)
    queue.report_to(alerts.raise_)
    assert [message.envelope.mid for message in queue.messages()] == [1, 3]
    assert [alert[1] for alert in alerts.raised] == ["aside/2.body"]
    assert (folder / "aside" / "2.envelope").read_bytes() == b"{}"
    assert (folder / "aside" / "2.body").read_bytes() == b"Subject: x\r\n\r\nbody\r\n"
    await queue.close()


@pytest.mark.parametrize("where", ["header", "page"])
async def test_a_damaged_database(folder: Path, clock: FakeClock, make_message: Make, where: str) -> None:
    queue = await MessageQueue.open(folder, clock)
    for number in range(60):
        await queue.accept(make_message(queue, clock, octets=b"%d" % number * 1000))
    queue.due("d.test", clock.now(), 1)
    await queue.deferred(1, [0], next_attempt=clock.now() + timedelta(seconds=60), reason="busy")
    await queue.close()
    path = folder / "queue.sqlite"
    octets = bytearray(path.read_bytes())
    page = database_module.PAGE_SIZE
    start = 0 if where == "header" else page * (len(octets) // page // 2)
    octets[start : start + 100] = b"\xff" * 100
    path.write_bytes(octets)

    alerts = AlertList()
    queue = await MessageQueue.open(folder, clock)
    queue.report_to(alerts.raise_)
    assert [alert[0] for alert in alerts.raised] == ["queue.corrupt"]
    aside = folder / alerts.raised[0][1]
    assert aside.read_bytes()[start : start + 100] == b"\xff" * 100
    mids = [message.envelope.mid for message in queue.messages()]
    if where == "header":
        assert mids == []
    else:
        assert 40 < len(mids) < 60 and {1, 60} <= set(mids)
        assert queue.attempted_recipients == 1
        for mid in mids:
            assert await queue.body(mid) == b"%d" % (mid - 1) * 1000
    assert queue.next_mid() > 60
    await queue.accept(make_message(queue, clock))
    await queue.close()


async def test_a_directory_that_cannot_be_used(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(QueueError, match="the queue cannot be opened"):
        await MessageQueue.open(tmp_path / "file", clock)


async def test_cost_does_not_grow_with_the_queue(queue: MessageQueue, clock: FakeClock, make_message: Make) -> None:
    """Work per message with 20,000 waiting ones: within a small factor of that of an empty queue."""

    async def round_trips() -> float:
        began = time.process_time()
        for _ in range(20):
            await asyncio.gather(*(queue.accept(make_message(queue, clock, "x@fresh.test")) for _ in range(20)))
            messages = queue.due("fresh.test", clock.now(), 20)
            assert len(messages) == 20 and "fresh.test" not in queue.domains_due(clock.now())
            await asyncio.gather(*(queue.delivered(message.mid, [0]) for message in messages))
            queue.oldest(), queue.next_due()
        return time.process_time() - began

    await round_trips()
    empty = min([await round_trips() for _ in range(3)])
    for _ in range(20):
        await asyncio.gather(*(queue.accept(make_message(queue, clock, "x@slow.test", octets=b"small")) for _ in range(1000)))
    assert queue.message_count == 20_000
    full = min([await round_trips() for _ in range(3)])
    assert full < empty * 4
