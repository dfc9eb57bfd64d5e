"""The menu of `ldapconfig`: NEW, EDIT, DELETE, SETUP (ldapconfig.md 2, 3)."""

from __future__ import annotations

from attrs import evolve

from appliance_runtime.commit import CommitRefused, Conflicted
from appliance_runtime.ldap_test import check_ldap
from appliance_runtime.sessions import Session
from appliance_state.model.ldap import AUTO, Ldap
from commands.certificate_choice import choose_certificate
from commands.dialog import Cancelled, Conversation
from commands.interfaces import pick_row
from commands.ldapconfig.editing import ask_edited, store_server
from commands.ldapconfig.editing import menu as edit_menu
from commands.ldapconfig.listing import NO_SERVERS, server_block, server_rows
from commands.ldapconfig.questions import Answered, ask_server
from commands.menu import Menu


def _status(session: Session) -> str:
    rows = server_rows(session.draft.config)
    return "\n".join(["Current LDAP server configurations:", *rows]) if rows else NO_SERVERS


def _any(session: Session) -> bool:
    return len(session.draft.config.ldap.servers) > 0


menu: Menu[Session] = Menu(status=_status)


@menu.operation("NEW", "Create a new server configuration.")
async def new(talk: Conversation, session: Session) -> None:
    answered = await ask_server(talk, session, None)
    if await talk.confirm("Connect to LDAP server to validate setting?", key="connect", default=True):
        await _validate(talk, session, answered)
    store_server(session, answered.server, answered.passphrase)
    talk.show(server_block(answered.server))


async def _validate(talk: Conversation, session: Session, answered: Answered) -> None:
    """Errors: Cancelled when it failed and is not to be saved."""
    talk.show("Connecting to the LDAP server, please wait...")
    if (problem := await _problem(session, answered)) is None:
        talk.say(f"LDAP test succeeded for {answered.server.name}.")
        return
    talk.fail(problem)
    if not await talk.confirm("Do you want to save this server configuration anyway?", key="anyway", default=True):
        raise Cancelled


async def _problem(session: Session, answered: Answered) -> str | None:
    """What is wrong with the server as the pending configuration would use it; None = nothing."""
    try:
        snapshot = await session.appliance.pending(session.draft)
    except CommitRefused as refusal:
        return "\n".join(f"Error: {problem}" for problem in refusal.problems)
    except Conflicted:
        return "Error: Your pending changes are in conflict with a later commit."
    passphrase = (answered.passphrase or b"").decode()
    outcome = await check_ldap(session.appliance, snapshot, answered.server, passphrase, lambda _: None)
    return None if outcome.succeeded else f"{outcome.cause}."


@menu.operation("EDIT", "Modify a server configuration.", when=_any)
async def edit(talk: Conversation, session: Session) -> None:
    await edit_menu.run(talk, await ask_edited(talk, session, "edit"))


@menu.operation("DELETE", "Remove a server configuration.", when=_any)
async def delete(talk: Conversation, session: Session) -> None:
    edited = await ask_edited(talk, session, "delete")
    if not await talk.confirm(f'Are you sure you want to delete "{edited.name}"?', key="sure", default=False):
        raise Cancelled
    store_without(session, edited.name)


def store_without(session: Session, name: str) -> None:
    config = session.draft.config
    _store(session, evolve(config.ldap, servers=config.ldap.servers.without(name)))


def _store(session: Session, changed: Ldap) -> None:
    session.draft.config = session.draft.config.with_(ldap=changed)


@menu.operation("SETUP", "Configure LDAP options.")
async def setup(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    ldap = config.ldap
    rows = [(AUTO, AUTO), *((entry.name, pick_row(entry)) for entry in config.interfaces.sorted())]
    current = next((name for name, _ in rows if name.casefold() == ldap.interface.casefold()), None)
    interface = await talk.choose(rows, key="interface", above="Choose the IP interface for LDAP traffic.", default=current)
    talk.note("LDAP will determine the interface automatically." if interface == AUTO else f"LDAP will use interface {interface}.")
    validate = await talk.confirm(
        "Do you want to validate the LDAP server certificate?", key="validate", default=ldap.validate_server_certificate
    )
    certificate = await choose_certificate(talk, session, current=ldap.certificate)
    _store(
        session,
        evolve(session.draft.config.ldap, interface=interface, validate_server_certificate=validate, certificate=certificate),
    )
