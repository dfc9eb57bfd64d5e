"""The commit engine: merge, validate, prepare, record, switch (commit.md 2.3). Refused before anything has changed, never after."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from appliance_runtime.clock import long_date
from appliance_runtime.demo import log_demo_users
from appliance_runtime.snapshot import Builder, Snapshot
from appliance_state import validate
from appliance_state.diff import changed_objects
from appliance_state.draft import Draft
from appliance_state.merge import Conflict, Side, merge
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef
from appliance_state.secrets import Unsealable
from appliance_state.store import Generation, StoreFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appliance_runtime.appliance import Appliance

LOCK_WAIT = 30.0
PREPARE_LIMIT = 30.0
CLOSING_LINE = "Commit failed. The running configuration is unchanged and your changes are still pending."


class CommitRefused(Exception):
    """Nothing has changed. `problems`: one text each, without the word Error."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Conflicted(Exception):
    """Others have changed the same fields."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = conflicts


@frozen(kw_only=True)
class Author:
    """Who commits. `kind`: cli, exec, script, gui or system."""

    user: str
    kind: str
    pid: int = 0


@frozen(kw_only=True)
class Committed:
    generation: Generation
    warnings: tuple[str, ...] = ()


@define(eq=False)
class Committer:
    appliance: Appliance
    _lock: asyncio.Lock = field(factory=asyncio.Lock)

    def preview(self, draft: Draft, decisions: Mapping[tuple[str, ...], Side] | None = None) -> Config:
        """The tree that a commit of `draft` would make now. Errors: Conflicted, CommitRefused."""
        return self._merged(draft, decisions)

    def _merged(self, draft: Draft, decisions: Mapping[tuple[str, ...], Side] | None = None) -> Config:
        number, running = self.appliance.running()
        config = draft.config
        if draft.base_generation != number:
            config, conflicts = merge(draft.base_config, config, running, decisions)
            if conflicts:
                raise Conflicted(conflicts)
        if problems := validate.problems(config, self._reveal(draft)):
            raise CommitRefused(*problems)
        return config

    @staticmethod
    def _reveal(draft: Draft) -> validate.Reveal:
        def reveal(ref: SecretRef) -> bytes:
            try:
                return draft.reveal(ref)
            except Unsealable:
                raise ValueError("sealed with another key") from None

        return reveal

    async def commit(self, draft: Draft, author: Author, comment: str, rollback: bool) -> Committed:
        """Commit the pending copy of a session. Errors: Conflicted, CommitRefused. It goes on when the session is lost meanwhile."""
        return await asyncio.shield(asyncio.ensure_future(self._commit(draft, author, comment, rollback)))

    async def _commit(self, draft: Draft, author: Author, comment: str, rollback: bool) -> Committed:
        try:
            async with self.exclusive():
                config, before = self._merged(draft), self.appliance.running()[1]
                committed = await self._make(config, dict(draft.secrets), author, comment, rollback)
                draft.discard()
        except CommitRefused as refusal:
            self.appliance.logs.event("system.commit_failed", pid=author.pid, user=author.user, error=refusal.problems[0])
            raise
        self.appliance.logs.event("system.commit", pid=author.pid, user=author.user, comment=comment)
        return evolve(committed, warnings=(*committed.warnings, *await self._dane_warnings(before, config)))

    async def _dane_warnings(self, before: Config, after: Config) -> list[str]:
        """DANE that has come into use, with name servers on which it cannot rest. Takes as long as one question at most."""
        unchanged = before.destinations is after.destinations and before.dns == after.dns
        if unchanged or not validate.dane_in_use(after) or (validate.dane_in_use(before) and before.dns == after.dns):
            return []
        warnings = [f"DANE is in use, but {problem}." for problem in await self.appliance.resolver.dnssec_problems()]
        for text in warnings:
            self.appliance.logs.event("system.dane", text=text)
        return warnings

    async def change_now(self, config: Config, secrets: Mapping[SecretRef, bytes], author: Author) -> Committed:
        """A generation of its own for commands that act at once: no comment, not in the rollback list. Errors: CommitRefused.

        `config` must have been made from the running configuration without waiting in between.
        """
        return await asyncio.shield(asyncio.ensure_future(self._change_now(config, secrets, author)))

    async def _change_now(self, config: Config, secrets: Mapping[SecretRef, bytes], author: Author) -> Committed:
        base = self.appliance.running()[1]
        async with self.exclusive():
            merged, conflicts = merge(base, config, self.appliance.running()[1])
            if conflicts:
                raise CommitRefused("Another commit has changed the same settings. Try again.")
            return await self._make(merged, secrets, author, "", False)

    async def renew(self) -> None:
        """Make the live snapshot anew: something that it is made of and that is not configuration is another one."""
        async with self._lock:
            await self.appliance.renew()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Nobody else commits, or opens and closes sockets. Errors: CommitRefused after waiting too long."""
        try:
            await asyncio.wait_for(self._lock.acquire(), LOCK_WAIT)
        except TimeoutError:
            raise CommitRefused("Another commit is in progress. Try again later.") from None
        try:
            yield
        finally:
            self._lock.release()

    async def _make(self, config: Config, secrets: Mapping[SecretRef, bytes], author: Author, comment: str, rollback: bool) -> Committed:
        appliance = self.appliance
        number, running = appliance.running()
        now = appliance.clock.now()
        # What the commit reveals must include secrets that are not stored yet.
        prepared = await appliance.prepare(number + 1, config, dict(secrets))
        generation = Generation(
            id=number + 1,
            parent=number,
            at=now,
            who=author.user,
            kind=author.kind,
            comment=comment,
            rollback=rollback,
            changed=changed_objects(running, config)[:1000],
        )
        wanted = config.secrets()
        sealed = appliance.vault.close({ref: value for ref, value in secrets.items() if ref in wanted})
        try:
            await asyncio.to_thread(appliance.store.append, generation, config, sealed)
        except StoreFailed as error:
            await prepared.abort()
            raise CommitRefused(f"The configuration could not be saved: {error}") from error
        await prepared.apply()
        appliance.vault.keep(wanted)
        return Committed(generation=generation, warnings=self._warnings(running, config, now))

    def _warnings(self, before: Config, after: Config, now: datetime) -> tuple[str, ...]:
        def date(moment: datetime) -> str:
            return long_date(moment, after.system.timezone)

        known = set(validate.warnings(before, now, date))
        log_demo_users(self.appliance.logs, before, after)
        return tuple(text for text in validate.warnings(after, now, date) if text not in known)


async def build_snapshot(builder: Builder, generation: int, config: Config) -> Snapshot:
    """Off the event loop, within the limit. Errors: CommitRefused."""
    try:
        snapshot = await asyncio.wait_for(asyncio.to_thread(builder.build, generation, config), PREPARE_LIMIT)
    except TimeoutError:
        raise CommitRefused("The runtime did not answer within 30 seconds.") from None
    if snapshot is None:
        raise CommitRefused(*builder.problems)
    return snapshot
