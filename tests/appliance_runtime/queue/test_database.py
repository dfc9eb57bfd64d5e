"""Transactions of the queue's database: what they do does not depend on how many statements they are done in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance_runtime.queue.database import ADD_MESSAGE, PUT_ATTEMPT, REMOVE_ATTEMPTS, REMOVE_MESSAGE, Database, Statement


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "queue.sqlite", limit=64 * 1024**2)
    yield made
    made.close()


def added(*mids: int) -> list[Statement]:
    return [(ADD_MESSAGE, (mid, b"envelope %d" % mid, mid, None if mid % 2 else b"body")) for mid in mids]


def removed(*mids: int) -> list[Statement]:
    return [(REMOVE_MESSAGE, (mid,)) for mid in mids]


def stored(database: Database) -> list[tuple[int, bytes, int, bytes | None]]:
    return database.open().execute("SELECT mid, envelope, checksum, body FROM message ORDER BY mid").fetchall()


@pytest.mark.parametrize("count", [1, 2, 33, 64, 65, 200])
def test_messages_come_and_go(database: Database, count: int) -> None:
    first, second = range(1, count + 1), range(1001, 1001 + count)
    database.transaction(added(*first))
    assert stored(database) == [(mid, b"envelope %d" % mid, mid, None if mid % 2 else b"body") for mid in first]
    database.transaction([*removed(*first), *added(*second)])
    assert [row[0] for row in stored(database)] == [*second]
    database.transaction(removed(*second, 5000))
    assert stored(database) == []


def test_records_of_recipients_and_messages_share_a_transaction(database: Database) -> None:
    database.transaction(added(1, 2))
    database.transaction([(PUT_ATTEMPT, (1, 0, 0, 1, 5, b"reason")), *added(3), *removed(2), (REMOVE_ATTEMPTS, (2,))])
    assert [row[0] for row in stored(database)] == [1, 3]
    assert database.open().execute("SELECT mid, reason FROM attempt").fetchall() == [(1, b"reason")]


@pytest.mark.parametrize("statements", [added(4, 5, 1), [*removed(1), *added(4, 4)], [(PUT_ATTEMPT, (1, 0, 0, 1, 5, None)), *added(4)]])
def test_a_transaction_that_fails_has_done_nothing(database: Database, statements: list[Statement]) -> None:
    database.transaction(added(1))
    with pytest.raises(sqlite3.IntegrityError):
        database.transaction(statements)
    assert [row[0] for row in stored(database)] == [1]
    database.transaction(added(6))
    assert [row[0] for row in stored(database)] == [1, 6]


def test_a_transaction_of_nothing(database: Database) -> None:
    database.transaction([])
    assert stored(database) == []
