"""`certconfig crl …` as command lines (certconfig.md 11)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.model.certificates import NO_UPDATES
from commands.arguments import Arguments
from commands.certconfig import crl
from commands.dialog import Conversation

USAGE = """\
certconfig crl new <name> <url> [--type=asn1|pem] [--update=daily|weekly|monthly|off] [--time=HH:MM]
certconfig crl edit <name> [--name=<name>] [--url=<url>] [--type=asn1|pem] [--update=daily|weekly|monthly|off] [--time=HH:MM]
certconfig crl delete <name> | update [<name>] | setup [--inbound=yes|no] [--outbound=yes|no] | print"""


async def crl_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("new", "edit", "delete", "update", "setup", "print"):
        case "new":
            answers = _schedule(args.declare(valued=("type", "update", "time")))
            answers |= {"name": args.word("name"), "url": args.word("url")}
            args.end()
            await crl.new(talk.answering(answers), session)
        case "edit":
            answers = _schedule(args.declare(valued=("name", "url", "type", "update", "time")))
            answers["source"] = crl.named_source(session, args.word("name")).name
            args.end()
            await crl.edit(talk.answering(answers), session)
        case "delete":
            source = crl.named_source(session, args.word("name"))
            args.end()
            await crl.delete(talk.answering({"source": source.name}), session)
        case "update":
            name = args.optional()
            args.end()
            names = None if name is None else [crl.named_source(session, name).name]
            reported = talk.answering({})
            await crl.update(reported, session, names)
            talk.failed = talk.failed or reported.failed
        case "setup":
            answers = args.declare(valued=("inbound", "outbound"))
            args.end()
            await crl.setup(talk.answering(answers), session)
        case "print":
            args.end()
            await talk.page(crl.details(session))


def _schedule(options: dict[str, str]) -> dict[str, str]:
    """`--update` answers two questions of the dialog."""
    if (update := options.pop("update", None)) is not None:
        if update.lower() == NO_UPDATES:
            options["schedule"] = "no"
        else:
            options["frequency"] = update
    return options
