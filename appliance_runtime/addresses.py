"""Port mapping: from the addresses of the configuration to the sockets really used (labs-and-ci.md 3).

A rule is `LOGICAL=REAL`. LOGICAL: `IP:PORT`, `IP:*`, `*:PORT`, `*:*`; REAL: `IP:PORT`, `IP:0` (a free port), `IP:+N`
(logical port + N), `=` (unchanged). Address counts before port, later rules win among equals.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable

from attrs import define, field, frozen

LOOPBACK = "127.0.0.1"
AUTO = "auto"
MOVED_PORTS = {22: 2222, 25: 2525, 80: 8080, 443: 8443, 465: 4650, 587: 5870}


class InvalidRule(ValueError):
    """A mapping rule is not of the form LOGICAL=REAL."""


@frozen
class Rule:
    """`address`, `port`: None = any. `real_address`: None = unchanged; `shift`: the port is added to the logical one."""

    address: str | None
    port: int | None
    real_address: str | None
    real_port: int = 0
    shift: bool = False

    @property
    def weight(self) -> tuple[bool, bool]:
        return self.address is not None, self.port is not None

    def matches(self, address: str, port: int) -> bool:
        return self.address in (None, address) and self.port in (None, port)

    def apply(self, address: str, port: int) -> tuple[str, int]:
        if self.real_address is None:
            return address, port
        return self.real_address, port + self.real_port if self.shift else self.real_port


def _split(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise InvalidRule(text)
    return host.removeprefix("[").removesuffix("]"), port


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidRule(text) from None


def _port(text: str, low: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text) <= 65535):
        raise InvalidRule(text)
    return int(text)


def parse_rule(text: str) -> Rule:
    """Errors: InvalidRule."""
    logical, equals, real = text.partition("=")
    if not equals:
        raise InvalidRule(text)
    host, port = _split(logical)
    address = None if host == "*" else _address(host)
    number = None if port == "*" else _port(port, 1)
    if real == "=":
        return Rule(address, number, None)
    real_host, real_port = _split(real)
    if real_port.startswith("+"):
        return Rule(address, number, _address(real_host), _port(real_port[1:], 0), shift=True)
    return Rule(address, number, _address(real_host), _port(real_port, 0))


@frozen
class Place:
    """Where a listening socket goes. `movable`: a port that is taken means the next free one, not a failure."""

    address: str
    port: int
    movable: bool


def is_own_address(address: str) -> bool:
    """Whether this host has the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            return error.errno not in (errno.EADDRNOTAVAIL, errno.EINVAL, errno.EAFNOSUPPORT)
    return True


@define
class AddressMap:
    """The rules of one appliance, and the real places that it has given to logical sockets."""

    rules: list[Rule] = field(factory=list)
    auto: bool = False
    placed: dict[tuple[str, int], tuple[str, int]] = field(factory=dict)
    """logical address and port -> real ones, kept as long as the process lives"""

    @classmethod
    def parse(cls, texts: Iterable[str]) -> AddressMap:
        """Errors: InvalidRule."""
        result = cls()
        for text in texts:
            if text.strip() == AUTO:
                result.auto = True
            else:
                result.rules.append(parse_rule(text.strip()))
        return result

    def _rule(self, address: str, port: int) -> Rule | None:
        found = None
        for rule in self.rules:
            if rule.matches(address, port) and (found is None or rule.weight >= found.weight):
                found = rule
        return found

    def listen(self, address: str, port: int) -> Place:
        """Where the socket of a logical address and port is to be bound; port 0 = any free one."""
        if (address, port) in self.placed:
            return Place(*self.placed[address, port], movable=False)
        if rule := self._rule(address, port):
            return Place(*rule.apply(address, port), movable=False)
        if self.auto:
            return Place(LOOPBACK, 0, movable=False)
        if is_own_address(address):
            return Place(address, port, movable=False)
        return Place(LOOPBACK, MOVED_PORTS.get(port, port + 20000 if port < 1024 else port), movable=True)

    def connect(self, address: str, port: int) -> tuple[str, int]:
        """The real address and port of a peer."""
        if (address, port) in self.placed:
            return self.placed[address, port]
        rule = self._rule(address, port)
        real = rule.apply(address, port) if rule else (address, port)
        return real if real[1] else (address, port)
