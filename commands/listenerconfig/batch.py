"""Command lines of `listenerconfig` (listenerconfig.md 10); HOSTACCESS stands in `hat_batch`, the other tables in `table_batch`."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.model.interfaces import DEMO
from appliance_state.model.listeners import CleanSmtp, ListenerType
from commands.arguments import Arguments
from commands.certificate_choice import choose_certificate
from commands.dialog import Conversation, Refused, SyntaxProblem, yes_or_no
from commands.listenerconfig import edit as edit_menu
from commands.listenerconfig.doors import answered
from commands.listenerconfig.edited import EditedListener, listener_named
from commands.listenerconfig.global_setup import READERS, store
from commands.listenerconfig.hat_batch import host_access
from commands.listenerconfig.listings import NO_LISTENERS, listener_rows, summary
from commands.listenerconfig.menu import store_deleted
from commands.listenerconfig.new import ask_new_listener, store_new
from commands.listenerconfig.table_batch import domain_map, masquerade, recipients

USAGE = """\
listenerconfig new <name> <public|private|blackhole> <interface> <smtp> [--port=25] [--accept=<addr,addr>] [--relay=<host,host>]
               [--max_rcpts_per_hour=<n>] [--certificate=<profile>]
listenerconfig delete <name>
listenerconfig list
listenerconfig edit <name> name <new> | interface <if> [<port>] | certificate <profile> | limits <max> <queue> | bounceconfig <profile> | show
listenerconfig edit <name> setup [--default_domain=<d>|none] [--received=yes|no] [--cleansmtp=fix|reject|allow]
listenerconfig edit <name> hostaccess new sendergroup <group> <host,host> <behavior> [options] [--comment=<text>]
listenerconfig edit <name> hostaccess new policy <policy> <behavior> [options]
listenerconfig edit <name> hostaccess edit sendergroup <group> new <host,host> | delete <host> | move <host> <before>
               | policy <behavior> [options] | print | rename <new>
listenerconfig edit <name> hostaccess edit policy <policy> <behavior> [options]
listenerconfig edit <name> hostaccess delete sendergroup <group> | delete policy <policy> [--force]
listenerconfig edit <name> hostaccess move <group> <before>
listenerconfig edit <name> hostaccess default [options]
listenerconfig edit <name> hostaccess print | import <file> | export <file> | clear | reset
listenerconfig edit <name> rcptaccess new <addr> [ratoptions] | edit <addr> [ratoptions] | delete <addr> | print
               | import <file> | export <file> | clear <accept|reject>
listenerconfig edit <name> domainmap new <from> <to> | delete <from> | print | import <file> | export <file> | clear
listenerconfig edit <name> masquerade new <from> <to> | delete <from> | print | import <file> | export <file> | clear
               | config [--envelope_sender=yes|no] [--from=yes|no] [--to=yes|no] [--cc=yes|no] [--reply_to=yes|no]
listenerconfig setup [--max_connections=<n>] [--max_tls_connections=<n>] [--max_header_lines=<n>] [--counter_reset_period=<t>]
               [--unsuccessful_timeout=<t>] [--max_connection_time=<t>] [--add_message_id=yes|no] [--hat_delayed_reject=yes|no]
               [--hat_delayed_reject_code=<n>] [--hat_delayed_reject_text=<text>]
behavior:      Accept | Relay | Reject | "TCP Refuse" | Continue | "Policy: NAME"
options:       --max_size --max_conn --max_msgs --max_rcpt --override --cust_acc --acc_code --cust_rej --rej_code --rate_lim
               --cust_lim --lim_code --sig_bits --tls=no|preferred|required --tls_verify=yes|no
