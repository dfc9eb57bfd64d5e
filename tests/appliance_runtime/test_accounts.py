"""Passphrase logins: hashes, counting, locking, what is logged (users-and-access.md 2.3)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import attrs
import pytest

from appliance_runtime.accounts import DECOY, Accounts, hash_passphrase, passphrase_matches, passphrase_problems
from appliance_state.model.users import User, UserPolicy
from tests.support.edge import PASSPHRASE, EdgeAppliance, Live, make_edge


class RecordedAlerts:
    def __init__(self) -> None:
        self.raised: list[tuple[str, ...]] = []

    def raise_(self, alert_id: str, key: str, alert_class: str, severity: str, text: str) -> None:
        self.raised.append((alert_id, key, alert_class, severity, text))


@pytest.fixture
def appliance(tmp_path: Path) -> EdgeAppliance:
    return make_edge(tmp_path)


async def log_in(accounts: Accounts, passphrase: str = PASSPHRASE, user: str = "admin") -> bool:
    return await accounts.authenticate(user, passphrase, remote="192.0.2.7", protocol="SSH")


def test_a_hash_is_salted_argon2id_and_matches_its_passphrase_only() -> None:
    stored = hash_passphrase("pässword")
    assert stored.startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")
    assert passphrase_matches("pässword", stored)
    assert not passphrase_matches("password", stored)
    assert hash_passphrase("pässword") != stored
    assert not passphrase_matches("pässword", b"no hash")
    assert not passphrase_matches("", DECOY)


async def test_the_right_passphrase_logs_in_and_is_logged(appliance: EdgeAppliance) -> None:
    assert await log_in(appliance.accounts)
    assert appliance.logs.events == [
        ("authentication.success", {"user": "admin"}),
        ("authentication.logged_on", {"user": "admin", "remote": "192.0.2.7", "role": "admin", "protocol": "SSH"}),
    ]


@pytest.mark.parametrize(("user", "passphrase"), [("admin", "wrong"), ("nobody", PASSPHRASE), ("Admin", PASSPHRASE), ("admin", "")])
async def test_anything_else_is_refused_and_logged(appliance: EdgeAppliance, user: str, passphrase: str) -> None:
    assert not await log_in(appliance.accounts, passphrase, user)
    assert appliance.logs.events == [("authentication.failure", {"user": user, "remote": "192.0.2.7", "protocol": "SSH"})]


async def test_an_unknown_user_costs_as_much_as_a_known_one(appliance: EdgeAppliance) -> None:
    async def cost(user: str) -> float:
        spent = []
        for _ in range(3):
            begun = time.perf_counter()
            await log_in(appliance.accounts, "wrong", user)
            spent.append(time.perf_counter() - begun)
        return min(spent)

    assert await cost("nobody") > await cost("admin") / 3


async def test_a_disabled_account_is_refused(appliance: EdgeAppliance) -> None:
    appliance.set_user(attrs.evolve(appliance.config.users["admin"], enabled=False))
    assert not await log_in(appliance.accounts)


async def test_five_failures_lock_and_raise_an_alert(appliance: EdgeAppliance) -> None:
    alerts = RecordedAlerts()
    accounts = appliance.accounts
    accounts.alerts = alerts
    appliance.set_user(User(name="bob"), "bob's own")
    for _ in range(4):
        await log_in(accounts, "wrong", "bob")
    assert not accounts.is_locked("bob")
    await log_in(accounts, "wrong", "bob")
    assert accounts.is_locked("bob")
    assert not await log_in(accounts, "bob's own", "bob")
    text = 'The account "bob" was locked after 5 failed login attempts.'
    assert alerts.raised == [("login.locked", "bob", "System", "Warning", text)]
    await appliance.clock.advance(3600)
    assert accounts.is_locked("bob")
    accounts.unlock("bob")
    assert await log_in(accounts, "bob's own", "bob")


async def test_admin_unlocks_by_itself_after_five_minutes(appliance: EdgeAppliance) -> None:
    for _ in range(5):
        await log_in(appliance.accounts, "wrong")
    await appliance.clock.advance(299)
    assert not await log_in(appliance.accounts)
    await appliance.clock.advance(1)
    assert await log_in(appliance.accounts)
    await log_in(appliance.accounts, "wrong")
    assert not appliance.accounts.is_locked("admin")


async def test_a_success_resets_the_count(appliance: EdgeAppliance) -> None:
    for _ in range(3):
        for _ in range(4):
            await log_in(appliance.accounts, "wrong")
        assert await log_in(appliance.accounts)


async def test_the_limit_is_that_of_the_policy_and_0_means_never(appliance: EdgeAppliance) -> None:
    for limit, locked in ((0, False), (2, True)):
        appliance.config = appliance.config.with_(user_policy=UserPolicy(lock_after_failures=limit))
        await asyncio.gather(*(log_in(appliance.accounts, "wrong") for _ in range(6)))
        assert appliance.accounts.is_locked("admin") is locked


async def test_counts_and_locks_outlive_a_restart(appliance: EdgeAppliance, tmp_path: Path) -> None:
    def start() -> Accounts:
        return Accounts(lambda: Live(appliance.config), appliance.vault.reveal, appliance.clock, appliance.logs, directory=tmp_path)

    accounts = start()
    for _ in range(4):
        await log_in(accounts, "wrong")
    assert not start().is_locked("admin")
    await log_in(start(), "wrong")
    assert start().is_locked("admin")
    assert PASSPHRASE not in (tmp_path / "accounts.json").read_text()


async def test_a_wrong_own_passphrase_counts_as_a_failed_login(appliance: EdgeAppliance) -> None:
    appliance.config = appliance.config.with_(user_policy=UserPolicy(lock_after_failures=1))
    assert await appliance.accounts.confirm("admin", PASSPHRASE, remote="192.0.2.7", protocol="SSH")
    assert not await appliance.accounts.confirm("admin", "wrong", remote="192.0.2.7", protocol="SSH")
    assert appliance.accounts.is_locked("admin")


@pytest.mark.parametrize(
    ("passphrase", "problems"),
    [
        ("eight ch", []),
        ("seven c", ["The passphrase must be at least 8 characters long."]),
        ("x" * 129, ["The value may not be longer than 128 characters."]),
        ("tab\tinside", ["That value is not valid."]),
        ("operator2", ["The passphrase must not be the username."]),
        ("Operator2", ["The passphrase must not be the username."]),
        ("päßwörter", []),
    ],
)
def test_policy(passphrase: str, problems: list[str]) -> None:
    assert passphrase_problems(passphrase, "operator2", UserPolicy()) == problems
