"""Whether a peer is the one that was meant: its certificate against authorities, or against TLSA records (delivery.md 5, 7.4).

The work is done by threads, and ends for the connection after a fixed time: one peer never delays another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from attrs import define, field

from appliance_runtime.delivery import tlsa
from appliance_runtime.delivery.limits import Slots
from appliance_runtime.delivery.target import Target
from appliance_runtime.delivery.verify import TOO_SLOW, Kind, Reference, Result, Rules, TrustAnchors, verify
from appliance_runtime.snapshot import Snapshot
from appliance_state.model.destinations import TlsSupport

T = TypeVar("T")

SECONDS = 5.0
THREADS = 4


@define(eq=False, kw_only=True)
class Authentication:
    """`ptr`: name of an address, None = none known."""

    now: Callable[[], datetime]
    anchors: Callable[[Snapshot], TrustAnchors]
    ptr: Callable[[str], Awaitable[str | None]]
    _threads: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(THREADS, "verification"))
    _places: Slots = field(factory=lambda: Slots(lambda: THREADS, reserve=1 / THREADS))
    """threads, of which the last one is never for the same domain as all others"""

    async def verified(self, target: Target, chain: list[bytes]) -> Result:
        """By the rule of the target's level."""
        hosted = target.support is TlsSupport.REQUIRED_VERIFY_HOSTED
        label = "SMTP route host" if target.host == target.route_host else ""
        references = [Reference(Kind.DOMAIN, target.domain), Reference(Kind.HOST, target.host, label)]
        if hosted and target.route_host:
            references.append(Reference(Kind.ROUTE, target.route_host))
        result = await self._verify(target, chain, hosted, references)
        if result.mismatch and not hosted and (name := await self.ptr(target.address)):
            # Asked for only when nothing else matches: a reverse zone that does not answer delays no good connection.
            result = await self._verify(target, chain, hosted, [*references, Reference(Kind.PTR, name)])
        return result

    async def matched(self, target: Target, chain: Sequence[bytes]) -> tlsa.Match:
        """By the TLSA records of the target."""
        too_slow = tlsa.Match(text=f"TLSA records of {target.dane.base}: {TOO_SLOW}")
        return await self._within_limit(target.domain, lambda: tlsa.match(target.dane.records, self._presented(target, chain)), too_slow)

    async def outcomes(self, target: Target, chain: Sequence[bytes]) -> list[tlsa.Outcome]:
        """What each record that counts says; empty when that took too long."""
        return await self._within_limit(
            target.domain, lambda: list(tlsa.outcomes(target.dane.published, self._presented(target, chain))), []
        )

    def shut_down(self) -> None:
        """Work still under way ends on its own."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _verify(self, target: Target, chain: list[bytes], hosted: bool, references: list[Reference]) -> Result:
        ssl_settings = target.snapshot.config.ssl
        rules = Rules(hosted=hosted, x509_check=ssl_settings.peer_cert_x509, fqdn_check=ssl_settings.peer_cert_fqdn)
        anchors, now = self.anchors(target.snapshot), self.now()
        return await self._within_limit(
            target.domain, lambda: verify(chain, anchors, rules, references, now), Result(ok=False, text=TOO_SLOW)
        )

    def _presented(self, target: Target, chain: Sequence[bytes]) -> tlsa.Presented:
        ssl_settings = target.snapshot.config.ssl
        return tlsa.Presented(
            chain=chain,
            base=target.dane.base,
            domain=target.domain,
            host=target.host,
            anchors=self.anchors(target.snapshot),
            x509_check=ssl_settings.peer_cert_x509,
            fqdn_check=ssl_settings.peer_cert_fqdn,
            now=self.now(),
        )

    async def _within_limit(self, domain: str, work: Callable[[], T], otherwise: T) -> T:
        await self._places.take(domain)
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # The thread goes on when nobody waits for it any more, so its place is free only when it has ended.
        future.add_done_callback(lambda _: self._places.give(domain))
        try:
            return await asyncio.wait_for(asyncio.shield(future), SECONDS)
        except TimeoutError:
            return otherwise
