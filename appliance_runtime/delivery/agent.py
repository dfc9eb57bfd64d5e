"""The delivery agent: tells the destinations what is due, and holds what they share (delivery.md 2.3, 3).

Each destination domain works on its own, so a domain that hangs delays no other. The numbers of all connections, and of
those in TLS, are limited; further ones wait. The policy of a connection is that of the snapshot live when it is opened.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import Clock
from appliance_runtime.delivery.authentication import Authentication
from appliance_runtime.delivery.connection import Connection, Opener
from appliance_runtime.delivery.destination import DestinationDelivery
from appliance_runtime.delivery.exchangers import Candidate
from appliance_runtime.delivery.host_states import HostStates
from appliance_runtime.delivery.limits import Slots
from appliance_runtime.delivery.results import Results
from appliance_runtime.delivery.source import Sources
from appliance_runtime.delivery.target import Target
from appliance_runtime.delivery.verify import TrustAnchors
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.metrics import Counters
from appliance_runtime.queue.message_queue import MessageQueue
from appliance_runtime.snapshot import Snapshot
from appliance_state.certificates.crl import NO_LISTS, RevocationLists
from appliance_state.model import Config
from appliance_state.model.destinations import TlsSupport

if TYPE_CHECKING:
    from appliance_runtime.dns.resolver import Resolver

SOURCE = ""
AT_ONCE = 500
"""messages that are set aside in one step of the event loop"""
LAST_WORDS = 2.0
"""seconds of real time in which a worker notices that its connection was dropped"""
TURNS = 1000


Crashed = Callable[[str, BaseException], None]
"""`Supervisor.crashed`: what has crashed, and why"""


class AlertSink(Protocol):
    def raise_(self, alert_id: str, key: str, alert_class: str, severity: str, text: str) -> None: ...


class DeliveryAgent:
    """`start` begins, `stop` ends; in between the queue says what is due."""

    def __init__(
        self,
        live: Callable[[], Snapshot],
        queue: MessageQueue,
        logs: EventLog,
        clock: Clock,
        counters: Counters,
        resolver: Resolver,
        address_map: AddressMap,
        alerts: AlertSink,
        crashed: Crashed,
        *,
        revocations: Callable[[Config], RevocationLists] = lambda config: NO_LISTS,
        net_timeout_scale: float = 1.0,
        rng: random.Random | None = None,
        suspended: Callable[[str], bool] = lambda domain: False,
    ) -> None:
        """`suspended`: whether nothing is to be delivered to a domain; `suspend` and `resume` are told of a change.
        `revocations`: the lists of revoked certificates that count for peers.
        """
        self.live = live
        self.queue = queue
        self.logs = logs
        self.clock = clock
        self.counters = counters
        self.resolver = resolver
        self.alerts = alerts
        self.crashed = crashed
        self.scale = net_timeout_scale
        self.rng = rng or random.SystemRandom()
        self.hosts = HostStates(clock.now)
        self.results = Results(live, queue, logs, clock, counters, self.hosts, self.rng)
        self.suspended = suspended
        self.stopping = False
        self._address_map = address_map
        self._revocations = revocations
        self._slots = Slots(lambda: live().config.delivery.max_concurrency, self._make_room)
        tls_slots = Slots(lambda: live().config.delivery.tls_max_concurrency, self._make_room)
        self._tls_slots = tls_slots
        self._authentication = Authentication(now=clock.now, anchors=self._anchors_of, ptr=self._ptr)
        self._opener = Opener(logs=logs, authentication=self._authentication, tls_slots=tls_slots, scale=net_timeout_scale)
        self._sources = Sources(asyncio.get_running_loop().time)
        self._domains: dict[str, DestinationDelivery] = {}
        self.resting: set[DestinationDelivery] = set()
        """those that may have an idle connection"""
        self._anchors: tuple[tuple[bytes, ...], TrustAnchors] | None = None
        self._turns: Counter[str] = Counter()

    async def start(self) -> None:
        self.queue.on_ready = self._ready
        for domain in self.queue.domains_due(self.clock.now()):
            self._ready(domain)

    async def stop(self, seconds: float) -> None:
        """Begin no connection and no message any more; what is under way gets `seconds`, then it is dropped and stays queued."""
        self.stopping = True
        self.queue.on_ready = None
        for destination in self._domains.values():
            destination.settings_changed()
        tasks = [task for destination in self._domains.values() for task in destination.tasks]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._authentication.shut_down()

    def configuration_changed(self) -> None:
        """Let go of idle connections, whose settings are old now, and use limits that have grown."""
        self._slots.review()
        self._tls_slots.review()
        for destination in self._domains.values():
            destination.settings_changed()

    async def suspend(self, seconds: float) -> None:
        """Deliveries to further domains are suspended: what is under way gets `seconds`, then its connections are dropped."""
        for domain in self.queue.domains_due(self.clock.now()):
            self._set_aside(domain)
        concerned = [destination for destination in self._domains.values() if self.suspended(destination.domain)]
        for destination in concerned:
            destination.settings_changed()
        tasks = [task for destination in concerned for task in destination.tasks]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for destination in concerned:
                destination.drop()
            if late:
                await asyncio.wait(late, timeout=LAST_WORDS)

    def resume(self) -> None:
        """Deliveries to some domains are suspended no more."""
        self.queue.resume(lambda domain: not self.suspended(domain))
        for domain in self.queue.domains_due(self.clock.now()):
            self._ready(domain)

    def at_rest(self, destination: DestinationDelivery) -> None:
        """Nothing is under way to it any more."""
        self._set_aside(destination.domain)

    def _set_aside(self, domain: str) -> bool:
        """Have mail wait until deliveries to its domain are resumed; False = they are not suspended."""
        if self.stopping or not self.suspended(domain):
            return False
        aside = self.queue.suspend(domain, AT_ONCE)
        for _ in aside:
            self.logs.event("delivery.suspended", domain=domain)
        if len(aside) == AT_ONCE:
            asyncio.get_running_loop().call_soon(self._set_aside, domain)
        return True

    def connections(self, domain: str) -> tuple[int, int]:
        """(open, wanted but held back by a limit) of a domain."""
        destination = self._domains.get(domain)
        return (0, 0) if destination is None else (destination.open, self._slots.waiting(domain))

    def reset_limits(self) -> None:
        """Begin the recipient windows of all domains anew (`delivernow` for all)."""
        for destination in self._domains.values():
            destination.windows.clear()

    # -- for the destinations -------------------------------------------------------------------------------------------

    async def open(self, domain: str, candidate: Candidate, support: TlsSupport, snapshot: Snapshot, dcid: int) -> Connection:
        """A connection that is ready for mail and holds its places. Errors: Unusable."""
        real = self._address_map.connect(candidate.address, candidate.host.port)
        target = Target(
            domain=domain,
            host=candidate.host.name,
            address=candidate.address,
            port=candidate.host.port,
            route_host=candidate.host.route_host,
            real=real,
            support=support,
            snapshot=snapshot,
            dane=candidate.dane,
        )
        self.counters.gauge("conn_out", 1)
        try:
            source = self._sources.find(snapshot.config, candidate.address, real[0], self.turn(SOURCE))
            return await self._opener.open(target, dcid, source)
        except BaseException:
            self.counters.gauge("conn_out", -1)
            raise

    async def close(self, connection: Connection) -> None:
        """End a connection made by `open`."""
        try:
            await self._opener.close(connection)
        finally:
            self.counters.gauge("conn_out", -1)

    @property
    def busy(self) -> bool:
        """A connection is open, or mail is on its way."""
        return any(destination.tasks for destination in self._domains.values())

    async def take_place(self, domain: str) -> None:
        await self._slots.take(domain)

    def give_place(self, domain: str) -> None:
        self._slots.give(domain)

    def turn(self, what: str) -> int:
        """Counts up for each connection, from a random start: for what takes turns. `what`: domain of a route, or SOURCE."""
        if what not in self._turns:
            self._turns[what] = self.rng.randrange(TURNS)
        self._turns[what] += 1
        return self._turns[what]

    @property
    def crowded(self) -> bool:
        """Somebody waits for a place: idle connections are to end."""
        return self._slots.wanted or self._tls_slots.wanted

    def forget(self, destination: DestinationDelivery) -> None:
        """It has nothing to do and remembers nothing that matters."""
        if self._domains.get(destination.domain) is destination:
            del self._domains[destination.domain]

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _ready(self, domain: str) -> None:
        if self.stopping or self._set_aside(domain):
            return
        destination = self._domains.get(domain)
        if destination is None:
            destination = self._domains[domain] = DestinationDelivery(domain, self)
        destination.wake()

    def _make_room(self) -> None:
        while self.resting:
            self.resting.pop().leave()

    def _anchors_of(self, snapshot: Snapshot) -> TrustAnchors:
        """Parsed once for as long as the lists stay the same."""
        revocations = self._revocations(snapshot.config)
        if self._anchors is None or self._anchors[0] is not snapshot.anchors or self._anchors[1].revocations is not revocations:
            self._anchors = (snapshot.anchors, TrustAnchors(snapshot.anchors, revocations=revocations))
        return self._anchors[1]

    async def _ptr(self, address: str) -> str | None:
        return (await self.resolver.ptr(address, self.live().config.dns.ptr_timeout * self.scale)).name
