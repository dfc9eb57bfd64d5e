from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import read_facts
from appliance_state.document import Documents
from appliance_state.model import Config
from appliance_state.model.alerts import ALL, AlertRecipient
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from appliance_state.model.destinations import DaneSupport, Destination, DestinationGlobals, TlsSupport
from appliance_state.model.interfaces import Interface
from appliance_state.model.ldap import Ldap
from appliance_state.model.listeners import ListenerType, MailFlowPolicy, ReceivingTls, new_listener
from appliance_state.store import Generation, Store
from appliance_state.table import Table
from commands import alertconfig
from commands.certconfig import COMMAND as CERTCONFIG
from commands.certconfig import certificate
from commands.destconfig.listing import list_text
from commands.print_ import COMMAND
from tests.support.appliance import DialogAppliance, make_appliance, make_session
from tests.support.lab_ca import END, Issued, issue, issuing, mail_leaf
from tests.support.terminal import run_batch, run_dialog


@pytest.fixture
def appliance(tmp_path: Path) -> DialogAppliance:
    return make_appliance(files=tmp_path)


@pytest.fixture
def session(appliance: DialogAppliance) -> Session:
    return make_session(appliance=appliance)


def put(session: Session, name: str, issued: Issued, *chain: Issued) -> None:
    draft = session.draft
    material = KeyMaterial(
        certificate=issued.pem, private_key=draft.seal(issued.key_pem.encode()), intermediates=tuple(link.pem for link in chain)
    )
    draft.config = draft.config.with_(certificates=draft.config.certificates.put(CertificateProfile(name=name, material=material)))


def listen(session: Session, name: str, profile: str) -> None:
    config = session.draft.config
    listener = evolve(new_listener(name=name, uid=name, kind=ListenerType.PUBLIC, interface="Management"), tls_certificate=profile)
    session.draft.config = config.with_(listeners=config.listeners.put(listener))


async def shown(session: Session, line: str = "print") -> str:
    screen, failed = await run_batch(COMMAND, session, line)
    assert not failed, screen
    return screen


async def document(session: Session, section: str) -> Any:
    screen = await shown(session, f"print {section} --json")
    assert screen.endswith("}\n") and screen == json.dumps(json.loads(screen), indent=2, ensure_ascii=False) + "\n"
    return json.loads(screen)


async def test_factory(session: Session) -> None:
    demo = read_facts(session.appliance.demo.certificate)
    assert await shown(session) == (
        f"""\
Certificate Profiles (1)

Name:         Demo (not secure)
Common Name:  Cisco Appliance Demo Certificate
DNS Names:    -
Issued By:    Cisco Appliance Demo Certificate
Serial:       {demo.serial}
Valid From:   Tue Nov 24 09:00:00 2026 GMT
Valid Until:  Fri Nov 21 09:00:00 2036 GMT (3650 days)
Status:       Active
Key:          RSA 2048 bits
Used By:      HTTPS on interface "Management", delivery, LDAPS

Services
Receiving:    -
Delivery:     Demo (not secure)
HTTPS:        Management: Demo (not secure)
LDAPS:        Demo (not secure)
"""
    )


async def test_profiles_and_services(session: Session) -> None:
    put(session, "mail", mail_leaf(), issuing())
    put(session, "n" * 64, issue("n.test"))
    config = session.draft.config
    session.draft.config = config.with_(
        interfaces=Table((evolve(config.interfaces["Management"], https_certificate="mail"),)),
        destination_globals=DestinationGlobals(certificate="mail"),
        ldap=Ldap(certificate="gone"),
    )
    listen(session, "OutboundMail", "Demo")
    listen(session, "InboundMail", "mail")
    screen = await shown(session)
    facts = read_facts(mail_leaf().pem)
    assert screen.startswith(
        f"""\
Certificate Profiles (3)

Name:         mail
Common Name:  mail.example.com
DNS Names:    mail.example.com, www.example.com
Issued By:    Lab Issuing CA
Serial:       {facts.serial}
Valid From:   Thu Jan 01 00:00:00 2026 GMT
Valid Until:  Tue Jan 01 00:00:00 2030 GMT (1133 days)
Status:       Active
Key:          RSA 2048 bits
Used By:      listener "InboundMail", HTTPS on interface "Management", delivery

Name:         {"n" * 64}
Common Name:  n.test
"""
    )
    assert screen.endswith(
        """\
Used By:      listener "OutboundMail"

Services
Receiving:    InboundMail: mail
              OutboundMail: Demo (not secure)
Delivery:     mail
HTTPS:        Management: mail
LDAPS:        gone (missing)
"""
    )
    assert screen.count("Name:    ") == 3 and "Used By:      -\n" in screen
    assert read_facts(issuing().pem).serial not in screen
    assert not any(line.endswith(" ") for line in screen.splitlines())


async def test_status_words(session: Session) -> None:
    now = session.appliance.clock.now()
    put(session, "old", issue("old.test", end=now.replace(month=6)))
    put(session, "new", issue("new.test", start=now.replace(year=2027), end=END))
    screen = await shown(session)
    assert "2026 GMT (0 days)\nStatus:       Expired\n" in screen and "Status:       Future\n" in screen


