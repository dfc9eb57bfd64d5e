"""The first look at a queue directory: as much as the appliance needs to begin, whatever the length of the queue."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from datetime import datetime
from pathlib import Path

from attrs import frozen

from appliance_runtime.queue.database import RESERVE, Database, is_damage
from appliance_runtime.queue.numbers import Numbers, boot_id
from appliance_runtime.queue.recovery import Places, Slice, last_mid, read_slice, removal, rescue, reserved_numbers, set_aside
from appliance_runtime.queue.segments import Segments

AT_ONCE = 2_000
"""messages that are read before anything else happens; a shorter queue is complete from the beginning"""
LEAVING = 30.0
"""seconds in which processes of an earlier run that was killed let go of the directory"""


@frozen
class Start:
    """`last`: highest MID of earlier runs; `spooled`: names of their files; `aside`: names of what was set aside.

    `lock`: a descriptor; who has it open may write in the directory, and as long as anybody has, nobody else begins.
    """

    lock: int
    numbers: Numbers
    segments: Segments
    first: Slice
    last: int
    spooled: set[str]
    aside: list[str]


def begin(places: Places, database: Database, now: datetime) -> Start:
    """Runs before anything else uses the directory. Blocks. Errors: sqlite3.Error, OSError."""
    places.make()
    lock = _locked(places.root)
    try:
        return _begun(places, database, now, lock)
    except BaseException:
        os.close(lock)
        raise


def _locked(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    end = time.monotonic() + LEAVING
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                os.close(descriptor)
                raise OSError(f"{folder} is written by another process") from error
            time.sleep(0.005)
        else:
            return descriptor


def _begun(places: Places, database: Database, now: datetime, lock: int) -> Start:
    aside: list[str] = []
    try:
        last, reserved = last_mid(database), reserved_numbers(database)
        first = read_slice(database, 0, last, AT_ONCE)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        aside.append(rescue(places, database, now))
        last, reserved = last_mid(database), reserved_numbers(database)
        first = read_slice(database, 0, last, AT_ONCE)
    for mid, octets in first.damaged:
        aside.append(set_aside(places, database, mid, octets))
        database.transaction(removal(mid))
    numbers = Numbers(places.numbers, reserved, boot_id())
    numbers.raise_to("mid", last + 1)
    database.transaction([(RESERVE, (name, bound)) for name, bound in numbers.reserved.items()])
    return Start(lock, numbers, Segments(places.segments), first, last, {path.name for path in places.spool.iterdir()}, aside)
