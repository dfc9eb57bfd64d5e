"""smtproutes: where mail for a domain goes in place of its mail exchangers (routing.md 1)."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.routes import ALL_DOMAINS, MAX_ROUTES, SmtpRoute
from appliance_state.names import HOSTNAME_RULES
from appliance_state.table import Table
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, Rejected, SyntaxProblem
from commands.menu import Menu
from commands.partial_domains import is_domain
from commands.registry import Command
from commands.route_text import file_text, hosts_text, read_file, read_hosts
from commands.table_files import ImportProblem, export_text, import_failed, import_text, imported

NEW_DOMAIN_QUESTION = """\
Enter the domain for which you want to set up a permanent route.
Partial hostnames such as ".example.com" are allowed.
Use "ALL" for the default route."""
HOSTS_QUESTION = """\
Enter the destination hosts, separated by commas, which you want mail for {domain} to be delivered.
Enter USEDNS by itself to use normal DNS resolution for this route.
Enter /dev/null by itself if you wish to discard the mail.
Enclose in square brackets to force resolution via address (A) records, ignoring any MX records."""
MORE_HOSTS_QUESTION = "Enter the additional destination hosts, separated by commas, which you want mail for {domain} to be delivered."
NO_ROUTES = "There are no routes configured."
LAST_HOST = "A route must have at least one destination."


def status_text(config: Config) -> str:
    count = len(config.smtp_routes)
    return f"There are currently {count} routes configured." if count else NO_ROUTES


def has_routes(session: Session) -> bool:
    return len(session.draft.config.smtp_routes) > 0


def _routes(session: Session) -> Table[SmtpRoute]:
    """The table as it is now; somebody may have committed another one while a question was open."""
    return session.draft.config.smtp_routes


def _store(session: Session, routes: Table[SmtpRoute]) -> None:
    session.draft.config = session.draft.config.with_(smtp_routes=routes)


# -- answers --------------------------------------------------------------------------------------------------------------


def route_domain(answer: str) -> str:
    """A domain or partial domain in lower case, or ALL."""
    if answer.upper() == ALL_DOMAINS:
        return ALL_DOMAINS
    if not is_domain(answer):
        raise Rejected(HOSTNAME_RULES)
    return answer.lower()


def _new_domain(config: Config, *, besides: str | None = None) -> Callable[[str], str]:
    """Parser of the domain of a new route, or of the new domain of the route `besides`."""

    def parse(answer: str) -> str:
        domain = route_domain(answer)
        if domain in config.smtp_routes and domain != besides:
            taken = f"The value {domain} is already in the routing table."
            raise Rejected("There is already a default route set." if domain == ALL_DOMAINS else taken)
        return domain

    return parse


def _existing_domain(config: Config) -> Callable[[str], str]:
    def parse(answer: str) -> str:
        if answer not in config.smtp_routes:
            raise Rejected(f"The domain {answer} does not appear to be in the routing table.")
        return config.smtp_routes[answer].domain

    return parse


def _destinations(domain: str) -> Callable[[str], SmtpRoute]:
    return lambda answer: read_hosts(domain, answer)


# -- operations -----------------------------------------------------------------------------------------------------------

menu: Menu[Session] = Menu(status=lambda session: status_text(session.draft.config))


@menu.operation("NEW", "Create a new route.")
async def new(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    if len(config.smtp_routes) >= MAX_ROUTES:
        raise Refused(f"There is a maximum of {MAX_ROUTES} routes.")
    domain = await talk.ask(NEW_DOMAIN_QUESTION, _new_domain(config), key="domain")
    route = await talk.ask(HOSTS_QUESTION.format(domain=domain), _destinations(domain), key="destination")
    _store(session, _routes(session).put(route))
    if not talk.batch:
        talk.show(f"Mapping for {domain} to {hosts_text(route)} created.")


@define
class _Edited:
    """A route while its destinations are edited."""

    session: Session
    route: SmtpRoute

    def store(self, route: SmtpRoute) -> None:
        self.route = route
        _store(self.session, _routes(self.session).put(route))


@menu.operation("EDIT", "Edit destinations of an existing route.", when=has_routes)
async def edit(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    old = await talk.select("Enter the domain whose route you want to edit.", _existing_domain(config), key="domain")
    domain = await talk.ask("Enter the new domain for this route.", _new_domain(config, besides=old), key="new_domain", default=old)
    route = evolve(config.smtp_routes[old], domain=domain)
    if domain != old:
        _store(session, _routes(session).without(old).put(route))
    await edit_menu.run(talk, _Edited(session, route))


edit_menu: Menu[_Edited] = Menu()


@edit_menu.operation("ADD", "Add new destination hosts.", when=lambda edited: bool(edited.route.hosts))
async def add(talk: Conversation, edited: _Edited) -> None:
    route = edited.route

    def parse(answer: str) -> SmtpRoute:
        return read_hosts(route.domain, f"{hosts_text(route)}, {answer}")

    edited.store(await talk.ask(MORE_HOSTS_QUESTION.format(domain=route.domain), parse, key="destination"))


@edit_menu.operation("REPLACE", "Specify a new set of destination hosts.")
async def replace(talk: Conversation, edited: _Edited) -> None:
    domain = edited.route.domain
    edited.store(await talk.ask(HOSTS_QUESTION.format(domain=domain), _destinations(domain), key="destination"))


@edit_menu.operation("REMOVE", "Remove a destination host.", when=lambda edited: bool(edited.route.hosts))
async def remove(talk: Conversation, edited: _Edited) -> None:
    route = edited.route
    rows = [(host, hosts_text(evolve(route, hosts=(host,)))) for host in route.hosts]
    gone = await talk.choose(rows, key="destination", below="Enter the destination you would like to remove.")
    if len(route.hosts) == 1:
        raise Refused(LAST_HOST)
    edited.store(evolve(route, hosts=tuple(host for host in route.hosts if host is not gone)))


@menu.operation("DELETE", "Remove a route.", when=has_routes)
async def delete(talk: Conversation, session: Session) -> None:
    question = "Enter the domain whose route you want to delete."
    domain = await talk.select(question, _existing_domain(session.draft.config), key="domain")
    reset = "Are you sure you want to reset the default route?"
    question = reset if domain == ALL_DOMAINS else f"Are you sure you want to delete the route for {domain}?"
    if await talk.confirm(question, key="sure", default=False):
        _store(session, _routes(session).without(domain))


@menu.operation("PRINT", "Display all routes.", when=has_routes)
async def show_routes(talk: Conversation, session: Session) -> None:
    await talk.page(file_text(_routes(session)).removesuffix("\n") or NO_ROUTES)


@menu.operation("IMPORT", "Import new routes from a file.")
async def import_file(talk: Conversation, session: Session) -> None:
    text = await import_text(talk, session)
    routes = _routes(session)
    try:
        read = read_file(text, routes, route_domain)
    except ImportProblem as problem:
        raise import_failed(problem) from None
    _store(session, routes.put(*read))
    talk.note(imported(len(read)))


@menu.operation("EXPORT", "Export all routes to a file.", when=has_routes)
async def export_file(talk: Conversation, session: Session) -> None:
    await export_text(talk, session, file_text(_routes(session)))


@menu.operation("CLEAR", "Remove all routes.", when=has_routes)
async def clear(talk: Conversation, session: Session) -> None:
    if await talk.confirm("Are you sure you want to delete all of the configured routes?", key="sure", default=False):
        _store(session, Table())


# -- batch ----------------------------------------------------------------------------------------------------------------


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    config = session.draft.config
    match args.operation("new", "edit", "delete", "clear", "print", "import", "export"):
        case "new":
            domain = args.word("domain")
            await new(talk.answering({"domain": domain, "destination": _hosts(args)}), session)
        case "edit":
            domain = _existing_domain(config)(args.word("domain"))
            _store(session, config.smtp_routes.put(read_hosts(domain, _hosts(args))))
        case "delete":
            domain = args.word("domain")
            args.end()
            await delete(talk.answering({"domain": domain, "sure": "y"}), session)
        case "clear":
            args.end()
            await clear(talk.answering({"sure": "y"}), session)
        case "print":
            args.end()
            await show_routes(talk, session)
        case "import":
            name = args.word("file")
            args.end()
            await import_file(talk.answering({"file": name}), session)
        case "export":
            name = args.word("file")
            args.end()
            await export_file(talk.answering({"file": name}), session)


def _hosts(args: Arguments) -> str:
    """All arguments that are left, as the dialog takes them."""
    hosts = args.rest()
    if not hosts:
        raise SyntaxProblem("Missing argument: <destination>.")
    return ", ".join(hosts)


COMMAND = Command(
    "smtproutes",
    "Set up permanent domain redirections.",
    dialog=menu.run,
    batch=_batch,
    needs_commit=True,
    usage="""\
smtproutes new <domain> <destination> [<destination> ...]
smtproutes edit <domain> <destination> [<destination> ...]
smtproutes delete <domain>
smtproutes clear
smtproutes print
smtproutes import <file>
smtproutes export <file>""",
)
