"""From which own address a connection goes out, and with which name it says EHLO (delivery.md 3, item 1).

The address is bound only where this host has it; elsewhere, with mapped addresses, the system chooses, and the logs show
the logical one.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from appliance_runtime.addresses import is_own_address
from appliance_state.model import Config
from appliance_state.model.interfaces import Interface

DISCARD = 9
"""any port: connecting a datagram socket sends nothing"""


@frozen(kw_only=True)
class Source:
    """`address`: as the log shows it; `bind`: real address to bind, None = left to the system."""

    address: str
    bind: str | None
    hello: str


@define(eq=False)
class Sources:
    """`source_for`, asked again only after a second, or when the configuration has changed. `now`: any clock."""

    now: Callable[[], float]
    _known: dict[tuple[str, str], Source] = field(factory=dict)
    _of: Config | None = None
    _ends: float = 0.0

    def find(self, config: Config, target: str, real: str, turn: int) -> Source:
        """As `source_for`."""
        if config is not self._of or self.now() >= self._ends:
            self._known.clear()
            self._of, self._ends = config, self.now() + 1
        if config.delivery.interface in config.interface_groups:
            return source_for(config, target, real, turn)
        source = self._known.get((target, real))
        if source is None:
            source = self._known[target, real] = source_for(config, target, real, turn)
        return source


def source_for(config: Config, target: str, real: str, turn: int, *, interface: str | None = None) -> Source:
    """`target`: logical address, `real`: where the socket really goes; `turn`: counts up, for groups of interfaces.

    `interface`: the one of another client than delivery.
    """
    chosen = _chosen(config, config.delivery.interface if interface is None else interface, turn)
    if chosen is not None and (address := _of_family(chosen, target)) is not None:
        return Source(address=address, bind=address if is_own_address(address) else None, hello=_hello(config, chosen))
    address = _routed(real)
    interfaces = config.interfaces.sorted()
    owner = next((one for one in interfaces if address in one.addresses), None)
    if owner is None and target != real:
        owner = _logical(interfaces, target)
        address = (_of_family(owner, target) if owner else None) or address
    return Source(address=address, bind=None, hello=_hello(config, owner))


def _chosen(config: Config, name: str, turn: int) -> Interface | None:
    """The interface of that name; of a group one after the other."""
    if name in config.interfaces:
        return config.interfaces[name]
    group = config.interface_groups.get(name)
    members = [config.interfaces[member] for member in sorted(group.members) if member in config.interfaces] if group else []
    return members[turn % len(members)] if members else None


def _of_family(interface: Interface, target: str) -> str | None:
    return interface.ipv6 if ":" in target else interface.ipv4


def _logical(interfaces: Sequence[Interface], target: str) -> Interface | None:
    """The interface in whose network a mapped target lies, else the first one with an address of its family."""
    possible = [one for one in interfaces if _of_family(one, target)]
    for one in possible:
        prefix = one.ipv6_prefix if ":" in target else one.ipv4_prefix
        if ipaddress.ip_address(target) in ipaddress.ip_network(f"{_of_family(one, target)}/{prefix}", strict=False):
            return one
    return possible[0] if possible else None


def _routed(real: str) -> str:
    """The own address that the system's routing takes for a target."""
    any_address = "::" if ":" in real else "0.0.0.0"
    with socket.socket(socket.AF_INET6 if ":" in real else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((real, DISCARD))
        except OSError:
            return any_address
        return str(probe.getsockname()[0])


def _hello(config: Config, interface: Interface | None) -> str:
    return (interface.hostname if interface else "") or config.system.hostname
