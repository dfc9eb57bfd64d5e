"""Revocation lists: fetched, kept on disk, offered to verification (certconfig.md 6).

The sources are those of the running configuration. One that is new or changed is fetched after its commit, all are on
request and by their schedule. A download that fails keeps the list that is there. Lists are no configuration: they are
kept by the name of their source, and go when it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from appliance_runtime.clock import Clock
from appliance_runtime.downloads import Downloads, Encryption, NotDownloaded
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.state_directory import write_private
from appliance_runtime.trust.background import Background, Crashed
from appliance_runtime.trust.waiting import reached
from appliance_state.certificates.crl import MAX_FILE, NO_LISTS, CrlProblem, RevocationList, RevocationLists, next_download, read_crl
from appliance_state.model import Config
from appliance_state.model.certificates import CrlSource, CrlType
from appliance_state.table import fold

if TYPE_CHECKING:
    from appliance_runtime.snapshot import Snapshot

FILE_SCHEME = "file:"
NOT_COMMITTED = "it has not been committed"


@frozen(kw_only=True)
class Download:
    """What fetching a list came to. `reason`: None = it was fetched."""

    source: str
    reason: str | None = None

    @property
    def text(self) -> str:
        return f'CRL source "{self.source}" was ' + ("updated." if self.reason is None else f"not updated: {self.reason}.")


class Revocation:
    """The lists of the running configuration. Everything but reading files happens in the event loop."""

    def __init__(
        self,
        directory: Path,
        files: Path,
        live: Callable[[], Snapshot],
        logs: EventLog,
        clock: Clock,
        downloads: Downloads,
        crashed: Crashed,
    ) -> None:
        """`directory`: where lists are kept; `files`: what operators see as /configuration."""
        self._directory = directory
        self._files = files
        self._live = live
        self._logs = logs
        self._clock = clock
        self._downloads = downloads
        self._known: dict[str, CrlSource] = {}
        """sources whose first download has been started"""
        self._lists: dict[str, RevocationList] = {}
        self._all = NO_LISTS
        self._storing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._background = Background("revocation lists", crashed)

    # -- what verification and dialogs see ------------------------------------------------------------------------------

    def outbound(self, config: Config) -> RevocationLists:
        """What counts for peers of outgoing mail."""
        return self._all if config.crl.check_outbound else NO_LISTS

    def inbound(self, config: Config) -> RevocationLists:
        """What counts for client certificates of listeners."""
        return self._all if config.crl.check_inbound else NO_LISTS

    def list_of(self, source: str) -> RevocationList | None:
        """The list that was fetched last; None = never."""
        return self._lists.get(fold(source))

    def next_download(self, source: CrlSource) -> datetime | None:
        """By the schedule; None = never."""
        if source.schedule is None:
            return None
        return next_download(source.schedule, self._clock.now(), self._live().config.system.timezone)

    # -- life -----------------------------------------------------------------------------------------------------------

    async def load(self, config: Config) -> None:
        """Take the lists of an earlier run, before anything is verified."""
        sources = {fold(source.name): source for source in config.crl_sources.entries()}
        self._lists = await asyncio.to_thread(self._kept, list(sources))
        self._known = {name: source for name, source in sources.items() if name in self._lists}
        self._publish()

    def configuration_changed(self) -> None:
        """Fetch what is new or has another URL or type; forget what has gone."""
        sources = {fold(source.name): source for source in self._live().config.crl_sources.entries()}
        for name in [name for name in self._lists if name not in sources]:
            del self._lists[name]
            with contextlib.suppress(OSError):
                self._file(name).unlink()
        for name, source in sources.items():
            known = self._known.get(name)
            if known is None or (known.url, known.type) != (source.url, source.type):
                self._background.start(self._download(source))
        self._known = sources
        self._publish()
        self._changed.set()

    async def keep(self) -> None:
        """Fetch lists that are not there, then all by their schedules, on the appliance clock."""
        self.configuration_changed()
        while True:
            self._changed.clear()
            due = {source.name: moment for source in self._known.values() if (moment := self.next_download(source)) is not None}
            first = min(due.values(), default=None)
            if await reached(self._clock, first, self._changed):
                await asyncio.gather(*(self.update(name) for name, moment in due.items() if moment == first))

    async def close(self) -> None:
        await self._background.close()

    # -- downloads ------------------------------------------------------------------------------------------------------

    async def update(self, name: str) -> Download:
        """Fetch the list of a source now."""
        source = self._known.get(fold(name))
        return await self._download(source) if source is not None else Download(source=name, reason=NOT_COMMITTED)

    async def _download(self, source: CrlSource) -> Download:
        try:
            data = await self._get(source.url)
            fetched = await asyncio.to_thread(read_crl, data, pem=source.type is CrlType.PEM)
            await self._take(source, fetched)
        except (NotDownloaded, CrlProblem) as problem:
            download = Download(source=source.name, reason=str(problem))
        except OSError as error:
            download = Download(source=source.name, reason=f"the file cannot be written: {error.strerror}")
        else:
            download = Download(source=source.name)
        self._logs.event("system.crl" if download.reason is None else "system.crl_failed", text=download.text)
        return download

    async def _take(self, source: CrlSource, fetched: RevocationList) -> None:
        """Keep a list, unless its source has gone or become another one meanwhile. Errors: OSError."""
        file = self._file(fold(source.name))
        async with self._storing:
            if not self._is_current(source):
                return
            await asyncio.to_thread(write_private, file, fetched.der)
            if self._is_current(source):
                self._lists[fold(source.name)] = fetched
                self._publish()
            elif source.name not in self._live().config.crl_sources:
                file.unlink()

    def _is_current(self, source: CrlSource) -> bool:
        current = self._live().config.crl_sources.get(source.name)
        return current is not None and (current.url, current.type) == (source.url, source.type)

    async def _get(self, url: str) -> bytes:
        """Errors: NotDownloaded."""
        if url.startswith(FILE_SCHEME):
            return await asyncio.to_thread(_read_file, self._files, url.removeprefix(FILE_SCHEME))
        return await self._downloads.get(url, largest=MAX_FILE, encryption=self._encryption)

    def _encryption(self) -> Encryption:
        """A list is trusted for its signature, not for where it comes from (RFC 5280 8): every server will do."""
        return Encryption(context=self._live().outbound_context)

    # -- disk -----------------------------------------------------------------------------------------------------------

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.crl"

    def _kept(self, names: list[str]) -> dict[str, RevocationList]:
        found = {}
        for name in names:
            with contextlib.suppress(OSError, CrlProblem):
                found[name] = read_crl(self._file(name).read_bytes(), pem=False)
        return found

    def _publish(self) -> None:
        self._all = RevocationLists(self._lists.values())


def _read_file(directory: Path, name: str) -> bytes:
    """A file of /configuration. Errors: NotDownloaded."""
    missing = NotDownloaded(f'the file "{name}" does not exist')
    try:
        descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise missing from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise missing
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise NotDownloaded("the file is larger than 16 MB")
    return data
