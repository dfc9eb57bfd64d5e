"""The store: append-only, durable, pruned; damage is seen."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from appliance_state.document import Documents
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef
from appliance_state.store import Generation, Outdated, Store, StoreFailed


def generation(number: int, *, rollback: bool = False, comment: str = "") -> Generation:
    return Generation(
        id=number,
        parent=number - 1 or None,
        at=datetime(2026, 1, 1, 0, 0, number % 60, tzinfo=UTC),
        who="admin",
        kind="cli",
        comment=comment,
        rollback=rollback,
    )


def config(hostname: str, secret: str | None = None) -> Config:
    base = Config()
    users = base.users.put(attrs.evolve(base.users["admin"], passphrase=SecretRef(secret))) if secret else base.users
    return base.with_(system=attrs.evolve(base.system, hostname=hostname), users=users)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.sqlite"


def test_the_head_survives_closing(path: Path) -> None:
    store = Store(path, Documents())
    assert store.head() is None
    store.append(generation(1, rollback=True), config("a.test"), {})
    store.append(generation(2, comment="second"), config("b.test"), {})
    store.close()
    head = Store(path, Documents()).head()
    assert head is not None
    assert head[0].comment == "second" and head[1] == config("b.test")


def test_only_the_child_of_the_head_is_accepted(path: Path) -> None:
    store = Store(path, Documents())
    store.append(generation(1), config("a.test"), {})
    with pytest.raises(Outdated):
        store.append(attrs.evolve(generation(2), id=5, parent=4), config("b.test"), {})
    assert store.head() == (generation(1), config("a.test"))


def test_documents_are_kept_for_the_head_and_for_rollback_points(path: Path) -> None:
    store = Store(path, Documents())
    for number, rollback in ((1, True), (2, False), (3, True), (4, False)):
        store.append(generation(number, rollback=rollback), config(f"h{number}.test"), {})
    assert [store.content(number).system.hostname for number in (1, 3, 4)] == ["h1.test", "h3.test", "h4.test"]
    with pytest.raises(KeyError):
        store.content(2)
    assert [point.id for point in store.rollback_points()] == [3, 1]
    assert [one.id for one in store.latest(2)] == [4, 3]
    assert [one.id for one in store.since(2)] == [3, 4]


def test_secrets_live_as_long_as_a_document_refers_to_them(path: Path) -> None:
    store = Store(path, Documents())
    store.append(generation(1), config("a.test", "s1"), {SecretRef("s1"): b"sealed1"})
    assert store.sealed([SecretRef("s1")]) == {SecretRef("s1"): b"sealed1"}
    store.append(generation(2, rollback=True), config("a.test", "s2"), {SecretRef("s2"): b"sealed2"})
    store.append(generation(3), config("a.test", "s3"), {SecretRef("s3"): b"sealed3"})
    assert set(store.sealed([SecretRef(f"s{n}") for n in (1, 2, 3)])) == {SecretRef("s2"), SecretRef("s3")}


def test_a_full_disk_changes_nothing(path: Path) -> None:
    store = Store(path, Documents())
    store.append(generation(1), config("a.test"), {})
    (pages,) = store._database.execute("PRAGMA page_count").fetchone()
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    big = config("b.test")
    big = big.with_(certificate_authorities=attrs.evolve(big.certificate_authorities, custom_list=("x" * 100_000,)))
    with pytest.raises(StoreFailed, match="full"):
        store.append(generation(2), big, {})
    assert store.head() == (generation(1), config("a.test"))
    store._database.execute("PRAGMA max_page_count = 100000")
    store.append(generation(2), big, {})
    assert store.head() == (generation(2), big)


def test_a_damaged_document_is_never_served(path: Path) -> None:
    store = Store(path, Documents())
    store.append(generation(1), config("a.test"), {})
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE commits SET document = CAST(replace(document, 'a.test', 'b.test') AS BLOB)")
    database.close()
    with pytest.raises(StoreFailed, match="damaged"):
        Store(path, Documents()).head()


def test_every_commit_is_synced(path: Path) -> None:
    store = Store(path, Documents())
    assert store._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert path.stat().st_mode & 0o777 == 0o600
