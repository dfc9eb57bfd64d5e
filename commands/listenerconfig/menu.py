"""The top menu of `listenerconfig` (listenerconfig.md 2, 9)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from commands.dialog import Conversation
from commands.listenerconfig import edit as edit_menu
from commands.listenerconfig import global_setup
from commands.listenerconfig import new as new_dialog
from commands.listenerconfig.edited import ask_listener
from commands.listenerconfig.listings import NO_LISTENERS, listener_rows
from commands.menu import Menu


def status_text(config: Config) -> str:
    rows = listener_rows(config)
    return "\n".join(["Currently configured listeners:", *rows]) if rows else NO_LISTENERS


def _any(session: Session) -> bool:
    return len(session.draft.config.listeners) > 0


menu: Menu[Session] = Menu(status=lambda session: status_text(session.draft.config))


@menu.operation("NEW", "Create a new listener.")
async def new(talk: Conversation, session: Session) -> None:
    await new_dialog.new(talk, session)


@menu.operation("EDIT", "Modify a listener.", when=_any)
async def edit(talk: Conversation, session: Session) -> None:
    await edit_menu.edit(talk, session)


@menu.operation("DELETE", "Remove a listener.", when=_any)
async def delete(talk: Conversation, session: Session) -> None:
    edited = await ask_listener(talk, session, "Enter the name or number of the listener you wish to remove.")
    store_deleted(session, edited.name)


@menu.operation("SETUP", "Change global settings.")
async def setup(talk: Conversation, session: Session) -> None:
    await global_setup.setup(talk, session)


def store_deleted(session: Session, name: str) -> None:
    config = session.draft.config
    session.draft.config = config.with_(listeners=config.listeners.without(name))
