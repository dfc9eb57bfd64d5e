"""The file form of the destination controls: what EXPORT writes and IMPORT reads (destconfig.md 7).

    [DEFAULT]
    table_tls = off
    …
    [example.com]
    table_tls = require_verify

Written: every key of `[DEFAULT]`, of entries only what is set. Read: sections and keys in any order and case, `=` or `:`,
comments behind `#` or `;` at the beginning of a line; a file replaces all entries, `DEFAULT` and the global settings.
Reading a written text gives the same table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from appliance_state.model import Config
from appliance_state.model.destinations import DEFAULT_DOMAIN, DaneSupport, Destination, DestinationGlobals, LimitApply, TlsSupport
from appliance_state.model.fields import bounds
from appliance_state.model.interfaces import DEMO
from appliance_state.table import Table
from commands.answers import integer
from commands.destconfig.domains import domain_name
from commands.destconfig.listing import entries
from commands.destconfig.words import DANE_NEEDS_TLS, FILE_DANE, FILE_IP_SORT, FILE_LIMIT_APPLY, FILE_LIMIT_TYPE, FILE_SWITCH, FILE_TLS
from commands.dialog import Rejected
from commands.table_files import ImportProblem

T = TypeVar("T")

LIMIT_KEYS = ("max_host_concurrency", "recipient_limit")
REQUIRED_KEYS = ("ip_sort_pref", "max_host_concurrency", "max_messages_per_connection", "limit_type", "limit_apply", "table_tls")
"""keys without which `[DEFAULT]` is incomplete"""
DEFAULT_ONLY_KEYS = ("send_tls_req_alert", "certificate")
FIELDS = {"table_tls": "tls_support", "dane_option": "dane_support"}
"""keys that are not called as their field"""

_SECTION = re.compile(r"\[\s*([^\]]*?)\s*\]")
_SETTING = re.compile(r"([^=:]*?)\s*[=:]\s*(.*)")


@frozen(kw_only=True)
class Imported:
    destinations: Table[Destination]
    settings: DestinationGlobals
    warnings: tuple[str, ...]

    @property
    def count(self) -> int:
        """Entries, `DEFAULT` not counted."""
        return len(self.destinations) - 1


# writing


def file_text(config: Config) -> str:
    """The whole table as a file."""
    default = config.destinations[DEFAULT_DOMAIN]
    sections = [[f"[{DEFAULT_DOMAIN}]", *_default_lines(default, config.destination_globals)]]
    sections += [[f"[{entry.domain}]", *_entry_lines(entry, default)] for entry in entries(config)]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _default_lines(default: Destination, settings: DestinationGlobals) -> Iterator[str]:
    yield from _limit_lines(default)
    yield "bounce_validation = 0"
    yield from _security_lines(default)
    yield f"send_tls_req_alert = {FILE_SWITCH[settings.tls_alert][0]}"
    yield f"certificate = {settings.certificate}"


def _entry_lines(entry: Destination, default: Destination) -> Iterator[str]:
    """A limit is readable only together with its type, so the one that is in force stands with it."""
    if entry.max_host_concurrency is not None or entry.recipient_limit is not None:
        entry = evolve(entry, limit_type=entry.limit_type or default.limit_type, limit_apply=entry.limit_apply or LimitApply.SYSTEM)
    yield from _limit_lines(entry)
    yield from _security_lines(entry)
    if entry.bounce_profile is not None:
        yield f"bounce_profile = {entry.bounce_profile}"


def _limit_lines(entry: Destination) -> Iterator[str]:
    if entry.ip_sort_pref is not None:
        yield f"ip_sort_pref = {FILE_IP_SORT[entry.ip_sort_pref][0]}"
    for key in ("max_host_concurrency", "max_messages_per_connection", "recipient_minutes", "recipient_limit"):
        if (value := getattr(entry, key)) is not None:
            yield f"{key} = {value}"
    if entry.limit_type is not None:
        yield f"limit_type = {FILE_LIMIT_TYPE[entry.limit_type][0]}"
    if entry.limit_apply is not None:
        yield f"limit_apply = {FILE_LIMIT_APPLY[entry.limit_apply][0]}"


def _security_lines(entry: Destination) -> Iterator[str]:
    if entry.tls_support is not None:
        yield f"table_tls = {FILE_TLS[entry.tls_support][0]}"
    if entry.dane_support is not None:
        yield f"dane_option = {FILE_DANE[entry.dane_support][0]}"


# reading


def one_of(words: Mapping[T, Sequence[str]]) -> Callable[[str], T]:
    """Parser of a value that is written as one of its words. Errors: Rejected."""
    values = {word.lower(): value for value, forms in words.items() for word in forms}

    def parse(text: str) -> T:
        if text.lower() not in values:
            raise Rejected(text)
        return values[text.lower()]

    return parse


READERS: Mapping[str, Callable[[str], Any]] = {
    "ip_sort_pref": one_of(FILE_IP_SORT),
    "max_host_concurrency": integer(*bounds(Destination, "max_host_concurrency")),
    "max_messages_per_connection": integer(*bounds(Destination, "max_messages_per_connection")),
    "recipient_minutes": integer(*bounds(Destination, "recipient_minutes")),
    "recipient_limit": integer(*bounds(Destination, "recipient_limit")),
    "limit_type": one_of(FILE_LIMIT_TYPE),
    "limit_apply": one_of(FILE_LIMIT_APPLY),
    "table_tls": one_of(FILE_TLS),
    "dane_option": one_of(FILE_DANE),
    "send_tls_req_alert": one_of(FILE_SWITCH),
}
OTHER_KEYS = ("bounce_validation", "bounce_profile", "certificate")


@define
class _Section:
    domain: str
    values: dict[str, Any] = field(factory=dict)

    @property
    def is_default(self) -> bool:
        return self.domain == DEFAULT_DOMAIN

    def knows(self, key: str) -> bool:
        if key in DEFAULT_ONLY_KEYS:
            return self.is_default
        if key == "bounce_profile":
            return not self.is_default
        return key in READERS or key in OTHER_KEYS


def read_file(text: str, config: Config) -> Imported:
    """The table that a file describes. `config` knows the profiles that it may name. Errors: ImportProblem, the first one."""
    sections: dict[str, _Section] = {}
    warnings: list[str] = []
    current: _Section | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if heading := _SECTION.fullmatch(line):
            if current:
                _check(current)
            current = _Section(_section_name(heading[1], number))
            if current.domain in sections:
                raise ImportProblem(f"[{current.domain}]: duplicate section.")
            sections[current.domain] = current
        elif current is None:
            raise ImportProblem("there is no [DEFAULT] section.")
        else:
            _read_setting(line, number, current, config, warnings)
    if current:
        _check(current)
    if DEFAULT_DOMAIN not in sections:
        raise ImportProblem("there is no [DEFAULT] section.")
    _check_dane(sections)
    values = sections[DEFAULT_DOMAIN].values
    settings = DestinationGlobals(certificate=values.pop("certificate", DEMO), tls_alert=values.pop("send_tls_req_alert", False))
    return Imported(destinations=Table(_destination(section) for section in sections.values()), settings=settings, warnings=tuple(warnings))


def _section_name(name: str, number: int) -> str:
    if name.upper() == DEFAULT_DOMAIN:
        return DEFAULT_DOMAIN
    try:
        return domain_name(name)
    except Rejected as rejection:
        raise ImportProblem(f"line {number}: {rejection}") from None


def _read_setting(line: str, number: int, section: _Section, config: Config, warnings: list[str]) -> None:
    setting = _SETTING.fullmatch(line)
    key, value = (setting[1].lower(), setting[2]) if setting else (line, "")
    if not section.knows(key):
        raise ImportProblem(f'line {number}: unknown key "{setting[1] if setting else line}".')
    if key in section.values:
        raise ImportProblem(f'line {number}: duplicate key "{key}".')
    try:
        section.values[key] = _value(key, value, number, section, config, warnings)
    except Rejected:
        raise ImportProblem(f'line {number}: invalid value for {key}: "{value}".') from None


def _value(key: str, value: str, number: int, section: _Section, config: Config, warnings: list[str]) -> object:
    match key:
        case "bounce_validation":
            if one_of(FILE_SWITCH)(value):
                warnings.append(f"Warning: line {number}: bounce_validation is not supported, ignored.")
            return None
        case "limit_apply" if value.lower() in ("1", "vg"):
            warnings.append(f"Warning: line {number}: per virtual gateway limits are not supported, applied system wide.")
            return LimitApply.SYSTEM
        case "bounce_profile":
            if value not in config.bounce_profiles:
                raise ImportProblem(f'there is no bounce profile named "{value}".')
            return config.bounce_profiles[value].name
        case "certificate":
            if value.casefold() == DEMO.casefold():
                return DEMO
            if value not in config.certificates:
                raise ImportProblem(f'there is no certificate profile named "{value}".')
            return config.certificates[value].name
        case "max_host_concurrency" if not section.is_default:
            return integer(1, bounds(Destination, key)[1])(value)
    return READERS[key](value)


def _check(section: _Section) -> None:
    """What a section must have besides valid values. Errors: ImportProblem."""
    values = section.values
    place = f"[{section.domain}]"
    if section.is_default:
        for key in REQUIRED_KEYS:
            if key not in values:
                raise ImportProblem(f"{place}: {key} is missing.")
    if "recipient_limit" in values and not {"recipient_minutes", "limit_type", "limit_apply"} <= values.keys():
        raise ImportProblem(f"{place}: recipient_limit requires recipient_minutes, limit_type and limit_apply.")
    if "recipient_minutes" in values and "recipient_limit" not in values:
        raise ImportProblem(f"{place}: recipient_minutes requires recipient_limit.")
    if "max_host_concurrency" in values and not {"limit_type", "limit_apply"} <= values.keys():
        raise ImportProblem(f"{place}: max_host_concurrency requires limit_type and limit_apply.")


def _check_dane(sections: Mapping[str, _Section]) -> None:
    """Errors: ImportProblem."""
    inherited = sections[DEFAULT_DOMAIN].values["table_tls"]
    for section in sections.values():
        wanted = section.values.get("dane_option", DaneSupport.NO) is not DaneSupport.NO
        if wanted and section.values.get("table_tls", inherited) is TlsSupport.NO:
            raise ImportProblem(f"[{section.domain}]: {DANE_NEEDS_TLS}")


def _destination(section: _Section) -> Destination:
    fields = {FIELDS.get(key, key): value for key, value in section.values.items() if key != "bounce_validation"}
    if section.is_default:
        fields.setdefault("dane_support", DaneSupport.NO)
    return Destination(domain=section.domain, **fields)
