"""Rules of the whole configuration: commit.md 4, row by row."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance_state.model import Config
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.destinations import DaneSupport, Destination, TlsSupport
from appliance_state.model.interfaces import Interface, InterfaceGroup
from appliance_state.model.listeners import ListenerType, ReceivingTls, SenderGroup, new_listener
from appliance_state.validate import problems, warnings

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SECRETS: dict[SecretRef, bytes] = {}


def profile(name: str, *, days: int = 10, start: int = -1, key_of: str | None = None) -> CertificateProfile:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, NOW + timedelta(days=start), NOW + timedelta(days=days))
    ).sign(key, hashes.SHA256())
    ref = SecretRef(key_of or name)
    if key_of is None:
        SECRETS[ref] = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return CertificateProfile(name=name, material=KeyMaterial(certificate=pem, private_key=ref))


ADMIN = attrs.evolve(Config().users["admin"], passphrase=SecretRef("hash"))
BASE = Config().with_(
    users=Config().users.put(ADMIN),
    certificates=Config().certificates.put(profile("mail")),
    listeners=Config().listeners.put(new_listener(name="In", uid="1", kind=ListenerType.PUBLIC, interface="Management")),
)
IN = BASE.listeners["In"]
MANAGEMENT = BASE.interfaces["Management"]


def listener(**changes: object) -> Config:
    return BASE.with_(listeners=BASE.listeners.put(attrs.evolve(IN, **changes)))  # type: ignore[arg-type]


def second_listener() -> Config:
    other = new_listener(name="Second", uid="2", kind=ListenerType.PRIVATE, interface="Management")
    return BASE.with_(listeners=BASE.listeners.put(other))


def tls(**changes: object) -> Config:
    return BASE.with_(ssl=attrs.evolve(BASE.ssl, **changes))  # type: ignore[arg-type]


def assigned(entry: CertificateProfile) -> Config:
    return listener(tls_certificate=entry.name).with_(certificates=BASE.certificates.put(entry))


RULES: list[tuple[str, Callable[[], Config], str]] = [
    ("1", lambda: listener(interface="Gone"), 'Listener "In" uses the interface "Gone", which does not exist.'),
    ("2 listener", lambda: listener(tls_certificate="x"), 'Listener "In" uses the certificate "x", which does not exist.'),
    (
        "2 interface",
        lambda: BASE.with_(interfaces=BASE.interfaces.put(attrs.evolve(MANAGEMENT, https_certificate="x"))),
        'Interface "Management" uses the certificate "x", which does not exist.',
    ),
    (
        "2 destinations",
        lambda: BASE.with_(destination_globals=attrs.evolve(BASE.destination_globals, certificate="x")),
        'The destination settings use the certificate "x", which does not exist.',
    ),
    (
        "2 ldap",
        lambda: BASE.with_(ldap=attrs.evolve(BASE.ldap, certificate="x")),
        'The LDAP settings use the certificate "x", which does not exist.',
    ),
    ("3 listener", lambda: listener(bounce_profile="p"), 'Listener "In" uses the bounce profile "p", which does not exist.'),
    (
        "3 destination",
        lambda: BASE.with_(destinations=BASE.destinations.put(Destination(domain="d.test", bounce_profile="p"))),
        'Destination "d.test" uses the bounce profile "p", which does not exist.',
    ),
    (
        "4",
        lambda: listener(hat_sender_groups=(SenderGroup(name="G", policy="P"), *IN.hat_sender_groups)),
        'Listener "In": sender group "G" uses the policy "P", which does not exist.',
    ),
    (
        "5 dns",
        lambda: BASE.with_(dns=attrs.evolve(BASE.dns, interface="Gone")),
        'The DNS settings use the interface "Gone", which does not exist.',
    ),
    (
        "5 updates",
        lambda: BASE.with_(updates=attrs.evolve(BASE.updates, interface="Gone")),
        'The update settings use the interface "Gone", which does not exist.',
    ),
    (
        "5 ldap",
        lambda: BASE.with_(ldap=attrs.evolve(BASE.ldap, interface="Gone")),
        'The LDAP settings use the interface "Gone", which does not exist.',
    ),
    (
        "5 delivery",
        lambda: BASE.with_(delivery=attrs.evolve(BASE.delivery, interface="Gone")),
        'The delivery settings use the interface "Gone", which does not exist.',
    ),
    (
        "5 group",
        lambda: BASE.with_(interface_groups=BASE.interface_groups.put(InterfaceGroup(name="G", members=frozenset({"Gone"})))),
        'Interface group "G" contains the interface "Gone", which does not exist.',
    ),
    ("7", second_listener, 'Listeners "In" and "Second" both use 192.168.42.42 port 25.'),
    (
        "8 listener",
        lambda: listener(port=443),
        'Listener "In" and the HTTPS service of interface "Management" both use 192.168.42.42 port 443.',
    ),
    (
        "8 services",
        lambda: BASE.with_(interfaces=BASE.interfaces.put(attrs.evolve(MANAGEMENT, http_port=443))),
        'The HTTP service of interface "Management" and the HTTPS service of interface "Management" both use 192.168.42.42 port 443.',
    ),
    (
        "9",
        lambda: BASE.with_(interfaces=BASE.interfaces.put(Interface(name="Twin", ipv4="192.168.42.42", hostname="b.test"))),
        'Interfaces "Management" and "Twin" both have the address 192.168.42.42.',
    ),
    (
        "10 no key",
        lambda: assigned(CertificateProfile(name="bare", material=attrs.evolve(profile("bare").material, private_key=None))),
        'Certificate "bare" has no private key.',
    ),
    (
        "10 wrong key",
        lambda: assigned(profile("pair", key_of="mail")),
        'Certificate "pair": the private key does not match the certificate.',
    ),
    (
        "10 garbage",
        lambda: assigned(CertificateProfile(name="bad", material=KeyMaterial(certificate="garbage", private_key=SecretRef("mail")))),
        'Certificate "bad" cannot be loaded.',
    ),
    (
        "11",
        lambda: BASE.with_(destinations=BASE.destinations.put(Destination(domain="d.test", dane_support=DaneSupport.MANDATORY))),
        'Destination "d.test": DANE needs TLS support.',
    ),
    ("12 ciphers", lambda: tls(inbound_ciphers="NOSUCH"), "The inbound SMTP cipher list selects no cipher."),
    ("12 gui", lambda: tls(gui_methods=frozenset({"tlsv1_1"}), gui_ciphers="AESGCM"), "The GUI HTTPS cipher list selects no cipher."),
    ("12 outbound", lambda: tls(outbound_ciphers="aNULL"), "The outbound SMTP cipher list selects no cipher."),
    ("12 methods", lambda: tls(outbound_methods=frozenset()), "Outbound SMTP: no TLS method is enabled."),
    (
        "12 gap",
        lambda: tls(inbound_methods=frozenset({"tlsv1", "tlsv1_2"})),
        'Inbound SMTP: "TLS v1.0" and "TLS v1.2" can be enabled together only if "TLS v1.1" is enabled too.',
    ),
    (
        "13",
        lambda: BASE.with_(alerts=attrs.evolve(BASE.alerts, initial_interval=10, max_interval=5)),
        "The maximum duplicate alert interval is smaller than the initial interval.",
    ),
    (
        "14",
        lambda: BASE.with_(users=BASE.users.put(attrs.evolve(ADMIN, enabled=False))),
        "At least one enabled account must have the role Administrator.",
    ),
]


@pytest.mark.parametrize(("make", "text"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
def test_rules(make: Callable[[], Config], text: str) -> None:
    assert problems(make(), SECRETS.__getitem__) == [text]


def test_a_good_configuration_has_no_problem() -> None:
    assert problems(BASE, SECRETS.__getitem__) == []
    names = listener(tls_certificate="MAIL", interface="management", bounce_profile="DEFAULT")
    assert problems(names, SECRETS.__getitem__) == [], "references resolve in any case"
    inherits = BASE.with_(destinations=BASE.destinations.put(Destination(domain="d.test", tls_support=TlsSupport.NO)))
    assert problems(inherits, SECRETS.__getitem__) == []


@pytest.mark.parametrize("damage", [b"\x02\x01\x03", b"\x02\x01\x7f"])
def test_a_certificate_of_an_unknown_version_is_a_problem_and_no_fault(damage: bytes) -> None:
    entry = profile("odd")
    der = ssl.PEM_cert_to_DER_cert(entry.material.certificate).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03" + damage, 1)
    odd = attrs.evolve(entry, material=attrs.evolve(entry.material, certificate=ssl.DER_cert_to_PEM_cert(der)))
    assert problems(assigned(odd), SECRETS.__getitem__) == ['Certificate "odd" cannot be loaded.']
    assert not [text for text in warnings(assigned(odd), NOW, str) if "odd" in text]


def test_all_problems_are_reported_at_once() -> None:
    assert len(problems(listener(interface="Gone", tls_certificate="x", bounce_profile="p"), SECRETS.__getitem__)) == 3


def test_warnings() -> None:
    def texts(config: Config) -> list[str]:
        return warnings(config, NOW, lambda moment: moment.date().isoformat())

    https = 'HTTPS on interface "Management" uses the demo certificate, which is not secure.'
    assert texts(BASE) == [https]
    assert texts(listener(hat_default=attrs.evolve(IN.hat_default, tls=ReceivingTls.ON))) == [
        'Listener "In" uses the demo certificate, which is not secure.',
        https,
    ]
    outgoing = BASE.with_(destinations=BASE.destinations.put(Destination(domain="d.test", tls_support=TlsSupport.PREFERRED)))
    assert texts(outgoing) == [https, "Outgoing TLS connections use the demo certificate, which is not secure."]
    assert 'Certificate "old" expired on 2026-11-23.' in texts(assigned(profile("old", start=-5, days=-1)))
    assert 'Certificate "new" is not valid before 2026-11-26.' in texts(assigned(profile("new", start=2)))
    off = BASE.with_(interfaces=BASE.interfaces.put(attrs.evolve(MANAGEMENT, ssh_port=None, https_port=None)))
    assert texts(off) == ["No interface offers SSH.", "No interface offers HTTPS."]
