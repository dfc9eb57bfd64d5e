"""The menu MASQUERADE of a listener: other sender addresses in envelope and headers (listenerconfig.md 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance_state.access_sources import masquerade_new, masquerade_original
from appliance_state.hat_text import TableError
from appliance_state.model.listeners import Listener, MasqueradedField, Masquerading
from commands.dialog import INVALID, Cancelled, Conversation, Refused, Rejected
from commands.listenerconfig.edited import EditedListener
from commands.listenerconfig.hat_table import without
from commands.listenerconfig.rat_text import NOT_COMPLETE, line_error, numbered_lines
from commands.menu import Menu
from commands.table_files import export_text, import_text, imported

MAX_ENTRIES = 20000
TOO_MANY = f"There is a maximum of {MAX_ENTRIES} masquerading entries."
ORIGINAL = "Enter the source address or domain to masquerade."
NEW = "Enter the masqueraded address or domain."
QUESTIONS = (
    (MasqueradedField.ENVELOPE_SENDER, "Envelope Sender"),
    (MasqueradedField.FROM, "From headers"),
    (MasqueradedField.TO, "To headers"),
    (MasqueradedField.CC, "CC headers"),
    (MasqueradedField.REPLY_TO, "Reply-To headers"),
)


def status_text(listener: Listener) -> str:
    names = [one.label for one in MasqueradedField if one in listener.masquerade_headers]
    return (
        f"Domain Masquerading Table\nThere are currently {len(listener.masquerade)} entries.\n"
        f"Masqueraded headers: {', '.join(names) or 'None'}"
    )


def print_text(listener: Listener) -> str:
    return "\n".join(f"{entry.original} --> {entry.new}" for entry in listener.masquerade)


# -- answers and files ----------------------------------------------------------------------------------------------------


def _index(listener: Listener, original: str) -> int | None:
    keys = [entry.original.casefold() for entry in listener.masquerade]
    return keys.index(original.casefold()) if original.casefold() in keys else None


def _new_original(listener: Listener) -> Callable[[str], str]:
    def parse(answer: str) -> str:
        try:
            original = masquerade_original(answer)
        except ValueError:
            raise Rejected(INVALID) from None
        if _index(listener, original) is not None:
            raise Rejected(f'The address "{original}" is already in the table.')
        return original

    return parse


def _existing(listener: Listener) -> Callable[[str], int]:
    def parse(answer: str) -> int:
        index = _index(listener, answer)
        if index is None:
            raise Rejected(f'The address "{answer}" is not in the table.')
        return index

    return parse


def _entry(original: str) -> Callable[[str], Masquerading]:
    """Parser of the right side that belongs to `original`: a complete address for a user, `@domain` for a domain."""

    def parse(answer: str) -> Masquerading:
        try:
            new = masquerade_new(answer)
        except ValueError:
            raise Rejected(INVALID) from None
        if original.startswith("@") != new.startswith("@"):
            raise Rejected(INVALID if original.startswith("@") else NOT_COMPLETE)
        return Masquerading(original=original, new=new)

    return parse


def masquerade_text(entries: Sequence[Masquerading]) -> str:
    """What EXPORT writes: `left right` per line, with line ends."""
    return "".join(f"{entry.original} {entry.new}\n" for entry in entries)


def parse_masquerade(text: str) -> tuple[Masquerading, ...]:
    """Read a table. Errors: TableError with the line to print."""
    entries: dict[str, Masquerading] = {}
    for number, line in numbered_lines(text):
        words = line.split()
        if len(words) != 2:
            raise line_error(number, "expected a source and a masqueraded address or domain.")
        try:
            original = masquerade_original(words[0])
        except ValueError:
            raise line_error(number, f'"{words[0]}" is not a valid address or domain.') from None
        try:
            entry = _entry(original)(words[1])
        except Rejected as problem:
            raise line_error(number, f'"{words[1]}": {problem}') from None
        if original.casefold() in entries:
            raise line_error(number, f'the address "{original}" is already in the table.')
        entries[original.casefold()] = entry
    if len(entries) > MAX_ENTRIES:
        raise TableError(f"Error: {TOO_MANY}")
    return tuple(entries.values())


# -- operations -----------------------------------------------------------------------------------------------------------

menu: Menu[EditedListener] = Menu(status=lambda edited: status_text(edited.listener))


def _any(edited: EditedListener) -> bool:
    return bool(edited.listener.masquerade)


@menu.operation("NEW", "Create a new entry.")
async def new(talk: Conversation, edited: EditedListener) -> None:
    if len(edited.listener.masquerade) >= MAX_ENTRIES:
        raise Refused(TOO_MANY)
    original = await talk.ask(ORIGINAL, _new_original(edited.listener), key="original")
    entry = await talk.ask(NEW, _entry(original), key="new")
    edited.change(masquerade=(*edited.listener.masquerade, entry))


@menu.operation("DELETE", "Remove an entry.", when=_any)
async def delete(talk: Conversation, edited: EditedListener) -> None:
    index = await talk.select("Enter the source address or domain to delete.", _existing(edited.listener), key="original")
    edited.change(masquerade=without(edited.listener.masquerade, index))


@menu.operation("PRINT", "Display all entries.", when=_any)
async def print_(talk: Conversation, edited: EditedListener) -> None:
    await talk.page(print_text(edited.listener))


@menu.operation("IMPORT", "Import entries from a file.")
async def import_(talk: Conversation, edited: EditedListener) -> None:
    try:
        entries = parse_masquerade(await import_text(talk, edited.session))
    except TableError as problem:
        raise Refused(str(problem)) from None
    edited.change(masquerade=entries)
    talk.note(imported(len(entries)))


@menu.operation("EXPORT", "Export entries to a file.", when=_any)
async def export(talk: Conversation, edited: EditedListener) -> None:
    await export_text(talk, edited.session, masquerade_text(edited.listener.masquerade))


@menu.operation("CONFIG", "Configure masqueraded headers.")
async def config(talk: Conversation, edited: EditedListener) -> None:
    chosen = edited.listener.masquerade_headers
    wanted = set()
    for one, name in QUESTIONS:
        if await talk.confirm(f"Do you wish to masquerade {name}?", key=one.value, default=one in chosen):
            wanted.add(one)
    edited.change(masquerade_headers=frozenset(wanted))


@menu.operation("CLEAR", "Remove all entries.", when=_any)
async def clear(talk: Conversation, edited: EditedListener) -> None:
    if not await talk.confirm("Are you sure you want to remove all masquerading entries?", key="sure", default=False):
        raise Cancelled
    edited.change(masquerade=())
