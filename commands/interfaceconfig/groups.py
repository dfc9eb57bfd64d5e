"""The menu GROUPS of `interfaceconfig`: interfaces that are used as one, in turn (interfaceconfig.md 2.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.interfaces import INTERFACE_NAME, InterfaceGroup
from commands.answers import integer
from commands.dialog import Conversation, Refused, Rejected
from commands.interfaceconfig.questions import NAME_RULE
from commands.interfaces import pick_row
from commands.menu import Menu

NO_GROUPS = "There are currently no IP groups configured."

_NAME = re.compile(INTERFACE_NAME, re.ASCII)


def _status(session: Session) -> str:
    groups = session.draft.config.interface_groups.sorted()
    if not groups:
        return NO_GROUPS
    rows = [f"{n}. {group.name} ({_count(len(group.members))})" for n, group in enumerate(groups, start=1)]
    return "\n".join(["Currently configured IP groups:", *rows])


def _count(members: int) -> str:
    return "1 interface" if members == 1 else f"{members} interfaces"


def _any(session: Session) -> bool:
    return len(session.draft.config.interface_groups) > 0


menu: Menu[Session] = Menu(status=_status)


def group_name(config: Config, current: str | None = None) -> Callable[[str], str]:
    """Parser of the name of a group; `current` is the name that it has now."""

    def parse(answer: str) -> str:
        if not _NAME.fullmatch(answer):
            raise Rejected(NAME_RULE)
        if answer in config.interfaces:
            raise Rejected(f'An interface named "{config.interfaces[answer].name}" already exists.')
        if answer in config.interface_groups and (current is None or answer.casefold() != current.casefold()):
            raise Rejected(f'A group named "{config.interface_groups[answer].name}" already exists.')
        return answer

    return parse


def _by_number(config: Config) -> Callable[[str], InterfaceGroup]:
    groups = config.interface_groups.sorted()

    def parse(answer: str) -> InterfaceGroup:
        if answer in config.interface_groups:
            return config.interface_groups[answer]
        return groups[integer(1, len(groups))(answer) - 1]

    return parse


async def _ask_group(talk: Conversation, config: Config, current: InterfaceGroup | None) -> InterfaceGroup:
    name = None if current is None else current.name
    name = await talk.ask("Enter the name for this group:", group_name(config, name), key="name", default=name)
    chosen = {member.casefold() for member in current.members} if current is not None else set()
    interfaces = config.interfaces.sorted()
    members = await talk.choose_many(
        [(interface.name, pick_row(interface)) for interface in interfaces],
        key="members",
        above="Enter the name or number of the interfaces to be included in the group.  Separate multiple interfaces with commas.",
        default=[interface.name for interface in interfaces if interface.name.casefold() in chosen],
    )
    return InterfaceGroup(name=name, members=frozenset(members))


def store_group(session: Session, group: InterfaceGroup, old: str | None = None) -> None:
    """Put a group in the place of `old`, or add it; the delivery settings follow a new name."""
    config = session.draft.config
    if old is None:
        session.draft.config = config.with_(interface_groups=config.interface_groups.put(group))
        return
    if old not in config.interface_groups:
        raise Refused(f'There is no group named "{old}".')
    delivery = config.delivery
    if delivery.interface.casefold() == old.casefold():
        delivery = evolve(delivery, interface=group.name)
    session.draft.config = config.with_(interface_groups=config.interface_groups.replace(old, group), delivery=delivery)


def store_without(session: Session, name: str) -> None:
    config = session.draft.config
    session.draft.config = config.with_(interface_groups=config.interface_groups.without(name))


def members_named(config: Config, names: Iterable[str]) -> frozenset[str]:
    """The interfaces of these names, as they are written. Errors: Refused for an unknown one."""
    members = set()
    for name in names:
        if name not in config.interfaces:
            raise Refused(f'There is no interface named "{name}".')
        members.add(config.interfaces[name].name)
    return frozenset(members)


@menu.operation("NEW", "Create a new group.")
async def new(talk: Conversation, session: Session) -> None:
    store_group(session, await _ask_group(talk, session.draft.config, None))


@menu.operation("EDIT", "Modify a group.", when=_any)
async def edit(talk: Conversation, session: Session) -> None:
    group = await talk.select("Enter the number of the group you wish to edit.", _by_number(session.draft.config), key="group")
    store_group(session, await _ask_group(talk, session.draft.config, group), group.name)


@menu.operation("DELETE", "Remove a group.", when=_any)
async def delete(talk: Conversation, session: Session) -> None:
    group = await talk.select("Enter the number of the group you wish to delete.", _by_number(session.draft.config), key="group")
    store_without(session, group.name)
