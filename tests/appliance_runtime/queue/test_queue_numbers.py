"""MID, ICID, DCID never repeat (logs-and-alerts.md 1; operations.md 8.3)."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from appliance_runtime.queue.numbers import BLOCK, Numbers, boot_id

BOOT, OTHER_BOOT = uuid.UUID(int=7 << 64 | 9), uuid.UUID(int=8)
FRESH: dict[str, int] = {}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "numbers"


def test_fresh(path: Path) -> None:
    numbers = Numbers(path, FRESH, BOOT)
    assert [numbers.next("mid"), numbers.next("mid"), numbers.next("icid")] == [1, 2, 1]
    assert numbers.coming() == {"mid": 3, "icid": 2, "dcid": 1}
    assert numbers.reserved == {"mid": 1 + BLOCK, "icid": 1 + BLOCK, "dcid": 1 + BLOCK}
    numbers.close()


@pytest.mark.parametrize(
    ("boot", "expected"),
    [(BOOT, 4), (OTHER_BOOT, 1 + BLOCK), (None, 1 + BLOCK)],
    ids=["process killed", "machine stopped", "unknown"],
)
def test_after_a_crash(path: Path, boot: uuid.UUID | None, expected: int) -> None:
    numbers = Numbers(path, FRESH, BOOT)
    for _ in range(3):
        numbers.next("mid")
    reserved = dict(numbers.reserved)
    numbers.close()  # only lets go of the file
    assert Numbers(path, reserved, boot).next("mid") == expected


@pytest.mark.parametrize(("boot", "expected"), [(BOOT, 2), (OTHER_BOOT, 2)])
def test_after_an_orderly_end(path: Path, boot: uuid.UUID, expected: int) -> None:
    numbers = Numbers(path, FRESH, BOOT)
    numbers.next("mid")
    exact = numbers.coming()
    numbers.close()
    assert Numbers(path, exact, boot).next("mid") == expected


@pytest.mark.parametrize("damage", [b"", b"short", bytes(64), b"\xff" * 63], ids=["empty", "short", "zero", "odd"])
def test_a_damaged_file(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    assert Numbers(path, {"mid": 500, "icid": 1, "dcid": 1}, BOOT).next("mid") == 500


@pytest.mark.parametrize(("boot", "expected"), [(BOOT, 2), (OTHER_BOOT, 2 + BLOCK)])
def test_a_lost_database(path: Path, boot: uuid.UUID, expected: int) -> None:
    numbers = Numbers(path, FRESH, BOOT)
    numbers.next("mid")
    numbers.close()
    assert Numbers(path, FRESH, boot).next("mid") == expected


def test_blocks_are_reserved_ahead(path: Path) -> None:
    numbers = Numbers(path, FRESH, BOOT)
    asked: list[dict[str, int]] = []
    numbers.reserve = asked.append
    for _ in range(BLOCK):
        assert numbers.next("dcid") < numbers.reserved["dcid"] - BLOCK // 2 + 1
    assert asked == [{"dcid": 1 + 2 * BLOCK}]


def test_raise_to(path: Path) -> None:
    numbers = Numbers(path, FRESH, BOOT)
    numbers.raise_to("mid", 50_000)
    numbers.raise_to("mid", 10)
    assert numbers.next("mid") == 50_000
    assert numbers.reserved["mid"] == 50_000 + BLOCK


def test_this_machine_has_an_identity() -> None:
    assert boot_id() is not None
    assert boot_id() == boot_id()
