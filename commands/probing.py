"""What tlsverify and daneverify have in common: which configuration, for how long, and how failures read (tls-tools.md 2, 3)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from appliance_runtime.commit import CommitRefused, Conflicted
from appliance_runtime.delivery.connection import Connection, Unusable
from appliance_runtime.delivery.peer_names import is_address
from appliance_runtime.delivery.probe import Probe
from appliance_runtime.sessions import Session
from appliance_state.names import HOSTNAME_RULES, is_hostname
from commands.answers import port as port_number
from commands.dialog import Conversation, Refused, Rejected

SMTP_PORT = 25
HOST_OR_ADDRESS = f"The address must be a hostname or an IPv4/IPv6 address.\n{HOSTNAME_RULES}"
TOO_LONG = "The verification took too long and was ended."
_ERRNO = re.compile(r"\[Errno \d+\] ")


@asynccontextmanager
async def probing(talk: Conversation, session: Session, *, pending: bool) -> AsyncIterator[Probe]:
    """A probe of the running configuration or, with `pending`, of the one that a commit would make.

    What takes too long is ended with a line that says so, and counts as failed.
    """
    appliance = session.appliance
    try:
        snapshot = await appliance.pending(session.draft) if pending else appliance.live()
    except CommitRefused as refusal:
        raise Refused("\n".join(f"Error: {problem}" for problem in refusal.problems)) from None
    except Conflicted:
        raise Refused("Error: Your pending changes are in conflict with a later commit.") from None
    with closing(appliance.probe(snapshot)) as probe:
        try:
            async with asyncio.timeout(probe.seconds):
                yield probe
        except TimeoutError:
            talk.fail(TOO_LONG)


def host_and_port(answer: str) -> tuple[str, int]:
    """`mx.example.com`, `192.0.2.1:25`, `[2001:db8::1]:25`. Errors: Rejected."""
    host, port = answer, ""
    if answer.startswith("["):
        host, bracket, rest = answer[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise Rejected(HOST_OR_ADDRESS)
        port = rest[1:] if rest else ""
        if rest == ":" or not is_address(host):
            raise Rejected(HOST_OR_ADDRESS)
    elif answer.count(":") == 1:
        host, _, port = answer.partition(":")
        if not port:
            raise Rejected(HOST_OR_ADDRESS)
    if not is_address(host) and not is_hostname(host):
        raise Rejected(HOST_OR_ADDRESS)
    return host.lower(), port_number(port) if port else SMTP_PORT


def system_text(failure: Unusable) -> str:
    """`Connection refused`: the text of the system without its number."""
    return _ERRNO.sub("", failure.text)


def say_session(talk: Conversation, connection: Connection) -> None:
    """The line about a handshake that is complete."""
    session = connection.wire.tls
    cipher = session.cipher() if session is not None else None
    version = session.version() if session is not None else None
    talk.say(f"TLS connection established: protocol {version or 'unknown'}, cipher {cipher[0] if cipher else 'unknown'}.")
