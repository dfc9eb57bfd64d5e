"""One appliance: store and services tied together. `open` takes the state directory, `start` lets everything listen.

A commit prepares what can fail (TLS contexts, sockets, log files), records the generation, and then switches the live
snapshot with one assignment. Connections keep the snapshot with which they began.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from attrs import define

from appliance_runtime.accounts import Accounts
from appliance_runtime.addresses import AddressMap, InvalidRule, is_own_address
from appliance_runtime.alerts import Alerts
from appliance_runtime.alerts.catalogue import disk_full
from appliance_runtime.clock import Clock, SystemClock
from appliance_runtime.commit import Author, CommitRefused, Committer, build_snapshot
from appliance_runtime.delivery.agent import DeliveryAgent
from appliance_runtime.delivery.probe import Probe
from appliance_runtime.demo import DemoCertificate, load_demo, log_demo_users
from appliance_runtime.dns.loading import load_soon, loading_resolver
from appliance_runtime.downloads import Downloads
from appliance_runtime.key_files import KeyFiles
from appliance_runtime.logs.writer import Logs, PreparedLogs
from appliance_runtime.metrics import Counters
from appliance_runtime.opening import Opening, given_anchors, new_id
from appliance_runtime.options import StartFailed, StartOptions
from appliance_runtime.product import Product
from appliance_runtime.queue.message_queue import MessageQueue
from appliance_runtime.services import Acceptor, Endpoint, endpoints
from appliance_runtime.sessions import Session, SessionTable
from appliance_runtime.smtp.receiver import Receiver
from appliance_runtime.snapshot import Builder, Snapshot
from appliance_runtime.sockets import PreparedSockets, SocketTable
from appliance_runtime.state_directory import StateDirectory
from appliance_runtime.supervisor import Supervisor
from appliance_runtime.suspending import Suspending
from appliance_runtime.suspensions import Suspensions, read_suspensions
from appliance_runtime.trust.services import TrustServices
from appliance_runtime.vault import SealedFiles, SealedVault, load_key
from appliance_runtime.web.service import WebService
from appliance_state.document import Documents
from appliance_state.draft import Draft
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef
from appliance_state.secrets import Seal
from appliance_state.store import Store, StoreFailed

if TYPE_CHECKING:
    from appliance_runtime.dns.resolver import Resolver

DRAIN_SECONDS = 30.0


@define(eq=False)
class Prepared:
    """Everything a commit needs, ready to be switched."""

    appliance: Appliance
    snapshot: Snapshot
    sockets: PreparedSockets
    logs: PreparedLogs

    async def apply(self) -> None:
        await self.appliance.switch(self)

    async def abort(self) -> None:
        self.logs.abort()
        await self.sockets.abort()


class Appliance:
    """Built by `open`; `ssh` is the acceptor of the SSH service, which belongs to the edge of the product."""

    def __init__(self, options: StartOptions, directory: StateDirectory, store: Store, vault: SealedVault, clock: Clock) -> None:
        self.options = options
        self.directory = directory
        self.store = store
        self.vault = vault
        self.sealed_files = SealedFiles(vault.seal)
        self.key_files = KeyFiles()
        self.clock = clock
        self.files: Path = directory.files
        self.started: datetime = clock.now()
        self.sessions = SessionTable()
        self.committer = Committer(self)
        self.on_change: list[Callable[[], None]] = []
        """called after every commit, and when sockets are suspended or resumed, in the loop"""
        try:
            self.address_map = AddressMap.parse(options.maps)
        except InvalidRule as error:
            raise StartFailed(f'The mapping rule "{error}" is not of the form LOGICAL=REAL.') from None
        self.anchors = given_anchors(options.trust_anchor)
        self.shutdown_asked = asyncio.Event()
        """set by whoever wants the program to end"""
        self.generated_passphrase: str | None = None
        self.notes: list[str] = []
        """remarks about the start for standard error"""
        self._live: Snapshot | None = None
        self._config: tuple[int, Config]
        self.product: Product
        self.install_date: datetime
        self.demo: DemoCertificate

    # -- opening ----------------------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, options: StartOptions, clock: Clock | None = None) -> Appliance:
        """Take the state directory; make its content at the first start. Errors: Locked, StartFailed."""
        clock = clock or SystemClock()
        directory = StateDirectory(options.state)
        try:
            directory.lock()
        except OSError as error:
            raise StartFailed(f"The state directory cannot be used: {error}") from error
        try:
            key_path = options.config_key_file or directory.config_key
            fresh = not directory.store.exists()
            key = load_key(key_path, create=fresh)
            store = Store(directory.store, Documents())
            appliance = cls(options, directory, store, SealedVault(store, Seal(key, secrets.token_bytes)), clock)
            await appliance._load()
        except StoreFailed as error:
            directory.unlock()
            raise StartFailed(f"The configuration cannot be read: {error}") from error
        except BaseException:
            directory.unlock()
            raise
        return appliance

    async def _load(self) -> None:
        demo = asyncio.create_task(load_demo(self.directory.root, self.sealed_files, self.clock))
        opening = Opening(self.store, self.vault, self.options, self.address_map, self.clock.now())
        self._config = await opening.configuration()
        self.generated_passphrase, self.notes = opening.generated_passphrase, opening.notes
        self.demo = await demo
        serial = self.options.serial or self.store.fact("serial") or ""
        self.product = attrs.evolve(self.options.product, serial=serial)
        self.install_date = datetime.fromisoformat(self.store.fact("install_date") or self.started.isoformat())

    # -- running ----------------------------------------------------------------------------------------------------

    async def start(self, ssh: Acceptor) -> None:
        """Start every service of the running configuration. Errors: StartFailed with every problem."""
        number, config = self._config
        self.logs = Logs(self.directory.logs, self.clock, self.product.full_version, self.product.serial)
        self.counters = Counters(self.clock, self.directory.root / "counters.json")
        self.supervisor = Supervisor(self._fault)
        self.resolver = self._new_resolver(config)
        try:
            self.suspending = Suspending(self, read_suspensions(self.directory.suspensions))
        except (OSError, ValueError) as error:
            raise StartFailed(f"What is suspended cannot be read: {error}") from error
        pause = self.suspending.now.pause
        self.queue = await MessageQueue.open(self.directory.queue, self.clock, pause=pause.number if pause else 0)
        self.alerts = Alerts(
            self.live,
            self.logs,
            self.clock,
            self.resolver,
            self.address_map,
            self.product,
            self.directory.root / "alerts.jsonl",
            net_timeout_scale=self.options.net_timeout_scale,
        )
        downloads = Downloads(
            self.resolver, self.address_map, source=self._source_address, net_timeout_scale=self.options.net_timeout_scale
        )
        self.trust = TrustServices(
            self.directory.root,
            self.files,
            self.live,
            self.vault.reveal,
            self.logs,
            self.clock,
            downloads,
            self.alerts.raise_,
            self.committer.renew,
            self.supervisor.crashed,
        )
        await self.trust.load(config)
        self.accounts = Accounts(self.live, self.vault.reveal, self.clock, self.logs, self.alerts, self.directory.root)
        self.agent = DeliveryAgent(
            self.live,
            self.queue,
            self.logs,
            self.clock,
            self.counters,
            self.resolver,
            self.address_map,
            self.alerts,
            self.supervisor.crashed,
            revocations=self.trust.revocation.outbound,
            net_timeout_scale=self.options.net_timeout_scale,
            suspended=self.suspending.halts,
        )
        self.receiver = Receiver(
            self.live,
            self.queue,
            self.logs,
            self.clock,
            self.counters,
            self.resolver,
            revocations=self.trust.revocation.inbound,
            workers=self.options.workers,
            report=self._fault,
            net_timeout_scale=self.options.net_timeout_scale,
        )
        self.web = WebService(self, timeout_scale=self.options.net_timeout_scale)
        acceptors: dict[str, Acceptor] = {"smtp": self.receiver, "ssh": ssh, "http": self.web, "https": self.web}
        self.sockets_open = SocketTable(self.address_map, acceptors)
        try:
            prepared = await self.prepare(number, config, {})
        except CommitRefused as refusal:
            await self._close_files()
            raise StartFailed(*refusal.problems) from None
        await prepared.apply()
        # Alerts need the live snapshot, so what was found while opening is reported from here on.
        self.queue.report_to(self.alerts.raise_)
        self.queue.on_fault = lambda problem: self._fault("queue", problem)
        self.logs.report_errors(lambda name, _: self.alerts.raise_(*disk_full(self.directory.logs, f'the log "{name}"')))
        self.supervisor.run("counters", self.counters.keep)
        self.supervisor.run("DNS library", load_soon)
        self.supervisor.run("queue", self.queue.prepare_soon)
        self.trust.start(self.supervisor)
        await self.agent.start()
        await self.receiver.workers.start(self.supervisor)

    async def prepare(self, generation: int, config: Config, new_secrets: dict[SecretRef, bytes]) -> Prepared:
        """Everything of a commit that can fail. Errors: CommitRefused; then nothing has changed."""

        def reveal(ref: SecretRef) -> bytes:
            value = new_secrets.get(ref)
            return self.vault.reveal(ref) if value is None else value

        snapshot = await build_snapshot(Builder(self.demo, reveal, self._live, self.trust.updater.bundle), generation, config)
        try:
            logs = self.logs.prepare(config.logs.entries(), config.system.timezone)
        except OSError as error:
            raise CommitRefused(f"The log files cannot be opened: {error}") from error
        sockets = self.sockets_open.prepare(self.endpoints(config))
        if sockets.problems:
            logs.abort()
            await sockets.abort()
            raise CommitRefused(*sockets.problems)
        return Prepared(self, snapshot, sockets, logs)

    async def renew(self) -> None:
        """The running configuration with another system list. A part that cannot be made anew keeps the old snapshot alive."""
        number, config = self._config
        builder = Builder(self.demo, self.vault.reveal, self._live, self.trust.updater.bundle)
        self._live = await build_snapshot(builder, number, config)
        self._tell_workers()

    async def switch(self, prepared: Prepared) -> None:
        """Make what was prepared the running configuration."""
        snapshot = prepared.snapshot
        before = self._live
        self._live = snapshot
        self._config = (snapshot.generation, snapshot.config)
        prepared.logs.apply()
        self._tell_workers()
        if before is None:
            self.logs.event("system.up")
            log_demo_users(self.logs, None, snapshot.config)
        if before is not None and before.config.dns != snapshot.config.dns:
            self.resolver.reconfigure(snapshot.config.dns)
        await self.listen(prepared.sockets)
        self.receiver.configuration_changed()
        self.agent.configuration_changed()
        if before is not None:
            self.trust.configuration_changed()
        self.tell_of_change()

    def _tell_workers(self) -> None:
        live = self.live()
        if self.options.workers:
            self.receiver.workers.use(
                live, {name: made.revealed(self.vault.reveal) for name, made in live.plain_inbound_ingredients.items()}
            )

    def endpoints(self, config: Config, suspensions: Suspensions | None = None) -> list[Endpoint]:
        """The sockets that a configuration wants, without those of suspended listeners."""
        suspended = (suspensions or self.suspending.now).listener
        return [endpoint for endpoint in endpoints(config) if endpoint.service != "smtp" or not suspended(endpoint.uid)]

    async def listen(self, sockets: PreparedSockets) -> None:
        """Switch to other sockets."""
        for endpoint in await sockets.apply():
            self._log_listening(endpoint)

    def tell_of_change(self) -> None:
        """The configuration or the open sockets have changed."""
        for told in self.on_change:
            told()

    def _log_listening(self, endpoint: Endpoint) -> None:
        where = {"owner": endpoint.owner, "address": endpoint.address, "port": endpoint.port}
        if endpoint.service == "smtp":
            self.logs.event("system.listener_listening", **where)
        else:
            self.logs.event("system.interface_listening", service=endpoint.service.upper(), **where)

    def live(self) -> Snapshot:
        """The live snapshot."""
        assert self._live is not None
        return self._live

    def running(self) -> tuple[int, Config]:
        """Number and content of the running generation."""
        return self._config

    @property
    def sockets(self) -> list[tuple[Endpoint, tuple[str, int]]]:
        """Every open socket: what it serves, and its real address and port."""
        return [(entry.endpoint, entry.real) for entry in self.sockets_open.open.values()]

    def _new_resolver(self, config: Config) -> Resolver:
        return loading_resolver(
            config.dns,
            self.clock,
            self.address_map,
            net_timeout_scale=self.options.net_timeout_scale,
            source=self._source_address,
            anchors=self.anchors,
        )

    def probe(self, snapshot: Snapshot) -> Probe:
        """For looks at a destination, with look-ups of their own."""
        resolver = self._new_resolver(snapshot.config)
        revocations = self.trust.revocation.outbound(snapshot.config)
        return Probe(snapshot, resolver, self.address_map, self.clock, revocations, net_timeout_scale=self.options.net_timeout_scale)

    async def pending(self, draft: Draft) -> Snapshot:
        """What would be live after a commit of this copy. Errors: CommitRefused, Conflicted."""
        if not draft.changed:
            return self.live()
        config = self.committer.preview(draft)
        builder = Builder(self.demo, draft.reveal, self._live, self.trust.updater.bundle)
        return await build_snapshot(builder, self.live().generation, config)

    def _source_address(self, interface: str) -> str | None:
        """Own address for questions of the resolver; None = left to the system, as for an address that is mapped elsewhere."""
        configured = self.live().config.interfaces.get(interface)
        if configured is None or configured.ipv4 is None or not is_own_address(configured.ipv4):
            return None
        return configured.ipv4

    def _fault(self, service: str, error: str) -> None:
        self.logs.event("system.fault", service=service, error=error)
        self.alerts.raise_("service.crash", service, "System", "Critical", f"An application fault occurred: {service}: {error}")

    # -- sessions -----------------------------------------------------------------------------------------------------

    def open_session(self, *, user: str, kind: str, remote: str, interface: str | None = None, service: str | None = None) -> Session:
        """Errors: TooManySessions."""
        draft = Draft(self.running, self.vault, new_id)
        return self.sessions.add(
            lambda pid: Session(
                pid=pid,
                appliance=self,
                draft=draft,
                user=user,
                kind=kind,
                remote=remote,
                started=self.clock.now(),
                interface=interface,
                interface_service=service,
            )
        )

    def close_session(self, session: Session) -> None:
        if session.draft.changed and session.kind != "gui":
            self.logs.event("cli.uncommitted", user=session.user)
        self.sessions.remove(session)

    async def change_now(self, config: Config, new_secrets: dict[SecretRef, bytes], author: Author) -> None:
        """For commands that act at once (`passphrase`). Errors: CommitRefused."""
        await self.committer.change_now(config, new_secrets, author)

    # -- stopping -----------------------------------------------------------------------------------------------------

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Accept nothing more, let what is under way end within `seconds`, park the queue, release the state directory."""
        self.logs.event("system.down")
        self.sockets_open.close()
        await asyncio.gather(self.receiver.drain(seconds), self.agent.stop(seconds), self.web.stop())
        await self.suspending.stop()
        await asyncio.gather(self.receiver.workers.stop(), self.trust.close())
        await self.alerts.close()
        await self.supervisor.stop()
        await self._close_files()

    async def _close_files(self) -> None:
        await self.queue.close()
        self.counters.save()
        self.logs.close()
        self.store.close()
        self.directory.unlock()
