"""The services behind trust, put together: updates of the system list, revocation lists, watch over expiry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from appliance_runtime.alerts.catalogue import Raise
from appliance_runtime.clock import Clock
from appliance_runtime.downloads import Downloads
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.supervisor import Supervisor
from appliance_runtime.trust.background import Crashed
from appliance_runtime.trust.expiry import ExpiryWatch
from appliance_runtime.trust.revocation import Revocation
from appliance_runtime.trust.updater import Updater
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef

if TYPE_CHECKING:
    from appliance_runtime.snapshot import Snapshot


class TrustServices:
    """`directory`: the state directory; `files`: what operators see as /configuration; `renew` makes the live snapshot anew."""

    def __init__(
        self,
        directory: Path,
        files: Path,
        live: Callable[[], Snapshot],
        reveal: Callable[[SecretRef], bytes],
        logs: EventLog,
        clock: Clock,
        downloads: Downloads,
        raise_alert: Raise,
        renew: Callable[[], Awaitable[None]],
        crashed: Crashed,
    ) -> None:
        self.updater = Updater(directory / "system_list.json", live, reveal, logs, clock, downloads, raise_alert, renew, crashed)
        self.revocation = Revocation(directory / "crl", files, live, logs, clock, downloads, crashed)
        self.expiry = ExpiryWatch(directory / "expiry.json", live, logs, clock, raise_alert)

    async def load(self, config: Config) -> None:
        """What must be there before anything is verified."""
        await self.revocation.load(config)

    def start(self, supervisor: Supervisor) -> None:
        supervisor.run("updater", self.updater.keep)
        supervisor.run("revocation lists", self.revocation.keep)
        supervisor.run("expiry", self.expiry.keep)

    def configuration_changed(self) -> None:
        self.updater.configuration_changed()
        self.revocation.configuration_changed()
        self.expiry.configuration_changed()

    async def close(self) -> None:
        await asyncio.gather(self.updater.close(), self.revocation.close())
