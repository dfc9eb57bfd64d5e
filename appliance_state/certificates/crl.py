"""Lists of revoked certificates: reading, whether one counts, when the next one is fetched (RFC 5280 5, 6.3; certconfig.md 6).

A list counts for a chain when a certificate of the chain has signed it (name, signature, and its key usage, where it has
one, allows that: RFC 5280 6.3.3 (f)) and its time has not passed. An issuer without such a list has revoked nothing.
Lists that speak of other issuers or only of changes (indirect, delta), and those with an unknown critical extension, are
not accepted; one for some reasons only is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from attrs import frozen
from cryptography import x509

from appliance_state.certificates.chain import has_signed
from appliance_state.certificates.der import INTEGER, only
from appliance_state.certificates.names import COMMON_NAME, attributes_of, name_text, names_of, shown, value_of
from appliance_state.certificates.pem import NotReadable, blocks, decode, load_der

MAX_FILE = 16 * 1024 * 1024
CRL_LABELS = ("X509 CRL", "CRL")
REVOKED = "certificate revoked"
UNREADABLE = "the file does not contain a CRL"
SEVERAL = "the file contains more than one CRL"
NOT_SUPPORTED = "the CRL has a critical extension that is not supported"
_SUNDAY = 6


class CrlProblem(Exception):
    """The file is no list that can be used; the text is the reason in the operator's words."""


@frozen(kw_only=True, eq=False)
class RevocationList:
    """`issuer`: its name as operators see it; `next_update`: None = its time does not pass; `der`: the list as it came."""

    issuer: str
    issuer_der: bytes
    this_update: datetime
    next_update: datetime | None
    serials: frozenset[int]
    der: bytes
    _parsed: x509.CertificateRevocationList

    def counts(self, now: datetime, issuers: Iterable[x509.Certificate]) -> bool:
        """Whether its time has not passed and one of `issuers` has signed it."""
        if self.next_update is not None and now > self.next_update:
            return False
        return any(
            names_of(issuer).subject_der == self.issuer_der and _may_sign_lists(issuer) and has_signed(issuer, self._parsed)
            for issuer in issuers
        )


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False


def read_crl(data: bytes, *, pem: bool) -> RevocationList:
    """The one list of a file in the format that is expected. CPU work: up to a second. Errors: CrlProblem."""
    if pem:
        found = [block for block in blocks(decode(data)) if block.label in CRL_LABELS]
        if len(found) > 1:
            raise CrlProblem(SEVERAL)
        try:
            data = found[0].octets()
        except (IndexError, NotReadable):
            raise CrlProblem(UNREADABLE) from None
    try:
        crl = x509.load_der_x509_crl(data)
        fields = only(crl.tbs_certlist_bytes).children()
        issuer = fields[2] if fields[0].tag == INTEGER else fields[1]
        if not _understood(crl):
            raise CrlProblem(NOT_SUPPORTED)
        return RevocationList(
            issuer=name_text(attributes_of(issuer)),
            issuer_der=issuer.content,
            this_update=crl.last_update_utc,
            next_update=crl.next_update_utc,
            serials=frozenset(entry.serial_number for entry in crl),
            der=data,
            parsed=crl,
        )
    except (ValueError, TypeError, OverflowError, IndexError, x509.InvalidVersion, x509.DuplicateExtension):
        raise CrlProblem(UNREADABLE) from None


def _understood(crl: x509.CertificateRevocationList) -> bool:
    """RFC 5280 5.2: a critical extension that is not understood makes a list unfit. Errors: ValueError and the like."""
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_contains_attribute_certs:
                return False
        elif extension.critical:
            return False
    return True


class RevocationLists:
    """The lists of all sources, by issuer."""

    def __init__(self, lists: Iterable[RevocationList] = ()) -> None:
        self._by_issuer: dict[bytes, list[RevocationList]] = defaultdict(list)
        for revocation_list in lists:
            self._by_issuer[revocation_list.issuer_der].append(revocation_list)

    def __bool__(self) -> bool:
        return bool(self._by_issuer)

    def problem(self, chain: Sequence[x509.Certificate], now: datetime, anchors: Iterable[bytes] = ()) -> str | None:
        """`certificate revoked (CN=mx1.d.test)` when one of a chain is; arguments as for `revoked`."""
        found = self.revoked(chain, now, anchors)
        if found is None:
            return None
        subject = names_of(found).subject
        common_name = value_of(subject, COMMON_NAME)
        return f"{REVOKED} ({shown(f'CN={common_name}') if common_name else name_text(subject)})"

    def revoked(self, chain: Sequence[x509.Certificate], now: datetime, anchors: Iterable[bytes] = ()) -> x509.Certificate | None:
        """The first certificate of a chain that its issuer has revoked.

        `anchors`: trusted authorities (DER), where the chain may lack the one that ends it.
        """
        issuers: list[x509.Certificate] | None = None
        for certificate in chain:
            names = names_of(certificate)
            listed = [found for found in self._by_issuer.get(names.issuer_der, ()) if names.serial in found.serials]
            if listed and issuers is None:
                issuers = [*chain, *_readable(anchors)]
            if any(found.counts(now, issuers or ()) for found in listed):
                return certificate
        return None


def _readable(anchors: Iterable[bytes]) -> Iterable[x509.Certificate]:
    for anchor in anchors:
        try:
            yield load_der(anchor)
        except NotReadable:
            continue


NO_LISTS = RevocationLists()


def next_download(schedule: tuple[str, str], now: datetime, timezone: str) -> datetime:
    """When a list is fetched next: `daily`, `weekly` (Sunday) or `monthly` (day 1) at HH:MM in the time zone of the appliance."""
    frequency, time = schedule
    hour, minute = map(int, time.split(":"))
    zone = ZoneInfo(timezone)
    day = now.astimezone(zone).date()
    while True:
        moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
        fits = frequency == "daily" or (day.weekday() == _SUNDAY if frequency == "weekly" else day.day == 1)
        if fits and moment > now:
            return moment
        day += timedelta(days=1)
