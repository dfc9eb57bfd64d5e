"""certconfig > CRL: sources of lists of revoked certificates, and where they count (certconfig.md 6)."""

from __future__ import annotations

import re

from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_runtime.trust.revocation import Download
from appliance_state.certificates.profile_names import check_name
from appliance_state.model.certificates import (
    CRL_TIME,
    CRL_URL,
    FACTORY_CRL_TIME,
    FREQUENCIES,
    NO_UPDATES,
    CrlSource,
    CrlType,
)
from appliance_state.model.fields import default_of
from appliance_state.table import Table, fold
from commands.certconfig.profiles import date_of, rejecting
from commands.dialog import Conversation, Refused, Rejected
from commands.menu import Menu

NO_SOURCES = "There are currently no CRL sources."
BAD_URL = "The URL must begin with http://, https:// or file:."
BAD_TIME = "The time must be in the form HH:MM."
_TYPES = [(kind, kind.label) for kind in CrlType]
_FREQUENCIES = [(frequency, frequency.capitalize()) for frequency in FREQUENCIES]
_LABEL = 14


def sources(session: Session) -> Table[CrlSource]:
    return session.draft.config.crl_sources


def _store(session: Session, table: Table[CrlSource]) -> None:
    session.draft.config = session.draft.config.with_(crl_sources=table)


def status(session: Session) -> str:
    settings = session.draft.config.crl
    lines = [
        f"CRL checking for inbound SMTP TLS: {_word(settings.check_inbound)}",
        f"CRL checking for outbound SMTP TLS: {_word(settings.check_outbound)}",
    ]
    return "\n".join([*lines, *(["CRL sources:", *_rows(session)] if sources(session) else [NO_SOURCES])])


def _word(enabled: bool) -> str:
    return "Enabled" if enabled else "Disabled"


def _rows(session: Session) -> list[str]:
    return [_row(session, number, source) for number, source in enumerate(sources(session).sorted(), start=1)]


def _row(session: Session, number: int, source: CrlSource) -> str:
    """`1. lab - http://crl.lab.test/root.crl (3 revoked, next update Wed Nov 25 03:00:00 2026 GMT)`."""
    revocation = session.appliance.trust.revocation
    fetched = revocation.list_of(source.name)
    if fetched is None:
        state = "never downloaded"
    else:
        due = revocation.next_download(source)
        state = f"{len(fetched.serials)} revoked, next update {date_of(session)(due) if due else 'never'}"
    return f"{number}. {source.name} - {source.url} ({state})"


def details(session: Session) -> str:
    """The rows with what the lists say of themselves."""
    date = date_of(session)
    lines: list[str] = []
    for row, source in zip(_rows(session), sources(session).sorted(), strict=True):
        lines.append(row)
        if fetched := session.appliance.trust.revocation.list_of(source.name):
            ends = date(fetched.next_update) if fetched.next_update else "-"
            values = (("Issuer", fetched.issuer), ("This Update", date(fetched.this_update)), ("Next Update", ends))
            lines += [f"     {label + ':':{_LABEL}}{value}" for label, value in values]
    return "\n".join(lines) or NO_SOURCES


# -- answers


def _url(answer: str) -> str:
    if not re.fullmatch(CRL_URL, answer):
        raise Rejected(BAD_URL)
    return answer


def _time(answer: str) -> str:
    if not re.fullmatch(CRL_TIME, answer):
        raise Rejected(BAD_TIME)
    return answer


async def _ask(talk: Conversation, session: Session, present: CrlSource | None) -> CrlSource:
    """All questions about a source; `present`: the one that is edited."""

    def free_name(answer: str) -> str:
        with rejecting():
            name = check_name(answer)
        if name in sources(session) and not (present and fold(name) == fold(present.name)):
            raise Rejected(f'CRL source "{sources(session)[name].name}" already exists.')
        return name

    kind: CrlType = present.type if present else default_of(CrlSource, "type")
    update = present.schedule if present else (FREQUENCIES[0], FACTORY_CRL_TIME)
    frequency, time = update or (FREQUENCIES[0], FACTORY_CRL_TIME)
    name = await talk.ask("Enter a name for this CRL source:", free_name, key="name", default=present.name if present else None)
    kind = await talk.choose(_TYPES, key="type", above="Choose the file type:", default=kind)
    url = await talk.ask("Enter the URL of the CRL file:", _url, key="url", default=present.url if present else None)
    question = "Do you want to schedule automatic updates of this source?"
    if not await talk.confirm(question, key="schedule", default=update is not None, implied=("frequency", "time")):
        return CrlSource(name=name, type=kind, url=url, update=NO_UPDATES)
    frequency = await talk.choose(_FREQUENCIES, key="frequency", above="Choose the frequency of the updates:", default=frequency)
    time = await talk.ask("Enter the time of the updates (HH:MM):", _time, key="time", default=time)
    return CrlSource(name=name, type=kind, url=url, update=f"{frequency} {time}")


async def _choose(talk: Conversation, session: Session, verb: str) -> CrlSource:
    rows = [(source, source.name) for source in sources(session).sorted()]
    return await talk.choose(rows, key="source", below=f"Enter the number of the CRL source you wish to {verb}.")


def named_source(session: Session, name: str) -> CrlSource:
    """The source that a batch line names. Errors: Refused."""
    if name not in sources(session):
        raise Refused(f'There is no CRL source named "{name}".')
    return sources(session)[name]


# -- the menu


def _any(session: Session) -> bool:
    return bool(sources(session))


menu: Menu[Session] = Menu(status=status)


@menu.operation("NEW", "Add a CRL source.")
async def new(talk: Conversation, session: Session) -> None:
    _store(session, sources(session).put(await _ask(talk, session, None)))


@menu.operation("EDIT", "Edit a CRL source.", when=_any)
async def edit(talk: Conversation, session: Session) -> None:
    present = await _choose(talk, session, "edit")
    changed = await _ask(talk, session, present)
    if changed != present:
        _store(session, sources(session).replace(present.name, changed))


@menu.operation("DELETE", "Remove a CRL source.", when=_any)
async def delete(talk: Conversation, session: Session) -> None:
    _store(session, sources(session).without((await _choose(talk, session, "delete")).name))


async def update(talk: Conversation, session: Session, names: list[str] | None = None) -> None:
    """Fetch the lists of all sources, or of those that are named, now and one after the other."""
    for name in names or [source.name for source in sources(session).sorted()]:
        _report(talk, await session.appliance.trust.revocation.update(name))


menu.operation("UPDATE", "Download the CRL files now.", when=_any)(update)


def _report(talk: Conversation, download: Download) -> None:
    if download.reason is None:
        talk.note(download.text)
    else:
        talk.fail(download.text)


@menu.operation("PRINT", "Display the CRL sources.", when=_any)
async def print_(talk: Conversation, session: Session) -> None:
    await talk.page(details(session))


@menu.operation("SETUP", "Configure CRL checking.")
async def setup(talk: Conversation, session: Session) -> None:
    present = session.draft.config.crl
    question = "Do you want to use CRLs to check certificates of {} SMTP TLS connections?"
    inbound = await talk.confirm(question.format("inbound"), key="inbound", default=present.check_inbound)
    outbound = await talk.confirm(question.format("outbound"), key="outbound", default=present.check_outbound)
    session.draft.config = session.draft.config.with_(crl=evolve(present, check_inbound=inbound, check_outbound=outbound))