async def test_same_block_everywhere(session: Session) -> None:
    put(session, "mail", mail_leaf())
    block = await shown(session)
    assert await shown(session, "print certificates") == block == await shown(session, "print CERTIFICATES")
    assert await run_dialog(COMMAND, session, []) == block
    assert (await run_batch(CERTCONFIG, session, "certconfig certificate print"))[0] == block
    assert f"[]> print\n\n{block}\nList of Certificates\n" in await run_dialog(certificate.menu, session, ["print", ""])


async def test_pending_profiles_are_shown_to_their_session_only(appliance: DialogAppliance, session: Session) -> None:
    put(session, "mail", mail_leaf())
    other = make_session(appliance=appliance)
    assert "Name:         mail\n" in await shown(session)
    assert "Name:         mail\n" not in await shown(other)
    appliance.accept(session.draft)
    assert "Name:         mail\n" in await shown(other)


async def test_certificates_json(session: Session) -> None:
    put(session, "mail", mail_leaf(), issuing())
    session.draft.config = session.draft.config.with_(ldap=Ldap(certificate="mail"))
    listen(session, "InboundMail", "mail")
    facts = read_facts(mail_leaf().pem)
    found = await document(session, "certificates")
    assert list(found) == ["certificates", "services"]
    mail, demo = found["certificates"]
    assert list(mail.items()) == [
        ("name", "mail"),
        ("demo", False),
        ("level", None),
        ("common_name", "mail.example.com"),
        ("subject", "C=JP,O=Lab,CN=mail.example.com"),
        ("dns_names", ["mail.example.com", "www.example.com"]),
        ("issuer", "C=JP,O=Lab,CN=Lab Issuing CA"),
        ("serial", facts.serial),
        ("not_before", "2026-01-01T00:00:00Z"),
        ("not_after", "2030-01-01T00:00:00Z"),
        ("days_remaining", 1133),
        ("status", "active"),
        ("key_type", "rsa"),
        ("key_bits", 2048),
        ("sha256", facts.sha256),
        ("has_signing_request", False),
        ("intermediates", 1),
        ("used_by", [{"service": "receiving", "name": "InboundMail"}, {"service": "ldaps", "name": None}]),
    ]
    assert (demo["name"], demo["demo"], demo["days_remaining"]) == ("Demo", True, 3650)
    assert list(found["services"].items()) == [
        ("receiving", {"InboundMail": "mail"}),
        ("delivery", "Demo"),
        ("https", {"Management": "Demo"}),
        ("ldaps", "mail"),
    ]


async def test_listeners(session: Session) -> None:
    assert await shown(session, "print listeners") == "There are no listeners configured.\n"
    listen(session, "OutboundMail", "Demo")
    config = session.draft.config
    inbound = new_listener(name="InboundMail", uid="l1", kind=ListenerType.PUBLIC, interface="Management")
    policies = tuple(
        evolve(policy, parameters=evolve(policy.parameters, tls=tls))
        for policy, tls in zip(inbound.hat_policies, (None, None, ReceivingTls.OFF, ReceivingTls.REQUIRE), strict=True)
    )
    inbound = evolve(inbound, hat_default=evolve(inbound.hat_default, tls=ReceivingTls.ON), hat_policies=policies)
    session.draft.config = config.with_(listeners=config.listeners.put(inbound))
    screen = await shown(session, "print listeners")
    assert screen.startswith(
        """\
Listeners (2)

Name: InboundMail
Type: Public
Interface: Management (192.168.42.42/24) TCP Port 25
Protocol: SMTP
Default Domain:
Max Concurrency: 1000 (TCP Queue: 50)
Domain map: disabled
TLS: Preferred
TLS by policy: THROTTLED No, TRUSTED Required
Certificate: Demo
Bounce Profile: Default

Name: OutboundMail
"""
    )
    first, _ = (await document(session, "listeners"))["listeners"]
    assert list(first) == [
        "name", "type", "interface", "address", "port", "protocol", "default_domain", "max_concurrency", "listen_queue_size",
        "tls", "tls_verify", "policies", "tls_certificate", "bounce_profile",
    ]  # fmt: skip
    assert (first["type"], first["address"], first["tls"], first["tls_verify"]) == ("public", "192.168.42.42", "on", False)
    assert first["policies"]["TRUSTED"] == {"behavior": "accept", "tls": "require", "tls_verify": None}
    assert first["policies"]["BLOCKED"] == {"behavior": "reject", "tls": None, "tls_verify": None}
    assert isinstance(policies[0], MailFlowPolicy)


