"""The menu RCPTACCESS of a public listener: for whom mail is accepted (listenerconfig.md 6)."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import attrs

from appliance_runtime.sessions import Session
from appliance_state.access_sources import ALL, recipient_pattern
from appliance_state.hat_text import TableError
from appliance_state.model.listeners import Access, Listener, RatEntry
from commands.answers import words
from commands.dialog import Conversation, Refused, Rejected
from commands.listenerconfig.edited import EditedListener
from commands.listenerconfig.hat_table import moved, without
from commands.listenerconfig.listings import recipient_access_status
from commands.listenerconfig.rat_text import CODES, parse_recipient_access, recipient_access_text
from commands.listenerconfig.responses import ask_code, ask_text
from commands.menu import Menu
from commands.table_files import export_text, import_text, imported

_PARTIAL_AND_USERS = """\
Partial hostnames such as ".example.com" are allowed.
Usernames such as "postmaster@" are allowed.
Full email addresses such as "joe@example.com" or "joe@[1.2.3.4]" are allowed."""
FORMS = f'Hostnames such as "example.com" are allowed.\n{_PARTIAL_AND_USERS}'
FORMS_WITH_LITERALS = f'Hostnames such as "example.com" and "[1.2.3.4]" are allowed.\n{_PARTIAL_AND_USERS}'
ADDRESS_RULE = f"A Recipient Access Table address can be one of the following:\n{FORMS}"
ALL_STAYS = f'The entry "{ALL}" cannot be deleted.'
STANDARD = {Access.ACCEPT: 250, Access.REJECT: 550}

menu: Menu[EditedListener] = Menu(status=lambda edited: recipient_access_status(edited.listener))


def addresses(answer: str) -> tuple[str, ...]:
    """Addresses of a list with commas, without doubles. Errors: Rejected."""
    try:
        found = [recipient_pattern(part) for part in words(answer)]
    except (ValueError, Rejected):
        raise Rejected(ADDRESS_RULE) from None
    unique: dict[str, str] = {}
    for address in found:
        unique.setdefault(address.casefold(), address)
    return tuple(unique.values())


def _index(listener: Listener, address: str) -> int | None:
    keys = [entry.address.casefold() for entry in listener.rat]
    return keys.index(address.casefold()) if address.casefold() in keys else None


def new_addresses(listener: Listener) -> Callable[[str], tuple[str, ...]]:
    """Parser of addresses that are not in the table yet."""

    def parse(answer: str) -> tuple[str, ...]:
        found = addresses(answer)
        for address in found:
            if _index(listener, address) is not None:
                raise Rejected(f'The address "{address}" is already in the table.')
        return found

    return parse


def address_in(listener: Listener, *, besides_all: bool = False) -> Callable[[str], int]:
    """Parser of an address of the table: its position. `besides_all`: not `ALL`."""

    def parse(answer: str) -> int:
        index = _index(listener, answer)
        if index is None:
            raise Rejected(f'The address "{answer}" is not in the table.')
        if besides_all and listener.rat[index].address == ALL:
            raise Rejected(ALL_STAYS)
        return index

    return parse


def with_access(entry: RatEntry, access: Access) -> RatEntry:
    """The entry with that action; another action drops the reply and the bypass of the old one."""
    if access is entry.access:
        return entry
    return attrs.evolve(entry, access=access, response_code=None, response_text=None, bypass_receiving_control=False)


async def _ask_entry(talk: Conversation, current: RatEntry) -> RatEntry:
    """Action, reply and bypass of an entry."""
    rows = [(access.value, access.label) for access in Access]
    above = "Select the action to apply to this address:"
    access = Access(await talk.choose(rows, key="action", above=above, default=current.access.value))
    current = with_access(current, access)
    code, text = current.response_code, current.response_text
    custom = code is not None or text is not None
    if await talk.confirm("Would you like to specify a custom SMTP response?", key="custom_response", default=custom):
        code = await ask_code(talk, STANDARD[access], *CODES[access], code, key="response_code")
        text = await ask_text(talk, text, key="response_text")
    else:
        code = text = None
    bypass = False
    if access is Access.ACCEPT:
        question = "Would you like to bypass receiving control for this entry?"
        bypass = await talk.confirm(question, key="bypass", default=current.bypass_receiving_control)
    return attrs.evolve(current, response_code=code, response_text=text, bypass_receiving_control=bypass)


def store_new(edited: EditedListener, found: tuple[str, ...], template: RatEntry, position: int | None = None) -> None:
    """Add entries, from `position` (counted from 0) on or before `ALL`."""
    rat = edited.listener.rat
    at = len(rat) - 1 if position is None else position
    edited.change(rat=(*rat[:at], *(attrs.evolve(template, address=address) for address in found), *rat[at:]))


def store_changed(edited: EditedListener, index: int, entry: RatEntry, position: int | None = None) -> None:
    """Put an entry in its place, or at `position` (counted from 0)."""
    rat = edited.listener.rat
    rat = (*rat[:index], entry, *rat[index + 1 :])
    if position is not None:
        rat = moved(rat, index, position if position <= index else position + 1)
    edited.change(rat=rat)


def store_deleted(edited: EditedListener, index: int) -> None:
    edited.change(rat=without(edited.listener.rat, index))


@menu.operation("NEW", "Create a new entry.")
async def new(talk: Conversation, edited: EditedListener) -> None:
    question = f"Enter the recipient address for this entry.\n{FORMS_WITH_LITERALS}\nSeparate multiple addresses with commas."
    found = await talk.ask(question, new_addresses(edited.listener), key="address")
    store_new(edited, found, await _ask_entry(talk, RatEntry(address="")))


@menu.operation("EDIT", "Modify an entry.")
async def edit(talk: Conversation, edited: EditedListener) -> None:
    index = await talk.select("Enter the address to edit.", address_in(edited.listener), key="address")
    store_changed(edited, index, await _ask_entry(talk, edited.listener.rat[index]))


@menu.operation("DELETE", "Remove an entry.", when=lambda edited: len(edited.listener.rat) > 1)
async def delete(talk: Conversation, edited: EditedListener) -> None:
    index = await talk.select("Enter the address to delete.", address_in(edited.listener, besides_all=True), key="address")
    store_deleted(edited, index)


@menu.operation("PRINT", "Display the table.")
async def print_(talk: Conversation, edited: EditedListener) -> None:
    await talk.page(recipient_access_text(edited.listener.rat))


@menu.operation("IMPORT", "Import a table from a file.")
async def import_(talk: Conversation, edited: EditedListener) -> None:
    try:
        rat = parse_recipient_access(await import_text(talk, edited.session))
    except TableError as problem:
        raise Refused(str(problem)) from None
    edited.change(rat=rat)
    talk.note(imported(len(rat)))


@menu.operation("EXPORT", "Export the table to a file.")
async def export(talk: Conversation, edited: EditedListener) -> None:
    await export_text(talk, edited.session, _file_text(edited.session, edited.listener))


def _file_text(session: Session, listener: Listener) -> str:
    now = session.appliance.clock.now().astimezone(ZoneInfo(session.draft.config.system.timezone))
    return f"# File exported by the CLI at {now:%Y%m%dT%H%M%S}\n{recipient_access_text(listener.rat)}\n"


@menu.operation("CLEAR", "Remove all entries.")
async def clear(talk: Conversation, edited: EditedListener) -> None:
    rows = [(access.value, access.label) for access in Access]
    above = "What access should the default entry have?"
    access = Access(await talk.choose(rows, key="access", above=above, default=Access.REJECT.value))
    edited.change(rat=(RatEntry(address=ALL, access=access),))
