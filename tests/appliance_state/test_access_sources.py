"""Forms of sources, recipient addresses and domain mappings (listenerconfig.md 5.1, 6, 7)."""

from ipaddress import ip_address

import pytest

from appliance_state.access_sources import mapping_new, mapping_original, parse_source, recipient_pattern, unsupported_source


@pytest.mark.parametrize(
    ("text", "stored", "first", "last"),
    [
        ("192.168.1.1", "192.168.1.1", "192.168.1.1", "192.168.1.1"),
        ("2001:DB8::1", "2001:db8::1", "2001:db8::1", "2001:db8::1"),
        ("10.1.1.0/24", "10.1.1.0/24", "10.1.1.0", "10.1.1.255"),
        ("10.1.1.7/24", "10.1.1.0/24", "10.1.1.0", "10.1.1.255"),
        ("2001:db8::/32", "2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("10.1.1.10-20", "10.1.1.10-20", "10.1.1.10", "10.1.1.20"),
        ("10.1.1.10-10.1.1.20", "10.1.1.10-10.1.1.20", "10.1.1.10", "10.1.1.20"),
        ("10.1.1.10-10.1.1.10", "10.1.1.10-10.1.1.10", "10.1.1.10", "10.1.1.10"),
        ("2001:db8::1-2001:db8::5", "2001:db8::1-2001:db8::5", "2001:db8::1", "2001:db8::5"),
        ("10.2.3.", "10.2.3.", "10.2.3.0", "10.2.3.255"),
        ("10.2.", "10.2.", "10.2.0.0", "10.2.255.255"),
        ("10.", "10.", "10.0.0.0", "10.255.255.255"),
    ],
)
def test_address_sources(text: str, stored: str, first: str, last: str) -> None:
    source = parse_source(text)
    assert (source.text, source.name) == (stored, None)
    assert (source.first, source.last) == (ip_address(first), ip_address(last))


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("crm.Example.com", "crm.example.com"),
        (".Example.com", ".example.com"),
        (".test", ".test"),
        ("mail-1.example.com", "mail-1.example.com"),
    ],
)
def test_name_sources(text: str, stored: str) -> None:
    source = parse_source(text)
    assert (source.text, source.name, source.first) == (stored, stored, None)


def test_all_is_everything() -> None:
    source = parse_source("all")
    assert (source.text, source.name, source.first) == ("ALL", None, None)
    assert source.everything and not source.networks
    assert not parse_source("crm.example.com").everything


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("10.1.1.7", ["10.1.1.7/32"]),
        ("10.2.", ["10.2.0.0/16"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
        ("2001:db8::/32", ["2001:db8::/32"]),
        ("10.1.1.10-20", ["10.1.1.10/31", "10.1.1.12/30", "10.1.1.16/30", "10.1.1.20/32"]),
        ("2001:db8::1-2001:db8::2", ["2001:db8::1/128", "2001:db8::2/128"]),
        (".example.com", []),
    ],
)
def test_networks(text: str, networks: list[str]) -> None:
    assert [str(network) for network in parse_source(text).networks] == networks


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "localhost",
        ".",
        "..example.com",
        "-example.com",
        "example.com.",
        "a b.example.com",
        "192.168.1",
        "192.168.1.256",
        "192.168.01.1",
        "1.2.3.4.5",
        "10.2.300.",
        "1.2.3.4.",
        "10.1.1.20-10",
        "10.1.1.10-300",
        "10.1.1.20-10.1.1.10",
        "10.1.1.1-2001:db8::1",
        "10.1.1.0/33",
        "10.1.1.0/255.255.255.0",
        "10.1.1.0/",
        "2001:db8::/129",
        "2001:db8::g",
        "fe80::1%eth0",
        "10.1.1.10-20-30",
        "joe@example.com",
        "*.example.com",
        "münchen.example.com",
    ],
)
def test_no_source(text: str) -> None:
    with pytest.raises(ValueError):
        parse_source(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sbrs[-10.0:-3.0]", "reputation"),
        ("SBRS[none]", "reputation"),
        ("SBO:12345", "reputation"),
        ("dnslist[bl.example.com]", "DNS list"),
        ("geo[Some Country]", "geolocation"),
        ("etf[feed]", "threat feed"),
        ("sbrs.example.com", None),
        ("geo.example.com", None),
        ("10.0.0.1", None),
    ],
)
def test_sources_that_are_not_supported(text: str, kind: str | None) -> None:
    assert unsupported_source(text) == kind


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Example.com", "example.com"),
        (".Example.com", ".example.com"),
        ("[1.2.3.4]", "[1.2.3.4]"),
        ("Postmaster@", "Postmaster@"),
        ("Joe@Example.com", "Joe@example.com"),
        ("joe@[1.2.3.4]", "joe@[1.2.3.4]"),
    ],
)
def test_recipient_patterns(text: str, stored: str) -> None:
    assert recipient_pattern(text) == stored


@pytest.mark.parametrize(
    "text", ["", "ALL", "localhost", "@example.com", "@", "joe@.example.com", "a@b@c.test", "[1.2.3]", "[1.2.3.4", "joe doe@example.com"]
)
def test_no_recipient_pattern(text: str) -> None:
    with pytest.raises(ValueError):
        recipient_pattern(text)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("@Example.com", "@example.com"),
        ("@.Example.com", "@.example.com"),
        ("test@Example.com", "test@example.com"),
        ("test@.Example.com", "test@.example.com"),
    ],
)
def test_left_side_of_a_mapping(text: str, stored: str) -> None:
    assert mapping_original(text) == stored


@pytest.mark.parametrize("text", ["", "example.com", "@", "test@", "@localhost", "a b@example.com", "@[1.2.3.4]"])
def test_no_left_side_of_a_mapping(text: str) -> None:
    with pytest.raises(ValueError):
        mapping_original(text)


def test_right_side_of_a_mapping() -> None:
    assert mapping_new("@Example.domain.com") == "@example.domain.com"
    assert mapping_new("test@Example.com") == "test@example.com"
    for text in ("@.example.com", "test@.example.com", "example.com"):
        with pytest.raises(ValueError):
            mapping_new(text)
