"""What NEW and EDIT of `interfaceconfig` ask, and which answers they refuse (interfaceconfig.md 2.1, 2.2).

Keys of the batch answers: name, use_ipv4, ipv4, netmask, use_ipv6, ipv6, prefix, ethernet, hostname, and for each
service its word and `<word>_port`.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.interfaces import DEMO, ETHERNETS, INTERFACE_NAME, SERVICES, Interface
from appliance_state.table import evolve
from commands.answers import hostname, integer, ipv4, ipv6, port
from commands.certificate_choice import choose_certificate
from commands.dialog import Conversation, Rejected
from commands.interfaces import listener_on_port, until_valid

NAME_RULE = "An interface name may contain letters, numbers, spaces, periods, underscores and hyphens, and must be at most 64 characters."
NETMASK_RULE = 'The netmask must be a prefix length, four numbers, or a hexadecimal value (Ex: "24", "255.255.255.0" or "0xffffff00").'
NO_ADDRESS = "At least one IP address is required."
NOT_FOR_INTERFACES = "That value is not a valid interface address."
DEMO_NOTE = """\
The "Demo" certificate is currently configured. You may use "Demo", but this will
not be secure. To assure privacy, run "certconfig" first."""
REDIRECT = """\
Both HTTP and HTTPS are enabled for this interface, should HTTP requests redirect to the
secure service?"""

_NAME = re.compile(INTERFACE_NAME, re.ASCII)
_HEX_MASK = re.compile(r"0x[0-9a-f]{1,8}", re.ASCII | re.IGNORECASE)


def new_name(config: Config, current: str | None = None) -> Callable[[str], str]:
    """Parser of the name of an interface; `current` is the name that it has now."""

    def parse(answer: str) -> str:
        if not _NAME.fullmatch(answer):
            raise Rejected(NAME_RULE)
        if answer in config.interfaces and (current is None or answer.casefold() != current.casefold()):
            raise Rejected(f'An interface named "{config.interfaces[answer].name}" already exists.')
        if answer in config.interface_groups:
            raise Rejected(f'A group named "{config.interface_groups[answer].name}" already exists.')
        return answer

    return parse


def netmask(answer: str) -> int:
    """`24`, `255.255.255.0` or `0xffffff00` as prefix length. Errors: Rejected."""
    if answer.isascii() and answer.isdigit() and len(answer) <= 2 and int(answer) <= 32:
        return int(answer)
    try:
        mask = int(answer, 16) if _HEX_MASK.fullmatch(answer) else int(ipaddress.IPv4Address(answer))
    except ValueError:
        raise Rejected(NETMASK_RULE) from None
    length = mask.bit_count()
    if mask != (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF:
        raise Rejected(NETMASK_RULE)
    return length


def _address(config: Config, besides: str | None, read: Callable[[str], str]) -> Callable[[str], str]:
    """Parser of an address that an interface can have and that no other one has."""

    def parse(answer: str) -> str:
        address = ipaddress.ip_address(read(answer))
        in_network_zero = address.version == 4 and int(address) >> 24 == 0
        if address.is_multicast or address.is_unspecified or in_network_zero or str(address) == "255.255.255.255":
            raise Rejected(NOT_FOR_INTERFACES)
        for other in config.interfaces.sorted():
            if str(address) in other.addresses and (besides is None or other.name.casefold() != besides.casefold()):
                raise Rejected(f'This IP address is already in use by interface "{other.name}".')
        return str(address)

    return parse


def _check_host_part(address: str, prefix: int) -> None:
    """Errors: Rejected for the network address and the broadcast address of the mask."""
    network = ipaddress.IPv4Network((address, prefix), strict=False)
    if prefix < 31 and address in (str(network.network_address), str(network.broadcast_address)):
        raise Rejected(NOT_FOR_INTERFACES)


async def _ask_ipv4(talk: Conversation, config: Config, current: Interface, besides: str | None) -> tuple[str, int]:
    prefix = current.ipv4_prefix

    async def question() -> str:
        nonlocal prefix
        address = await talk.ask("IPv4 Address (Ex: 192.168.1.2 ):", _address(config, besides, ipv4), key="ipv4", default=current.ipv4)
        prefix = await talk.ask('Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):', netmask, key="netmask", default=current.ipv4_prefix)
        return address

    address = await until_valid(talk, question, lambda address: _check_host_part(address, prefix))
    return address, prefix


async def _ask_addresses(talk: Conversation, config: Config, current: Interface, besides: str | None) -> Interface:
    """`current` with the addresses of the answers."""
    while True:
        changed = current
        question = "Would you like to configure an IPv{} address for this interface (y/n)?"
        wanted = current.ipv4 is not None or besides is None
        if await talk.confirm(question.format(4), key="use_ipv4", default=wanted):
            address, prefix = await _ask_ipv4(talk, config, current, besides)
            changed = evolve(changed, ipv4=address, ipv4_prefix=prefix)
        else:
            changed = evolve(changed, ipv4=None)
        if await talk.confirm(question.format(6), key="use_ipv6", default=current.ipv6 is not None):
            changed = evolve(
                changed,
                ipv6=await talk.ask(
                    "IPv6 Address (Ex: 2001:420:80:1::5 ):", _address(config, besides, ipv6), key="ipv6", default=current.ipv6
                ),
                ipv6_prefix=await talk.ask('Prefix length (Ex: "64"):', integer(0, 128), key="prefix", default=current.ipv6_prefix),
            )
        else:
            changed = evolve(changed, ipv6=None)
        if changed.addresses:
            return changed
        if talk.batch:
            raise Rejected(NO_ADDRESS)
        talk.fail(NO_ADDRESS)


async def _ask_services(talk: Conversation, config: Config, current: Interface, besides: str | None) -> dict[str, int | None]:
    """Port of each service, None = off, by word."""
    ports: dict[str, int | None] = {}
    for word, label, offered in SERVICES:
        was = current.service_port(word)
        ports[word] = None
        if await talk.confirm(f"Do you want to enable {label} on this interface?", key=word, default=was is not None):
            ports[word] = await until_valid(
                talk,
                functools.partial(
                    talk.ask, f"Which port do you want to use for {label}?", port, key=f"{word}_port", default=was or offered
                ),
                functools.partial(_check_port, config, besides, dict(ports)),
            )
    return ports


def _check_port(config: Config, besides: str | None, taken: dict[str, int | None], wanted: int) -> None:
    """Errors: Rejected when a service answered before, or a listener of the interface, has the port."""
    for word, label, _ in SERVICES:
        if taken.get(word) == wanted:
            raise Rejected(f"Port {wanted} is already used by {label} on this interface.")
    if besides is not None and (listener := listener_on_port(config, besides, wanted)):
        raise Rejected(f'Port {wanted} is already used by listener "{listener}" on this interface.')


async def _ask_certificate(talk: Conversation, session: Session, current: str) -> str:
    if not session.draft.config.certificates:
        talk.show(DEMO_NOTE)
        return DEMO
    chosen = await choose_certificate(talk, session, current=current)
    if chosen == DEMO:
        talk.note(DEMO_NOTE)
    return chosen


async def ask_interface(talk: Conversation, session: Session, current: Interface | None) -> Interface:
    """The interface of the answers; `current` gives their defaults, None = a new one. Nothing is stored.

    A batch line is not asked for the certificate and, unless both web services are on, not for the redirection.
    """
    config = session.draft.config
    besides = None if current is None else current.name
    question = 'IP interface name (Ex: "InternalNet"):'
    name = await talk.ask(question, new_name(config, besides), key="name", default=besides)
    base = evolve(current, name=name) if current is not None else Interface(name=name, uid=session.draft.new_id())
    base = await _ask_addresses(talk, config, base, besides)
    ethernet = await talk.choose([(e, e) for e in ETHERNETS], key="ethernet", above="Ethernet interface:", default=base.ethernet)
    host = await talk.ask("Hostname:", hostname, key="hostname", default=base.hostname or None)
    ports = await _ask_services(talk, config, base, besides)
    certificate = base.https_certificate
    if ports["https"] is not None and not talk.batch:
        certificate = await _ask_certificate(talk, session, certificate)
    redirect = base.https_redirect
    if ports["http"] is not None and ports["https"] is not None:
        redirect = await talk.confirm(REDIRECT, key="redirect", default=redirect)
    return evolve(
        base,
        ethernet=ethernet,
        hostname=host,
        ssh_port=ports["ssh"],
        ccs_port=ports["ccs"],
        http_port=ports["http"],
        https_port=ports["https"],
        https_certificate=certificate,
        https_redirect=redirect,
    )
