"""hoststatus, tophosts, hostrate: destinations, as far as mail went there since the start (operations.md 3).

Labels of the head take 22 columns; numbers end at column 42, those of tophosts at 40, 47, 56, 67, 78.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from attrs import frozen

from appliance_runtime.clock import long_date
from appliance_runtime.delivery.host_states import HostState, LastError, Reachable
from appliance_runtime.delivery.routes import route_for
from appliance_runtime.dns.answers import LookupFailed, MxAnswer
from appliance_runtime.logs.escaping import escape
from appliance_runtime.sessions import Session
from appliance_runtime.web.figures import age
from appliance_state.model import Config
from appliance_state.model.routes import SmtpRoute
from commands.answers import domain
from commands.arguments import Arguments
from commands.continuous import Rows, ask_seconds, display, display_some
from commands.dialog import Conversation, Refused
from commands.registry import Command

HEAD_WIDTH = 22
EDGE = 42
QUESTION = "Recipient host:"
RULE = "-" * 10
MOST_ROWS = 20
COUNTERS = (
    (4, "Soft Bounced Events", "soft_bounced_evts"),
    (2, "Completion", None),
    (4, "Completed Recipients", "completed_recips"),
    (6, "Hard Bounced Recipients", "hard_bounced_recips"),
    (8, "DNS Hard Bounces", "dns_hard_bounced_recips"),
    (8, "5XX Hard Bounces", "5xx_hard_bounced_recips"),
    (8, "Filter Hard Bounces", "filter_hard_bounced_recips"),
    (8, "Expired Hard Bounces", "expired_hard_bounced_recips"),
    (8, "Other Hard Bounces", "other_hard_bounced_recips"),
    (6, "Delivered Recipients", "delivered_recips"),
    (6, "Deleted Recipients", "deleted_recips"),
)


@frozen(kw_only=True)
class _Host:
    """A destination at this moment."""

    name: str
    state: HostState
    active: int
    attempted: int
    connections: int
    pending: int


def _host(session: Session, name: str) -> _Host | None:
    """None = nothing is known of it."""
    agent, queue = session.appliance.agent, session.appliance.queue
    state = agent.hosts.known().get(name)
    active, attempted = queue.recipients(name)
    if state is None and not active:
        return None
    connections, pending = agent.connections(name)
    return _Host(
        name=name, state=state or HostState(), active=active, attempted=attempted, connections=connections, pending=pending
    )  # fmt: skip


def _known(session: Session, name: str) -> _Host:
    """Errors: Refused."""
    host = _host(session, name)
    if host is None:
        raise Refused(f'"{name}" was not found in the list of destinations.')
    return host


# -- hoststatus -----------------------------------------------------------------------------------------------------------


async def hoststatus(talk: Conversation, session: Session) -> None:
    await _show(talk, session, await talk.ask(QUESTION, domain, key="host"))


async def _hoststatus_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    name = domain(args.word("host"))
    args.end()
    await _show(talk, session, name)


async def _show(talk: Conversation, session: Session, name: str) -> None:
    _known(session, name)
    config = session.appliance.running()[1]
    dns = await _dns_blocks(session, config, name)
    host, timezone = _known(session, name), config.system.timezone
    blocks = [
        _head(session, host, timezone),
        "Counters:\n  Queue\n" + "\n".join(_row(indentation, label, host.state, key) for indentation, label, key in COUNTERS),
        "\n".join(_gauges(host)),
        "\n".join(_times(session, host, timezone)),
        *dns,
        *_last_errors(host.state, timezone),
        "\n".join(_virtual_gateway(config, host, timezone)),
    ]
    await talk.page("\n\n".join(blocks))


def _labelled(label: str, value: str) -> str:
    return f"{label:<{HEAD_WIDTH}}{value}"


def _number(indentation: int, label: str, value: int) -> str:
    start = " " * indentation + label
    return f"{start}{value:>{EDGE - len(start)},}"


def _row(indentation: int, label: str, state: HostState, key: str | None) -> str:
    return " " * indentation + label if key is None else _number(indentation, label, state.count(key))


def _head(session: Session, host: _Host, timezone: str) -> str:
    return "\n".join(
        [
            _labelled("Host mail status for:", f"'{host.name}'"),
            _labelled("Status as of:", long_date(session.appliance.clock.now(), timezone)),
            _labelled("Host up/down:", host.state.reachable.value),
        ]
    )


def _gauges(host: _Host) -> Iterator[str]:
    yield "Gauges:"
    yield "  Queue"
    yield _number(4, "Active Recipients", host.active)
    yield _number(6, "Unattempted Recipients", host.active - host.attempted)
    yield _number(6, "Attempted Recipients", host.attempted)
    yield "  Connections"
    yield _number(4, "Current Outbound Connections", host.connections)
    yield _number(4, "Pending Outbound Connections", host.pending)


def _times(session: Session, host: _Host, timezone: str) -> Iterator[str]:
    received = session.appliance.queue.oldest_for(host.name)
    now = session.appliance.clock.now()
    yield _labelled("Oldest Message", "No Messages" if received is None else age(max(now - received, timedelta())))
    last = host.state.last_activity
    yield _labelled("Last Activity", "Never" if last is None else long_date(last, timezone))


def _last_errors(state: HostState, timezone: str) -> Iterator[str]:
    if state.last_5xx is not None:
        yield _error_block("Last 5XX Error:", state.last_5xx, timezone)
    if state.last_tls is not None:
        yield _error_block(f"Last TLS Error: {state.last_tls.kind}", state.last_tls, timezone)


def _error_block(heading: str, error: LastError, timezone: str) -> str:
    lines = [escape(line) for line in error.lines]
    return "\n".join([heading, RULE, *lines, f"(at {long_date(error.at, timezone)}) IP: {error.address}", RULE])


def _virtual_gateway(config: Config, host: _Host, timezone: str) -> Iterator[str]:
    chosen = config.interfaces.get(config.delivery.interface)
    addresses = [address for one in ([chosen] if chosen else config.interfaces.sorted()) for address in one.addresses]
    yield "Virtual gateway information:"
    yield "=" * 60
    for address in addresses[:1]:
        yield f"{address}:"
        yield f"    Host up/down:       {host.state.reachable.value}"
        last = host.state.last_activity
        yield f"    Last Activity       {'Never' if last is None else long_date(last, timezone)}"
        yield f"    Recipients          {host.active:,}"


# -- hoststatus: DNS ------------------------------------------------------------------------------------------------------


async def _dns_blocks(session: Session, config: Config, name: str) -> list[str]:
    """Addresses in the order in which they are tried, and mail exchangers; of a route its hosts."""
    route = route_for(name, config.smtp_routes)
    if route is not None and route.special != "usedns":
        return [await _route_block(session, route)]
    resolver, now, timezone = session.appliance.resolver, session.appliance.clock.now(), config.system.timezone
    try:
        mx = await resolver.mx(name)
    except LookupFailed as failed:
        return [f"Ordered IP addresses:\n    DNS error: {failed.failure}"]
    if mx.absence == "NXDomain":
        return ["Ordered IP addresses:\n    DNS error: NXDomain"]
    hosts = [(exchanger.preference, exchanger.host) for exchanger in mx.exchangers if exchanger.host] or (
        [(0, name)] if not mx.null else []
    )
    rows = [f"    {preference:<13}{await _addresses(session, host)}" for preference, host in hosts]
    addresses = [f"Ordered IP addresses: (expiring at {long_date(mx.expires, timezone)})", "    Preference   IPs", *rows]
    return ["\n".join(addresses), *([_mx_block(mx, now)] if mx.exchangers else [])]


def _mx_block(mx: MxAnswer, now: datetime) -> str:
    left = ttl_text(mx.expires - now)
    rows = [f"    {one.preference:<13}{left:<11}{one.host or '.'}" for one in mx.exchangers]
    return "\n".join(["MX Records:", "    Preference   TTL        Hostname", *rows])


async def _route_block(session: Session, route: SmtpRoute) -> str:
    rows = [f"    {host.priority:<13}{await _addresses(session, host.host.strip('[]'))}" for host in route.hosts]
    return "\n".join(["Ordered IP addresses:", "    Preference   IPs", *(rows or [f"    {0:<13}/dev/null"])])


async def _addresses(session: Session, host: str) -> str:
    if host.replace(".", "").isdigit() or ":" in host:
        return host
    try:
        found = await session.appliance.resolver.addresses(host)
    except LookupFailed as failed:
        return f"{host} ({failed.failure})"
    return ", ".join(found.addresses) or f"{host} ({found.absence})"


def ttl_text(left: timedelta) -> str:
    """`1h5m`, `52m24s`, `45s`."""
    seconds = max(0, int(left.total_seconds()))
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    parts = [(hours, "h"), (minutes, "m"), (rest, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


# -- tophosts -------------------------------------------------------------------------------------------------------------

SORTING = (
    ("active_rcpts", "Active Recipients"),
    ("conn_out", "Connections Out"),
    ("deliv_recip", "Delivered Recipients"),
    ("hard_bounced", "Hard Bounced Recipients"),
    ("soft_bounced", "Soft Bounced Events"),
)
TOP_EDGES = (40, 47, 56, 67, 78)
TOP_HEAD = """\
                                  Active  Conn.   Deliv.       Soft       Hard
