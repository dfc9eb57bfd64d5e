"""Host access: which entry of a listener's table decides about a client, and what the listener then does (listenerconfig.md 5.1).

The entries are tried from top to bottom; the first one that matches and whose behavior is not Continue decides. An entry
with Continue that matched before it gives its group and source to the log. All forms of sources become keys of a few
dictionaries whose values are ranks (places in the table), so that 20,000 sources cost no more than a few look-ups.
Pure, except that nothing here is ever changed after `compile_listener`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from attrs import frozen

from appliance_runtime.smtp.masquerade import Masquerade
from appliance_runtime.smtp.recipients import DomainMap, RecipientAccess, parent_domains
from appliance_runtime.smtp.settings import EngineSettings
from appliance_state.access_sources import parse_source
from appliance_state.model import Config
from appliance_state.model.interfaces import Interface
from appliance_state.model.listeners import (
    Behavior,
    Listener,
    ListenerGlobals,
    ListenerType,
    PolicyParameters,
    SenderGroup,
    factory_parameters,
)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEVER = 1 << 62
"""A rank that nothing has."""


@frozen(kw_only=True)
class Treatment:
    """What an entry means: its behavior with its policy's and the default parameters filled in.

    `banner_name`: host name in the banner, may be empty.
    """

    behavior: Behavior
    parameters: PolicyParameters
    settings: EngineSettings
    banner_name: str


@frozen
class Decision:
    """`group`, `entry`: what the log names as matched; `group` is `None` (the word) for an entry without a name."""

    group: str
    entry: str
    treatment: Treatment

    @property
    def behavior(self) -> Behavior:
        return self.treatment.behavior

    @property
    def parameters(self) -> PolicyParameters:
        return self.treatment.parameters


@lru_cache(4096)
def client_ip(address: str) -> IPAddress:
    """The client's address; an IPv4 address that came over an IPv6 socket is an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip


class AccessTable:
    """The sources of all entries, ranked from top to bottom."""

    def __init__(self, entries: Iterable[tuple[SenderGroup, Treatment]], fallback: Treatment) -> None:
        """`fallback`: for a client that no entry matches, as in a table without ALL."""
        self._matches: list[tuple[str, str, Treatment]] = []
        self._networks: dict[int, dict[int, dict[int, _Ranks]]] = {4: {}, 6: {}}
        self._hosts: dict[str, _Ranks] = {}
        self._suffixes: dict[str, _Ranks] = {}
        self._everything = _Ranks()
        for group, treatment in entries:
            for sender in group.senders:
                self._add(sender.source, len(self._matches), treatment.behavior is Behavior.CONTINUE)
                self._matches.append((group.name or "None", sender.source, treatment))
        self._fallback = Decision("None", "ALL", fallback)

    def _add(self, text: str, rank: int, continues: bool) -> None:
        source = parse_source(text)
        for network in source.networks:
            version, length, start = network.version, network.prefixlen, network.network_address
            if isinstance(start, ipaddress.IPv6Address) and start.ipv4_mapped and length >= 96:
                version, length, start = 4, length - 96, start.ipv4_mapped
            bucket = self._networks[version].setdefault(length, {})
            bucket.setdefault(int(start), _Ranks()).add(rank, continues)
        if source.name is not None:
            names = self._suffixes if source.name.startswith(".") else self._hosts
            names.setdefault(source.name.removeprefix("."), _Ranks()).add(rank, continues)
        if source.everything:
            self._everything.add(rank, continues)

    def decide(self, client: IPAddress, verified_hostname: str | None) -> Decision:
        number, width = int(client), client.max_prefixlen
        found = [self._everything]
        for length, bucket in self._networks[client.version].items():
            shift = width - length
            if (ranks := bucket.get(number >> shift << shift)) is not None:
                found.append(ranks)
        if verified_hostname and (self._hosts or self._suffixes):
            name = verified_hostname.lower().rstrip(".")
            if (ranks := self._hosts.get(name)) is not None:
                found.append(ranks)
            found += [ranks for parent in parent_domains(name) if (ranks := self._suffixes.get(parent)) is not None]
        deciding = min(ranks.deciding for ranks in found)
        if deciding == _NEVER:
            return self._fallback
        group, entry, treatment = self._matches[deciding]
        continuing = min(ranks.continuing for ranks in found)
        if continuing < deciding:
            group, entry, _ = self._matches[continuing]
        return Decision(group, entry, treatment)


class _Ranks:
    """Of the entries that share a key: the first that decides, the first with Continue."""

    __slots__ = ("continuing", "deciding")

    def __init__(self) -> None:
        self.deciding = self.continuing = _NEVER

    def add(self, rank: int, continues: bool) -> None:
        if continues:
            self.continuing = min(self.continuing, rank)
        else:
            self.deciding = min(self.deciding, rank)


@frozen(kw_only=True)
class CompiledListener:
    """A listener as its connections use it. `recipients` is None where every recipient is accepted."""

    listener: Listener
    interface: Interface
    globals: ListenerGlobals
    access: AccessTable
    recipients: RecipientAccess | None
    domain_map: DomainMap
    masquerade: Masquerade

    def decide(self, client: IPAddress, verified_hostname: str | None) -> Decision:
        """Who the client is for this listener."""
        return self.access.decide(client, verified_hostname)


def compile_listener(config: Config, listener: Listener) -> CompiledListener:
    """Errors: ValueError for a source that is none; KeyError for an interface that does not exist."""
    interface = config.interfaces[listener.interface]
    host = interface.hostname or config.system.hostname
    default = listener.hat_default.over(factory_parameters(listener.type))
    treatments: dict[tuple[Behavior, int], Treatment] = {}

    def treatment(behavior: Behavior, own: PolicyParameters) -> Treatment:
        key = (behavior, id(own))
        if key not in treatments:
            parameters = own.over(default)
            treatments[key] = Treatment(
                behavior=behavior,
                parameters=parameters,
                settings=_settings(listener, config.listener_globals, parameters, host),
                banner_name=host if parameters.override_hostname is None else parameters.override_hostname,
            )
        return treatments[key]

    def entry_treatment(group: SenderGroup) -> Treatment:
        if group.policy is None:
            return treatment(group.behavior or Behavior.ACCEPT, group.parameters)
        policy = listener.policy(group.policy)
        if policy is None:
            raise ValueError(f'listener "{listener.name}" has no policy "{group.policy}"')
        return treatment(policy.behavior, policy.parameters)

    return CompiledListener(
        listener=listener,
        interface=interface,
        globals=config.listener_globals,
        access=AccessTable(
            [(group, entry_treatment(group)) for group in listener.hat_sender_groups],
            treatment(Behavior.REJECT, default),
        ),
        recipients=RecipientAccess(listener.rat) if listener.type is ListenerType.PUBLIC else None,
        domain_map=DomainMap(listener.domain_map),
        masquerade=Masquerade(listener.masquerade, listener.masquerade_headers),
    )


def _settings(listener: Listener, limits: ListenerGlobals, parameters: PolicyParameters, host: str) -> EngineSettings:
    assert parameters.max_message_size is not None and parameters.tls is not None
    return EngineSettings(
        host=parameters.override_hostname or host,
        max_message_size=parameters.max_message_size,
        max_header_lines=limits.max_header_lines,
        tls=parameters.tls,
        clean_smtp=listener.clean_smtp,
        default_domain=listener.default_domain or None,
    )
