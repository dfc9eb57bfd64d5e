"""The menu of destconfig and its operations (destconfig.md 2 to 7). In batch their answers come by the keys of the questions."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.destinations import DEFAULT_DOMAIN, Destination, DestinationGlobals
from appliance_state.table import Table
from commands.certificate_choice import choose_certificate
from commands.destconfig.domains import DEFAULT_STAYS, USE_DEFAULT, existing_domain, new_domain
from commands.destconfig.ini import file_text, read_file
from commands.destconfig.listing import detail_all_text, detail_text, list_text
from commands.destconfig.questions import default_questions, entry_questions
from commands.dialog import Conversation
from commands.menu import Menu
from commands.table_files import ImportProblem, export_text, import_failed, import_text, imported

ALL = "ALL"


def count(session: Session) -> int:
    """Entries, `DEFAULT` not counted."""
    return len(session.draft.config.destinations) - 1


def has_entries(session: Session) -> bool:
    return count(session) > 0


def store(session: Session, entry: Destination, profile: BounceProfile | None = None) -> None:
    """Put an entry, and the bounce profile that was made for it, into the pending copy."""
    config = session.draft.config
    if profile is not None:
        config = config.with_(bounce_profiles=config.bounce_profiles.put(profile))
    session.draft.config = config.with_(destinations=config.destinations.put(entry))


menu: Menu[Session] = Menu(status=lambda session: f"There are currently {count(session)} entries configured.")


@menu.operation("SETUP", "Change global settings.")
async def setup(talk: Conversation, session: Session) -> None:
    settings = session.draft.config.destination_globals
    certificate = await choose_certificate(talk, session, current=settings.certificate)
    alert = await talk.confirm(
        "Do you want to send an alert when a required TLS connection fails?", key="tls_alert", default=settings.tls_alert
    )
    draft = session.draft
    draft.config = draft.config.with_(destination_globals=DestinationGlobals(certificate=certificate, tls_alert=alert))


@menu.operation("NEW", "Create a new entry.")
async def new(talk: Conversation, session: Session) -> None:
    domain = await talk.ask("Enter the domain you wish to configure.", new_domain(session.draft.config), key="domain")
    store(session, *await entry_questions(talk, session, Destination(domain=domain), new=True))


@menu.operation("EDIT", "Modify an entry.", when=has_entries)
async def edit(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    domain = await talk.select("Enter the domain you wish to edit.", existing_domain(config, USE_DEFAULT), key="domain")
    store(session, *await entry_questions(talk, session, config.destinations[domain], new=False))


@menu.operation("DELETE", "Remove an entry.", when=has_entries)
async def delete(talk: Conversation, session: Session) -> None:
    draft = session.draft
    domain = await talk.select("Enter the domain you wish to delete.", existing_domain(draft.config, DEFAULT_STAYS), key="domain")
    draft.config = draft.config.with_(destinations=draft.config.destinations.without(domain))


@menu.operation("DEFAULT", "Change the default.")
async def default(talk: Conversation, session: Session) -> None:
    store(session, await default_questions(talk, session))


@menu.operation("LIST", "Display a summary list of all entries.")
async def show_list(talk: Conversation, session: Session) -> None:
    await talk.page(list_text(session.draft.config))


@menu.operation("PRINT", "Display a summary list of all entries.", listed=False)
async def show_list_by_its_old_name(talk: Conversation, session: Session) -> None:
    await show_list(talk, session)


@menu.operation("DETAIL", "Display details for one destination or all entries.")
async def detail(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    known = existing_domain(config)
    if not talk.batch:
        await talk.page(list_text(config))
    domain = await talk.select(
        "Enter the domain name to view, or enter DEFAULT to view details for the default, or enter ALL to view details for all:",
        lambda answer: ALL if answer.upper() == ALL else known(answer),
        key="domain",
    )
    await talk.page(detail_all_text(config) if domain == ALL else detail_text(config, domain))


@menu.operation("CLEAR", "Remove all entries.", when=has_entries)
async def clear(talk: Conversation, session: Session) -> None:
    draft = session.draft
    draft.config = draft.config.with_(destinations=Table((draft.config.destinations[DEFAULT_DOMAIN],)))


@menu.operation("IMPORT", "Import tables from a file.")
async def import_file(talk: Conversation, session: Session) -> None:
    draft = session.draft
    text = await import_text(talk, session)
    try:
        result = read_file(text, draft.config)
    except ImportProblem as problem:
        raise import_failed(problem) from None
    draft.config = draft.config.with_(destinations=result.destinations, destination_globals=result.settings)
    for warning in result.warnings:
        talk.note(warning)
    talk.note(imported(result.count))


@menu.operation("EXPORT", "Export tables to a file.")
async def export_file(talk: Conversation, session: Session) -> None:
    await export_text(talk, session, file_text(session.draft.config))