async def test_destinations(session: Session) -> None:
    config = session.draft.config
    entry = Destination(domain="example.com", tls_support=TlsSupport.REQUIRED_VERIFY)
    off = Destination(domain="off.test", tls_support=TlsSupport.NO, dane_support=DaneSupport.NO)
    session.draft.config = config.with_(
        destinations=config.destinations.put(entry, off), destination_globals=DestinationGlobals(certificate="Demo", tls_alert=True)
    )
    assert await shown(session, "print destinations") == (
        f"Destination Controls (2)\n\n{list_text(session.draft.config)}\n\n"
        "Certificate for outgoing TLS:                Demo (not secure)\n"
        "Alert when a required TLS connection fails:  Enabled\n"
    )
    found = await document(session, "destinations")
    assert found["destinations"][0] == {
        "domain": "example.com",
        "tls_support": "required_verify",
        "dane_support": None,
        "bounce_profile": None,
        "effective": {"tls_support": "required_verify", "dane_support": "no"},
    }
    assert found["default"]["effective"] == {"tls_support": "no", "dane_support": "no"}
    assert (found["certificate"], found["tls_alert"]) == ("Demo", True)


async def test_interfaces(session: Session) -> None:
    config = session.draft.config
    data = Interface(name="Data 1", uid="i2", ipv4="10.0.0.1", ipv6="2001:db8::1", hostname="data.example.com")
    plain = evolve(config.interfaces["Management"], https_port=None, name="plain")
    session.draft.config = config.with_(interfaces=config.interfaces.put(data, plain))
    assert await shown(session, "print interfaces") == (
        """\
IP Interfaces (3)

1. Data 1 (10.0.0.1/24, 2001:db8::1/64 on Data 1: data.example.com)
     Services:     -

2. Management (192.168.42.42/24 on Management: mail.example.com)
     Services:     SSH 22, HTTP 80 (redirected to HTTPS), HTTPS 443
     Certificate:  Demo (not secure)

3. plain (192.168.42.42/24 on Management: mail.example.com)
     Services:     SSH 22, HTTP 80
"""
    )
    first, second, _ = (await document(session, "interfaces"))["interfaces"]
    assert first == {
        "name": "Data 1",
        "ipv4": "10.0.0.1/24",
        "ipv6": "2001:db8::1/64",
        "ethernet": "Data 1",
        "hostname": "data.example.com",
        "services": {},
        "https_redirect": True,
        "https_certificate": "Demo",
    }
    assert second["services"] == {"ssh": 22, "http": 80, "https": 443}


async def test_alerts(session: Session) -> None:
    config = session.draft.config
    recipient = AlertRecipient(address="joe@example.com", subscriptions=frozenset({("System", "Warning"), ("System", "Critical")}))
    everything = AlertRecipient(address="all@example.com")
    session.draft.config = config.with_(alerts=evolve(config.alerts, recipients=Table((recipient, everything))))
    status = alertconfig.status_text(session.draft.config)
    assert await shown(session, "print alerts") == f"Alerts\n\n{status}\n"
    found = await document(session, "alerts")
    assert found == {
        "recipients": [
            {"address": "all@example.com", "subscriptions": [{"class": ALL, "severity": ALL}]},
            {
                "address": "joe@example.com",
                "subscriptions": [{"class": "System", "severity": "Critical"}, {"class": "System", "severity": "Warning"}],
            },
        ],
        "initial_interval": 300,
        "max_interval": 3600,
        "stored_max": 50,
        "from_address": None,
    }


@define
class RecordedAppliance(DialogAppliance):
    """Its configuration is in a store, as generation 1."""

    store: Store = field(kw_only=True)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Session]:
    store = Store(tmp_path / "config.sqlite", Documents())
    committed = datetime(2026, 11, 24, 8, tzinfo=UTC)
    generation = Generation(id=1, parent=None, at=committed, who="admin", kind="cli", comment="", rollback=False)
    store.append(generation, Config(), {})
    yield make_session(appliance=RecordedAppliance(config=Config(), files=tmp_path, store=store))
    store.close()


async def test_changes_and_all(recorded: Session) -> None:
    assert await shown(recorded, "print changes") == "There are no uncommitted changes.\n"
    assert await document(recorded, "changes") == {"base": 1, "changes": []}
    put(recorded, "mail", mail_leaf())
    changes = await shown(recorded, "print changes")
    assert changes.startswith("Changes since the configuration of Tue Nov 24 08:00:00 2026 GMT:\ncertificates\n  + mail\n")
    sections = ("certificates", "listeners", "destinations", "interfaces", "alerts", "changes")
    assert await shown(recorded, "print all") == "\n".join([await shown(recorded, f"print {section}") for section in sections])
    everything = await document(recorded, "all")
    assert list(everything) == list(sections)
    for section in sections:
        assert everything[section] == await document(recorded, section)
    assert "PRIVATE KEY" not in json.dumps(everything)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("print foo", "Invalid arguments when processing print:\nUnknown operation.\n: 'foo'"),
        ("print cert", "Invalid arguments when processing print:\nUnknown operation.\n: 'cert'"),
        ("print --xml", "Invalid arguments when processing print:\nUnknown option.\n: '--xml'"),
        ("print alerts listeners", "Invalid arguments when processing print:\nToo many arguments.\n: 'listeners'"),
    ],
)
async def test_errors(session: Session, line: str, text: str) -> None:
    assert await run_batch(COMMAND, session, line) == (f"{text}\n", True)
