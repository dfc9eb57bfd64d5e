"""Segments: where bodies of medium size stand, how they become durable, when their room is used again."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from appliance_runtime.clock import FakeClock
from appliance_runtime.queue import segments as segments_module
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage, QueueError, QueueFull, UnreadableMessage
from appliance_runtime.queue.segments import BLOCK, LEAST, SEGMENT_SIZE, Place, Segments, read

Store = Callable[..., Awaitable[int]]
Make = Callable[..., NewMessage]
MEDIUM = b"0123456789abcde\n" * 4_000


@pytest.fixture
def segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Segments]:
    monkeypatch.setattr(segments_module, "AHEAD", 0)  # nothing happens in the background
    made = Segments(tmp_path)
    yield made
    made.close()


def write(segments: Segments, octets: bytes) -> Place:
    place = segments.place(len(octets))
    segments.write(place.segment, [(place.offset, octets)])
    assert segments.sync() == {}
    return place


def test_bodies_stand_in_blocks_of_their_own(segments: Segments, tmp_path: Path) -> None:
    octets = [bytes([number]) * (LEAST + 1) for number in range(3)]
    places = [segments.place(LEAST + 1) for _ in octets]
    assert [place.offset % BLOCK for place in places] == [0, 0, 0]
    assert len({place.segment for place in places}) == 1
    segments.write(places[0].segment, [(place.offset, body) for place, body in zip(places, octets, strict=True)])
    assert segments.sync() == {}
    assert [read(tmp_path, place, LEAST + 1) for place in places] == octets


def test_a_full_segment_is_followed_by_another_one_and_used_again_when_it_is_empty(segments: Segments) -> None:
    half = bytes(SEGMENT_SIZE // 2)
    first, second, third = (write(segments, half) for _ in range(3))
    assert first.segment == second.segment != third.segment
    segments.free(first)
    write(segments, half)
    fifth = write(segments, half)
    assert fifth.segment not in (first.segment, third.segment)  # the first one still has a body
    segments.free(second)
    assert write(segments, half).segment == fifth.segment
    # The waiting place for used segments has room for none, so it is gone.
    assert not (segments._directory / first.segment).exists()


def test_an_empty_segment_waits_for_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "AHEAD", 1)
    monkeypatch.setattr(Segments, "_supply", lambda _: None)
    segments = Segments(tmp_path)
    whole = bytes(SEGMENT_SIZE)
    first, _ = write(segments, whole), write(segments, whole)
    segments.free(first)
    assert write(segments, b"x" * LEAST) == Place(first.segment, 0)
    assert read(tmp_path, first, LEAST) == b"x" * LEAST
    segments.close()


def test_segments_are_prepared_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "AHEAD", 2)
    segments = Segments(tmp_path)
    segments.place(LEAST)
    segments.close()  # waits for what is being prepared
    assert [path.stat().st_size for path in tmp_path.iterdir()] in ([], [SEGMENT_SIZE] * 2)


def test_a_descriptor_that_could_not_be_synced_is_not_asked_again(segments: Segments, tmp_path: Path) -> None:
    used: list[str] = []
    failures = [OSError(errno.EIO, "Input/output error")]
    place = segments.place(LEAST)

    def fdatasync(descriptor: int) -> None:
        used.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        if failures:
            raise failures.pop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("appliance_runtime.queue.segments.os.fdatasync", fdatasync)
        segments.write(place.segment, [(place.offset, b"a" * LEAST)])
        assert [error.errno for error in segments.sync().values()] == [errno.EIO]
        assert segments._files == {}  # it is closed
        segments.write(place.segment, [(place.offset, b"b" * LEAST)])
        assert segments.sync() == {}
    assert used == [str(tmp_path / place.segment)] * 2
    assert read(tmp_path, place, LEAST) == b"b" * LEAST


async def test_a_body_of_medium_size_outlives_the_process_and_leaves_with_its_message(
    folder: Path, clock: FakeClock, make_message: Make
) -> None:
    queue = await MessageQueue.open(folder, clock)
    message = make_message(queue, clock, octets=MEDIUM)
    await queue.accept(message)
    await queue.close()
    assert list((folder / "spool").iterdir()) == []
    rows = sqlite3.connect(folder / "queue.sqlite").execute("SELECT body FROM message").fetchall()
    assert rows == [(None,)]

    queue = await MessageQueue.open(folder, clock)
    stored = queue.message(message.mid)
    assert stored is not None and stored.envelope.place is not None
    assert {path.name for path in (folder / "segments").iterdir()} == {stored.envelope.place.segment}
    assert await queue.body(message.mid) == MEDIUM
    assert await queue.bodies([message.mid]) == {}
    queue.due("d.test", clock.now(), 1)
    assert await queue.delivered(message.mid, [0])
    await queue.close()
    queue = await MessageQueue.open(folder, clock)
    assert list((folder / "segments").iterdir()) == []
    await queue.close()


async def test_a_body_whose_segment_is_damaged_is_set_aside_and_the_others_stay(folder: Path, clock: FakeClock, make_message: Make) -> None:
    queue = await MessageQueue.open(folder, clock)
    for octets in (MEDIUM, MEDIUM.upper()):
        await queue.accept(make_message(queue, clock, octets=octets))
    first = queue.message(1)
    assert first is not None and first.envelope.place is not None
    path = folder / "segments" / first.envelope.place.segment
    await queue.close()
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)

    queue = await MessageQueue.open(folder, clock)
    queue.due("d.test", clock.now(), 2)
    with pytest.raises(UnreadableMessage):
        await queue.body(1)
    assert (folder / "aside" / "1.body").read_bytes() == content[: len(MEDIUM)]
    assert await queue.body(2) == MEDIUM.upper()
    assert [message.envelope.mid for message in queue.messages()] == [2]
    await queue.close()


@pytest.mark.parametrize(("number", "expected"), [(errno.EIO, QueueError), (errno.ENOSPC, QueueFull)])
@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
async def test_what_cannot_be_written_or_synced_is_no_success(
    queue: MessageQueue, folder: Path, clock: FakeClock, make_message: Make, store: Store, call: str, number: int, expected: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(segments_module, "AHEAD", 0)  # no other thread may take the failure
    kept = await store(octets=MEDIUM)
    failures = [OSError(number, os.strerror(number))]
    real = getattr(os, call)

    def fail(descriptor: int, *rest: object) -> object:
        if failures and str(folder / "segments") in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise failures.pop()
        return real(descriptor, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"appliance_runtime.queue.segments.os.{call}", fail)
        small, medium = make_message(queue, clock), make_message(queue, clock, octets=MEDIUM)
        results = await asyncio.gather(queue.accept(small), queue.accept(medium), return_exceptions=True)
    assert not failures
    assert [type(result) for result in results] == [type(None), expected]
    after = await store(octets=MEDIUM)
    assert [message.envelope.mid for message in queue.messages()] == [kept, small.mid, after]
    rows = sqlite3.connect(folder / "queue.sqlite").execute("SELECT mid FROM message ORDER BY mid").fetchall()
    assert rows == [(kept,), (small.mid,), (after,)]
    for mid in (kept, after):
        queue._cache.drop(mid)  # read from the disk
        assert await queue.body(mid) == MEDIUM