#   Recipient Host                Recip.    Out   Recip.    Bounced    Bounced"""


def _figures(host: _Host) -> dict[str, int]:
    """In the order of the columns."""
    return {
        "active_rcpts": host.active,
        "conn_out": host.connections,
        "deliv_recip": host.state.count("delivered_recips"),
        "soft_bounced": host.state.count("soft_bounced_evts"),
        "hard_bounced": host.state.count("hard_bounced_recips"),
    }


async def tophosts(talk: Conversation, session: Session) -> None:
    order = await talk.choose(SORTING, key="order", above="Sort results by:\n", default="active_rcpts")
    await talk.page(top_text(session, order))


async def _tophosts_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    order = args.operation(*(word for word, _ in SORTING))
    args.end()
    talk.say(top_text(session, order))


def top_text(session: Session, order: str) -> str:
    names = {name for name, _, _ in session.appliance.queue.domains()} | session.appliance.agent.hosts.known().keys()
    hosts = [host for name in names if (host := _host(session, name)) and any(_figures(host).values())]
    hosts.sort(key=lambda host: (-_figures(host)[order], host.name))
    timezone = session.appliance.running()[1].system.timezone
    rows = []
    for number, host in enumerate(hosts[:MOST_ROWS], start=1):
        mark = "*" if host.state.reachable is Reachable.DOWN else ""
        row = f"{f'{number}{mark}':<4}{host.name}"
        for value, edge in zip(_figures(host).values(), TOP_EDGES, strict=True):
            text = f"{value:,}"
            row += f"{text:>{edge - len(row)}}" if len(text) < edge - len(row) else f" {text}"
        rows.append(row)
    head = [
        f"{'Status as of:':<32}{long_date(session.appliance.clock.now(), timezone)}",
        "Hosts marked with '*' were down as of the last delivery attempt.",
        "",
        TOP_HEAD,
    ]
    return "\n".join([*head, *(["", *rows] if rows else [])])


