"""The menu of `interfaceconfig`: NEW, EDIT, GROUPS, DELETE (interfaceconfig.md 2)."""

from __future__ import annotations

from collections.abc import Callable

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.interfaces import MAX_INTERFACES, Interface
from appliance_state.table import evolve
from commands.answers import integer
from commands.dialog import Cancelled, Conversation, Refused
from commands.interfaceconfig.groups import menu as groups_menu
from commands.interfaceconfig.questions import ask_interface
from commands.interfaces import interface_rows, users_of, with_interface
from commands.menu import Menu

SSH_OFF = "Warning: SSH will be disabled on the interface you are currently logged into."
NO_HTTPS = "Warning: No interface will offer HTTPS after this change."
OWN_EDITED = "You have edited the interface you are currently logged into. Are you sure you want to change it?"
OWN_DELETED = "You are about to delete the interface you are currently logged into. Are you sure?"


def _status(session: Session) -> str:
    return "\n".join(["Currently configured interfaces:", *interface_rows(session.draft.config)])


menu: Menu[Session] = Menu(status=_status)


def _by_number(config: Config) -> Callable[[str], Interface]:
    """Parser of an interface by its number in the list or by its name."""
    interfaces = config.interfaces.sorted()

    def parse(answer: str) -> Interface:
        return config.interfaces[answer] if answer in config.interfaces else interfaces[integer(1, len(interfaces))(answer) - 1]

    return parse


def is_own(session: Session, interface: Interface) -> bool:
    """Whether the session came in through this interface, which it may have renamed since."""
    if session.interface is None:
        return False
    at_login = session.draft.base_config.interfaces.get(session.interface)
    return interface.name.casefold() == session.interface.casefold() if at_login is None else at_login.uid == interface.uid


async def _confirm_own(talk: Conversation, session: Session, changed: Interface) -> None:
    """The question before a change of the interface that carries the session. Errors: Cancelled for No."""
    warnings = []
    if session.interface_service == "ssh" and changed.ssh_port is None:
        warnings.append(SSH_OFF)
    others = [entry for entry in session.draft.config.interfaces.entries() if entry.uid != changed.uid]
    before = [entry for entry in session.draft.config.interfaces.entries() if entry.https_port is not None]
    if changed.https_port is None and before and not any(entry.https_port is not None for entry in others):
        warnings.append(NO_HTTPS)
    if not await talk.confirm("\n".join([*warnings, OWN_EDITED]), key="own", default=True):
        raise Cancelled


@menu.operation("NEW", "Create a new interface.")
async def new(talk: Conversation, session: Session) -> None:
    check_room(session.draft.config)
    store_new(session, await ask_interface(talk, session, None))


def check_room(config: Config) -> None:
    """Errors: Refused when there are as many interfaces as there may be."""
    if len(config.interfaces) >= MAX_INTERFACES:
        raise Refused(f"There is a maximum of {MAX_INTERFACES} interfaces.")


def store_new(session: Session, interface: Interface) -> None:
    config = session.draft.config
    session.draft.config = config.with_(interfaces=config.interfaces.put(interface))


def store_changed(session: Session, old: str, interface: Interface) -> None:
    """Put the interface in its place; references follow a new name. Errors: Refused when it is gone."""
    if old not in session.draft.config.interfaces:
        raise Refused(f'There is no interface named "{old}".')
    session.draft.config = with_interface(session.draft.config, old, interface)


@menu.operation("EDIT", "Modify an interface.")
async def edit(talk: Conversation, session: Session) -> None:
    current = await talk.select("Enter the number of the interface you wish to edit.", _by_number(session.draft.config), key="interface")
    changed = await ask_interface(talk, session, current)
    if changed != current and is_own(session, current):
        await _confirm_own(talk, session, changed)
    store_changed(session, current.name, changed)


@menu.operation("GROUPS", "Define interface groups.")
async def groups(talk: Conversation, session: Session) -> None:
    await groups_menu.run(talk, session)


@menu.operation("DELETE", "Remove an interface.")
async def delete(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    interface = await talk.select("Enter the number of the interface you wish to delete.", _by_number(config), key="interface")
    check_not_last(config)
    if users := users_of(config, interface.name):
        question = f'The interface "{interface.name}" is used by: {", ".join(users)}.\nAre you sure you want to delete it?'
        if not await talk.confirm(question, key="used", default=False):
            raise Cancelled
    if is_own(session, interface) and not await talk.confirm(OWN_DELETED, key="own", default=False):
        raise Cancelled
    store_deleted(session, interface.name)


def check_not_last(config: Config) -> None:
    if len(config.interfaces) == 1:
        raise Refused("You cannot delete the last interface.")


def store_deleted(session: Session, name: str) -> None:
    """Remove the interface, also from the groups that it is a member of."""
    config = session.draft.config
    key = name.casefold()
    groups = [
        evolve(group, members=frozenset(member for member in group.members if member.casefold() != key))
        for group in config.interface_groups.entries()
    ]
    session.draft.config = config.with_(interfaces=config.interfaces.without(name), interface_groups=config.interface_groups.put(*groups))
