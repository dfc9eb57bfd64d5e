"""Watch over the end of certificates: a check at start and at 00:10 of every day (certconfig.md 7).

What has been announced is recorded before the alert is raised, so that no restart repeats it. A record that cannot be
written costs a repetition after the next start, never the alert.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from appliance_runtime.alerts.catalogue import Raise
from appliance_runtime.clock import Clock, long_date
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.state_directory import write_private
from appliance_runtime.trust.waiting import reached
from appliance_state.certificates.expiry import WARNING, Announcement, announcements, next_check

if TYPE_CHECKING:
    from appliance_runtime.snapshot import Snapshot


class ExpiryWatch:
    """`path`: the record of what has been announced."""

    def __init__(self, path: Path, live: Callable[[], Snapshot], logs: EventLog, clock: Clock, raise_alert: Raise) -> None:
        self._path = path
        self._live = live
        self._logs = logs
        self._clock = clock
        self._raise = raise_alert
        self._announced: set[str] = _read(path)
        self._zone_changed = asyncio.Event()

    def configuration_changed(self) -> None:
        """The day may begin at another moment."""
        self._zone_changed.set()

    async def keep(self) -> None:
        await self.check()
        while True:
            self._zone_changed.clear()
            if await reached(self._clock, next_check(self._clock.now(), self._live().config.system.timezone), self._zone_changed):
                await self.check()

    async def check(self) -> None:
        """Announce what is due and has not been announced."""
        config = self._live().config
        zone = config.system.timezone
        now = self._clock.now()
        found = await asyncio.to_thread(lambda: list(announcements(config, now, lambda moment: long_date(moment, zone))))
        due = list({announcement.pair: announcement for announcement in found if announcement.pair not in self._announced}.values())
        if not due:
            return
        self._announced.update(announcement.pair for announcement in due)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(write_private, self._path, json.dumps(sorted(self._announced), indent=0).encode("ascii"))
        for announcement in due:
            self._announce(announcement)

    def _announce(self, announcement: Announcement) -> None:
        self._logs.event("system.expiry" if announcement.severity == WARNING else "system.expired", text=announcement.text)
        # A key of its own keeps it out of the rule for duplicates.
        self._raise(announcement.alert, announcement.pair, "System", announcement.severity, announcement.text)


def _read(path: Path) -> set[str]:
    try:
        pairs = json.loads(path.read_bytes())
        return {pair for pair in pairs if isinstance(pair, str)}
    except (OSError, ValueError, TypeError):
        return set()
