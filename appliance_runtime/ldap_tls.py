"""TLS of an LDAPS connection: whether the server asked for our certificate, and whether its own will do (ldapconfig.md 4). Pure.

Names are those of the LDAP rule: SAN dNSName or, without one, CN for a host name; SAN iPAddress for an address. Chain and
optional checks are those of delivery.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import define
from cryptography import x509

from appliance_runtime.clock import long_date
from appliance_runtime.delivery.peer_checks import NO_CERTIFICATE, UNREADABLE, UNREADABLE_TEXT, peer_problem
from appliance_runtime.delivery.peer_names import is_address, matches, presented_names, subject_label
from appliance_runtime.delivery.verify import MAX_SHOWN_NAMES, Rules, TrustAnchors, check_certificate
from appliance_runtime.logs.escaping import escape
from appliance_runtime.snapshot import Snapshot
from appliance_state.certificates.pem import load_der

_READ = "read"
_ALERT, _HANDSHAKE = 21, 22
"""content types of records, RFC 8446 B.1"""
_CERTIFICATE, _CERTIFICATE_REQUEST = 11, 13
_CLOSE_NOTIFY = 0
_EMPTY_CERTIFICATE = 8
"""octets that a Certificate message without any certificate has at most: header, context (TLS 1.3), length of the list"""


@define(eq=False)
class Observed:
    """What went over the wire in the handshakes of one context that was made to be observed."""

    requested: bool = False
    """the server asked for a certificate"""
    sent: bool = False
    """it was given one"""
    alert: bool = False
    """it has ended the session with an alert"""

    @property
    def refused(self) -> bool:
        return self.requested and self.sent and self.alert

    def watch(self, context: ssl.SSLContext) -> None:
        """From now on. Python tells it nowhere else: what a debugger uses is the only way to see a CertificateRequest."""
        context._msg_callback = self._message  # type: ignore[attr-defined]

    def _message(self, session: object, direction: str, version: Any, content_type: int, message_type: Any, octets: bytes) -> None:
        if content_type == _ALERT and direction == _READ:
            self.alert = self.alert or octets[1] != _CLOSE_NOTIFY
        elif content_type == _HANDSHAKE and direction == _READ:
            self.requested = self.requested or octets[0] == _CERTIFICATE_REQUEST
        elif content_type == _HANDSHAKE and octets[0] == _CERTIFICATE:
            self.sent = len(octets) > _EMPTY_CERTIFICATE


def subject_of(chain: Sequence[bytes]) -> str:
    """`CN=ldap.example.com`, of the server certificate."""
    try:
        return subject_label(load_der(chain[0]).subject) if chain else NO_CERTIFICATE
    except UNREADABLE:
        return "no readable name"


def server_problem(chain: Sequence[bytes], host: str, snapshot: Snapshot, now: datetime) -> str | None:
    """Why the certificate is not accepted. `chain`: DER, as it was sent; `host`: as configured. CPU work, call it off the loop."""
    settings = snapshot.config.ssl
    if not snapshot.config.ldap.validate_server_certificate:
        return peer_problem(chain, settings)
    rules = Rules(hosted=False, x509_check=settings.peer_cert_x509, fqdn_check=settings.peer_cert_fqdn)
    try:
        result = check_certificate(chain, TrustAnchors(snapshot.anchors), rules, now)
        if result.ok:
            return _name_problem(load_der(chain[0]), host)
        sent = list(map(load_der, chain))
    except UNREADABLE:
        return UNREADABLE_TEXT
    if result.unanchored:
        return f"untrusted issuer {_last_issuer(sent)}"
    expired = next((one for one in sent if result.text.startswith("certificate has expired") and one.not_valid_after_utc < now), None)
    return f"expired on {long_date(expired.not_valid_after_utc, snapshot.config.system.timezone)}" if expired else result.text


def _last_issuer(sent: Sequence[x509.Certificate]) -> str:
    """Who has signed the last certificate of the path that was sent, whatever order it came in."""
    last = sent[0]
    for _ in sent:
        last = next((one for one in sent if one.subject == last.issuer), last)
    return subject_label(last.issuer)


def _name_problem(certificate: x509.Certificate, host: str) -> str | None:
    names = presented_names(certificate)
    if is_address(host):
        addresses = _addresses(certificate)
        presented = (*map(str, addresses), *names.dns_names)
        matched = ipaddress.ip_address(host.strip("[]")) in addresses
    else:
        presented = names.dns_names
        if not presented and names.common_name is not None:
            presented = (names.common_name,)
        matched = any(matches(name, host) for name in presented)
    if matched:
        return None
    shown = ", ".join([*map(escape, presented[:MAX_SHOWN_NAMES]), *(["…"] if len(presented) > MAX_SHOWN_NAMES else [])])
    return f"name mismatch: presented {shown or 'no name'}"


def _addresses(certificate: x509.Certificate) -> list[Any]:
    """Errors: ValueError."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.IPAddress)
