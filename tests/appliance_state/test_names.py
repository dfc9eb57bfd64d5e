"""Host names, FQDN form, e-mail addresses."""

import pytest

from appliance_state.names import is_distinguished_name, is_email, is_fqdn, is_hostname


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("mail.example.com", True),
        ("MAIL.Example.COM", True),
        ("mail_1.example.com", True),
        ("a-b.example.com", True),
        ("123.example.com", True),
        ("xn--eckwd4c7c.example", True),
        ("mailhost", False),
        ("", False),
        ("-a.example.com", False),
        ("a-.example.com", False),
        ("_dmarc.example.com", False),
        ("a..example.com", False),
        (".example.com", False),
        ("example.com.", False),
        ("例え.example", False),
        ("a b.example.com", False),
        ("user@example.com", False),
        ("10.10.9.12", False),
        ("123ab.536212", False),
        ("2001:db8::1", False),
        (f"{'a' * 63}.example", True),
        (f"{'a' * 64}.example", False),
        (".".join(["a" * 49] * 5) + ".abc", True),
        (".".join(["a" * 49] * 5) + ".abcd", False),
        ("a\0.example.com", False),
        ("a.example.com\n", False),
    ],
)
def test_hostname(name: str, accepted: bool) -> None:
    assert is_hostname(name) is accepted


@pytest.mark.parametrize(
    ("name", "accepted"),
    [("*.cisco.com", True), ("*.a.b.example", True), ("*.com", False), ("*", False), ("*isco.com", False), ("www.*.com", False)],
)
def test_fqdn_admits_one_whole_wildcard_label(name: str, accepted: bool) -> None:
    assert is_fqdn(name) is accepted


@pytest.mark.parametrize(
    ("address", "accepted"),
    [
        ("administrator@example.com", True),
        ("first.last+tag@example.com", True),
        ("a" * 64 + "@example.com", True),
        ("a" * 65 + "@example.com", False),
        ("administrator", False),
        ("@example.com", False),
        ("a@b", False),
        (".a@example.com", False),
        ("a b@example.com", False),
        ("a@b@example.com", False),
    ],
)
def test_email(address: str, accepted: bool) -> None:
    assert is_email(address) is accepted


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("dc=example,dc=com", True),
        ("uid=esa, ou=Mail Gateways , dc=example", True),
        ("CN=a+UID=7,2.5.4.3=#0c0161", True),
        ('CN=\\#1 \\"x\\"\\, \\+\\C3\\A4', True),
        ("cn=Zürich,o=a=b", True),
        ("dc=" + "a" * 4000, True),
        ("", False),
        ("example.com", False),
        ("esa@example.com", False),
        ("dc=", False),
        ("dc= ", False),
        ("dc=a,", False),
        (",dc=a", False),
        ("dc=a,,dc=b", False),
        ("dc=a;dc=b", False),
        ("dc=a<b", False),
        ("dc=a\\", False),
        ("dc=a\\x", False),
        ("dc=#0", False),
        ("dc=a\0", False),
        ("dc=a\n,=", False),
        ("1=a", False),
        ("d_c=a", False),
        (" " * 4000, False),
    ],
)
def test_distinguished_name(name: str, accepted: bool) -> None:
    assert is_distinguished_name(name) is accepted
