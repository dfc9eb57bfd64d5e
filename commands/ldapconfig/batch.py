"""Command lines of `ldapconfig` (ldapconfig.md 4): the answers of the dialog, given as arguments and options. No connection is tried."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.model.interfaces import DEMO
from appliance_state.model.ldap import AUTO, LdapAuth, LdapServer
from commands.arguments import Arguments
from commands.dialog import BLANK, Conversation, EndOfInput, Refused, Rejected, SyntaxProblem
from commands.ldapconfig.editing import server_named, store_server
from commands.ldapconfig.listing import NO_SERVERS, server_rows
from commands.ldapconfig.operations import setup, store_without
from commands.ldapconfig.questions import EMPTY_BASE, Answered, ask_server

_OPTIONS = "[--port=<n>] [--ssl=yes|no] [--auth=anonymous|password] [--user=<dn>] [--passphrase=<text>|-] [--type=ad|openldap|unknown] [--base=<dn>]"
USAGE = f"""\
ldapconfig new <name> --hostname=<host>[,<host>...] {_OPTIONS}
ldapconfig edit <name> [--name=<new>] [--hostname=<host>[,<host>...]] {_OPTIONS}
ldapconfig delete <name>
ldapconfig list
ldapconfig setup [--interface=<interface>|Auto] [--certificate=<profile>] [--validate=yes|no]"""

_QUESTIONS = ("hostname", "port", "ssl", "auth", "user", "passphrase", "type", "base")
_STANDARD_INPUT = "-"


async def batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("new", "edit", "delete", "list", "setup"):
        case "new":
            options = args.declare(valued=_QUESTIONS)
            name = args.word("name")
            args.end()
            answered = await _answered(talk, session, {"name": name, **options}, None)
            store_server(session, answered.server, answered.passphrase)
        case "edit":
            options = args.declare(valued=("name", *_QUESTIONS))
            current = server_named(session, args.word("name")).server
            args.end()
            answered = await _answered(talk, session, options, current)
            store_server(session, answered.server, answered.passphrase, old=current.name)
        case "delete":
            edited = server_named(session, args.word("name"))
            args.end()
            store_without(session, edited.name)
        case "list":
            args.end()
            talk.say("\n".join(server_rows(session.draft.config)) or NO_SERVERS)
        case "setup":
            options = args.declare(valued=("interface", "certificate", "validate"))
            args.end()
            _check_references(session, options)
            await setup(talk.answering(options), session)


async def _answered(talk: Conversation, session: Session, options: dict[str, str], current: LdapServer | None) -> Answered:
    """A user or a passphrase means a bind with a passphrase. Errors: SyntaxProblem, Rejected."""
    answers = dict(options)
    if answers.get("base") == "":
        answers["base"] = EMPTY_BASE
    if not all(answers.values()):
        raise Rejected(BLANK)
    if "user" in answers or "passphrase" in answers:
        answers.setdefault("auth", LdapAuth.PASSWORD)
    if answers.get("passphrase") == _STANDARD_INPUT:
        answers["passphrase"] = await _from_standard_input(talk)
    door = talk.answering(answers)
    answered = await ask_server(door, session, current)
    for option in door.answers.unused() if door.answers else ():
        raise SyntaxProblem("Unknown option.", f"--{option}")
    return answered


async def _from_standard_input(talk: Conversation) -> str:
    try:
        return await talk.terminal.read_line("", hidden=True)
    except EndOfInput:
        raise SyntaxProblem("Missing argument: <passphrase>.") from None


def _check_references(session: Session, options: dict[str, str]) -> None:
    """Errors: Refused, Rejected."""
    if not all(options.values()):
        raise Rejected(BLANK)
    config = session.draft.config
    interface, certificate = options.get("interface", AUTO), options.get("certificate", DEMO)
    if interface.casefold() != AUTO.casefold() and interface not in config.interfaces:
        raise Refused(f'There is no interface named "{interface}".')
    if certificate.casefold() != DEMO.casefold() and certificate not in config.certificates:
        raise Refused(f'There is no certificate profile named "{certificate}".')