ratoptions:    --action=accept|reject --cust_resp=<text> --resp_code=<n> --bypass_rc=yes|no --order=<n>"""


async def batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("new", "edit", "delete", "list", "setup"):
        case "new":
            await _new(talk, session, args)
        case "edit":
            await _edit(talk, listener_named(session, args.word("name")), args)
        case "delete":
            edited = listener_named(session, args.word("name"))
            args.end()
            store_deleted(session, edited.name)
        case "list":
            args.end()
            talk.say("\n".join(listener_rows(session.draft.config)) or NO_LISTENERS)
        case "setup":
            options = args.declare(valued=READERS)
            args.end()
            store(session, {field: READERS[field](value) for field, value in options.items()})


async def _certificate(talk: Conversation, session: Session, name: str) -> str:
    """The profile of that name, which must be one that can be chosen. Errors: Refused, Rejected."""
    if name.casefold() != DEMO.casefold() and name not in session.draft.config.certificates:
        raise Refused(f'There is no certificate profile named "{name}".')
    return await choose_certificate(talk.answering({"certificate": name}), session, current=DEMO)


def _check_interface(session: Session, name: str) -> str:
    if name not in session.draft.config.interfaces:
        raise Refused(f'There is no interface named "{name}".')
    return name


async def _new(talk: Conversation, session: Session, args: Arguments) -> None:
    options = args.declare(valued=("port", "accept", "relay", "max_rcpts_per_hour", "certificate"))
    answers = {key: args.word(key) for key in ("name", "type", "interface", "protocol")}
    args.end()
    kind = answers["type"].lower()
    if kind == "blackholequeueing":
        raise Refused("Queueing blackhole listeners are not supported.")
    for option, owner in (("accept", ListenerType.PUBLIC), ("relay", ListenerType.PRIVATE)):
        if option in options and kind in list(ListenerType) and kind != owner:
            raise SyntaxProblem("Unknown option.", f"--{option}")
    _check_interface(session, answers["interface"])
    certificate = await _certificate(talk, session, options.pop("certificate", DEMO))
    store_new(session, await ask_new_listener(talk.answering(answers | options), session, certificate))


async def _edit(talk: Conversation, edited: EditedListener, args: Arguments) -> None:
    tables = [
        *(["rcptaccess"] if edit_menu.has_recipients(edited) else []),
        *(["bounceconfig", "domainmap", "masquerade"] if edit_menu.has_domain_map(edited) else []),
    ]
    match args.operation("name", "interface", "certificate", "limits", "setup", "show", "hostaccess", *tables):
        case "name":
            await answered(talk, edited, args, edit_menu.name, "name")
        case "interface":
            answers = {"interface": _check_interface(edited.session, args.word("interface"))}
            if (port := args.optional()) is not None:
                answers["port"] = port
            args.end()
            await edit_menu.interface(talk.answering(answers), edited)
        case "certificate":
            name = args.word("profile")
            args.end()
            edited.change(tls_certificate=await _certificate(talk, edited.session, name))
        case "limits":
            await answered(talk, edited, args, edit_menu.limits, "max_concurrency", "listen_queue_size")
        case "setup":
            _setup(edited, args)
        case "show":
            args.end()
            talk.say("\n".join(summary(edited.config, edited.listener)))
        case "hostaccess":
            await host_access(talk, edited, args)
        case "rcptaccess":
            await recipients(talk, edited, args)
        case "domainmap":
            await domain_map(talk, edited, args)
        case "masquerade":
            await masquerade(talk, edited, args)
        case "bounceconfig":
            _bounce_profile(edited, args)


def _bounce_profile(edited: EditedListener, args: Arguments) -> None:
    name = args.word("profile")
    args.end()
    profiles = edited.config.bounce_profiles
    if name not in profiles:
        raise Refused(f'There is no bounce profile named "{name}".')
    edited.change(bounce_profile=profiles[name].name)


def _setup(edited: EditedListener, args: Arguments) -> None:
    options = args.declare(valued=("default_domain", "received", "cleansmtp"))
    args.end()
    changes: dict[str, object] = {}
    if "default_domain" in options:
        (changes["default_domain"],) = edit_menu.default_domain(options["default_domain"])
    if "received" in options:
        changes["add_received_header"] = yes_or_no(options["received"])
    if "cleansmtp" in options:
        if options["cleansmtp"].lower() not in list(CleanSmtp):
            raise Refused(f'Invalid "cleansmtp" value: {options["cleansmtp"]}')
        changes["clean_smtp"] = CleanSmtp(options["cleansmtp"].lower())
    edited.change(**changes)
