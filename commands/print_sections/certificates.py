"""`print certificates`: every profile, and what each service uses (print.md 1, 8). Intermediates have no block of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from appliance_runtime.clock import long_date
from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import CertificateFacts, read_facts
from appliance_state.certificates.usage import references, references_to
from appliance_state.model import Config
from appliance_state.model.certificates import CertificateProfile
from appliance_state.model.interfaces import DEMO
from commands.print_sections.layout import INSECURE_DEMO, NONE, columns, iso_time, profile_text

_WIDTH = 14
_SERVICES = {"receiving": "Receiving", "delivery": "Delivery", "https": "HTTPS", "ldaps": "LDAPS"}


def _profiles(session: Session) -> Iterator[tuple[CertificateProfile | None, CertificateFacts]]:
    """Every profile by name; None = `Demo`, which is the last one."""
    for profile in session.draft.config.certificates.sorted():
        yield profile, read_facts(profile.material.certificate)
    yield None, read_facts(session.appliance.demo.certificate)


def certificates_text(session: Session) -> str:
    blocks = [_profile_block(session, profile, facts) for profile, facts in _profiles(session)]
    return "\n\n".join([f"Certificate Profiles ({len(blocks)})", *blocks, _services_block(session.draft.config)])


def _profile_block(session: Session, profile: CertificateProfile | None, facts: CertificateFacts) -> str:
    config, now = session.draft.config, session.appliance.clock.now()
    timezone = config.system.timezone
    users = references_to(config, profile.name if profile else DEMO)
    rows = [
        ("Name", profile.name if profile else INSECURE_DEMO),
        ("Common Name", facts.common_name),
        ("DNS Names", ", ".join(facts.dns_names) or NONE),
        ("Issued By", facts.issued_by),
        ("Serial", facts.serial),
        ("Valid From", long_date(facts.not_before, timezone)),
        ("Valid Until", f"{long_date(facts.not_after, timezone)} ({facts.remaining(now)})"),
        ("Status", facts.status(now)),
        ("Key", facts.key),
        ("Used By", ", ".join(str(reference) for reference in users) or NONE),
    ]
    return "\n".join(columns(rows, _WIDTH))


def _services_block(config: Config) -> str:
    rows: list[tuple[str, str]] = []
    for service, label in _SERVICES.items():
        values = []
        for reference in references(config):
            if reference.service == service:
                profile = profile_text(config, reference.certificate)
                values.append(profile if reference.name is None else f"{reference.name}: {profile}")
        rows += [(label if number == 0 else "", value) for number, value in enumerate(values or [NONE])]
    return "\n".join(["Services", *columns(rows, _WIDTH)])


def certificates_json(session: Session) -> dict[str, Any]:
    config = session.draft.config
    services: dict[str, Any] = {"receiving": {}, "delivery": None, "https": {}, "ldaps": None}
    for reference in references(config):
        if reference.name is None:
            services[reference.service] = reference.certificate
        else:
            services[reference.service][reference.name] = reference.certificate
    return {"certificates": [_profile_json(session, *entry) for entry in _profiles(session)], "services": services}


def _profile_json(session: Session, profile: CertificateProfile | None, facts: CertificateFacts) -> dict[str, Any]:
    name, now = profile.name if profile else DEMO, session.appliance.clock.now()
    return {
        "name": name,
        "demo": profile is None,
        "level": None,
        "common_name": facts.common_name,
        "subject": facts.subject,
        "dns_names": sorted(facts.dns_names),
        "issuer": facts.issuer,
        "serial": facts.serial,
        "not_before": iso_time(facts.not_before),
        "not_after": iso_time(facts.not_after),
        "days_remaining": facts.days_remaining(now),
        "status": facts.status(now).lower(),
        "key_type": facts.key_type,
        "key_bits": facts.key_bits,
        "sha256": facts.sha256,
        "has_signing_request": profile is not None and profile.material.signing_request is not None,
        "intermediates": len(profile.material.intermediates) if profile else 0,
        "used_by": [{"service": user.service, "name": user.name} for user in references_to(session.draft.config, name)],
    }
