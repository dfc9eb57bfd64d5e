"""Name servers of the appliance: which one is asked, in which order, and how long (routing.md 2).

A question goes to the server of the longest matching alternate domain, else to the servers by ascending priority number,
in random order among equals; 3 s and 2 tries each. An answer of any kind ends the search. Addresses of servers are logical.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable

import dns.flags
import dns.message
import dns.name
import dns.rcode
from attrs import evolve
from dns.rdatatype import RdataType

from appliance_runtime.addresses import AddressMap
from appliance_runtime.dns.answers import Failure, LookupFailed
from appliance_runtime.dns.names import text_of
from appliance_runtime.dns.transport import PAYLOAD, exchange
from appliance_state.model.dns import Dns, DnsServer
from appliance_state.table import Table

LIMIT = 3.0
"""seconds of real time that a server gets for an answer"""
TRIES = 2
AT_ONCE = 256
"""questions under way to one server: each takes a socket, and more would fail for want of them or be lost on the way"""


class Upstream:
    """`settings` may be replaced at any time; questions under way end with the old ones."""

    def __init__(
        self,
        settings: Dns,
        address_map: AddressMap,
        *,
        net_timeout_scale: float = 1.0,
        source: Callable[[str], str | None] = lambda interface: None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self.tries = TRIES
        self._address_map = address_map
        self._limit = LIMIT * net_timeout_scale
        self._source = source
        self._rng = rng or random.SystemRandom()
        self._places: dict[tuple[str, int], asyncio.Semaphore] = {}

    def only(self, server: DnsServer) -> Upstream:
        """One of the servers, which is asked once."""
        alone = copy.copy(self)
        alone.settings = evolve(self.settings, servers=Table([server]), alternates=Table())
        alone.tries = 1
        return alone

    async def ask(self, name: dns.name.Name, kind: RdataType, *, do: bool = False, flags: int = 0) -> dns.message.Message:
        """The answer NOERROR or NXDOMAIN of the first server that answers. `do`: with signatures; `flags`: CD or AD, besides RD.

        Errors: LookupFailed."""
        failure: Failure = "Timeout"
        for address, port in self._servers(name, kind):
            for _ in range(self.tries):
                question = dns.message.make_query(name, kind, use_edns=0, payload=PAYLOAD, want_dnssec=do, flags=dns.flags.RD | flags)
                try:
                    real, source = self._address_map.connect(address, port), self._source(self.settings.interface)
                    # Waiting for a place is no fault of the server: its time runs from the question on.
                    async with self._places.setdefault((address, port), asyncio.Semaphore(AT_ONCE)):
                        response = await exchange(question, real, limit=self._limit, source=source)
                except (OSError, EOFError):
                    continue
                if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    return response
                failure = "Refused" if response.rcode() == dns.rcode.REFUSED else "ServFail"
                raise LookupFailed(text_of(name), kind.name, failure)
        raise LookupFailed(text_of(name), kind.name, failure)

    def _servers(self, name: dns.name.Name, kind: RdataType) -> list[tuple[str, int]]:
        """Servers for a name, in the order in which they are asked. DS records belong to the zone above (RFC 4035 3.1.4.1)."""
        labels = text_of(name).split(".")
        for start in range(1 if kind == RdataType.DS else 0, len(labels)):
            domain = ".".join(labels[start:])
            if domain in self.settings.alternates:
                alternate = self.settings.alternates[domain]
                return [(alternate.address, alternate.port)]
        servers = list(self.settings.servers.entries())
        self._rng.shuffle(servers)
        return [(server.address, server.port) for server in sorted(servers, key=lambda server: server.priority)]
