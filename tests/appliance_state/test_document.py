"""The stored document: every value comes back equal."""

import attrs
import pytest

from appliance_state.document import Documents, Unreadable
from appliance_state.model import Config
from appliance_state.model.alerts import AlertRecipient
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.destinations import Destination, IpSortPref, LimitType, TlsSupport
from appliance_state.model.dns import AlternateServer, DnssecMode, DnsServer
from appliance_state.model.interfaces import InterfaceGroup
from appliance_state.model.listeners import DomainMapping, ListenerType, new_listener
from appliance_state.model.routes import RouteHost, SmtpRoute

FULL = Config()
FULL = FULL.with_(
    interface_groups=FULL.interface_groups.put(InterfaceGroup(name="Inbound", members=frozenset({"Management"}))),
    dns=attrs.evolve(
        FULL.dns,
        servers=FULL.dns.servers.put(DnsServer(address="::1", port=5353, priority=1)),
        alternates=FULL.dns.alternates.put(AlternateServer(domain="a.test", address="10.0.0.1")),
        dnssec_mode=DnssecMode.OFF,
    ),
    certificates=FULL.certificates.put(
        CertificateProfile(name="mail", material=KeyMaterial(certificate="PEM", private_key=SecretRef("k"), intermediates=("PEM2",)))
    ),
    listeners=FULL.listeners.put(
        attrs.evolve(
            new_listener(name="In", uid="l", kind=ListenerType.PUBLIC, interface="Management", accept=("a.test",)),
            domain_map=(DomainMapping(original="@a.test", new="@b.test"),),
        ),
        new_listener(name="Out", uid="m", kind=ListenerType.PRIVATE, interface="Management", port=26, relay=("10.0.0.0/8",)),
    ),
    destinations=FULL.destinations.put(
        Destination(domain=".a.test", tls_support=TlsSupport.REQUIRED_VERIFY_HOSTED, limit_type=LimitType.MXIP, recipient_limit=0),
        Destination(domain="b.test", ip_sort_pref=IpSortPref.REQUIRE_V4),
    ),
    smtp_routes=FULL.smtp_routes.put(
        SmtpRoute(domain="ALL", hosts=(RouteHost(host="relay.test", force_address=True, port=2525, priority=9),)),
        SmtpRoute(domain="x.test", special="discard"),
    ),
    bounce_profiles=FULL.bounce_profiles.put(BounceProfile(name="quick", max_retries=1, send_bounces=None)),
    alerts=attrs.evolve(FULL.alerts, recipients=FULL.alerts.recipients.put(AlertRecipient(address="ops@example.com"))),
    users=FULL.users.put(attrs.evolve(FULL.users["admin"], passphrase=SecretRef("h"), authorized_keys=frozenset({"ssh-ed25519 AAAA"}))),
)


@pytest.mark.parametrize("config", [Config(), FULL])
def test_round_trip(config: Config) -> None:
    documents = Documents()
    loaded = documents.load(documents.dump(config))
    assert loaded == config
    assert list(loaded.listeners) == list(config.listeners)


def test_the_same_configuration_gives_the_same_octets() -> None:
    documents = Documents()
    assert documents.dump(FULL) == documents.dump(documents.load(documents.dump(FULL)))


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b'{"system":{"hostname":1}', b'{"listeners":[{"name":"0bad"}]}', b'{"interfaces":[{"name":"a","ssh_port":70000}]}'],
)
def test_what_is_no_configuration_is_refused(document: bytes) -> None:
    with pytest.raises(Unreadable):
        Documents().load(document)


def test_another_schema_is_refused() -> None:
    documents = Documents()
    with pytest.raises(Unreadable):
        documents.load(documents.dump(Config()), schema=99)
