"""Table: names without regard to case, stored as typed, immutable."""

import pytest

from appliance_state.model.destinations import Destination
from appliance_state.table import Table


def table(*domains: str) -> Table[Destination]:
    return Table(Destination(domain=domain) for domain in domains)


def test_names_compare_without_case_and_keep_their_spelling() -> None:
    found = table("Partner.Test")
    assert "partner.test" in found and "PARTNER.TEST" in found
    assert list(found) == ["Partner.Test"]


def test_a_change_leaves_the_old_table_alone_and_shares_its_entries() -> None:
    old = table("a.test", "b.test")
    new = old.put(Destination(domain="c.test", max_host_concurrency=3))
    assert list(old) == ["a.test", "b.test"]
    assert list(new) == ["a.test", "b.test", "c.test"]
    assert new["a.test"] is old["a.test"]


def test_renaming_keeps_the_place() -> None:
    renamed = table("a.test", "b.test", "c.test").replace("B.test", Destination(domain="x.test"))
    assert list(renamed) == ["a.test", "x.test", "c.test"]
    with pytest.raises(KeyError):
        renamed.replace("b.test", Destination(domain="y.test"))


def test_without_ignores_unknown_names() -> None:
    assert list(table("a.test", "b.test").without("B.TEST", "none.test")) == ["a.test"]


def test_tables_with_the_same_entries_are_equal() -> None:
    assert table("a.test") == table("a.test")
    assert table("a.test") != table("b.test")
    assert table("b.test", "a.test").sorted() == table("a.test", "b.test").sorted()
