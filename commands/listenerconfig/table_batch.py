"""Command lines `listenerconfig edit <name> rcptaccess …`, `… domainmap …` and `… masquerade …` (listenerconfig.md 10)."""

from __future__ import annotations

import attrs

from appliance_state.access_sources import ALL
from appliance_state.model.listeners import Access, RatEntry
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, Rejected
from commands.listenerconfig import domain_map as mappings
from commands.listenerconfig import masquerade as masquerading
from commands.listenerconfig import recipients as table
from commands.listenerconfig.doors import answered, with_file
from commands.listenerconfig.edited import EditedListener
from commands.listenerconfig.rat_text import CODES, recipient_access_text
from commands.listenerconfig.responses import reply_text

RAT_OPTIONS = ("action", "cust_resp", "resp_code", "bypass_rc", "order")


async def recipients(talk: Conversation, edited: EditedListener, args: Arguments) -> None:
    operation = args.operation("new", "edit", "delete", "print", "import", "export", "clear")
    match operation:
        case "new":
            options = args.declare(valued=RAT_OPTIONS)
            found = table.new_addresses(edited.listener)(args.word("address"))
            args.end()
            entry = _with_options(RatEntry(address=""), options)
            table.store_new(edited, found, entry, _position(options, len(edited.listener.rat)))
        case "edit":
            _edit(edited, args)
        case "delete":
            index = table.address_in(edited.listener, besides_all=True)(args.word("address"))
            args.end()
            table.store_deleted(edited, index)
        case "print":
            args.end()
            talk.say(recipient_access_text(edited.listener.rat))
        case "import":
            await with_file(talk, edited, args, table.import_, "rcptaccess", operation)
        case "export":
            await with_file(talk, edited, args, table.export, "rcptaccess", operation)
        case "clear":
            await answered(talk, edited, args, table.clear, "access")


def _edit(edited: EditedListener, args: Arguments) -> None:
    options = args.declare(valued=RAT_OPTIONS)
    rat = edited.listener.rat
    index = table.address_in(edited.listener)(args.word("address"))
    args.end()
    position = _position(options, 0 if rat[index].address == ALL else len(rat) - 1)
    table.store_changed(edited, index, _with_options(rat[index], options), position)


def _invalid(options: dict[str, str], option: str) -> Refused:
    return Refused(f'Invalid "{option}" value: {options[option]}')


def _position(options: dict[str, str], highest: int) -> int | None:
    """`--order`, counted from 0."""
    if "order" not in options:
        return None
    try:
        return integer(1, highest)(options["order"]) - 1
    except Rejected:
        raise _invalid(options, "order") from None


def _with_options(entry: RatEntry, options: dict[str, str]) -> RatEntry:
    """The entry with the options of the line; another action drops the reply of the old one. Errors: Refused."""
    if "action" in options:
        if options["action"].lower() not in list(Access):
            raise _invalid(options, "action")
        entry = table.with_access(entry, Access(options["action"].lower()))
    if "cust_resp" in options:
        text = reply_text(options["cust_resp"]) or None
        code = None if text is None else entry.response_code or table.STANDARD[entry.access]
        entry = attrs.evolve(entry, response_text=text, response_code=code)
    if "resp_code" in options:
        try:
            entry = attrs.evolve(entry, response_code=integer(*CODES[entry.access])(options["resp_code"]))
        except Rejected:
            raise _invalid(options, "resp_code") from None
    if "bypass_rc" in options:
        value = options["bypass_rc"].lower()
        if value not in ("yes", "no") or (value == "yes" and entry.access is Access.REJECT):
            raise _invalid(options, "bypass_rc")
        entry = attrs.evolve(entry, bypass_receiving_control=value == "yes")
    return entry


async def domain_map(talk: Conversation, edited: EditedListener, args: Arguments) -> None:
    operation = args.operation("new", "delete", "print", "import", "export", "clear")
    match operation:
        case "new":
            await answered(talk, edited, args, mappings.new, "original", "new")
        case "delete":
            await answered(talk, edited, args, mappings.delete, "original")
        case "print":
            args.end()
            if edited.listener.domain_map:
                talk.say(mappings.print_text(edited.listener))
        case "import":
            await with_file(talk, edited, args, mappings.import_, "domainmap", operation)
        case "export":
            await with_file(talk, edited, args, mappings.export, "domainmap", operation)
        case "clear":
            args.end()
            await mappings.clear(talk.answering({"sure": "y"}), edited)


async def masquerade(talk: Conversation, edited: EditedListener, args: Arguments) -> None:
    operation = args.operation("new", "delete", "print", "import", "export", "clear", "config")
    match operation:
        case "new":
            await answered(talk, edited, args, masquerading.new, "original", "new")
        case "delete":
            await answered(talk, edited, args, masquerading.delete, "original")
        case "print":
            args.end()
            if edited.listener.masquerade:
                talk.say(masquerading.print_text(edited.listener))
        case "import":
            await with_file(talk, edited, args, masquerading.import_, "masquerade", operation)
        case "export":
            await with_file(talk, edited, args, masquerading.export, "masquerade", operation)
        case "clear":
            args.end()
            await masquerading.clear(talk.answering({"sure": "y"}), edited)
        case "config":
            options = args.declare(valued=[one.value for one, _ in masquerading.QUESTIONS])
            args.end()
            await masquerading.config(talk.answering(options), edited)
