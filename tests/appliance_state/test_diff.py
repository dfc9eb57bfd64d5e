"""`showchanges`: the tree of differences in operator words."""

import attrs

from appliance_state.diff import changed_objects, differences, tree_lines
from appliance_state.model import Config
from appliance_state.model.alerts import AlertRecipient
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.destinations import Destination, TlsSupport
from appliance_state.model.dns import DnsServer
from appliance_state.model.listeners import ListenerType, RatEntry, ReceivingTls, new_listener
from tests.support.lab_ca import issue

LISTENER = new_listener(name="InboundMail", uid="l1", kind=ListenerType.PUBLIC, interface="Management", accept=("a.test", "b.test"))
BASE = Config().with_(
    listeners=Config().listeners.put(LISTENER), destinations=Config().destinations.put(Destination(domain="old.example.com"))
)


def lines(changed: Config, base: Config = BASE) -> list[str]:
    return tree_lines(differences(base, changed))


def test_the_example_of_the_specification() -> None:
    management = BASE.interfaces["Management"]
    admin = BASE.users["admin"]
    changed = BASE.with_(
        interfaces=BASE.interfaces.put(attrs.evolve(management, https_certificate="partner.com")),
        listeners=BASE.listeners.put(attrs.evolve(LISTENER, hat_default=attrs.evolve(LISTENER.hat_default, tls=ReceivingTls.REQUIRE))),
        destinations=BASE.destinations.without("old.example.com").put(
            Destination(domain="partner.com", tls_support=TlsSupport.REQUIRED_VERIFY)
        ),
        users=BASE.users.put(attrs.evolve(admin, passphrase=SecretRef("x"))),
    )
    assert lines(changed) == [
        "interfaces",
        "  Management",
        '    https_certificate: "Demo" -> "partner.com"',
        "listeners",
        "  InboundMail",
        "    hat_default",
        '      tls: "No" -> "Required"',
        "destinations",
        "  + partner.com",
        '      tls_support: "Required - Verify"',
        "  - old.example.com",
        "users",
        "  admin",
        "    passphrase: (changed)",
    ]
    assert changed_objects(BASE, changed) == (
        "interfaces/Management",
        "listeners/InboundMail",
        "destinations/old.example.com",
        "destinations/partner.com",
        "users/admin",
    )


def test_nested_tables_sets_and_numbers() -> None:
    recipient = AlertRecipient(address="ops@example.com", subscriptions=frozenset({("System", "Warning")}))
    base = BASE.with_(alerts=attrs.evolve(BASE.alerts, recipients=BASE.alerts.recipients.put(recipient)))
    changed = base.with_(
        system=attrs.evolve(base.system, hostname="mail3.example.com"),
        dns=attrs.evolve(base.dns, servers=base.dns.servers.put(DnsServer(address="10.1.1.1", priority=3)), ptr_timeout=5),
        alerts=attrs.evolve(
            base.alerts,
            recipients=base.alerts.recipients.put(attrs.evolve(recipient, subscriptions=frozenset({("Message Delivery", "All")}))),
        ),
    )
    assert lines(changed, base) == [
        "system",
        '  hostname: "mail.example.com" -> "mail3.example.com"',
        "dns",
        "  servers",
        "    + 10.1.1.1",
        "        priority: 3",
        "  ptr_timeout: 20 -> 5",
        "alerts",
        "  recipients",
        "    ops@example.com",
        '      subscriptions: added "Message Delivery/All"',
        '      subscriptions: removed "System/Warning"',
    ]


def test_a_changed_order_is_said_and_a_renaming_is_no_deletion() -> None:
    a, b, everyone = LISTENER.rat
    changed = BASE.with_(listeners=BASE.listeners.replace("InboundMail", attrs.evolve(LISTENER, name="Mail", rat=(b, a, everyone))))
    assert lines(changed) == ["listeners", "  Mail", '    name: "InboundMail" -> "Mail"', "    rat", "      order: (changed)"]


def test_new_entries_of_ordered_lists() -> None:
    changed = BASE.with_(listeners=BASE.listeners.put(attrs.evolve(LISTENER, rat=(RatEntry(address="c.test"), *LISTENER.rat))))
    assert lines(changed) == ["listeners", "  InboundMail", "    rat", "      + c.test"]


def test_key_material_is_shown_in_one_safe_line() -> None:
    issued = issue("bad\x1b[2J\nname")
    entry = CertificateProfile(name="odd", material=KeyMaterial(certificate=issued.pem))
    serial = f"{issued.certificate.serial_number:06X}"
    added = BASE.with_(certificates=BASE.certificates.put(entry))
    assert lines(added) == ["certificates", "  + odd", f"      key material: certificate CN=bad\\x1b[2J\\x0aname, serial {serial}"]
    broken = attrs.evolve(entry, material=KeyMaterial(certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
    changed = added.with_(certificates=added.certificates.put(broken))
    assert lines(changed, added) == ["certificates", "  odd", "    key material: certificate (unreadable)"]


def test_no_difference() -> None:
    assert lines(BASE) == []
    assert changed_objects(BASE, BASE.with_()) == ()
