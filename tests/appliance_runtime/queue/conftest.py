"""A queue in a directory of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance_runtime.clock import FakeClock
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage

START = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
Store = Callable[..., Awaitable[int]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
async def queue(folder: Path, clock: FakeClock) -> AsyncIterator[MessageQueue]:
    opened = await MessageQueue.open(folder, clock)
    yield opened
    await opened.close()


def new_message(queue: MessageQueue, clock: FakeClock, *recipients: str, octets: bytes = b"Subject: x\r\n\r\nbody\r\n") -> NewMessage:
    body = queue.new_body()
    for start in range(0, len(octets), 60_000):
        body.write(octets[start : start + 60_000])
    return NewMessage(
        mid=queue.next_mid(),
        sender="alice@example.com",
        recipients=recipients or ("bob@d.test",),
        body=body,
        received=clock.now(),
        listener="InboundMail",
        bounce_profile="Default",
        direction="inbound",
        icid=queue.next_icid(),
    )


@pytest.fixture
def make_message() -> Callable[..., NewMessage]:
    return new_message


@pytest.fixture
def store(queue: MessageQueue, clock: FakeClock) -> Store:
    async def accept(*recipients: str, octets: bytes = b"Subject: x\r\n\r\nbody\r\n") -> int:
        message = new_message(queue, clock, *recipients, octets=octets)
        await queue.accept(message)
        return message.mid

    return accept
