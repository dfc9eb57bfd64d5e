"""An appliance without sockets for the tests of dialogs: real draft, real configuration, memory in place of files and wire."""

from __future__ import annotations

import functools
import itertools
import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from attrs import define, field

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import FakeClock
from appliance_runtime.demo import DemoCertificate, create_demo
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.downloads import Downloads
from appliance_runtime.key_files import KeyFiles
from appliance_runtime.logs.writer import MemoryLogs
from appliance_runtime.product import Product
from appliance_runtime.sessions import Session, SessionTable
from appliance_runtime.tls import client_context
from appliance_runtime.trust.services import TrustServices
from appliance_state.draft import Draft
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class MemoryVault:
    def __init__(self) -> None:
        self.values: dict[SecretRef, bytes] = {}

    def reveal(self, ref: SecretRef) -> bytes:
        return self.values[ref]


@functools.cache
def demo_certificate() -> DemoCertificate:
    return create_demo(NOW)


@define
class DialogAppliance:
    """What a dialog needs of an appliance. `commit` here only makes the pending copy the running one."""

    config: Config
    files: Path
    generation: int = 1
    clock: FakeClock = field(factory=lambda: FakeClock(NOW))
    vault: MemoryVault = field(factory=MemoryVault)
    product: Product = field(factory=Product)
    key_files: KeyFiles = field(factory=KeyFiles)
    sessions: SessionTable = field(factory=SessionTable)
    install_date: datetime = NOW
    started: datetime = NOW
    logs: MemoryLogs = field(init=False)
    demo: DemoCertificate = field(factory=demo_certificate)
    alerts: list[tuple[str, str, str, str, str]] = field(factory=list)
    """what was raised"""
    crashes: list[tuple[str, BaseException]] = field(factory=list)
    """in the background"""
    renewals: int = 0
    """how often the live snapshot was to be made anew"""
    downloads: Downloads = field(init=False)
    trust: TrustServices = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.logs = MemoryLogs(self.clock)
        address_map = AddressMap()
        self.downloads = Downloads(
            Resolver(self.config.dns, self.clock, address_map, net_timeout_scale=0.02), address_map, net_timeout_scale=0.1
        )
        self.trust = TrustServices(
            Path(tempfile.mkdtemp(prefix="trust-")),
            self.files,
            lambda: cast(Any, self),
            self.vault.reveal,
            self.logs,
            self.clock,
            self.downloads,
            lambda *alert: self.alerts.append(alert),
            self._renew,
            lambda service, error: self.crashes.append((service, error)),
        )

    @property
    def outbound_context(self) -> ssl.SSLContext:
        """As a part of the live snapshot, which this appliance is for its services."""
        return client_context(None, methods=self.config.ssl.outbound_methods, ciphers=self.config.ssl.outbound_ciphers)

    @property
    def other_client_context(self) -> ssl.SSLContext:
        return self.outbound_context

    async def _renew(self) -> None:
        self.renewals += 1

    def running(self) -> tuple[int, Config]:
        return self.generation, self.config

    def accept(self, draft: Draft) -> None:
        """Make a pending copy the running configuration."""
        self.vault.values.update(draft.secrets)
        self.config = draft.config
        self.generation += 1
        draft.discard()


def make_appliance(config: Config | None = None, files: Path | None = None) -> DialogAppliance:
    return DialogAppliance(config=config or Config(), files=files or Path(tempfile.mkdtemp(prefix="configuration-")))


def make_session(
    config: Config | None = None, *, appliance: DialogAppliance | None = None, files: Path | None = None, **fields: Any
) -> Session:
    """A session of `admin` at an appliance that runs `config`."""
    appliance = appliance or make_appliance(config, files)
    numbers = itertools.count(1)
    draft = Draft(appliance.running, appliance.vault, lambda: f"id-{next(numbers)}")
    values: dict[str, Any] = {"user": "admin", "kind": "script", "remote": "console", **fields}
    return appliance.sessions.add(
        lambda pid: Session(pid=pid, appliance=cast(Any, appliance), draft=draft, started=appliance.clock.now(), **values)
    )
