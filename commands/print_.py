"""print: parts of the configuration at a glance, as text or JSON (print.md). It asks nothing and shows the session's view."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from attrs import frozen

from appliance_runtime.sessions import Session
from commands.arguments import Arguments
from commands.commit import changes_json, session_changes
from commands.dialog import Conversation
from commands.print_sections.alerts import alerts_json, alerts_text
from commands.print_sections.certificates import certificates_json, certificates_text
from commands.print_sections.destinations import destinations_json, destinations_text
from commands.print_sections.interfaces import interfaces_json, interfaces_text
from commands.print_sections.listeners import listeners_json, listeners_text
from commands.registry import Command

DEFAULT, ALL = "certificates", "all"


@frozen
class Section:
    """`text` has no line end; `document` is what `--json` prints."""

    text: Callable[[Session], str]
    document: Callable[[Session], dict[str, Any]]


SECTIONS = {
    "certificates": Section(certificates_text, certificates_json),
    "listeners": Section(listeners_text, listeners_json),
    "destinations": Section(destinations_text, destinations_json),
    "interfaces": Section(interfaces_text, interfaces_json),
    "alerts": Section(alerts_text, alerts_json),
    "changes": Section(session_changes, lambda session: changes_json(session.draft)),
}
"""In the order of `print all`."""


def section_text(session: Session, word: str) -> str:
    """The text of a section, or of all of them."""
    if word == ALL:
        return "\n\n".join(section.text(session) for section in SECTIONS.values())
    return SECTIONS[word].text(session)


def section_json(session: Session, word: str) -> str:
    """The JSON document of a section, or of all of them."""
    if word == ALL:
        document: dict[str, Any] = {name: section.document(session) for name, section in SECTIONS.items()}
    else:
        document = SECTIONS[word].document(session)
    return json.dumps(document, ensure_ascii=False, indent=2)


async def _dialog(talk: Conversation, session: Session) -> None:
    await talk.page(section_text(session, DEFAULT))


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    as_json = "json" in args.declare(flags=("json",))
    word = args.operation(*SECTIONS, ALL) if args.tokens else DEFAULT
    args.end()
    if as_json:
        talk.say(section_json(session, word))
    else:
        await talk.page(section_text(session, word))


COMMAND = Command(
    "print",
    "Show parts of the configuration.",
    dialog=_dialog,
    batch=_batch,
    usage="print [certificates | listeners | destinations | interfaces | alerts | changes | all] [--json]",
)
