"""Accounts: passphrase hashes, logins with passphrase or key, failure counts and locks (users-and-access.md 2.3, 2.4).

A passphrase is stored only as Argon2id hash in PHC form. A check costs the same whether the user exists, may log in, or
is locked, and runs in a thread. Counts and locks are no configuration: they act at once and outlive a restart.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from attrs import define, evolve, field, frozen
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from appliance_runtime.clock import Clock
from appliance_runtime.login_history import LoginHistory
from appliance_runtime.state_directory import write_private
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef
from appliance_state.model.users import User, UserPolicy

MEMORY_KIB, ITERATIONS, LANES = 19 * 1024, 2, 1
"""Cost of one hash; RFC 9106 with the memory limit of a small machine."""
AT_ONCE = 2
"""checks that run at the same time: what a flood of logins may cost"""
ADMIN_UNLOCKS_AFTER = timedelta(minutes=5)
LONGEST = 128
"""characters of a passphrase"""
DECOY = f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}${'A' * 22}${'A' * 43}".encode()
"""checked in place of a user's hash where there is none: it costs the same and matches nothing"""


def hash_passphrase(passphrase: str) -> bytes:
    """Argon2id hash in PHC form with a new salt. Takes tens of milliseconds: call it in a thread."""
    kdf = Argon2id(salt=secrets.token_bytes(16), length=32, iterations=ITERATIONS, lanes=LANES, memory_cost=MEMORY_KIB)
    return kdf.derive_phc_encoded(passphrase.encode()).encode()


def passphrase_matches(passphrase: str, stored: bytes) -> bool:
    """Whether `stored` is a hash of `passphrase`; compared in constant time. As slow as `hash_passphrase`."""
    try:
        Argon2id.verify_phc_encoded(passphrase.encode(errors="surrogatepass"), stored.decode())
    except (InvalidKey, ValueError):
        return False
    return True


def passphrase_problems(passphrase: str, user: str, policy: UserPolicy) -> list[str]:
    """What the policy has against a new passphrase, one line each."""
    problems = []
    if len(passphrase) < policy.min_length:
        problems.append(f"The passphrase must be at least {policy.min_length} characters long.")
    if len(passphrase) > LONGEST:
        problems.append(f"The value may not be longer than {LONGEST} characters.")
    if any(char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff" for char in passphrase):
        problems.append("That value is not valid.")
    if passphrase.casefold() == user.casefold():
        problems.append("The passphrase must not be the username.")
    return problems


class EventLog(Protocol):
    def event(self, name: str, **fields: object) -> None: ...


class AlertSink(Protocol):
    def raise_(self, alert_id: str, key: str, alert_class: str, severity: str, text: str) -> None: ...


@frozen(kw_only=True)
class Standing:
    """Consecutive failed passphrase logins of a user, and since when it is locked."""

    failures: int = 0
    locked: datetime | None = None


class HasConfig(Protocol):
    @property
    def config(self) -> Config: ...


@define(eq=False)
class Accounts:
    """Who may log in, and who did (`logins`).

    `live` returns the live snapshot, `reveal` a stored hash. `directory`: where counts, locks and the login history are
    kept; None = only in memory.
    """

    live: Callable[[], HasConfig]
    reveal: Callable[[SecretRef], bytes]
    clock: Clock
    logs: EventLog
    alerts: AlertSink | None = None
    directory: Path | None = None
    logins: LoginHistory = field(init=False)
    _standings: dict[str, Standing] = field(factory=dict)
    _turn: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(AT_ONCE))
    # Threads of its own: each that has hashed keeps the memory of a hash, which must not spread over the common pool.
    _threads: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(AT_ONCE, "passphrase"))

    def __attrs_post_init__(self) -> None:
        self.logins = LoginHistory(self.directory and self.directory / "logins.json")
        if self._path is not None and self._path.exists():
            for user, (failures, locked) in json.loads(self._path.read_text()).items():
                self._standings[user] = Standing(failures=failures, locked=locked and datetime.fromisoformat(locked))

    @property
    def _path(self) -> Path | None:
        return self.directory and self.directory / "accounts.json"

    def find(self, user: str) -> User | None:
        """The account `user`, written exactly so."""
        account = self.live().config.users.get(user)
        return account if account is not None and account.name == user else None

    def is_locked(self, user: str) -> bool:
        """Locked for passphrase logins on the network. `admin` unlocks by itself."""
        locked = self._standings.get(user, Standing()).locked
        if locked is not None and user == "admin" and self.clock.now() - locked >= ADMIN_UNLOCKS_AFTER:
            return False
        return locked is not None

    def unlock(self, user: str) -> None:
        """Forget failures and lock."""
        if self._standings.pop(user, None):
            self._save()

    async def authenticate(self, user: str, passphrase: str, *, remote: str, protocol: str) -> bool:
        """A login with passphrase from `remote`. Counts, locks and writes the lines of the authentication log."""
        matches = await self._matches(user, passphrase)
        account = self.find(user)
        if matches and account is not None and account.enabled and not self.is_locked(user):
            self.unlock(user)
            self.logged_on(account, remote=remote, protocol=protocol)
            return True
        self.failed(user, remote=remote, protocol=protocol)
        return False

    async def confirm(self, user: str, passphrase: str, *, remote: str, protocol: str) -> bool:
        """Whether a user who is already in knows the own passphrase; a wrong one counts as a failed login."""
        if await self._matches(user, passphrase):
            return True
        self.failed(user, remote=remote, protocol=protocol)
        return False

    def logged_on(self, account: User, *, remote: str, protocol: str) -> None:
        """Write the lines of a successful login, whichever way the user proved who it is."""
        self.logs.event("authentication.success", user=account.name)
        self.logs.event("authentication.logged_on", user=account.name, remote=remote, role=account.role.value, protocol=protocol)

    def failed(self, user: str, *, remote: str, protocol: str) -> None:
        """Note a failed passphrase login."""
        self.logs.event("authentication.failure", user=user, remote=remote, protocol=protocol)
        limit = self.live().config.user_policy.lock_after_failures
        if self.find(user) is None or self.is_locked(user):
            return
        before = self._standings.get(user, Standing())
        standing = Standing(failures=1 if before.locked else before.failures + 1)
        if limit and standing.failures >= limit:
            standing = evolve(standing, locked=self.clock.now())
            self.logs.event("authentication.locked", user=user, count=standing.failures)
            text = f'The account "{user}" was locked after {standing.failures} failed login attempts.'
            if self.alerts is not None:
                self.alerts.raise_("login.locked", user, "System", "Warning", text)
        self._standings[user] = standing
        self._save()

    async def _matches(self, user: str, passphrase: str) -> bool:
        async with self._turn:
            account = self.find(user)
            stored = DECOY if account is None or account.passphrase is None else self.reveal(account.passphrase)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, passphrase_matches, passphrase, stored)

    def _save(self) -> None:
        if self._path is not None:
            rows = {user: (s.failures, s.locked and s.locked.isoformat()) for user, s in self._standings.items()}
            write_private(self._path, json.dumps(rows, sort_keys=True).encode())
