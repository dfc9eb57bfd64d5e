"""Command lines of `interfaceconfig` (interfaceconfig.md 3): the answers of the dialog, given as arguments and options."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.interfaces import DEMO, SERVICES, Interface, InterfaceGroup
from appliance_state.table import evolve
from commands.answers import text
from commands.arguments import Arguments
from commands.certificate_choice import choose_certificate
from commands.dialog import Conversation, Refused, Rejected
from commands.interfaceconfig.groups import group_name, members_named, store_group, store_without
from commands.interfaceconfig.operations import check_not_last, check_room, store_changed, store_deleted, store_new
from commands.interfaceconfig.questions import ask_interface
from commands.interfaces import interface_rows, users_of

USAGE = """\
interfaceconfig new <name> <ethernet> <hostname> --ip=<address>/<mask> [--ip6=<address>/<prefix>] [services]
interfaceconfig edit <name> [--name=<new>] [--ethernet=<e>] [--hostname=<h>] [--ip=<a>/<m>|off] [--ip6=<a>/<p>|off] [services]
interfaceconfig delete <name> [--force]
interfaceconfig list
interfaceconfig groups new <name> <interface> [<interface> ...] | edit <name> <interface> ... | delete <name>
services: --ssh[=port|off] --ccs[=port|off] --http[=port|off] --https[=port|off]
          --redirect=yes|no --certificate=<profile>"""

_SERVICES = tuple(word for word, _, _ in SERVICES)
_VALUED = ("ip", "ip6", "redirect", "certificate")


async def batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("new", "edit", "delete", "list", "groups"):
        case "new":
            await _new(talk, session, args)
        case "edit":
            await _edit(talk, session, args)
        case "delete":
            _delete(session, args)
        case "list":
            args.end()
            talk.say("\n".join(interface_rows(session.draft.config)))
        case "groups":
            _groups(session, args)


def _named(config: Config, name: str) -> Interface:
    if name not in config.interfaces:
        raise Refused(f'There is no interface named "{name}".')
    return config.interfaces[name]


def _answers(options: dict[str, str]) -> dict[str, str]:
    """Answers of the address and service questions that the options give."""
    answers: dict[str, str] = {}
    for option, gate, address, mask in (("ip", "use_ipv4", "ipv4", "netmask"), ("ip6", "use_ipv6", "ipv6", "prefix")):
        if option not in options:
            continue
        if options[option].lower() == "off":
            answers[gate] = "n"
            continue
        value, slash, length = options[option].partition("/")
        answers[gate], answers[address] = "y", value
        if slash:
            answers[mask] = length
    for word, _, offered in SERVICES:
        if word not in options:
            continue
        answers[word] = "n" if options[word].lower() == "off" else "y"
        answers[f"{word}_port"] = options[word] or str(offered)
    return answers


async def _with_web_options(talk: Conversation, session: Session, interface: Interface, options: dict[str, str]) -> Interface:
    """The interface with certificate and redirection of the options, whether or not its web services are on."""
    if "redirect" in options:
        door = talk.answering({"redirect": options["redirect"]})
        interface = evolve(interface, https_redirect=await door.confirm("", key="redirect", default=True))
    if "certificate" in options:
        name = options["certificate"]
        if name.casefold() != DEMO.casefold() and name not in session.draft.config.certificates:
            raise Refused(f'There is no certificate profile named "{name}".')
        door = talk.answering({"certificate": name})
        interface = evolve(interface, https_certificate=await choose_certificate(door, session, current=interface.https_certificate))
    return interface


async def _new(talk: Conversation, session: Session, args: Arguments) -> None:
    options = args.declare(valued=_VALUED, flags=_SERVICES)
    answers = {"use_ipv4": "n", **{key: args.word(key) for key in ("name", "ethernet", "hostname")}, **_answers(options)}
    args.end()
    check_room(session.draft.config)
    interface = await ask_interface(talk.answering(answers), session, None)
    store_new(session, await _with_web_options(talk, session, interface, options))


async def _edit(talk: Conversation, session: Session, args: Arguments) -> None:
    options = args.declare(valued=(*_VALUED, "name", "ethernet", "hostname"), flags=_SERVICES)
    name = args.word("name")
    args.end()
    current = _named(session.draft.config, name)
    answers = {key: text(4096)(options[key]) for key in ("name", "ethernet", "hostname") if key in options} | _answers(options)
    changed = await ask_interface(talk.answering(answers), session, current)
    store_changed(session, current.name, await _with_web_options(talk, session, changed, options))


def _delete(session: Session, args: Arguments) -> None:
    options = args.declare(flags=("force",))
    name = args.word("name")
    args.end()
    config = session.draft.config
    interface = _named(config, name)
    check_not_last(config)
    users = users_of(config, interface.name)
    if users and "force" not in options:
        raise Refused(f'The interface "{interface.name}" is used by: {", ".join(users)}.')
    store_deleted(session, interface.name)


def _groups(session: Session, args: Arguments) -> None:
    operation = args.operation("new", "edit", "delete")
    args.declare()
    name = args.word("name")
    config = session.draft.config
    if operation == "new":
        name = group_name(config)(name)
    elif name not in config.interface_groups:
        raise Rejected(f'There is no group named "{name}".')
    else:
        name = config.interface_groups[name].name
    if operation == "delete":
        args.end()
        store_without(session, name)
        return
    members = members_named(config, [args.word("interface"), *args.rest()])
    store_group(session, InterfaceGroup(name=name, members=members), None if operation == "new" else name)
