from __future__ import annotations

import pytest
from attrs import evolve
from cryptography import x509

from appliance_state.certificates.countries import COUNTRIES, country_code
from appliance_state.certificates.problem import CertificateProblem
from appliance_state.certificates.profile_names import check_name, name_after, name_from
from appliance_state.certificates.usage import demo_purposes, references_to, serves_alone
from appliance_state.model import Config
from appliance_state.model.destinations import DestinationGlobals
from appliance_state.model.ldap import Ldap
from appliance_state.model.listeners import ListenerType, new_listener
from appliance_state.table import Table
from tests.support.lab_ca import issue


@pytest.mark.parametrize("name", ["mail", "_x", "1", "a.b-c_d", "x" * 64])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a/b", 'Symbols are not allowed in the name "a/b". Use letters, numbers, periods, dashes and underscores.'),
        ("a b", 'Symbols are not allowed in the name "a b". Use letters, numbers, periods, dashes and underscores.'),
        (".a", 'Symbols are not allowed in the name ".a". Use letters, numbers, periods, dashes and underscores.'),
        ("é", 'Symbols are not allowed in the name "é". Use letters, numbers, periods, dashes and underscores.'),
        ("demo", 'The name "Demo" is reserved for the demo certificate.'),
        ("DEMO", 'The name "Demo" is reserved for the demo certificate.'),
        ("x" * 65, "The value may not be longer than 64 characters."),
    ],
)
def test_names_that_are_refused(name: str, text: str) -> None:
    with pytest.raises(CertificateProblem) as caught:
        check_name(name)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("common_name", "name"),
    [
        ("mail.example.com", "mail.example.com"),
        ("*.example.com", "example.com"),
        ("Example KK (mail)", "Example_KK__mail_"),
        ("京都", "__"),
        (".hidden", "_hidden"),
        ("-x", "_x"),
        ("", "certificate"),
        ("*.", "certificate"),
        ("x" * 70, "x" * 64),
    ],
)
def test_name_from_a_common_name(common_name: str, name: str) -> None:
    assert name_from(common_name) == name


def test_name_after_a_certificate() -> None:
    assert name_after(issue("mail.example.com").certificate) == "mail.example.com"
    assert name_after(issue(None, dns=["*.example.com", "x.test"]).certificate) == "example.com"
    assert name_after(issue(None, name=x509.Name([])).certificate) == "certificate"


@pytest.mark.parametrize(
    ("text", "code"), [("jp", "JP"), ("JP", "JP"), ("De", "DE"), ("JPN", None), ("J", None), ("XX", None), ("", None), ("ſe", None)]
)
def test_countries(text: str, code: str | None) -> None:
    assert country_code(text) == code


def test_number_of_countries() -> None:
    assert len(COUNTRIES) == 249


def bound(certificate: str) -> Config:
    """Every service uses `certificate`; two listeners."""
    config = Config()
    inbound = new_listener(name="InboundMail", uid="l1", kind=ListenerType.PUBLIC, interface="Management")
    outbound = new_listener(name="b", uid="l2", kind=ListenerType.PRIVATE, interface="Management")
    interface = evolve(config.interfaces["Management"], https_certificate=certificate)
    return config.with_(
        listeners=Table(evolve(listener, tls_certificate=certificate) for listener in (inbound, outbound)),
        interfaces=Table((interface,)),
        destination_globals=DestinationGlobals(certificate=certificate),
        ldap=Ldap(certificate=certificate),
    )


def test_users_of_a_profile() -> None:
    assert [str(reference) for reference in references_to(bound("mail"), "MAIL")] == [
        'listener "b"',
        'listener "InboundMail"',
        'HTTPS on interface "Management"',
        "delivery",
        "LDAPS",
    ]
    assert references_to(bound("mail"), "other") == []


def test_an_interface_without_https_uses_nothing() -> None:
    config = bound("mail")
    off = config.with_(interfaces=Table((evolve(config.interfaces["Management"], https_port=None),)))
    assert [reference.service for reference in references_to(off, "mail")] == ["receiving", "receiving", "delivery", "ldaps"]


def test_purposes_of_demo() -> None:
    everything = ["receiving", "delivery", "HTTPS management access", "LDAPS"]
    assert demo_purposes(Config()) == demo_purposes(bound("Demo")) == demo_purposes(bound("demo")) == everything
    assert demo_purposes(bound("mail")) == []
    assert demo_purposes(bound("mail").with_(listeners=Table())) == ["receiving"]
    assert demo_purposes(bound("mail").with_(ldap=Ldap())) == ["LDAPS"]


def test_one_profile_for_everything() -> None:
    assert serves_alone(bound("mail"))
    assert not serves_alone(bound("Demo"))
    assert not serves_alone(bound("mail").with_(ldap=Ldap(certificate="other")))
