"""The numbers of the appliance at one moment, as /xml/status and the monitor pages show them (operations.md 1, web-ui.md 13).

Everything comes from the queue, the counters, this process and its file system; nothing is counted here.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from appliance_runtime.metrics import COUNTERS, RATES, Columns, Rates

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance

KIBIBYTE = 1024
MAX_KBYTES_FREE = 40 * 1024 * 1024
"""free space above this is not shown"""
SHORTEST_LOAD_INTERVAL = 1.0
"""seconds over which the processor load is measured, at least"""


@frozen(kw_only=True)
class Oldest:
    """The oldest queued message."""

    mid: int
    age: timedelta


@frozen(kw_only=True)
class Figures:
    now: datetime
    started: datetime
    last_reset: datetime | None
    system_status: str
    oldest: Oldest | None
    counters: Mapping[str, Columns]
    rates: Mapping[str, Rates]
    message_id: int
    """the next to be given, like the other two"""
    injection_conn_id: int
    delivery_conn_id: int
    gauges: Mapping[str, int]
    """by XML name; those that are not here have no meaning in this product and are 0"""
    log_available: int
    """octets"""
    messages: int
    """in the queue"""
    destinations: tuple[tuple[str, int, int], ...]
    """domain, active recipients, attempted ones of them; most recipients first"""

    @property
    def up_time(self) -> timedelta:
        return self.now - self.started


@define
class ProcessLoad:
    """Processor time of this process between two readings, in percent of one processor."""

    _at: float = field(factory=time.monotonic)
    _used: float = field(factory=time.process_time)
    _percent: int = 0

    def percent(self) -> int:
        now, used = time.monotonic(), time.process_time()
        if now - self._at >= SHORTEST_LOAD_INTERVAL:
            self._percent = min(100, round(100 * (used - self._used) / (now - self._at)))
            self._at, self._used = now, used
        return self._percent


async def collect(appliance: Appliance, load: ProcessLoad) -> Figures:
    """The figures of now. The file system is asked in a thread."""
    disk = await asyncio.to_thread(_disk, appliance.directory.queue, appliance.directory.logs)
    now = appliance.clock.now()
    queue, counters = appliance.queue, appliance.counters
    oldest = queue.oldest()
    domains = sorted(queue.domains(), key=lambda row: (-row[1], row[0]))
    remembered = appliance.agent.hosts.known()
    coming = queue.coming()
    active, attempted = queue.active_recipients, queue.attempted_recipients
    processor = load.percent()
    return Figures(
        now=now,
        started=appliance.started,
        last_reset=counters.last_reset,
        system_status=appliance.suspending.status,
        oldest=None if oldest is None else Oldest(mid=oldest.mid, age=max(now - oldest.received, timedelta())),
        counters={name: counters.columns(name) for name in COUNTERS},
        rates={name: counters.rates(name) for name in RATES},
        message_id=coming["mid"],
        injection_conn_id=coming["icid"],
        delivery_conn_id=coming["dcid"],
        gauges={
            "ram_utilization": _memory_percent(),
            "total_utilization": processor,
            "cpu_utilization": processor,
            "disk_utilization": disk.percent,
            "log_used": disk.log_percent,
            "conn_in": counters.current("conn_in"),
            "conn_out": counters.current("conn_out"),
            "active_recips": active,
            "unattempted_recips": active - attempted,
            "attempted_recips": attempted,
            "msgs_in_work_queue": queue.unprocessed,
            "dests_in_memory": len(remembered) + sum(name not in remembered for name, _, _ in domains),
            "kbytes_used": disk.queue_octets // KIBIBYTE,
            "kbytes_free": min(disk.queue_free // KIBIBYTE, MAX_KBYTES_FREE),
        },
        log_available=disk.log_free,
        messages=queue.message_count,
        destinations=tuple(domains),
    )


@frozen(kw_only=True)
class _Disk:
    percent: int
    queue_octets: int
    queue_free: int
    log_percent: int
    log_free: int


def _disk(queue: Path, logs: Path) -> _Disk:
    queue_disk, log_disk = shutil.disk_usage(queue), shutil.disk_usage(logs)
    return _Disk(
        percent=round(100 * queue_disk.used / queue_disk.total) if queue_disk.total else 0,
        queue_octets=octets_below(queue),
        queue_free=queue_disk.free,
        log_percent=round(100 * log_disk.used / log_disk.total) if log_disk.total else 0,
        log_free=log_disk.free,
    )


def octets_below(directory: Path) -> int:
    """Size of all files below a directory; files that vanish meanwhile count as nothing."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name), follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return total


def _memory_percent() -> int:
    """Resident memory of this process in percent of the machine's."""
    try:
        resident = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return round(100 * resident / os.sysconf("SC_PHYS_PAGES"))


def span(length: timedelta) -> str:
    """`169d 1h 39m 8s`: from the largest unit that is not zero down to seconds."""
    units = _split(length, ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")))
    first = next((n for n, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count}{unit}" for count, unit in units[first:])


def age(length: timedelta) -> str:
    """`24 weeks 16 hours 30 mins 48 secs`: parts that are zero are left out."""
    units = _split(length, ((604800, "week"), (86400, "day"), (3600, "hour"), (60, "min"), (1, "sec")))
    return " ".join(f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in units if count) or "0 secs"


def _split(length: timedelta, units: tuple[tuple[int, str], ...]) -> list[tuple[int, str]]:
    left = max(0, int(length.total_seconds()))
    parts = []
    for size, name in units:
        parts.append((left // size, name))
        left %= size
    return parts
