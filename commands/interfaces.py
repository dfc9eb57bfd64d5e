"""IP interfaces as operators see them: rows of listings and pick lists, whose port is taken, who refers to one.

Shared by `interfaceconfig`, `listenerconfig`, `deliveryconfig`, `print` and every dialog that offers interfaces.
Source: interfaceconfig.md 2, listenerconfig.md 3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import evolve

from appliance_state.model import Config
from appliance_state.model.interfaces import SERVICES, Interface
from commands.dialog import Conversation, Rejected

T = TypeVar("T")


def address_text(interface: Interface) -> str:
    """`192.168.1.1/24, 2001:db8::1/64`."""
    parts = []
    if interface.ipv4:
        parts.append(f"{interface.ipv4}/{interface.ipv4_prefix}")
    if interface.ipv6:
        parts.append(f"{interface.ipv6}/{interface.ipv6_prefix}")
    return ", ".join(parts)


def pick_row(interface: Interface) -> str:
    """Row of a pick list, without its number: `Management (192.168.42.42/24: mail.example.com)`."""
    return f"{interface.name} ({address_text(interface)}: {interface.hostname})"


def interface_rows(config: Config) -> list[str]:
    """Numbered rows of `interfaceconfig`: `1. Management (192.168.42.42/24 on Management: mail.example.com)`."""
    return [
        f"{n}. {interface.name} ({address_text(interface)} on {interface.ethernet}: {interface.hostname})"
        for n, interface in enumerate(config.interfaces.sorted(), start=1)
    ]


def listener_on_port(config: Config, interface: str, port: int, *, besides: str = "") -> str | None:
    """Name of the listener (not `besides`) that uses `port` of `interface`."""
    for listener in config.listeners.sorted():
        other = listener.name.casefold() != besides.casefold()
        if other and listener.interface.casefold() == interface.casefold() and listener.port == port:
            return listener.name
    return None


def check_port_for_listener(config: Config, interface: str, port: int, *, besides: str = "") -> None:
    """Errors: Rejected when a service of the interface or another listener has the port."""
    if other := listener_on_port(config, interface, port, besides=besides):
        raise Rejected(f'Port {port} is already used by listener "{other}" on this interface.')
    if interface in config.interfaces:
        for word, label, _ in SERVICES:
            if config.interfaces[interface].service_port(word) == port:
                raise Rejected(f"Port {port} is already used by {label} on this interface.")


def users_of(config: Config, name: str) -> list[str]:
    """What refers to the interface: `listener "InboundMail"`, `interface group "Inbound"`, `deliveryconfig`, `dnsconfig`, …"""
    key = name.casefold()
    users = [f'listener "{listener.name}"' for listener in config.listeners.sorted() if listener.interface.casefold() == key]
    users += [
        f'interface group "{group.name}"'
        for group in config.interface_groups.sorted()
        if key in {member.casefold() for member in group.members}
    ]
    if config.delivery.interface.casefold() == key:
        users.append("deliveryconfig")
    if config.dns.interface.casefold() == key:
        users.append("dnsconfig")
    if config.updates.interface.casefold() == key:
        users.append("updateconfig")
    if config.ldap.interface.casefold() == key:
        users.append("ldapconfig")
    return users


def with_interface(config: Config, old: str, changed: Interface) -> Config:
    """The configuration with `changed` in the place of the interface `old`; every reference follows a new name."""
    config = config.with_(interfaces=config.interfaces.replace(old, changed))
    if changed.name == old:
        return config
    key = old.casefold()

    def follow(name: str) -> str:
        return changed.name if name.casefold() == key else name

    listeners = [
        evolve(listener, interface=changed.name) for listener in config.listeners.entries() if listener.interface.casefold() == key
    ]
    groups = [
        evolve(group, members=frozenset(map(follow, group.members)))
        for group in config.interface_groups.entries()
        if key in {member.casefold() for member in group.members}
    ]
    return config.with_(
        listeners=config.listeners.put(*listeners),
        interface_groups=config.interface_groups.put(*groups),
        dns=evolve(config.dns, interface=follow(config.dns.interface)),
        delivery=evolve(config.delivery, interface=follow(config.delivery.interface)),
        updates=evolve(config.updates, interface=follow(config.updates.interface)),
        ldap=evolve(config.ldap, interface=follow(config.ldap.interface)),
    )


async def until_valid(talk: Conversation, question: Callable[[], Awaitable[T]], check: Callable[[T], None]) -> T:
    """Ask again until `check` accepts the answer: for values that can be wrong even when they are the default shown.

    Errors: Rejected in a batch line.
    """
    while True:
        value = await question()
        try:
            check(value)
        except Rejected as rejection:
            if talk.batch:
                raise
            talk.fail(str(rejection))
        else:
            return value
