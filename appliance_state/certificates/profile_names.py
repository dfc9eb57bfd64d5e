"""Names of certificate profiles (certconfig.md 4.1, 4.2)."""

from __future__ import annotations

import re

from cryptography import x509

from appliance_state.certificates.names import COMMON_NAME, names_of, value_of
from appliance_state.certificates.problem import CertificateProblem
from appliance_state.model.certificates import PROFILE_NAME
from appliance_state.model.interfaces import DEMO

LONGEST_NAME = 64
_NAME = re.compile(PROFILE_NAME)
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]")
_FALLBACK = "certificate"


def check_name(name: str) -> str:
    """`name`, which a new profile may have. Errors: CertificateProblem."""
    if is_demo(name):
        raise CertificateProblem('The name "Demo" is reserved for the demo certificate.')
    if len(name) > LONGEST_NAME:
        raise CertificateProblem(f"The value may not be longer than {LONGEST_NAME} characters.")
    if not _NAME.fullmatch(name):
        text = f'Symbols are not allowed in the name "{name}". Use letters, numbers, periods, dashes and underscores.'
        raise CertificateProblem(text)
    return name


def is_demo(name: str) -> bool:
    """Whether a reference means the appliance's own demo certificate."""
    return name.casefold() == DEMO.casefold()


def name_after(certificate: x509.Certificate) -> str:
    """The profile name that a certificate suggests: its common name, else its first DNS name, made fit."""
    names = names_of(certificate)
    return name_from(value_of(names.subject, COMMON_NAME) or next(filter(None, names.dns_names), ""))


def name_from(common_name: str) -> str:
    """`*.example.com` gives `example.com`, what is not allowed in a name becomes `_`, 64 characters at most."""
    name = _NOT_ALLOWED.sub("_", common_name.removeprefix("*."))[:LONGEST_NAME]
    return name if _NAME.fullmatch(name) else _FALLBACK if not name else f"_{name[1:]}"
