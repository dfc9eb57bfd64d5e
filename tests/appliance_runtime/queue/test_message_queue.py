"""The queue as receiving and delivery use it, and what a restart finds (delivery.md 8.1)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance_runtime.clock import FakeClock
from appliance_runtime.queue.bodies import BodyCache
from appliance_runtime.queue.body import MEMORY_LIMIT, Body
from appliance_runtime.queue.envelope import Envelope, destination_domain
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage, QueuedMessage, QueueError

START = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
Store = Callable[..., Awaitable[int]]
LARGE = b"0123456789abcde\n" * 40_000


def take(queue: MessageQueue, clock: FakeClock, domain: str = "d.test") -> QueuedMessage:
    (message,) = queue.due(domain, clock.now(), 1)
    return message


async def test_from_acceptance_to_delivery(queue: MessageQueue, clock: FakeClock, store: Store) -> None:
    ready: list[str] = []
    queue.on_ready = ready.append
    mid = await store("bob@d.test", "carol@e.test", "dave@D.test.")
    await asyncio.sleep(0)
    assert ready == ["d.test", "e.test"]
    assert (queue.message_count, queue.active_recipients, queue.attempted_recipients) == (1, 3, 0)
    message = take(queue, clock)
    assert (message.mid, message.sender, message.listener, message.bounce_profile) == (mid, "alice@example.com", "InboundMail", "Default")
    assert [(r.rid, r.address, r.attempts, r.last_reason) for r in message.recipients] == [
        (0, "bob@d.test", 0, ""),
        (2, "dave@D.test.", 0, ""),
    ]
    assert await queue.body(mid) == b"Subject: x\r\n\r\nbody\r\n"
    assert message.size == 20
    assert not await queue.delivered(mid, [0, 2])
    assert queue.domains_due(clock.now()) == ["e.test"]
    take(queue, clock, "e.test")
    assert await queue.bounced(mid, [1])
    assert (queue.message_count, queue.active_recipients) == (0, 0)
    with pytest.raises(QueueError):
        await queue.body(mid)


async def test_release_gives_the_lease_back(queue: MessageQueue, clock: FakeClock, store: Store) -> None:
    mid = await store()
    take(queue, clock)
    assert queue.due("d.test", clock.now(), 1) == []
    queue.release(mid, "d.test")
    queue.release(99, "d.test")
    assert take(queue, clock).mid == mid


async def test_deferred_mail_comes_back_at_its_time(queue: MessageQueue, clock: FakeClock, store: Store) -> None:
    mid = await store()
    ready: list[tuple[str, datetime]] = []
    queue.on_ready = lambda domain: ready.append((domain, clock.now()))
    take(queue, clock)
    await queue.deferred(mid, [0], next_attempt=clock.now() + timedelta(seconds=60), reason="busy")
    assert queue.next_due() == START + timedelta(seconds=60)
    assert (queue.attempted_recipients, queue.recipients("d.test")) == (1, (1, 1))
    await clock.advance(59)
    assert ready == []
    await clock.advance(10)
    assert ready == [("d.test", START + timedelta(seconds=60))]
    assert take(queue, clock).recipients[0].last_reason == "busy"


async def test_an_earlier_due_time_moves_the_alarm(queue: MessageQueue, clock: FakeClock, store: Store) -> None:
    ready: list[str] = []
    for domain, seconds in (("late.test", 600), ("early.test", 30)):
        mid = await store(f"x@{domain}")
        take(queue, clock, domain)
        await queue.deferred(mid, [0], next_attempt=clock.now() + timedelta(seconds=seconds), reason="")
    queue.on_ready = ready.append
    await clock.advance(30)
    assert ready == ["early.test"]
    await clock.advance(600)
    assert ready == ["early.test", "late.test"]


async def test_deliver_now(queue: MessageQueue, clock: FakeClock, store: Store) -> None:
    mid = await store()
    ready: list[str] = []
    queue.on_ready = ready.append
    take(queue, clock)
    await queue.deferred(mid, [0], next_attempt=clock.now() + timedelta(days=1), reason="down")
    queue.deliver_now("d.test")
    await asyncio.sleep(0)
    assert ready == ["d.test"]
    assert take(queue, clock).recipients[0].attempts == 1


async def test_a_restart_finds_everything(folder: Path, clock: FakeClock, make_message: Callable[..., NewMessage]) -> None:
    first = await MessageQueue.open(folder, clock)
    bodies = {}
    for octets in (b"small\r\n", LARGE, b""):
        message = make_message(first, clock, "a@d.test", "b@d.test", "c@e.test", octets=octets)
        await first.accept(message)
        bodies[message.mid] = octets
    done = make_message(first, clock, octets=LARGE)
    await first.accept(done)
    for _ in range(4):
        first.due("d.test", clock.now(), 1)
    await first.delivered(done.mid, [0])
    await first.delivered(1, [0])
    due = clock.now() + timedelta(seconds=90, microseconds=5)
    await first.deferred(1, [1], next_attempt=due, reason="caf\udce9 busy")
    first.due("e.test", clock.now(), 1)
    await first.postpone(1, [2], clock.now() + timedelta(seconds=60))
    numbers = first.coming()
    await first.close()
    assert len(list((folder / "spool").iterdir())) == 1
    (folder / "spool" / "orphan").write_bytes(b"left by a crash")

    second = await MessageQueue.open(folder, clock)
    assert second.coming() == numbers
    assert (second.message_count, second.active_recipients, second.attempted_recipients) == (3, 8, 1)
    assert [m.mid for m in second.due("d.test", clock.now(), 10)] == [2, 3]
    assert [m.mid for m in second.due("e.test", clock.now(), 10)] == [2, 3]
    assert second.next_due() == START + timedelta(seconds=60)
    await clock.advance(60)
    assert [(r.rid, r.attempts) for r in take(second, clock, "e.test").recipients] == [(2, 0)]
    await clock.advance(31)
    (again,) = take(second, clock).recipients
    assert (again.rid, again.attempts, again.last_reason) == (1, 1, "caf\udce9 busy")
    for mid, octets in bodies.items():
        assert await second.body(mid) == octets
    assert len(list((folder / "spool").iterdir())) == 1
    await second.close()


async def test_delay_warnings_are_counted_over_restarts(folder: Path, clock: FakeClock, make_message: Callable[..., NewMessage]) -> None:
    first = await MessageQueue.open(folder, clock)
    await first.accept(make_message(first, clock, "a@d.test", "b@d.test"))
    take(first, clock)
    await first.deferred(1, [0, 1], next_attempt=clock.now() + timedelta(seconds=60), reason="450 busy")
    await clock.advance(10)
    await first.warned(1, [1])
    await first.warned(1, [1, 7])
    await first.close()

    second = await MessageQueue.open(folder, clock)
    await clock.advance(50)
    assert [(r.warnings, r.last_warning) for r in take(second, clock).recipients] == [(0, None), (2, START + timedelta(seconds=10))]
    assert await second.delivered(1, [0, 1])
    await second.close()
    with sqlite3.connect(folder / "queue.sqlite") as database:
        assert database.execute("SELECT count(*) FROM warning").fetchone() == (0,)
    database.close()


async def test_large_bodies_are_files_that_go_with_the_message(queue: MessageQueue, folder: Path, clock: FakeClock, store: Store) -> None:
    mid = await store(octets=LARGE)
    (path,) = (folder / "spool").iterdir()
    assert path.read_bytes() == LARGE
    assert await queue.body(mid) == LARGE
    take(queue, clock)
    await queue.delivered(mid, [0])
    assert not path.exists()


def test_body_spills_at_its_limit(tmp_path: Path) -> None:
    body = Body(tmp_path)
    body.write(b"x" * MEMORY_LIMIT)
    assert body.spool is None and body.octets() == b"x" * MEMORY_LIMIT
    body.write(b"y")
    assert body.spool is not None
    body.sync()
    assert body.spool.read_bytes() == b"x" * MEMORY_LIMIT + b"y"
    assert body.size == MEMORY_LIMIT + 1
    body.discard()
    assert list(tmp_path.iterdir()) == []


async def test_a_body_that_could_not_be_written_is_refused(queue: MessageQueue, folder: Path, clock: FakeClock) -> None:
    body = queue.new_body()
    body.write(b"x" * 10)
    body._directory = folder / "missing"
    body.write(b"x" * MEMORY_LIMIT)  # never raises
    message = NewMessage(
        mid=queue.next_mid(), sender="", recipients=("a@d.test",), body=body, received=clock.now(), listener=None,
        bounce_profile="Default", direction="outbound", icid=0,
    )  # fmt: skip
    with pytest.raises(QueueError):
        await queue.accept(message)
    assert queue.message_count == 0


async def test_who_gives_up_waiting_does_not_lose_the_message(
    queue: MessageQueue, clock: FakeClock, make_message: Callable[..., NewMessage]
) -> None:
    task = asyncio.create_task(queue.accept(make_message(queue, clock)))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(5):
        while not queue.message_count:
            await asyncio.sleep(0.001)
    assert take(queue, clock).mid == 1


async def test_closed(folder: Path, clock: FakeClock, make_message: Callable[..., NewMessage]) -> None:
    queue = await MessageQueue.open(folder, clock)
    message = make_message(queue, clock, octets=LARGE)
    await queue.close()
    with pytest.raises(QueueError):
        await queue.accept(message)
    assert list((folder / "spool").iterdir()) == []


async def test_oldest_and_listing(queue: MessageQueue, clock: FakeClock, store: Store) -> None:
    assert queue.oldest() is None
    await store("a@d.test", "b@e.test")
    await clock.advance(5)
    await store()
    oldest = queue.oldest()
    assert oldest is not None and (oldest.mid, oldest.received) == (1, START)
    assert [message.envelope.mid for message in queue.messages()] == [1, 2]
    first = queue.message(1)
    assert first is not None and set(first.parcels) == {"d.test", "e.test"}
    assert sorted(queue.domains()) == [("d.test", 2, 0), ("e.test", 1, 0)]


async def test_claimed_recipients(queue: MessageQueue, clock: FakeClock, store: Store) -> None:
    mid = await store()
    claimed = queue.claim(mid, [0])
    assert claimed is not None and claimed.recipients[0].address == "bob@d.test"
    assert queue.due("d.test", clock.now(), 1) == []
    assert await queue.bounced(mid, [0])


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("bob@D.Test", "d.test"),
        ("bob@d.test.", "d.test"),
        ('"a@b"@d.test', "d.test"),
        ("bob@bücher.test", "xn--bcher-kva.test"),
        ("bob@[192.0.2.1]", "[192.0.2.1]"),
        ("bob@\udce9.test", "\udce9.test"),
    ],
)
def test_destination_domain(address: str, domain: str) -> None:
    assert destination_domain(address) == domain


def test_envelope_octets() -> None:
    envelope = Envelope(
        mid=7, sender="ä\udce9@example.com", recipients=("a@d.test", 'q"uo\\te@d.test'), received=START, listener=None,
        bounce_profile="Default", direction="outbound", icid=0, size=5, checksum=9, spool="x",
    )  # fmt: skip
    assert Envelope.from_octets(envelope.octets()) == envelope
    for damaged in (b"", b"{}", b"[1]", b"null", envelope.octets().replace(b"mid", b"mud")):
        with pytest.raises(ValueError):
            Envelope.from_octets(damaged)


def test_cache_keeps_the_newest() -> None:
    cache = BodyCache(10)
    for mid in range(4):
        cache.put(mid, b"1234")
    assert [mid for mid in range(4) if cache.get(mid) is not None] == [2, 3]
    cache.drop(3)
    cache.drop(3)
    assert cache.octets == 4
    cache.put(5, b"x" * 11)
    assert (cache.get(5), cache.octets) == (None, 0)
