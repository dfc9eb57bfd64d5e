"""Batch lines of destconfig (destconfig.md 10). An option that is not given inherits in `new` and keeps in `edit` and `default`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.destinations import (
    DEFAULT_DOMAIN,
    DaneSupport,
    Destination,
    IpSortPref,
    LimitApply,
    LimitType,
    TlsSupport,
)
from appliance_state.model.fields import Choice, bounds
from appliance_state.table import Table
from commands.answers import integer
from commands.arguments import Arguments
from commands.destconfig import operations
from commands.destconfig.domains import USE_DEFAULT, existing_domain, new_domain
from commands.destconfig.listing import list_text
from commands.destconfig.questions import MINUTES
from commands.destconfig.words import DANE_NEEDS_TLS, FILE_LIMIT_TYPE, FILE_TLS
from commands.dialog import Conversation, Refused, Rejected, SyntaxProblem

C = TypeVar("C", bound=Choice)

DEFAULT_OPTIONS = (
    "max_host_concurrency",
    "max_messages_per_connection",
    "recipient_limit",
    "recipient_minutes",
    "limit_type",
    "tls",
    "dane",
    "ip_sort_pref",
)
ENTRY_OPTIONS = (*DEFAULT_OPTIONS, "bounce_profile")
INHERIT = "default"

USAGE = """\
destconfig new <domain> [options]
destconfig edit <domain> [options]
destconfig delete <domain>
destconfig default [options]
destconfig setup [--certificate=<profile>] [--tls_alert=yes|no]
destconfig list
destconfig detail <domain>|DEFAULT|ALL
destconfig clear
destconfig import <file>
destconfig export <file>
options: --max_host_concurrency=<n>|default --max_messages_per_connection=<n>|default --recipient_limit=<n>|none|default
         --recipient_minutes=<n> --limit_type=host|MXIP --tls=<1-6>|<level>|default
         --dane=no|opportunistic|mandatory|default --bounce_profile=<name>|default
         --ip_sort_pref=PREFER_V4|PREFER_V6|REQUIRE_V4|REQUIRE_V6|default"""


async def batch(talk: Conversation, session: Session, args: Arguments) -> None:
    draft = session.draft
    config = draft.config
    match args.operation("new", "edit", "delete", "default", "list", "detail", "clear", "import", "export", "setup"):
        case "new":
            options = args.declare(valued=ENTRY_OPTIONS)
            entry = Destination(domain=new_domain(config)(args.word("domain")))
            args.end()
            operations.store(session, with_options(entry, options, config))
        case "edit":
            options = args.declare(valued=ENTRY_OPTIONS)
            entry = config.destinations[existing_domain(config, USE_DEFAULT)(args.word("domain"))]
            args.end()
            operations.store(session, with_options(entry, options, config))
        case "default":
            options = args.declare(valued=DEFAULT_OPTIONS)
            args.end()
            operations.store(session, with_options(config.destinations[DEFAULT_DOMAIN], options, config))
        case "delete":
            await _answer(operations.delete, talk, session, args, "domain")
        case "list":
            args.end()
            await talk.page(list_text(config))
        case "detail":
            await _answer(operations.detail, talk, session, args, "domain")
        case "clear":
            args.end()
            await operations.clear(talk, session)
        case "import":
            await _answer(operations.import_file, talk, session, args, "file")
        case "export":
            await _answer(operations.export_file, talk, session, args, "file")
        case "setup":
            options = args.declare(valued=("certificate", "tls_alert"))
            args.end()
            await operations.setup(talk.answering(options), session)


async def _answer(
    operation: Callable[[Conversation, Session], Any], talk: Conversation, session: Session, args: Arguments, key: str
) -> None:
    """Run an operation whose only answer is the next argument."""
    answer = args.word(key)
    args.end()
    await operation(talk.answering({key: answer}), session)


def with_options(entry: Destination, options: Mapping[str, str], config: Config) -> Destination:
    """The entry, or `DEFAULT`, as the options of a line change it. Errors: Rejected, Refused, SyntaxProblem."""
    is_default = entry.domain == DEFAULT_DOMAIN
    changes: dict[str, Any] = {}
    for name in ("max_host_concurrency", "max_messages_per_connection"):
        if name in options:
            low, high = bounds(Destination, name)
            changes[name] = _number(options[name], low if is_default else 1, high, inherit=None if is_default else INHERIT)
    changes |= _recipients(entry, options, none="none" if is_default else INHERIT)
    if "tls" in options:
        changes["tls_support"] = level = _level(options["tls"], inherits=not is_default)
        if level is TlsSupport.NO:
            changes["dane_support"] = DaneSupport.NO
        elif not is_default and (level is None or entry.tls_support is TlsSupport.NO):
            changes["dane_support"] = None  # the No that came with TLS No goes with it
    if "dane" in options:
        changes["dane_support"] = _dane(options["dane"], changes.get("tls_support", entry.tls_support), config, inherits=not is_default)
    if "ip_sort_pref" in options:
        changes["ip_sort_pref"] = _word("ip_sort_pref", options["ip_sort_pref"], IpSortPref, inherits=not is_default)
    if "bounce_profile" in options:
        changes["bounce_profile"] = _profile(options["bounce_profile"], config.bounce_profiles)
    changed = evolve(entry, **changes)
    return changed if is_default and "limit_type" not in options else _with_limit_type(changed, options.get("limit_type"))


def _number(value: str, low: int, high: int, *, inherit: str | None) -> int | None:
    """`inherit`: the word for no number."""
    return None if inherit is not None and value.lower() == inherit else integer(low, high)(value)


def _recipients(entry: Destination, options: Mapping[str, str], *, none: str) -> dict[str, int | None]:
    """`recipient_limit` and `recipient_minutes`, which stand together or not at all; `none` is the word for no limit."""
    if not options.keys() & {"recipient_limit", "recipient_minutes"}:
        return {}
    limit = entry.recipient_limit
    if "recipient_limit" in options:
        limit = _number(options["recipient_limit"], *bounds(Destination, "recipient_limit"), inherit=none)
    minutes = entry.recipient_minutes or MINUTES
    if "recipient_minutes" in options:
        if limit is None:
            raise SyntaxProblem("Missing argument: <recipient_limit>.")
        minutes = integer(*bounds(Destination, "recipient_minutes"))(options["recipient_minutes"])
    return {"recipient_limit": limit, "recipient_minutes": None if limit is None else minutes}


def _with_limit_type(entry: Destination, word: str | None) -> Destination:
    """How limits are applied belongs to a limit of the entry itself; without one it is inherited."""
    if entry.max_host_concurrency is None and entry.recipient_limit is None:
        if word is not None:
            raise Rejected("limit_type needs max_host_concurrency or recipient_limit.")
        return evolve(entry, limit_type=None, limit_apply=None)
    limit_type = entry.limit_type or LimitType.HOST
    if word is not None:
        by_word = {forms[0].lower(): value for value, forms in FILE_LIMIT_TYPE.items()}
        if word.lower() not in by_word:
            raise _invalid("limit_type", word, by_word)
        limit_type = by_word[word.lower()]
    return evolve(entry, limit_type=limit_type, limit_apply=LimitApply.SYSTEM)


def _level(word: str, *, inherits: bool) -> TlsSupport | None:
    """A TLS level by number in the list, label, model word, or word of the file."""
    known: dict[str, TlsSupport | None] = {INHERIT: None} if inherits else {}
    for level in TlsSupport:
        names = [name for name in FILE_TLS[level] if not name.isdigit()]
        known |= dict.fromkeys([str(level.level), level.label.lower(), level.value, *names], level)
    if word.lower() not in known:
        raise _invalid("tls", word, [*(level.value for level in TlsSupport), *([INHERIT] if inherits else [])])
    return known[word.lower()]


def _dane(word: str, level: TlsSupport | None, config: Config, *, inherits: bool) -> DaneSupport | None:
    """`level`: of the entry, None = that of `DEFAULT`."""
    dane = _word("dane", word, DaneSupport, inherits=inherits)
    effective = level or config.destinations[DEFAULT_DOMAIN].tls_support
    if dane not in (None, DaneSupport.NO) and effective is TlsSupport.NO:
        raise Refused(DANE_NEEDS_TLS)
    return dane


def _word(name: str, word: str, choices: type[C], *, inherits: bool) -> C | None:
    known: dict[str, C | None] = {choice.value: choice for choice in choices}
    if inherits:
        known[INHERIT] = None
    if word.lower() not in known:
        raise _invalid(name, word, known)
    return known[word.lower()]


def _invalid(option: str, word: str, known: Iterable[str]) -> Rejected:
    return Rejected(f'Invalid value for --{option}: "{word}". Use one of: {", ".join(known)}.')


def _profile(name: str, profiles: Table[BounceProfile]) -> str | None:
    """`default` in lower case means to inherit; `Default` is the profile of that name."""
    if name == INHERIT:
        return None
    if name not in profiles:
        raise Refused(f'There is no bounce profile named "{name}".')
    return profiles[name].name
