"""A long queue at the start: taken over in slices, in order, whatever is damaged in it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance_runtime.clock import FakeClock
from appliance_runtime.queue import database as database_module
from appliance_runtime.queue import opening, takeover
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage

Make = Callable[..., NewMessage]
COUNT = 60
MEDIUM = b"0123456789abcde\n" * 2_000


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "AT_ONCE", 10)
    monkeypatch.setattr(takeover, "SLICE", 7)
    monkeypatch.setattr(takeover, "DELAY", 0.0)


async def fill(folder: Path, clock: FakeClock, make_message: Make, octets: bytes = b"body\r\n") -> None:
    queue = await MessageQueue.open(folder, clock)
    await asyncio.gather(*(queue.accept(make_message(queue, clock, octets=octets)) for _ in range(COUNT)))
    await queue.close()


async def told(queue: MessageQueue, clock: FakeClock) -> list[str]:
    """The domains that are due once everything is known."""
    if due := queue.domains_due(clock.now()):
        return due
    domains: list[str] = []
    ready = asyncio.Event()

    def on_ready(domain: str) -> None:
        domains.append(domain)
        ready.set()

    queue.on_ready = on_ready
    await asyncio.wait_for(ready.wait(), 20)
    return domains


async def test_delivery_begins_when_everything_is_known_and_in_order(
    folder: Path, clock: FakeClock, make_message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(folder, clock, make_message)
    gate, read = threading.Event(), takeover.read_slice

    def wait_and_read(*arguments: Any) -> Any:
        gate.wait(20)
        return read(*arguments)

    monkeypatch.setattr(takeover, "read_slice", wait_and_read)
    queue = await MessageQueue.open(folder, clock)
    assert queue.message_count == 10
    await queue.accept(make_message(queue, clock))
    assert queue.message_count == 11
    assert queue.domains_due(clock.now()) == []
    gate.set()
    assert await told(queue, clock) == ["d.test"]
    assert queue.domains_due(clock.now()) == ["d.test"]
    assert [message.mid for message in queue.due("d.test", clock.now(), 100)] == list(range(1, COUNT + 2))
    await queue.close()


async def test_the_end_of_the_process_leaves_the_rest_where_it_is(folder: Path, clock: FakeClock, make_message: Make) -> None:
    await fill(folder, clock, make_message, MEDIUM)
    for _ in range(2):
        queue = await MessageQueue.open(folder, clock)
        await queue.close()
    queue = await MessageQueue.open(folder, clock)
    await told(queue, clock)
    assert queue.message_count == COUNT
    assert await queue.body(COUNT) == MEDIUM
    await queue.close()


async def test_segments_are_left_alone_until_all_their_bodies_are_known(folder: Path, clock: FakeClock, make_message: Make) -> None:
    await fill(folder, clock, make_message, MEDIUM)
    queue = await MessageQueue.open(folder, clock)
    for message in list(queue.messages()):  # those that are known already stand in the same segment as the others
        queue.claim(message.envelope.mid, [0])
        assert await queue.delivered(message.envelope.mid, [0])
    new = make_message(queue, clock, octets=MEDIUM.upper())
    await queue.accept(new)
    await told(queue, clock)
    assert queue.message_count > COUNT // 2
    for message in queue.messages():
        assert await queue.body(message.envelope.mid) == (MEDIUM.upper() if message.envelope.mid == new.mid else MEDIUM)
    await queue.close()


async def test_a_damaged_envelope_is_set_aside(folder: Path, clock: FakeClock, make_message: Make) -> None:
    await fill(folder, clock, make_message)
    connection = sqlite3.connect(folder / "queue.sqlite")
    with connection:
        connection.execute("UPDATE message SET envelope = ? WHERE mid = 50", (b"{}",))
    connection.close()
    raised: list[str] = []
    queue = await MessageQueue.open(folder, clock)
    queue.report_to(lambda *alert: raised.append(alert[1]))
    await told(queue, clock)
    assert raised == ["aside/50.body"]
    assert [message.envelope.mid for message in queue.messages()] == [mid for mid in range(1, COUNT + 1) if mid != 50]
    await queue.close()
    rows = sqlite3.connect(folder / "queue.sqlite").execute("SELECT count(*) FROM message").fetchone()
    assert rows == (COUNT - 1,)


async def test_a_damaged_database_is_replaced_while_mail_comes_in(folder: Path, clock: FakeClock, make_message: Make) -> None:
    await fill(folder, clock, make_message, b"x" * 5_000)
    path = folder / "queue.sqlite"
    octets = bytearray(path.read_bytes())
    start = database_module.PAGE_SIZE * (len(octets) // database_module.PAGE_SIZE * 3 // 4)
    octets[start : start + 100] = b"\xff" * 100
    path.write_bytes(octets)
    raised: list[str] = []
    queue = await MessageQueue.open(folder, clock)
    queue.report_to(lambda *alert: raised.append(alert[0]))
    new = [make_message(queue, clock) for _ in range(3)]
    await asyncio.gather(*(queue.accept(message) for message in new))
    await told(queue, clock)
    assert raised == ["queue.corrupt"]
    known = [message.envelope.mid for message in queue.messages()]
    assert COUNT - 10 < len(known) <= COUNT + 2
    assert {message.mid for message in new} <= set(known)
    await queue.accept(make_message(queue, clock))
    await queue.close()
    again = await MessageQueue.open(folder, clock)
    await told(again, clock)
    assert again.message_count == len(known) + 1
    await again.close()
