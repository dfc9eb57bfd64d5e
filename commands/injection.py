"""topin, rate: who is connected, and what comes and goes (operations.md 3)."""

from __future__ import annotations

import asyncio
from collections import Counter

from appliance_runtime.clock import long_date
from appliance_runtime.sessions import Session
from appliance_runtime.web.figures import KIBIBYTE, octets_below
from commands.arguments import Arguments
from commands.continuous import Rows, ask_seconds, display, display_some
from commands.dialog import Conversation
from commands.registry import Command

TOPIN_HEAD = "#   Remote hostname            Remote IP addr.   listener        Conn. In"
MOST_ROWS = 20
RATE_HEAD = """\
Time      Connections Recipients          Recipients          Queue
          In    Out  Received      Delta Completed      Delta K-Used"""
RATE_EDGES = (12, 19, 29, 40, 50, 61, 68)


async def topin(talk: Conversation, session: Session) -> None:
    """Clients with open connections, most first."""
    appliance = session.appliance
    clients: Counter[tuple[str, str, str]] = Counter()
    for connection in appliance.receiver.connections:
        peer = connection.peer
        clients[peer.reverse.name or "unknown", str(peer.address), connection.endpoint.owner] += 1
    rows = []
    ordered = sorted(clients.items(), key=lambda item: (-item[1], item[0]))
    for number, ((hostname, address, listener), count) in enumerate(ordered[:MOST_ROWS], start=1):
        row = f"{number:<4}{hostname[:26]:<27}{address:<18}{listener[:15]:<16}"
        rows.append(f"{row}{count:>{len(TOPIN_HEAD) - len(row)},}")
    date = long_date(appliance.clock.now(), appliance.running()[1].system.timezone)
    await talk.page("\n".join([f"{'Status as of:':<32}{date}", "", TOPIN_HEAD, *rows]))


def _rate(session: Session) -> Rows:
    """Open connections, recipients so far and since the row before, kilobytes of the queue."""
    appliance = session.appliance
    before: tuple[int, int] | None = None

    async def cells() -> list[str]:
        nonlocal before
        counters = appliance.counters
        now = counters.columns("inj_recips").uptime, counters.columns("completed_recips").uptime
        deltas = (0, 0) if before is None else (now[0] - before[0], now[1] - before[1])
        before = now
        used = await asyncio.to_thread(octets_below, appliance.directory.queue) // KIBIBYTE
        return [
            str(counters.current("conn_in")),
            str(counters.current("conn_out")),
            str(now[0]),
            str(deltas[0]),
            str(now[1]),
            str(deltas[1]),
            str(used),
        ]

    return cells


async def rate(talk: Conversation, session: Session) -> None:
    await display(talk, session, RATE_HEAD, _rate(session), RATE_EDGES, await ask_seconds(talk))


async def _rate_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    await display_some(talk, session, RATE_HEAD, _rate(session), RATE_EDGES, args)


COMMANDS = (
    Command("topin", "Display the top hosts by number of incoming connections.", dialog=topin),
    Command("rate", "Monitor message throughput.", dialog=rate, batch=_rate_batch, usage="rate <seconds> [<count>]"),
)
