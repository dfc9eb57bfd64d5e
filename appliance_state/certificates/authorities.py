"""Lists of trusted certificate authorities: anchors, import checks, exported text (certconfig.md 5)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from attrs import frozen
from cryptography import x509

from appliance_state.certificates.ca_bundle import SystemBundle
from appliance_state.certificates.chain import is_authority, is_self_signed, signed_by
from appliance_state.certificates.facts import facts_of, read_facts
from appliance_state.certificates.fqdn import fqdn_problems
from appliance_state.certificates.names import names_of
from appliance_state.certificates.pem import NotReadable, certificate_blocks, certificate_pem, decode, der_of, load_der, read_certificate
from appliance_state.certificates.problem import CertificateProblem
from appliance_state.model.certificates import CertificateAuthorities
from appliance_state.names import DOMAIN_RULES

MAX_FILE = 4 * 1024 * 1024
NO_PEM = "Could not read PEM data from file."
NOTHING_IMPORTED = "No certificate was imported."
EXPIRED = "the certificate has expired."
TWICE = "the certificate is contained more than once."
NO_CA_FLAG = 'the CA flag is not present or is not set to "True".'
NO_ROOT = "its root certificate is not present."
NAMELESS = "neither a Common Name nor a SAN:dNSName is present."
_MOST_NAMESAKES = 20
"""issuers of one name that are tried: bounds the signatures that are checked"""


def trusted_authorities(authorities: CertificateAuthorities, system: SystemBundle) -> tuple[bytes, ...]:
    """The trust anchors: DER of the certificates of the enabled lists, and nothing else. Unreadable ones are none."""
    found = dict.fromkeys(system.der if authorities.system_enabled else ())
    if authorities.custom_enabled:
        found.update(dict.fromkeys(map(der_of, readable(authorities.custom_list))))
    return tuple(found)


@frozen(kw_only=True)
class ImportedAuthorities:
    """`imported`: what the file holds. `custom_list`: the list afterwards. `removed`: how many of the old list are gone."""

    imported: tuple[x509.Certificate, ...]
    custom_list: tuple[str, ...]
    removed: int


def import_authorities(
    data: bytes, present: Sequence[str], *, append: bool, fqdn: bool, now: datetime, system: Iterable[x509.Certificate]
) -> ImportedAuthorities:
    """A file of certificates as custom list: all of it or nothing. CPU work, call it in a thread.

    Errors: CertificateProblem with one line per problem.
    """
    blocks = certificate_blocks(decode(data)) if len(data) <= MAX_FILE else []
    if not blocks:
        raise CertificateProblem(NO_PEM)
    lines: list[str] = []
    found: list[x509.Certificate] = []
    for number, block in enumerate(blocks, start=1):
        try:
            found.append(load_der(block.octets()))
        except NotReadable:
            lines.append(f"Block {number} is not a certificate.")
    old = list(readable(present))
    rootless = _Rootless([*found, *(old if append else ()), *system])
    seen = set(old if append else ())
    bad_names = False
    for certificate in found:
        problems = [TWICE] if certificate in seen else list(_problems(certificate, now, rootless))
        seen.add(certificate)
        if fqdn and (names := fqdn_problems(certificate)) is not None:
            problems += names or [NAMELESS]
            bad_names = True
        lines += [f'"{facts_of(certificate).subject}": {problem}' for problem in problems]
    if lines:
        raise CertificateProblem("\n".join([*lines, *([DOMAIN_RULES] if bad_names else []), NOTHING_IMPORTED]))
    new = tuple(certificate_pem(certificate) for certificate in found)
    if append:
        return ImportedAuthorities(imported=tuple(found), custom_list=(*present, *new), removed=0)
    gone = len(present) - sum(certificate in seen for certificate in old)
    return ImportedAuthorities(imported=tuple(found), custom_list=new, removed=gone)


def _problems(certificate: x509.Certificate, now: datetime, rootless: Callable[[x509.Certificate], bool]) -> Iterator[str]:
    if now > certificate.not_valid_after_utc:
        yield EXPIRED
    if not is_authority(certificate):
        yield NO_CA_FLAG
    if rootless(certificate):
        yield NO_ROOT


def readable(pems: Iterable[str]) -> Iterator[x509.Certificate]:
    """The certificates of a list, those that cannot be read left out."""
    for pem in pems:
        try:
            yield read_certificate(pem)
        except NotReadable:
            continue


class _Rootless:
    """Whether no self-signed root can be reached from a certificate over issuers of a pool.

    Found from the roots downwards, so that no signature is checked twice; of issuers of one name a bounded number is tried.
    """

    def __init__(self, pool: Iterable[x509.Certificate]) -> None:
        certificates = list(dict.fromkeys(pool))
        below: dict[bytes, list[x509.Certificate]] = defaultdict(list)
        for certificate in certificates:
            below[names_of(certificate).issuer_der].append(certificate)
        reached = [certificate for certificate in certificates if is_self_signed(certificate)]
        self._rooted = set(reached)
        tried: Counter[x509.Certificate] = Counter()
        for issuer in reached:  # grows
            for certificate in below[names_of(issuer).subject_der]:
                if certificate not in self._rooted and tried[certificate] < _MOST_NAMESAKES:
                    tried[certificate] += 1
                    if signed_by(certificate, issuer):
                        self._rooted.add(certificate)
                        reached.append(certificate)

    def __call__(self, certificate: x509.Certificate) -> bool:
        return certificate not in self._rooted


def custom_enabled_after(authorities: CertificateAuthorities, custom_list: tuple[str, ...]) -> bool:
    """Whether the custom list is enabled with that content: an import into an empty list enables it, an empty list never is."""
    return bool(custom_list) and (authorities.custom_enabled or not authorities.custom_list)


def without_ca_flag(custom_list: Iterable[str]) -> list[str]:
    """Subjects of the certificates whose CA flag is not set."""
    return [facts_of(certificate).subject for certificate in readable(custom_list) if not is_authority(certificate)]


def exported(pems: Iterable[str], date: Callable[[datetime], str]) -> str:
    """The text of an exported list, which can be edited and imported as custom list."""
    parts = []
    for pem in pems:
        facts = read_facts(pem)
        parts.append(f"# {facts.subject}\n# Valid until {date(facts.not_after)}\n{pem.strip()}\n\n")
    return "".join(parts)
