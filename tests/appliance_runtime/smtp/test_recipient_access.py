"""Addresses, domain map, recipient access table (listenerconfig.md 4.2, 6, 7)."""

from __future__ import annotations

import re

import pytest

from appliance_runtime.smtp.grammar import FROM, TO, parse_path
from appliance_runtime.smtp.recipients import DomainMap, RecipientAccess
from appliance_state.model.listeners import Access, DomainMapping, RatEntry

PATHS = [
    ("<a@b.test>", "a@b.test", 10),
    (" <a@b.test> SIZE=3", "a@b.test", 11),
    ("a@b.test", "a@b.test", 8),
    ("a@b.test SIZE=3", "a@b.test", 8),
    ("<>", "", 2),
    ("<joe>", "joe", 5),
    ("joe", "joe", 3),
    ("<Postmaster>", "Postmaster", 12),
    ("<@relay.test,@other.test:joe@b.test>", "joe@b.test", 36),
    ("<\"a b\"@c.test>", '"a b"@c.test', 14),
    ("<\"a\\\"@>b\"@c.test> BODY=7BIT", '"a\\"@>b"@c.test', 17),
    ("<joe@[192.0.2.1]>", "joe@[192.0.2.1]", 17),
    ("<joe@[IPv6:2001:db8::1]>", "joe@[IPv6:2001:db8::1]", 24),
    ("<a..b.@c_d.test>", "a..b.@c_d.test", 16),
    ("<a+b=c/d@localhost>", "a+b=c/d@localhost", 19),
]  # fmt: skip
NO_PATHS = [
    "", " ", "<", "<a@b", "a@b>", "<a b@c>", "<a@>", "<@b>", "a@b@c", "<a@b>x", "<a@b>SIZE=1", "<a@-.>", "<a@b.>", "<a@.b>", "<a@[300.1.1.1]>",
    "<a@[IPv6:nope]>", "<a\0@b>", "<a\r@b>", '<"a@b>', "<<a@b>>", "<a@b,c@d>",
]  # fmt: skip


WORDS = [(FROM, "FROM:"), (FROM, " From:"), (FROM, "from:"), (TO, "TO:"), (TO, "\ttO:")]


@pytest.mark.parametrize(("word", "before"), WORDS)
@pytest.mark.parametrize(("text", "given", "end"), PATHS)
def test_paths(word: re.Pattern[str], before: str, text: str, given: str, end: int) -> None:
    path = parse_path(word, f"{before}{text}".encode())
    assert path is not None
    assert (path.given, path.rest) == (given, text[end:])


@pytest.mark.parametrize(("word", "before"), WORDS)
@pytest.mark.parametrize("text", [*NO_PATHS, "<caf\u00e9@b>", "<a@b> caf\u00e9"])
def test_what_is_no_path(word: re.Pattern[str], before: str, text: str) -> None:
    assert parse_path(word, f"{before}{text}".encode()) is None


@pytest.mark.parametrize(
    ("word", "argument"), [(FROM, "TO:<a@b>"), (TO, "FROM:<a@b>"), (FROM, "<a@b>"), (TO, "TO <a@b>"), (FROM, "FROM :<a@b>")]
)
def test_no_path_without_its_word(word: re.Pattern[str], argument: str) -> None:
    assert parse_path(word, argument.encode()) is None


MAPPINGS = (
    ("@.old.test", "@new.test"),
    ("@.sub.old.test", "@sub.test"),
    ("@old.test", "@exact.test"),
    ("joe@old.test", "boss@old.test"),
    ("ann@.old.test", "ann@anywhere.test"),
    ("@MIXED.test", "@lower.test"),
)


@pytest.mark.parametrize(
    ("address", "mapped"),
    [
        ("joe@old.test", "boss@old.test"),
        ("JOE@OLD.test", "boss@old.test"),
        ("Sue@old.test", "Sue@exact.test"),
        ("ann@old.test", "ann@exact.test"),
        ("ann@x.old.test", "ann@anywhere.test"),
        ("ann@x.sub.old.test", "ann@anywhere.test"),
        ("joe@x.old.test", "joe@new.test"),
        ("joe@sub.old.test", "joe@new.test"),
        ("joe@x.sub.old.test", "joe@sub.test"),
        ("joe@mixed.test", "joe@lower.test"),
        ("joe@veryold.test", "joe@veryold.test"),
        ('"a@b"@x.old.test', '"a@b"@new.test'),
        ("joe@exact.test", "joe@exact.test"),
    ],
)
def test_domain_map(address: str, mapped: str) -> None:
    assert DomainMap(DomainMapping(original=a, new=b) for a, b in MAPPINGS).rewrite(address) == mapped


def test_of_equal_left_sides_the_first_one_counts() -> None:
    table = DomainMap([DomainMapping(original="@a.test", new="@b.test"), DomainMapping(original="@A.test", new="@c.test")])
    assert table.rewrite("x@a.test") == "x@b.test"


RAT_FORMS = [
    ("example.com", "joe@EXAMPLE.com", True),
    ("example.com", "joe@sub.example.com", False),
    (".example.com", "joe@a.b.example.com", True),
    (".example.com", "joe@example.com", False),
    ("postmaster@", "POSTMASTER@anything.test", True),
    ("postmaster@", "x.postmaster@anything.test", False),
    ("joe@example.com", "Joe@Example.com", True),
    ("joe@example.com", "jo@example.com", False),
    ("joe@.example.com", "joe@a.example.com", True),
    ("joe@.example.com", "ann@a.example.com", False),
    ("joe@[1.2.3.4]", "joe@[1.2.3.4]", True),
    ("[1.2.3.4]", "ann@[1.2.3.4]", True),
    ("[1.2.3.4]", "ann@[1.2.3.5]", False),
    ("[IPv6:2001:db8::1]", "ann@[IPv6:2001:DB8:0::1]", True),
    ("ALL", "ann@[1.2.3.5]", True),
    ("ALL", "x@y.test", True),
]


@pytest.mark.parametrize(("entry", "address", "matches"), RAT_FORMS)
def test_forms_of_entries(entry: str, address: str, matches: bool) -> None:
    table = RecipientAccess([RatEntry(address=entry)])
    assert (table.entry(address) is not None) == matches


def test_the_first_entry_that_matches_decides() -> None:
    domain, joe = RatEntry(address="example.com", access=Access.REJECT), RatEntry(address="joe@example.com")
    everyone = RatEntry(address="ALL", access=Access.REJECT)
    assert RecipientAccess([domain, joe, everyone]).entry("joe@example.com") is domain
    assert RecipientAccess([joe, domain, everyone]).entry("joe@example.com") is joe
    assert RecipientAccess([joe, domain, everyone]).entry("ann@other.test") is everyone
    assert RecipientAccess([everyone, joe]).entry("joe@example.com") is everyone
