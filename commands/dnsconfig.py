"""dnsconfig: name servers, servers of single domains, and the settings of the resolver (routing.md 2)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable

from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.dns import AlternateServer, Dns, DnssecMode, DnsServer
from appliance_state.model.fields import bounds, default_of
from appliance_state.names import DOMAIN_RULES
from appliance_state.table import Table
from commands.answers import integer, ip_address, port, words
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, Rejected
from commands.interfaces import pick_row
from commands.menu import Menu
from commands.registry import Command

DNS_PORT: int = default_of(DnsServer, "port")
AUTO = "Auto"
ROOTS = "root"
OWN = "own"
CACHE = "cache"
ALTERNATE = "alternate"
NO_ROOTS = "The Internet root DNS servers are not available. Use your own DNS servers."
NO_SERVER = "At least one DNS server is required."
SERVERS_QUESTION = "Please enter the IP address of your DNS server.\nSeparate multiple IPs with commas."
TRUSTED_OVER_NETWORK = "Warning: The AD flag of {address} is trusted over the network. Use it only if the path to this server is secure."
PRIORITY_QUESTION = """\
Please enter the priority for {server}.
A value of 0 has the highest priority.
The IP will be chosen at random if they have the same priority."""
DNSSEC_QUESTION = "Choose how DNSSEC is used for SMTP DANE."
DOMAIN_QUESTION = 'Please enter the domain this server is authoritative for. (Ex: "com").'

_BRACKETED = re.compile(r"\[([^\[\]]*:[^\[\]]*)\](?::(.*))?")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*", re.ASCII)


def server_text(server: DnsServer | AlternateServer) -> str:
    """`10.1.1.1`, `127.0.0.1:5353`, `[::1]:5353`."""
    if server.port == DNS_PORT:
        return server.address
    return f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"


def status_text(config: Config) -> str:
    rows = [f"{n}. Priority: {server.priority}  {server_text(server)}" for n, server in enumerate(config.dns.servers.entries(), start=1)]
    alternates = [f"{n}. {row}" for n, row in enumerate(map(_alternate_row, config.dns.alternates.sorted()), start=1)]
    others = ["Alternate domain servers:", *alternates] if alternates else ["No alternate domain servers configured."]
    return "\n".join(["Currently using the local DNS cache servers:", *rows, "", *others])


def _alternate_row(alternate: AlternateServer) -> str:
    return f"{alternate.domain}: {server_text(alternate)}"


def _store(session: Session, dns: Dns) -> None:
    session.draft.config = session.draft.config.with_(dns=dns)


def _note_trust(talk: Conversation, mode: DnssecMode, servers: Iterable[DnsServer | AlternateServer]) -> None:
    """An AD flag is worth as much as the path on which it comes."""
    if mode is DnssecMode.TRUST_AD:
        for address in dict.fromkeys(server.address for server in servers):
            if not ipaddress.ip_address(address).is_loopback:
                talk.note(TRUSTED_OVER_NETWORK.format(address=address))


# -- answers --------------------------------------------------------------------------------------------------------------


def server_address(answer: str) -> tuple[str, int]:
    """(address, port) of `10.1.1.1`, `10.1.1.1:5353`, `::1`, `[::1]`, `[::1]:5353`. Errors: Rejected."""
    number: str | None
    if bracketed := _BRACKETED.fullmatch(answer):
        address, number = bracketed.groups()
    elif answer.count(":") == 1:
        address, _, number = answer.partition(":")
    else:
        address, number = answer, None
    return ip_address(address), DNS_PORT if number is None else port(number)


def _taken(server: DnsServer) -> str:
    return f"{server.address} is already configured with priority {server.priority}."


def _servers(old: Table[DnsServer], *, new: bool) -> Callable[[str], list[DnsServer]]:
    """Parser of a list of servers, which take the priority that they have in `old`; `new`: none may be in `old`."""

    def parse(answer: str) -> list[DnsServer]:
        servers: dict[str, DnsServer] = {}
        for part in words(answer):
            address, number = server_address(part)
            if address in servers or (new and address in old):
                raise Rejected(_taken(servers.get(address) or old[address]))
            servers[address] = DnsServer(address=address, port=number, priority=old[address].priority if address in old else 0)
        return list(servers.values())

    return parse


def _domain(answer: str) -> str:
    """A domain of one or more labels, in lower case."""
    name = answer.lower()
    if not _DOMAIN.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise Rejected(DOMAIN_RULES)
    return name


def _new_domains(dns: Dns, *, besides: str | None = None) -> Callable[[str], list[str]]:
    """Parser of domains that get a server of their own."""

    def parse(answer: str) -> list[str]:
        domains = [_domain(part) for part in words(answer)]
        for domain in domains:
            if domain in dns.alternates and domain != besides:
                raise Rejected(f"{server_text(dns.alternates[domain])} already appears to be configured for domain {domain}.")
        return domains

    return parse


# -- questions ------------------------------------------------------------------------------------------------------------


async def _ask_servers(talk: Conversation, old: Table[DnsServer], *, new: bool) -> list[DnsServer]:
    """Addresses, then the priority of each. Without `new` the list replaces the old one, which is the default."""
    present = None if new else ", ".join(map(server_text, old.entries())) or None
    servers = await talk.ask(
        SERVERS_QUESTION, _servers(old, new=new), key="servers", default=list(old.entries()) if present else None, shown=present
    )
    return [await _with_priority(talk, server) for server in servers]


async def _with_priority(talk: Conversation, server: DnsServer) -> DnsServer:
    priority = await talk.ask(
        PRIORITY_QUESTION.format(server=server_text(server)),
        integer(*bounds(DnsServer, "priority")),
        key=f"priority of {server.address}",
        default=server.priority,
    )
    return evolve(server, priority=priority)


async def _choose_kind(talk: Conversation, verb: str, *, alternates: bool) -> str:
    rows = [(CACHE, f"{verb.capitalize()} a local DNS cache server.")]
    if alternates:
        rows.append((ALTERNATE, f"{verb.capitalize()} an alternate domain server."))
    return await talk.choose(
        rows,
        key="kind",
        above=f"Do you want to {verb} a local DNS cache server or an alternate domain server?",
        default=CACHE,
    )


async def _choose_server(talk: Conversation, dns: Dns, verb: str) -> DnsServer:
    rows = [(server, server_text(server)) for server in dns.servers.entries()]
    return await talk.choose(rows, key="server", above=f"Enter the number of the server you wish to {verb}.")


async def _choose_alternate(talk: Conversation, dns: Dns, verb: str) -> AlternateServer:
    rows = [(alternate, _alternate_row(alternate)) for alternate in dns.alternates.sorted()]
    return await talk.choose(rows, key="server", above=f"Enter the number of the server you wish to {verb}.")


# -- operations -----------------------------------------------------------------------------------------------------------

menu: Menu[Session] = Menu(status=lambda session: status_text(session.draft.config))


@menu.operation("NEW", "Add a new server.")
async def new(talk: Conversation, session: Session) -> None:
    dns = session.draft.config.dns
    kind = await talk.choose(
        [(CACHE, "Add a new local DNS cache server."), (ALTERNATE, "Add a new alternate domain server.")],
        key="kind",
        above="Do you want to add a new local DNS cache server or an alternate domain server?",
        default=CACHE,
    )
    if kind == CACHE:
        servers = await _ask_servers(talk, dns.servers, new=True)
        _note_trust(talk, dns.dnssec_mode, servers)
        dns = session.draft.config.dns
        _store(session, evolve(dns, servers=dns.servers.put(*servers)))
        return
    domains = await talk.ask(DOMAIN_QUESTION, _new_domains(dns), key="domain")
    address, number = await talk.ask("Please enter the IP address of the server.", server_address, key="address")
    added = [AlternateServer(domain=domain, address=address, port=number) for domain in domains]
    _note_trust(talk, dns.dnssec_mode, added)
    dns = session.draft.config.dns
    _store(session, evolve(dns, alternates=dns.alternates.put(*added)))


@menu.operation("EDIT", "Edit a server.")
async def edit(talk: Conversation, session: Session) -> None:
    dns = session.draft.config.dns
    if await _choose_kind(talk, "edit", alternates=bool(dns.alternates)) == CACHE:
        old = await _choose_server(talk, dns, "edit")
        (server,) = await talk.ask(
            "Please enter the IP address of your DNS server.",
            _one_server(dns, old),
            key="servers",
            default=(old,),
            shown=server_text(old),
        )
        server = await _with_priority(talk, server)
        if server.address != old.address:
            _note_trust(talk, dns.dnssec_mode, [server])
        dns = session.draft.config.dns
        entries = [server if entry.address == old.address else entry for entry in dns.servers.entries()]
        _store(session, evolve(dns, servers=Table(entries)))
        return
    alternate = await _choose_alternate(talk, dns, "edit")
    (domain,) = await talk.ask(
        DOMAIN_QUESTION, _one_domain(dns, alternate.domain), key="domain", default=[alternate.domain], shown=alternate.domain
    )
    address, number = await talk.ask(
        "Please enter the IP address of the server.",
        server_address,
        key="address",
        default=(alternate.address, alternate.port),
        shown=server_text(alternate),
    )
    changed = AlternateServer(domain=domain, address=address, port=number)
    if address != alternate.address:
        _note_trust(talk, dns.dnssec_mode, [changed])
    dns = session.draft.config.dns
    _store(session, evolve(dns, alternates=dns.alternates.without(alternate.domain).put(changed)))


def _one_server(dns: Dns, old: DnsServer) -> Callable[[str], tuple[DnsServer]]:
    """Parser of the new address of the server `old`."""

    def parse(answer: str) -> tuple[DnsServer]:
        address, number = server_address(answer)
        if address in dns.servers and address != old.address:
            raise Rejected(_taken(dns.servers[address]))
        return (evolve(old, address=address, port=number),)

    return parse


def _one_domain(dns: Dns, old: str) -> Callable[[str], list[str]]:
    several = _new_domains(dns, besides=old)
    return lambda answer: several(_domain(answer))


@menu.operation("DELETE", "Remove a server.")
async def delete(talk: Conversation, session: Session) -> None:
    dns = session.draft.config.dns
    if await _choose_kind(talk, "delete", alternates=bool(dns.alternates)) == CACHE:
        _store(session, _without_server(session.draft.config.dns, (await _choose_server(talk, dns, "remove")).address))
    else:
        domain = (await _choose_alternate(talk, dns, "remove")).domain
        dns = session.draft.config.dns
        _store(session, evolve(dns, alternates=dns.alternates.without(domain)))


def _without_server(dns: Dns, address: str) -> Dns:
    servers = dns.servers.without(address)
    if not servers:
        raise Refused(NO_SERVER)
    return evolve(dns, servers=servers)


@menu.operation("SETUP", "Configure general settings.")
async def setup(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    old = config.dns
    while (
        await talk.choose(
            [(ROOTS, "Use Internet root DNS servers"), (OWN, "Use own DNS cache servers")],
            key="roots",
            above="Do you want the Gateway to use the Internet's root DNS servers or would you like it to use your own DNS servers?",
            default=OWN,
        )
    ) == ROOTS:
        talk.fail(NO_ROOTS)
    servers = await _ask_servers(talk, old.servers, new=False)
    mode = await talk.choose(
        [(mode, mode.label) for mode in DnssecMode],
        key="dnssec_mode",
        above=DNSSEC_QUESTION,
        default=old.dnssec_mode,
        aliases=lambda mode: (mode.value,),
    )
    _note_trust(talk, mode, [*servers, *old.alternates.sorted()])
    sources = [(AUTO, AUTO), *((interface.name, pick_row(interface)) for interface in config.interfaces.sorted())]
    interface = await talk.choose(
        sources,
        key="interface",
        above="Choose the IP interface for DNS traffic.",
        default=next((name for name, _ in sources if name.casefold() == old.interface.casefold()), AUTO),
    )
    timeout = await talk.ask(
        "Enter the number of seconds to wait before timing out reverse DNS lookups.",
        integer(*bounds(Dns, "ptr_timeout")),
        key="ptr_timeout",
        default=old.ptr_timeout,
    )
    ttl = await talk.ask(
        "Enter the minimum TTL in seconds for DNS cache.", integer(*bounds(Dns, "min_ttl")), key="min_ttl", default=old.min_ttl
    )
    dns = session.draft.config.dns
    _store(session, evolve(dns, servers=Table(servers), dnssec_mode=mode, interface=interface, ptr_timeout=timeout, min_ttl=ttl))


# -- batch ----------------------------------------------------------------------------------------------------------------


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("parent", "alt", "print", "setup", "roots"):
        case "parent":
            await _parent(talk, session, args)
        case "alt":
            await _alt(talk, session, args)
        case "print":
            args.end()
            talk.show(status_text(session.draft.config))
        case "setup":
            options = args.declare(valued=("servers", "dnssec_mode", "interface", "ptr_timeout", "min_ttl"))
            args.end()
            await setup(talk.answering(options), session)
        case "roots":
            raise Refused(NO_ROOTS)


async def _parent(talk: Conversation, session: Session, args: Arguments) -> None:
    dns = session.draft.config.dns
    if args.operation("new", "delete") == "new":
        address, number = server_address(args.word("ip"))
        priority = integer(*bounds(DnsServer, "priority"))(args.word("priority"))
        args.end()
        if address in dns.servers:
            raise Rejected(_taken(dns.servers[address]))
        _store(session, evolve(dns, servers=dns.servers.put(DnsServer(address=address, port=number, priority=priority))))
        return
    address, _ = server_address(args.word("ip"))
    args.end()
    if address not in dns.servers:
        raise Refused(f"{address} is not configured.")
    _store(session, _without_server(dns, address))


async def _alt(talk: Conversation, session: Session, args: Arguments) -> None:
    dns = session.draft.config.dns
    if args.operation("new", "delete") == "new":
        answers = {"kind": ALTERNATE, "domain": args.word("domain"), "address": args.word("ip")}
        args.end()
        await new(talk.answering(answers), session)
        return
    domain = args.word("domain")
    args.end()
    if domain not in dns.alternates:
        raise Refused(f"{domain} is not configured.")
    _store(session, evolve(dns, alternates=dns.alternates.without(domain)))


COMMAND = Command(
    "dnsconfig",
    "Configure DNS setup.",
    dialog=menu.run,
    batch=_batch,
    needs_commit=True,
    usage="""\
dnsconfig parent new <ip> <priority>
dnsconfig parent delete <ip>
dnsconfig alt new <domain>[,<domain>] <ip>
dnsconfig alt delete <domain>
dnsconfig print
dnsconfig setup [--servers=<ip>,<ip>] [--dnssec_mode=validate|trust_ad|off] [--interface=<interface>|Auto] [--ptr_timeout=<seconds>] [--min_ttl=<seconds>]""",
)
