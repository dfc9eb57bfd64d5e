"""The menu of one entry of the host access table (listenerconfig.md 5.4).

An entry without a name is one host, and `ALL` is everyone: their hosts are not edited.
"""

from __future__ import annotations

import attrs
from attrs import define

from appliance_state.hat_text import entry_lines
from appliance_state.model.listeners import Listener, Sender, SenderGroup
from commands.dialog import Conversation, Refused
from commands.listenerconfig.edited import EditedListener, pick
from commands.listenerconfig.entries import ask_entry, new_group_name
from commands.listenerconfig.hat_table import check_limits, is_all, moved, replaced, without
from commands.listenerconfig.hosts import FORMS, sources
from commands.menu import Menu

NO_HOSTS = "There are no hosts in this sender group."


def unknown_group(name: str) -> str:
    return f'There is no sender group "{name}".'


@define
class EditedGroup:
    """An entry of a listener's table, by position; `identity` tells whether it is still there."""

    edited: EditedListener
    index: int
    identity: str

    @property
    def listener(self) -> Listener:
        return self.edited.listener

    @property
    def group(self) -> SenderGroup:
        """As it is now. Errors: Refused when it has been removed."""
        groups = self.listener.hat_sender_groups
        if self.index >= len(groups) or groups[self.index].identity != self.identity:
            raise Refused(unknown_group(self.identity))
        return groups[self.index]

    def store(self, changed: SenderGroup) -> None:
        """Put `changed` in its place. Errors: Refused."""
        if self.group != changed:
            groups = replaced(self.listener.hat_sender_groups, self.index, changed)
            check_limits(self.listener.hat_policies, groups)
            self.edited.change(hat_sender_groups=groups)
        self.identity = changed.identity


def _is_named(edited: EditedGroup) -> bool:
    return bool(edited.group.name)


def _is_not_all(edited: EditedGroup) -> bool:
    return not is_all(edited.group)


menu: Menu[EditedGroup] = Menu()


@menu.operation("NEW", "Add a new host.", when=_is_named)
async def new(talk: Conversation, edited: EditedGroup) -> None:
    """In batch the answer is `hosts`; a host that the group has is not added again."""
    hosts = await talk.ask(f"Enter the senders to add to this group.\n{FORMS}", sources, key="hosts")
    present = {sender.source for sender in edited.group.senders}
    added = [
        Sender(source=host)
        for host in hosts
        if host not in present
        or await talk.confirm(f'The host "{host}" is already in this group. Add anyway?', key="add_anyway", default=False)
    ]
    edited.store(attrs.evolve(edited.group, senders=(*edited.group.senders, *added)))


async def _pick_host(talk: Conversation, group: SenderGroup, question: str, key: str, *, rows: bool = True) -> int:
    if not group.senders:
        raise Refused(NO_HOSTS)
    names = [sender.source for sender in group.senders]
    texts = [f"{sender.source} ({sender.comment})" if sender.comment else sender.source for sender in group.senders]
    return await pick(talk, texts if rows else [], names, key=key, below=question)


@menu.operation("DELETE", "Remove a host.", when=_is_named)
async def delete(talk: Conversation, edited: EditedGroup) -> None:
    index = await _pick_host(talk, edited.group, "Enter the host you wish to remove.", "host")
    edited.store(attrs.evolve(edited.group, senders=without(edited.group.senders, index)))


@menu.operation("MOVE", "Reorder the hosts.", when=_is_named)
async def move(talk: Conversation, edited: EditedGroup) -> None:
    index = await _pick_host(talk, edited.group, "Enter the host you wish to move.", "host")
    before = await _pick_host(talk, edited.group, "Enter the host to insert it before.", "before", rows=False)
    edited.store(attrs.evolve(edited.group, senders=moved(edited.group.senders, index, before)))


@menu.operation("POLICY", "Change the policy settings and options.")
async def policy(talk: Conversation, edited: EditedGroup) -> None:
    edited.store(await ask_entry(talk, edited.listener, edited.group))


@menu.operation("PRINT", "Display the current definition.")
async def print_(talk: Conversation, edited: EditedGroup) -> None:
    await talk.page(definition(edited.group))


def definition(group: SenderGroup) -> str:
    """The lines of the entry in the table."""
    return "\n".join(entry_lines(group))


@menu.operation("RENAME", "Rename this sender group.", when=_is_not_all)
async def rename(talk: Conversation, edited: EditedGroup) -> None:
    group = edited.group
    name = await talk.ask("Enter a new name for this sender group.", new_group_name(edited.listener, group.name), key="new_name")
    edited.store(attrs.evolve(group, name=name))
