"""updateconfig: where the bundle of trusted roots is updated from, how often, and whom that trusts (tls-tools.md 5)."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from attrs import evolve
from cryptography import x509

from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import read_facts
from appliance_state.certificates.pem import NotReadable, certificate_pem, read_certificates
from appliance_state.certificates.problem import DISCARDED
from appliance_state.model.certificates import SecretRef
from appliance_state.model.updates import AUTO, MAX_INTERVAL, MIN_INTERVAL, NEVER, Updates, UpdateSource
from commands.answers import integer
from commands.arguments import Arguments
from commands.certconfig.files import read_pem
from commands.dialog import Conversation, Refused, Rejected, SyntaxProblem, yes_or_no
from commands.interfaces import pick_row
from commands.menu import Menu
from commands.registry import Command

COMPONENT = "Cisco Trusted Root Certificate Bundle"
PACKAGED = "Packaged with this product"
BAD_URL = "The URL must begin with http:// or https://."
BAD_INTERVAL = "The interval must be 0 or from 30s to 30d."
NO_TRUSTED = "There are no trusted certificates for updates."
HIDDEN = "*****"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_COLUMN = 49
_RULE = "-" * 78

INTERVAL_QUESTION = """\
Enter the time interval between checks for new updates. Use a trailing 'm' for minutes, 'h' for
hours or 'd' for days. Enter 0 to disable automatic checks."""
URL_QUESTION = """\
Enter the HTTP base URL of the update server using the format
(http://optionalname:password@local.server:port/directory/). The default HTTP port is 80;
you do not need to specify the port unless you wish to use a non-standard port."""
SOURCE_QUESTION = "For the following services, please select where the system will download updates from:"
INTERFACE_QUESTION = "Please select the interface for connections to the update server:"
PASTE_HEADING = "Paste certificates to be trusted for secure updater connections, blank to quit"
PASTE_QUESTION = "Trusted Certificate for Updater:\nPaste cert in PEM format (end with '.'):"


def settings(session: Session) -> Updates:
    return session.draft.config.updates


def _store(session: Session, changed: Updates) -> None:
    session.draft.config = session.draft.config.with_(updates=changed)


# -- what is shown


def table(session: Session) -> str:
    place = PACKAGED if settings(session).source is UpdateSource.PACKAGED else shown_url(session)
    return "\n".join([f"{'Service (images):':{_COLUMN}}Update URL:", _RULE, f"{COMPONENT:{_COLUMN}}{place}"])


def status(session: Session) -> str:
    updates = settings(session)
    return "\n".join(
        [
            table(session),
            "",
            f"Update interval: {duration(updates.interval)}",
            f"Update interface: {updates.interface}",
            f"Validate server certificates: {'Yes' if updates.validate_certificates else 'No'}",
        ]
    )


def shown_url(session: Session) -> str:
    """The URL with asterisks in the place of its passphrase; empty where there is none."""
    url = settings(session).server_url
    if not isinstance(url, SecretRef):
        return url or ""
    parts = urlsplit(session.draft.reveal(url).decode())
    return parts._replace(netloc=f"{parts.username}:{HIDDEN}@{parts.netloc.rpartition('@')[2]}").geturl()


def duration(seconds: int) -> str:
    """`5m`, `1h`, `90s`; `0`."""
    unit = next((letter for letter, size in reversed(_UNITS.items()) if seconds and seconds % size == 0), "")
    return f"{seconds // _UNITS[unit]}{unit}" if unit else str(seconds)


# -- answers


def url(answer: str) -> str:
    """With a final slash."""
    try:
        parts = urlsplit(answer)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        good = False
    if not good or not answer.isprintable() or " " in answer:
        raise Rejected(BAD_URL)
    return answer if answer.endswith("/") else f"{answer}/"


def interval(answer: str) -> int:
    digits, unit = (answer[:-1], answer[-1].lower()) if answer[-1:].isalpha() else (answer, "s")
    if digits.isascii() and digits.isdigit() and len(digits) <= 9 and unit in _UNITS:
        seconds = int(digits) * _UNITS[unit]
        if seconds == NEVER or MIN_INTERVAL <= seconds <= MAX_INTERVAL:
            return seconds
    raise Rejected(BAD_INTERVAL)


def _kept(session: Session, address: str) -> str | SecretRef:
    """An URL as it is stored: one that holds a passphrase is a secret."""
    return session.draft.seal(address.encode()) if urlsplit(address).password is not None else address


def _interfaces(session: Session) -> list[tuple[str, str]]:
    return [(AUTO, AUTO), *((interface.name, pick_row(interface)) for interface in session.draft.config.interfaces.sorted())]


# -- the menus

menu: Menu[Session] = Menu(status=status)
trusted: Menu[Session] = Menu()


@menu.operation("SETUP", "Edit update configuration.")
async def setup(talk: Conversation, session: Session) -> None:
    old = settings(session)
    sources = [(UpdateSource.PACKAGED, "Use the data packaged with this product"), (UpdateSource.SERVER, "Use own server")]
    source = await talk.choose(sources, key="source", above=f"{SOURCE_QUESTION}\n{table(session)}\n", default=old.source)
    address, interface = old.server_url, old.interface
    if source is UpdateSource.SERVER:
        present = shown_url(session)
        answer = await talk.ask(URL_QUESTION, url, key="url", default=present or None)
        if answer != present:
            address = _kept(session, answer)
    seconds = await talk.ask(INTERVAL_QUESTION, interval, key="interval", default=old.interval, shown=duration(old.interval))
    if source is UpdateSource.SERVER:
        interface = await talk.choose(_interfaces(session), key="interface", above=INTERFACE_QUESTION, default=_known(session, interface))
    _store(session, evolve(old, source=source, server_url=address, interval=seconds, interface=interface))


def _known(session: Session, name: str) -> str:
    """An interface as it is spelled in the list."""
    return next((known for known, _ in _interfaces(session) if known.casefold() == name.casefold()), AUTO)


@menu.operation("VALIDATE_CERTIFICATES", "Validate update server certificates")
async def validate_certificates(talk: Conversation, session: Session) -> None:
    question = "Should server certificates from Cisco update servers be validated?"
    answer = await talk.confirm(question, key="validate", default=settings(session).validate_certificates)
    _store(session, evolve(settings(session), validate_certificates=answer))


@menu.operation("TRUSTED_CERTIFICATES", "Manage trusted certificates for updates")
async def _trusted(talk: Conversation, session: Session) -> None:
    await trusted.run(talk, session)


def _has_trusted(session: Session) -> bool:
    return bool(settings(session).trusted_certificates)


@trusted.operation("ADD", "Upload a new trusted certificate for updates.")
async def add(talk: Conversation, session: Session) -> None:
    pasted: list[x509.Certificate] = []
    question = f"{PASTE_HEADING}\n{PASTE_QUESTION}"
    while text := (await talk.paste(question, key="certificate", blank_quits=True)).strip():
        try:
            pasted += await asyncio.to_thread(read_certificates, text)
        except NotReadable:
            talk.fail(DISCARDED)
        question = PASTE_QUESTION
    _add(session, pasted)


def _add(session: Session, certificates: list[x509.Certificate]) -> None:
    """Those that are not there yet."""
    old = settings(session)
    pems = dict.fromkeys((*old.trusted_certificates, *map(certificate_pem, certificates)))
    _store(session, evolve(old, trusted_certificates=tuple(pems)))


@trusted.operation("LIST", "List trusted certificates for updates.", when=_has_trusted)
async def list_(talk: Conversation, session: Session) -> None:
    talk.show("\n".join(f"{number}. {subject}" for number, (_, subject) in enumerate(_subjects(session), start=1)) or NO_TRUSTED)


@trusted.operation("DELETE", "Delete a trusted certificate for updates.", when=_has_trusted)
async def delete(talk: Conversation, session: Session) -> None:
    chosen = await talk.choose(_subjects(session), key="number", below="Enter the number of the certificate you wish to delete.")
    left = tuple(pem for pem in settings(session).trusted_certificates if pem != chosen)
    _store(session, evolve(settings(session), trusted_certificates=left))


def _subjects(session: Session) -> list[tuple[str, str]]:
    return [(pem, read_facts(pem).subject) for pem in settings(session).trusted_certificates]


# -- command lines


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("setup", "validate_certificates", "trusted_certificates", "print"):
        case "setup":
            _setup(session, args)
        case "validate_certificates":
            answer = args.word("answer")
            args.end()
            yes_or_no(answer)
            await validate_certificates(talk.answering({"validate": answer}), session)
        case "trusted_certificates":
            await _trusted_certificates(talk, session, args)
        case "print":
            args.end()
            talk.show(status(session))


def _setup(session: Session, args: Arguments) -> None:
    """Every option sets its field; a server needs a URL."""
    options = args.declare(valued=("source", "url", "interval", "interface"))
    args.end()
    changed = settings(session)
    if "url" in options:
        changed = evolve(changed, source=UpdateSource.SERVER, server_url=_kept(session, url(options["url"])))
    if "source" in options:
        if options["source"].lower() not in [*UpdateSource]:
            raise Rejected(f"The value must be an integer from 1 to {len(UpdateSource)}.")
        changed = evolve(changed, source=UpdateSource(options["source"].lower()))
    if "interval" in options:
        changed = evolve(changed, interval=interval(options["interval"]))
    if "interface" in options:
        names = {name.casefold(): name for name, _ in _interfaces(session)}
        if options["interface"].casefold() not in names:
            raise Rejected(f"The value must be an integer from 1 to {len(names)}.")
        changed = evolve(changed, interface=names[options["interface"].casefold()])
    if changed.source is UpdateSource.SERVER and changed.server_url is None:
        raise SyntaxProblem("Missing argument: <url>.")
    _store(session, changed)


async def _trusted_certificates(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("add", "list", "delete"):
        case "add":
            file = args.word("file")
            args.end()
            try:
                certificates = read_certificates(read_pem(session, file))
            except NotReadable:
                raise Rejected(DISCARDED) from None
            _add(session, certificates)
        case "list":
            args.end()
            await list_(talk, session)
        case "delete":
            number = args.word("n")
            args.end()
            if not _has_trusted(session):
                raise Refused(NO_TRUSTED)
            number = str(integer(1, len(settings(session).trusted_certificates))(number))
            await delete(talk.answering({"number": number}), session)


COMMAND = Command(
    "updateconfig",
    "Configure system update parameters.",
    dialog=menu.run,
    batch=_batch,
    needs_commit=True,
    usage="""\
updateconfig setup [--source=packaged|server] [--url=<url>] [--interval=<n>] [--interface=<interface>|Auto]
updateconfig validate_certificates yes|no
updateconfig trusted_certificates add <file> | list | delete <n>
updateconfig print""",
)
