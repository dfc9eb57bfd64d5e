"""The menu DOMAINMAP of a listener: rewriting of envelope recipients (listenerconfig.md 7)."""

from __future__ import annotations

from collections.abc import Callable

from appliance_state.access_sources import mapping_new, mapping_original
from appliance_state.hat_text import TableError
from appliance_state.model.listeners import DomainMapping, Listener
from commands.dialog import INVALID, Cancelled, Conversation, Refused, Rejected
from commands.listenerconfig.edited import EditedListener
from commands.listenerconfig.hat_table import replaced, without
from commands.listenerconfig.listings import domain_map_status
from commands.listenerconfig.rat_text import MAX_MAPPINGS, TOO_MANY, check_mapping, domain_map_text, parse_domain_map
from commands.menu import Menu
from commands.table_files import export_text, import_text, imported

ORIGINAL = """\
Enter the original domain for this entry.
Domains such as "@example.com" are allowed.
Partial hostnames such as "@.example.com" are allowed.
Email addresses such as "test@example.com" and "test@.example.com" are also allowed."""
NEW = """\
Enter the new domain for this entry.
The new domain may be a fully qualified such as "@example.domain.com" or a complete email address such as "test@example.com\""""

menu: Menu[EditedListener] = Menu(status=lambda edited: domain_map_status(edited.listener))


def _any(edited: EditedListener) -> bool:
    return bool(edited.listener.domain_map)


def _index(listener: Listener, original: str) -> int | None:
    keys = [mapping.original.casefold() for mapping in listener.domain_map]
    return keys.index(original.casefold()) if original.casefold() in keys else None


def _new_original(listener: Listener) -> Callable[[str], str]:
    def parse(answer: str) -> str:
        try:
            original = mapping_original(answer)
        except ValueError:
            raise Rejected(INVALID) from None
        if _index(listener, original) is not None:
            raise Rejected(f'The domain "{original}" is already in the table.')
        return original

    return parse


def _mapping(original: str) -> Callable[[str], DomainMapping]:
    """Parser of the right side that belongs to `original`."""

    def parse(answer: str) -> DomainMapping:
        try:
            mapping = DomainMapping(original=original, new=mapping_new(answer))
        except ValueError:
            raise Rejected(INVALID) from None
        try:
            check_mapping(mapping)
        except ValueError as problem:
            raise Rejected(str(problem)) from None
        return mapping

    return parse


def _existing(listener: Listener) -> Callable[[str], int]:
    def parse(answer: str) -> int:
        index = _index(listener, answer)
        if index is None:
            raise Rejected(f'The domain "{answer}" is not in the table.')
        return index

    return parse


def print_text(listener: Listener) -> str:
    return "\n".join(f"{mapping.original} --> {mapping.new}" for mapping in listener.domain_map)


@menu.operation("NEW", "Create a new entry.")
async def new(talk: Conversation, edited: EditedListener) -> None:
    if len(edited.listener.domain_map) >= MAX_MAPPINGS:
        raise Refused(TOO_MANY)
    original = await talk.ask(ORIGINAL, _new_original(edited.listener), key="original")
    mapping = await talk.ask(NEW, _mapping(original), key="new")
    edited.change(domain_map=(*edited.listener.domain_map, mapping))
    if not talk.batch:
        talk.show("Domain mapping added.")


@menu.operation("EDIT", "Modify an entry.", when=_any)
async def edit(talk: Conversation, edited: EditedListener) -> None:
    index = await talk.select("Enter the original domain to edit.", _existing(edited.listener), key="original")
    current = edited.listener.domain_map[index]
    mapping = await talk.ask(NEW, _mapping(current.original), key="new", default=current, shown=current.new)
    edited.change(domain_map=replaced(edited.listener.domain_map, index, mapping))


@menu.operation("DELETE", "Remove an entry.", when=_any)
async def delete(talk: Conversation, edited: EditedListener) -> None:
    index = await talk.select("Enter the original domain to delete.", _existing(edited.listener), key="original")
    edited.change(domain_map=without(edited.listener.domain_map, index))


@menu.operation("PRINT", "Display all domain mappings.", when=_any)
async def print_(talk: Conversation, edited: EditedListener) -> None:
    await talk.page(print_text(edited.listener))


@menu.operation("IMPORT", "Import domain mappings from a file.")
async def import_(talk: Conversation, edited: EditedListener) -> None:
    try:
        mappings = parse_domain_map(await import_text(talk, edited.session))
    except TableError as problem:
        raise Refused(str(problem)) from None
    edited.change(domain_map=mappings)
    talk.note(imported(len(mappings)))


@menu.operation("EXPORT", "Export domain mappings to a file.", when=_any)
async def export(talk: Conversation, edited: EditedListener) -> None:
    await export_text(talk, edited.session, domain_map_text(edited.listener.domain_map))


@menu.operation("CLEAR", "Clear all domain mappings.", when=_any)
async def clear(talk: Conversation, edited: EditedListener) -> None:
    if not await talk.confirm("Are you sure you want to remove all domain mappings?", key="sure", default=False):
        raise Cancelled
    edited.change(domain_map=())