# -- hostrate -------------------------------------------------------------------------------------------------------------

RATE_HEAD = """\
Time      Host     CrtCncOut  ActvRcp  ActvRcp DlvRcp  HrdBncRcp SftBncEvt
          Status                      Delta  Delta      Delta     Delta"""
RATE_EDGES = (16, 28, 37, 46, 53, 64, 74)


def _rate(session: Session, name: str) -> Rows:
    before: list[int] | None = None

    async def cells() -> list[str]:
        nonlocal before
        host = _known(session, name)
        figures = _figures(host)
        now = [figures["active_rcpts"], figures["deliv_recip"], figures["hard_bounced"], figures["soft_bounced"]]
        deltas = [0] * 4 if before is None else [new - old for new, old in zip(now, before, strict=True)]
        before = now
        return [host.state.reachable.value, f"{host.connections:,}", f"{host.active:,}", *(f"{delta:,}" for delta in deltas)]

    return cells


async def hostrate(talk: Conversation, session: Session) -> None:
    name = await talk.ask(QUESTION, domain, key="host")
    _known(session, name)
    await display(talk, session, RATE_HEAD, _rate(session, name), RATE_EDGES, await ask_seconds(talk))


async def _hostrate_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    name = domain(args.word("host"))
    _known(session, name)
    await display_some(talk, session, RATE_HEAD, _rate(session, name), RATE_EDGES, args)


COMMANDS = (
    Command("hoststatus", "Get the status of the given hostname.", dialog=hoststatus, batch=_hoststatus_batch, usage="hoststatus <host>"),
    Command(
        "tophosts",
        "Display the top recipient hosts in the queue.",
        dialog=tophosts,
        batch=_tophosts_batch,
        usage="tophosts active_rcpts | conn_out | deliv_recip | hard_bounced | soft_bounced",
    ),
    Command(
        "hostrate",
        "Monitor activity for a particular host.",
        dialog=hostrate,
        batch=_hostrate_batch,
        usage="hostrate <host> <seconds> [<count>]",
    ),
)
