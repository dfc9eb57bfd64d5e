"""The list of certificates and the details of one (certconfig.md 3, 3.4, 5.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import CertificateFacts, read_facts
from appliance_state.model.certificates import CertificateProfile
from appliance_state.model.interfaces import DEMO
from commands.certconfig.profiles import date_of
from commands.certconfig.usage import used_by_text

_WIDTHS = (20, 20, 20, 7)
_LABEL = 20
_RULE = " ".join("-" * width for width in (*_WIDTHS, 9))


def facts_by_name(session: Session) -> Iterator[tuple[str, CertificateFacts]]:
    """Every profile by name with what its certificate says, `Demo` last."""
    for profile in session.draft.config.certificates.sorted():
        yield profile.name, read_facts(profile.material.certificate)
    yield DEMO, read_facts(session.appliance.demo.certificate)


def certificate_table(session: Session) -> str:
    """Header, rule and a row per profile; what is too long is cut, except for the last column."""
    now = session.appliance.clock.now()
    rows = [_row("Name", "Common Name", "Issued By", "Status", "Remaining"), _RULE]
    for name, facts in facts_by_name(session):
        rows.append(_row(name, facts.common_name, facts.issued_by, facts.status(now), facts.remaining(now)))
    return "\n".join(rows)


def _row(*values: str) -> str:
    *columns, last = values
    cut = [value[:width].ljust(width) for value, width in zip(columns, _WIDTHS, strict=True)]
    return " ".join([*cut, last])


def profile_details(session: Session, profile: CertificateProfile) -> str:
    """The block that EDIT shows."""
    date, now = date_of(session), session.appliance.clock.now()
    material = profile.material
    facts = read_facts(material.certificate)
    rows = [
        ("Common Name", facts.common_name),
        ("Subject Alt Names", ", ".join(facts.alternative_names) or "-"),
        ("Issued By", facts.issuer),
        *_identity(facts, date),
        ("Status", f"{facts.status(now)} ({facts.remaining(now)})"),
        ("Key", facts.key),
        ("SHA-256", facts.sha256),
        ("Signing Request", _yes_no(material.signing_request is not None)),
        ("FQDN Validation", _yes_no(profile.fqdn_validation)),
        ("Used By", used_by_text(session.draft.config, profile.name)),
        ("Intermediates", str(len(material.intermediates))),
    ]
    lines = [f'Certificate profile "{profile.name}"', *(f"  {_labelled(label, value)}" for label, value in rows)]
    for number, pem in enumerate(material.intermediates, start=1):
        intermediate = read_facts(pem)
        lines.append(f"    {number}. {intermediate.subject} (valid until {date(intermediate.not_after)})")
    return "\n".join(lines)


def authority_details(session: Session, pem: str) -> str:
    """What `detail` prints of a trusted authority, with its PEM block."""
    facts = read_facts(pem)
    rows = [
        ("Subject", facts.subject),
        ("Issued By", facts.issuer),
        *_identity(facts, date_of(session)),
        ("Key", facts.key),
        ("SHA-256", facts.sha256),
    ]
    return "\n".join([*(_labelled(label, value) for label, value in rows), pem.strip()])


def _identity(facts: CertificateFacts, date: Callable[[datetime], str]) -> list[tuple[str, str]]:
    return [
        ("Serial Number", facts.serial),
        ("Valid From", date(facts.not_before)),
        ("Valid Until", date(facts.not_after)),
    ]


def _labelled(label: str, value: str) -> str:
    return f"{label + ':':{_LABEL}}{value}"


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
