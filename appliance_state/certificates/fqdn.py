"""The FQDN check of a certificate (certconfig.md 4.6): its common name, if it has one, and every DNS name."""

from __future__ import annotations

from cryptography import x509

from appliance_state.certificates.names import names_of, shown
from appliance_state.names import DOMAIN_RULES, is_fqdn

FAILED = "Certificate import failed due to certificate pair with invalid FQDN"


def fqdn_problems(certificate: x509.Certificate) -> list[str] | None:
    """One line per bad name; None = compliant. Empty: it has neither a common name nor a DNS name, which fails as well."""
    names = names_of(certificate)
    if not names.common_names and not names.dns_names:
        return []
    bad = [_line("Common Name", name) for name in names.common_names if not is_fqdn(name)]
    bad += [_line("SAN:dNSName", name) for name in names.dns_names if not is_fqdn(name)]
    return bad or None


def fqdn_text(problems: list[str]) -> str:
    """What an import or an upload prints."""
    return "\n".join([FAILED, *problems, DOMAIN_RULES])


def common_name_text(common_name: str) -> str | None:
    """What the form for a new certificate prints; None = `common_name` keeps the rules."""
    return None if is_fqdn(common_name) else f"{_line('Common Name', common_name)}\n{DOMAIN_RULES}"


def _line(field: str, name: str) -> str:
    return f'{field} "{shown(name)}" is not in Fully Qualified Domain Name(FQDN) format.'
