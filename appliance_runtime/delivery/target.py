"""Where a connection goes, for which domain, and under which settings."""

from __future__ import annotations

from attrs import frozen

from appliance_runtime.delivery.dane import OFF, HostDane
from appliance_runtime.delivery.tls_policy import TlsPolicy
from appliance_runtime.snapshot import Snapshot
from appliance_state.model.destinations import TlsSupport


@frozen(kw_only=True)
class Target:
    """`address`, `port`: logical; `real`: where the socket goes."""

    domain: str
    host: str
    address: str
    port: int
    route_host: str | None = None
    real: tuple[str, int]
    support: TlsSupport
    snapshot: Snapshot
    dane: HostDane = OFF

    @property
    def policy(self) -> TlsPolicy:
        return TlsPolicy(self.support, self.dane.state)

    @property
    def server_name(self) -> str | None:
        """What is asked for in the handshake: where TLSA records are in force, the name below which they were found."""
        if self.dane.state.demands_tls:
            return self.dane.base
        return None if self.host == self.address else self.host
