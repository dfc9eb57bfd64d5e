"""Remarks about an own certificate that is stored all the same (certconfig.md 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509

from appliance_state.certificates.chain import chain_problem, is_self_signed
from appliance_state.certificates.facts import facts_of
from appliance_state.certificates.keys import describe_key
from appliance_state.certificates.problem import CertificateProblem

NO_TRUSTED_CHAIN = "NOTE: The chain of this certificate does not end in a trusted certificate authority."
_FULL_STRENGTH = 2048


def notes(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[bytes],
    now: datetime,
    date: Callable[[datetime], str],
) -> list[str]:
    """`NOTE:` lines. `anchors`: DER of the authorities of the enabled lists; `date` formats a time."""
    found: list[str] = []
    if now > leaf.not_valid_after_utc:
        found.append(f"NOTE: This certificate expired on {date(leaf.not_valid_after_utc)}.")
    elif now < leaf.not_valid_before_utc:
        found.append(f"NOTE: This certificate is not valid before {date(leaf.not_valid_before_utc)}.")
    else:
        ended = [facts for facts in map(facts_of, intermediates) if now > facts.not_after]
        found += [f'NOTE: The intermediate certificate "{facts.subject}" expired on {date(facts.not_after)}.' for facts in ended]
    if not is_self_signed(leaf) and chain_problem(leaf, intermediates, anchors, None):
        found.append(NO_TRUSTED_CHAIN)
    kind, bits, _ = describe_key(leaf)
    if kind == "rsa" and bits is not None and bits < _FULL_STRENGTH:
        found.append(f"NOTE: The private key has {bits} bits. Some peers accept only 2048 bits and more.")
    return found


def check_chain(leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], anchors: Sequence[bytes], now: datetime) -> None:
    """Errors: CertificateProblem for a certificate that is not self-signed and has no trusted chain (`check_own_chain`)."""
    if is_self_signed(leaf):
        return
    if reason := chain_problem(leaf, intermediates, anchors, now):
        raise CertificateProblem(
            f"Cannot import certificate: The certificate authority validation could not be\ntrusted for certificate because {reason}"
        )
