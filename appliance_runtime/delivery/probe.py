"""Looks at a destination with the engine of delivery: for tlsverify and daneverify (tls-tools.md 2, 3).

Steps, rules and time limits are those of the queue. Look-ups are fresh; nothing is logged, counted or sent but QUIT. One
look ends after a fixed time, whatever a domain has in store.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import Clock
from appliance_runtime.delivery.authentication import Authentication
from appliance_runtime.delivery.connection import Connection, Opener
from appliance_runtime.delivery.exchangers import Walk
from appliance_runtime.delivery.source import source_for
from appliance_runtime.delivery.target import Target
from appliance_runtime.delivery.verify import TrustAnchors
from appliance_runtime.snapshot import Snapshot
from appliance_state.certificates.crl import NO_LISTS, RevocationLists
from appliance_state.model.destinations import DaneSupport, IpSortPref, TlsSupport, effective_destination

if TYPE_CHECKING:
    from appliance_runtime.dns.resolver import Resolver

SECONDS = 600
"""of real time for one look"""


class _Unlogged:
    def event(self, name: str, **fields: object) -> None:
        """Probes leave no line."""

    def wants(self, name: str) -> bool:
        return False


class _Unlimited:
    async def take(self, owner: str) -> None:
        """A probe waits for nobody."""

    def give(self, owner: str) -> None:
        """And has taken nothing."""


class Probe:
    """`snapshot` governs everything. `seconds`: real time that a look may take. `close` it in the end."""

    def __init__(
        self,
        snapshot: Snapshot,
        resolver: Resolver,
        address_map: AddressMap,
        clock: Clock,
        revocations: RevocationLists = NO_LISTS,
        *,
        net_timeout_scale: float = 1.0,
    ) -> None:
        self.snapshot = snapshot
        self.resolver = resolver
        self.seconds = SECONDS * net_timeout_scale
        self.authentication = Authentication(now=clock.now, anchors=self._anchors, ptr=self._ptr)
        self.opener = Opener(logs=_Unlogged(), authentication=self.authentication, tls_slots=_Unlimited(), scale=net_timeout_scale)
        self._address_map = address_map
        self._scale = net_timeout_scale
        self._revocations = revocations
        self._authorities: TrustAnchors | None = None

    def preference(self, domain: str) -> IpSortPref:
        """In which order mail to a domain would take addresses."""
        return effective_destination(domain, self.snapshot.config.destinations).ip_sort_pref or IpSortPref.PREFER_V6

    def walk(self, domain: str) -> Walk:
        """The look-ups of a destination with DANE."""
        return Walk(domain, self.resolver, random.SystemRandom(), self.preference(domain), DaneSupport.OPPORTUNISTIC)

    @asynccontextmanager
    async def connection(self, domain: str, host: str, address: str, port: int, support: TlsSupport) -> AsyncIterator[Connection]:
        """A connection on which the steps of `opener` are taken; ended in order. Errors: Unusable."""
        target = Target(
            domain=domain,
            host=host,
            address=address,
            port=port,
            real=self._address_map.connect(address, port),
            support=support,
            snapshot=self.snapshot,
        )
        connection = await self.opener.connect(target, 0, source_for(self.snapshot.config, address, target.real[0], 0))
        try:
            yield connection
            await self.opener.close(connection)
        except BaseException:
            connection.wire.abort()
            raise

    def close(self) -> None:
        self.authentication.shut_down()

    def _anchors(self, snapshot: Snapshot) -> TrustAnchors:
        if self._authorities is None:
            self._authorities = TrustAnchors(snapshot.anchors, revocations=self._revocations)
        return self._authorities

    async def _ptr(self, address: str) -> str | None:
        return (await self.resolver.ptr(address, self.snapshot.config.dns.ptr_timeout * self._scale)).name
