"""Updates of the system list: on request, and by the clock (tls-tools.md 4; texts: certconfig.md 5.4).

One update at a time; it ends in an `Outcome` that is logged and, when it was refused, raises an alert. What is accepted
is on disk before it is used, and it is used from the next verification. An older version is never installed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from appliance_runtime.alerts.catalogue import Raise
from appliance_runtime.clock import Clock
from appliance_runtime.delivery.verify import Rules, TrustAnchors
from appliance_runtime.downloads import Downloads, Encryption, NotDownloaded, TooLarge, Unreachable
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.trust.background import Background, Crashed
from appliance_runtime.trust.https_servers import https_problem
from appliance_runtime.trust.system_list import load_system_list, save_system_list
from appliance_runtime.trust.waiting import reached
from appliance_state.certificates.authorities import readable
from appliance_state.certificates.ca_bundle import (
    DAMAGED_MANIFEST,
    MAX_FILE,
    TOO_LARGE,
    BundleProblem,
    Manifest,
    SystemBundle,
    is_newer,
    offered_bundle,
    packaged_bundle,
    read_manifest,
)
from appliance_state.certificates.pem import der_of
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef
from appliance_state.model.updates import UpdateSource

if TYPE_CHECKING:
    from appliance_runtime.snapshot import Snapshot

COMPONENT = "Cisco Trusted Root Certificate Bundle"
MANIFEST = "ca_bundle/manifest.json"
MAX_MANIFEST = 65536
PATIENCE = timedelta(hours=1)
"""how long a server may be unreachable before that is an alert"""
NO_URL = "no update server is configured"


@frozen(kw_only=True)
class Outcome:
    """What an update came to. `version`: the installed one afterwards; `former`: the one before; `reason`: None = no error."""

    former: str
    version: str
    reason: str | None = None

    @property
    def text(self) -> str:
        if self.reason is not None:
            return f"The {COMPONENT} was not updated: {self.reason}."
        if self.former == self.version:
            return f"The {COMPONENT} is already at the latest version ({self.version})."
        return f"The {COMPONENT} was updated from version {self.former} to {self.version}."


class Updater:
    """`bundle`: the installed system list. `installed` is awaited when there is another one, before an update ends."""

    def __init__(
        self,
        path: Path,
        live: Callable[[], Snapshot],
        reveal: Callable[[SecretRef], bytes],
        logs: EventLog,
        clock: Clock,
        downloads: Downloads,
        raise_alert: Raise,
        installed: Callable[[], Awaitable[None]],
        crashed: Crashed,
    ) -> None:
        """Reads what is installed: CPU work of some milliseconds."""
        self.bundle: SystemBundle = load_system_list(path)
        self._path = path
        self._live = live
        self._reveal = reveal
        self._logs = logs
        self._clock = clock
        self._downloads = downloads
        self._raise = raise_alert
        self._installed = installed
        self._one_at_a_time = asyncio.Lock()
        self._unreachable_since: datetime | None = None
        self._changed = asyncio.Event()
        self._background = Background("updater", crashed)

    def request(self, *, force: bool = False) -> None:
        """Start an update in the background."""
        self._background.start(self.update(force=force))

    async def close(self) -> None:
        await self._background.close()

    def configuration_changed(self) -> None:
        """The interval may be another one: it counts anew."""
        self._changed.set()

    async def keep(self) -> None:
        """Check whenever the interval has passed, on the appliance clock.

        Where no list is stored the one in use is, so that it stays the same when a newer package is installed.
        """
        if not self._path.exists():
            with contextlib.suppress(OSError):
                await asyncio.to_thread(save_system_list, self._path, self.bundle)
        interval = self._live().config.updates.interval
        while True:
            if await self._passed(interval):
                await self.update(asked_for=False)
            interval = self._live().config.updates.interval

    async def _passed(self, interval: int) -> bool:
        """Wait for `interval` seconds (0 = for ever), or until another one is configured; whether they have passed."""
        due = self._clock.now() + timedelta(seconds=interval) if interval else None
        while self._live().config.updates.interval == interval:
            self._changed.clear()
            if await reached(self._clock, due, self._changed):
                return True
        return False

    async def update(self, *, force: bool = False, asked_for: bool = True) -> Outcome:
        """Install what the source offers, if it is newer, with `force` also if it is the same version again.

        That there is nothing new is logged when somebody asked, not at every check.
        """
        async with self._one_at_a_time:
            former = self.bundle.version
            try:
                offered = await self._offered(self._live().config, force)
                if offered is not None:
                    await self._install(offered)
            except (NotDownloaded, BundleProblem) as problem:
                outcome = Outcome(former=former, version=former, reason=str(problem))
                self._report_failure(problem)
            else:
                outcome = Outcome(former=former, version=self.bundle.version)
                self._unreachable_since = None
            if outcome.reason is not None:
                self._logs.event("system.update_failed", text=outcome.text)
            elif asked_for or outcome.version != former:
                self._logs.event("system.update", text=outcome.text)
            return outcome

    async def _install(self, bundle: SystemBundle) -> None:
        """Errors: BundleProblem when it cannot be stored; then the old one stays."""
        try:
            await asyncio.to_thread(save_system_list, self._path, bundle)
        except OSError as error:
            raise BundleProblem(f"the file cannot be written: {error.strerror}") from error
        self.bundle = bundle
        await self._installed()

    async def _offered(self, config: Config, force: bool) -> SystemBundle | None:
        """What is to be installed; None = nothing. Errors: NotDownloaded, BundleProblem."""

        def wanted(version: str) -> bool:
            return is_newer(version, self.bundle.version) or (force and not is_newer(self.bundle.version, version))

        if config.updates.source is UpdateSource.PACKAGED:
            packaged = packaged_bundle()
            return evolve(packaged, updated=self._clock.now()) if wanted(packaged.version) else None
        url = self._url(config)
        manifest = read_manifest(await self._get(config, f"{url}{MANIFEST}", MAX_MANIFEST, DAMAGED_MANIFEST))
        if not wanted(manifest.version):
            return None
        return await self._bundle(config, url, manifest)

    async def _bundle(self, config: Config, url: str, manifest: Manifest) -> SystemBundle:
        data = await self._get(config, f"{url}{MANIFEST.rpartition('/')[0]}/{manifest.file}", MAX_FILE, TOO_LARGE)
        return await asyncio.to_thread(offered_bundle, manifest, data, self._clock.now())

    async def _get(self, config: Config, url: str, largest: int, too_large: str) -> bytes:
        try:
            return await self._downloads.get(
                url, largest=largest, encryption=lambda: self._encryption(config), interface=config.updates.interface
            )
        except TooLarge:
            raise BundleProblem(too_large) from None

    def _url(self, config: Config) -> str:
        url = config.updates.server_url
        if isinstance(url, SecretRef):
            url = self._reveal(url).decode()
        if not url:
            raise BundleProblem(NO_URL)
        return url

    def _encryption(self, config: Config) -> Encryption:
        """TLS as for alert mail; the server is looked at afterwards."""
        context = self._live().other_client_context
        if not config.updates.validate_certificates:
            return Encryption(context=context)

        async def check(chain: Sequence[bytes], host: str) -> str | None:
            rules = Rules(hosted=False, x509_check=config.ssl.peer_cert_x509, fqdn_check=config.ssl.peer_cert_fqdn)
            return await asyncio.to_thread(lambda: https_problem(chain, host, self._anchors(config), rules, self._clock.now()))

        return Encryption(context=context, check=check)

    def _anchors(self, config: Config) -> TrustAnchors:
        """The system list, if it is enabled, and the certificates of updateconfig; never the custom list."""
        system = self.bundle.der if config.certificate_authorities.system_enabled else ()
        return TrustAnchors([*system, *map(der_of, readable(config.updates.trusted_certificates))])

    def _report_failure(self, problem: Exception) -> None:
        """A server that cannot be reached is an alert after an hour only; everything else is one at once."""
        now = self._clock.now()
        if not isinstance(problem, Unreachable):
            self._unreachable_since = None
            text = f"The update of {COMPONENT} was rejected: {problem}"
        else:
            self._unreachable_since = self._unreachable_since or now
            elapsed = now - self._unreachable_since
            if elapsed < PATIENCE:
                return
            hours = int(elapsed / timedelta(hours=1))
            text = f"The updater has been unable to communicate with the update server for at least {hours}h."
        self._raise("updater.failed", COMPONENT, "Updater", "Warning", text)
