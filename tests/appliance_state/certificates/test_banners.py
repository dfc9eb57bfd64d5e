from __future__ import annotations

from attrs import evolve

from appliance_state.certificates.banners import banner, demo_sentences, demo_warning
from appliance_state.certificates.usage import demo_purposes
from appliance_state.model import Config
from appliance_state.model.destinations import DestinationGlobals
from appliance_state.model.ldap import Ldap
from appliance_state.model.listeners import ListenerType, new_listener
from appliance_state.table import Table


def bound(receiving: str, delivery: str, https: str, ldaps: str) -> Config:
    config = Config()
    listener = new_listener(name="In", uid="l", kind=ListenerType.PUBLIC, interface="Management")
    return config.with_(
        listeners=Table((evolve(listener, tls_certificate=receiving),)),
        interfaces=Table((evolve(config.interfaces["Management"], https_certificate=https),)),
        destination_globals=DestinationGlobals(certificate=delivery),
        ldap=Ldap(certificate=ldaps),
    )


def test_factory() -> None:
    assert banner(Config()) == (
        "Currently using the demo certificate/key for receiving, delivery, HTTPS\n"
        "management access, and LDAPS. Cisco recommends using a CA trusted\n"
        "certificate."
    )
    assert demo_warning(Config()) == (
        "You are currently using a demo certificate/key for receiving, delivery, HTTPS\n"
        "management access, and LDAPS.\n"
        "Cisco recommends using a CA trusted certificate.\n"
        "Use the certconfig CLI command to import the certificate."
    )


def test_one_purpose() -> None:
    config = bound("mail", "Demo", "mail", "mail")
    assert demo_purposes(config) == ["delivery"]
    assert banner(config) == ("Currently using the demo certificate/key for delivery. Cisco recommends using\na CA trusted certificate.")
    assert demo_warning(config) == (
        "You are currently using a demo certificate/key for delivery.\n"
        "Cisco recommends using a CA trusted certificate.\n"
        "Use the certconfig CLI command to import the certificate."
    )


def test_two_purposes() -> None:
    warning = demo_warning(bound("Demo", "mail", "mail", "Demo"))
    assert warning.startswith("You are currently using a demo certificate/key for receiving and LDAPS.\n")


def test_one_own_certificate() -> None:
    assert banner(bound("mail", "mail", "MAIL", "mail")) == (
        "Currently using one certificate/key for receiving, delivery, HTTPS management\naccess, and LDAPS."
    )
    assert demo_warning(bound("mail", "mail", "mail", "mail")) == ""
    assert demo_sentences(bound("mail", "mail", "mail", "mail")) == ()


def test_several_own_certificates() -> None:
    assert banner(bound("mail", "other", "mail", "mail")) == (
        "Currently using different certificates/keys for receiving, delivery, HTTPS\nmanagement access, and LDAPS."
    )
