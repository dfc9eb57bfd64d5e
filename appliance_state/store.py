"""The configuration store: an append-only list of generations in SQLite, and the sealed secrets.

A generation is committed exactly when `append` has returned: one transaction, synchronous=FULL, so a torn write is
never read. Metadata is kept for 1000 generations, the document only of the running one and of rollback points
(commit.md 5). All methods block; they are called off the event loop, one at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from appliance_state.document import SCHEMA, Documents, Unreadable, digest
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef

KEPT_GENERATIONS = 1000
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commits (
    id INTEGER PRIMARY KEY, parent INTEGER, at TEXT NOT NULL, who TEXT NOT NULL, kind TEXT NOT NULL, comment TEXT NOT NULL,
    rollback INTEGER NOT NULL, changed TEXT NOT NULL, schema INTEGER NOT NULL, sha256 TEXT NOT NULL, secrets TEXT NOT NULL, document BLOB
);
CREATE TABLE IF NOT EXISTS secrets (id TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;
"""


class StoreFailed(Exception):
    """The store cannot be read or written; the text is the system's."""


class Outdated(Exception):
    """Another generation has become the head."""


@frozen(kw_only=True)
class Generation:
    """Metadata of a commit. `changed`: paths of the objects that differ from the parent."""

    id: int
    parent: int | None
    at: datetime
    who: str
    kind: str
    comment: str
    rollback: bool
    changed: tuple[str, ...] = ()


_COLUMNS = "id, parent, at, who, kind, comment, rollback, changed"


def _generation(row: tuple[int, int | None, str, str, str, str, int, str]) -> Generation:
    number, parent, at, who, kind, comment, rollback, changed = row
    return Generation(
        id=number,
        parent=parent,
        at=datetime.fromisoformat(at),
        who=who,
        kind=kind,
        comment=comment,
        rollback=bool(rollback),
        changed=tuple(json.loads(changed)),
    )


class Store:
    def __init__(self, path: Path, documents: Documents) -> None:
        """Open or create. Errors: StoreFailed."""
        self._documents = documents
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_TABLES)
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(str(error)) from error

    def close(self) -> None:
        self._database.close()

    def fact(self, name: str) -> str | None:
        """A value that is no part of a generation, such as the serial number."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_fact(self, name: str, value: str) -> None:
        self._database.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))

    def head(self) -> tuple[Generation, Config] | None:
        """The running generation; None in a new store. Errors: StoreFailed when it is damaged."""
        row = self._database.execute(f"SELECT {_COLUMNS}, schema, sha256, document FROM commits ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else (_generation(row[:8]), self._load(*row[8:]))

    def content(self, number: int) -> Config:
        """Configuration of a generation whose document is kept. Errors: KeyError, StoreFailed."""
        row = self._database.execute("SELECT schema, sha256, document FROM commits WHERE id = ?", (number,)).fetchone()
        if row is None or row[2] is None:
            raise KeyError(number)
        return self._load(*row)

    def _load(self, schema: int, sha256: str, document: object) -> Config:
        if not isinstance(document, bytes) or digest(document) != sha256:
            raise StoreFailed("the stored configuration is damaged")
        try:
            return self._documents.load(document, schema)
        except Unreadable as error:
            raise StoreFailed(f"the stored configuration cannot be read: {error}") from error

    def append(self, generation: Generation, config: Config, sealed: Mapping[SecretRef, bytes]) -> None:
        """Record a generation whose parent is the head, with the secrets that are new in it.

        Errors: Outdated, StoreFailed; then nothing has changed.
        """
        document = self._documents.dump(config)
        references = sorted(ref.id for ref in config.secrets())
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                (head,) = self._database.execute("SELECT max(id) FROM commits").fetchone()
                if head != generation.parent:
                    raise Outdated
                self._database.executemany(
                    "INSERT OR REPLACE INTO secrets VALUES (?, ?)", [(ref.id, value) for ref, value in sealed.items()]
                )
                self._database.execute(
                    "INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        generation.id,
                        generation.parent,
                        generation.at.astimezone(UTC).isoformat(),
                        generation.who,
                        generation.kind,
                        generation.comment,
                        int(generation.rollback),
                        json.dumps(generation.changed),
                        SCHEMA,
                        digest(document),
                        json.dumps(references),
                        document,
                    ),
                )
                self._prune(generation.id)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(str(error)) from error

    def _prune(self, head: int) -> None:
        """Forget what commit.md 5 does not keep, and secrets that no kept document refers to."""
        self._database.execute("UPDATE commits SET document = NULL WHERE id < ? AND rollback = 0 AND document IS NOT NULL", (head,))
        self._database.execute("DELETE FROM commits WHERE id <= ?", (head - KEPT_GENERATIONS,))
        self._database.execute(
            "DELETE FROM secrets WHERE id NOT IN (SELECT value FROM commits, json_each(commits.secrets) WHERE document IS NOT NULL)"
        )

    def sealed(self, references: Iterable[SecretRef]) -> dict[SecretRef, bytes]:
        """The sealed values of these references that exist."""
        found: dict[SecretRef, bytes] = {}
        for ref in references:
            row = self._database.execute("SELECT sealed FROM secrets WHERE id = ?", (ref.id,)).fetchone()
            if row:
                found[ref] = row[0]
        return found

    def latest(self, count: int) -> list[Generation]:
        """The last commits made by somebody (the factory configuration is none), newest first."""
        return self._select("WHERE parent IS NOT NULL", count)

    def rollback_points(self, count: int = 10) -> list[Generation]:
        """The last rollback points, newest first."""
        return self._select("WHERE rollback = 1", count)

    def since(self, number: int) -> list[Generation]:
        """The commits after a generation, oldest first."""
        return self._select(f"WHERE id > {int(number)}", KEPT_GENERATIONS)[::-1]

    def _select(self, where: str, count: int) -> list[Generation]:
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM commits {where} ORDER BY id DESC LIMIT ?", (count,))
        return [_generation(row) for row in rows.fetchall()]
