"""The end of certificates is announced on the days of certconfig.md 7, once for ever, on the appliance clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, evolve, field

from appliance_runtime.clock import FakeClock
from appliance_runtime.logs.writer import MemoryLogs
from appliance_runtime.trust.expiry import ExpiryWatch
from appliance_state.certificates.expiry import days_left, next_check
from appliance_state.model import Config
from appliance_state.model.certificates import CertificateAuthorities, CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.system import System
from tests.support.lab_ca import issue

END = datetime(2027, 3, 10, 12, 0, tzinfo=UTC)
ROOT = issue("Lab Root CA", authority=True, end=END)
LEAF = issue("mail.example.com", ROOT, end=END)
AUTHORITY = 'The custom certificate authority "C=JP,O=Lab,CN=Lab Root CA"'
PROFILE = 'The certificate "mail"'
DAYS = (90, 60, 30, 15, 5, 4, 3, 2, 1)
EXPIRED = "expired on Wed Mar 10 12:00:00 2027 GMT."


@define
class World:
    """A watch whose alerts and log lines are kept; `restart` takes what is on disk."""

    path: Path
    clock: FakeClock
    config: Config
    alerts: list[tuple[datetime, tuple[str, str, str, str, str]]] = field(factory=list)
    logs: MemoryLogs = field(init=False)
    watch: ExpiryWatch = field(init=False)
    task: asyncio.Task[None] | None = None

    def __attrs_post_init__(self) -> None:
        self.logs = MemoryLogs(self.clock)
        self.restart()

    def restart(self) -> None:
        if self.task is not None:
            self.task.cancel()
        raise_alert = lambda *alert: self.alerts.append((self.clock.now(), alert))  # noqa: E731
        self.watch = ExpiryWatch(self.path, lambda: self, self.logs, self.clock, raise_alert)  # type: ignore[arg-type, return-value]
        self.task = asyncio.create_task(self.watch.keep())

    async def go_to(self, moment: datetime) -> None:
        """With every check on the way done."""
        while self.clock.now() < moment:
            due = min(moment, next_check(self.clock.now(), self.config.system.timezone))
            await self.waiting()
            await self.clock.advance((due - self.clock.now()).total_seconds())
        await self.waiting()

    async def waiting(self) -> None:
        """Until the check under way is done and the next one is waited for."""
        async with asyncio.timeout(10):
            while not any(not future.done() and moment > self.clock.now() for moment, _, future in self.clock._waiting):
                await asyncio.sleep(0.001)

    @property
    def texts(self) -> list[str]:
        return [alert[4] for _, alert in self.alerts]

    def commit(self, **sections: object) -> None:
        self.config = self.config.with_(**sections)
        self.watch.configuration_changed()


def profile(pem: str = LEAF.pem, name: str = "mail") -> CertificateProfile:
    return CertificateProfile(name=name, material=KeyMaterial(certificate=pem, private_key=SecretRef("k")))


def with_profile(config: Config, **fields: object) -> Config:
    used = evolve(config.destination_globals, certificate="mail")
    return config.with_(certificates=config.certificates.put(profile()), destination_globals=used, **fields)


TRUSTING = Config(certificate_authorities=CertificateAuthorities(custom_list=(ROOT.pem,)))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path / "expiry.json", FakeClock(END - timedelta(days=92)), TRUSTING)
    yield made
    assert made.task is not None
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


async def test_from_day_91_to_two_days_after_with_restarts_in_between(world: World) -> None:
    for number in range(1, 95):
        await world.go_to(END - timedelta(days=92 - number))
        if number % 3 == 0:
            world.restart()
            await world.waiting()
    expected = [(90 - day, f"{AUTHORITY} will expire in {day} days.", "Warning") for day in DAYS]
    expected += [(90, f"{AUTHORITY} expires today.", "Critical"), (91, f"{AUTHORITY} {EXPIRED}", "Critical")]
    first = (END - timedelta(days=90)).replace(hour=0, minute=10)
    assert [(at, alert[0], *alert[2:]) for at, alert in world.alerts] == [
        (first + timedelta(days=day), "ca.expiry", "System", severity, text) for day, text, severity in expected
    ]
    assert world.logs.lines == world.texts
    assert {name for name, _ in world.logs.events[:9]} == {"system.expiry"} and world.logs.events[-1][0] == "system.expired"
    keys = [alert[1] for _, alert in world.alerts]
    assert len(set(keys)) == len(keys), "no two of them are duplicates"


async def test_profiles_only_while_they_are_in_use(world: World) -> None:
    world.commit(certificates=world.config.certificates.put(profile()), certificate_authorities=CertificateAuthorities())
    await world.go_to(END - timedelta(days=40))
    assert not world.alerts
    world.config = with_profile(world.config)
    await world.go_to(END - timedelta(days=39))
    assert world.texts == [f"{PROFILE} will expire in 39 days."], "the latest of the thresholds that have passed"
    assert world.alerts[0][1][0] == "cert.expiry"
    await world.go_to(END - timedelta(days=29))
    assert world.texts[1:] == [f"{PROFILE} will expire in 30 days."]
    renewed = issue("mail.example.com", ROOT, end=END + timedelta(days=365))
    world.commit(certificates=world.config.certificates.put(profile(renewed.pem)))
    await world.go_to(END + timedelta(days=3))
    assert len(world.alerts) == 2


async def test_the_check_at_start(world: World) -> None:
    world.clock._now = END + timedelta(days=20)
    world.config = with_profile(world.config)
    world.restart()
    await world.waiting()
    assert sorted(world.texts) == sorted([f"{PROFILE} {EXPIRED}", f"{AUTHORITY} {EXPIRED}"])
    world.restart()
    await world.waiting()
    assert len(world.alerts) == 2


async def test_the_day_is_that_of_the_appliance(world: World) -> None:
    """12:00 GMT on the 10th is 01:00 on the 11th in Auckland; 00:10 there is 11:10 GMT on the day before."""
    world.commit(system=System(timezone="Pacific/Auckland"))
    await world.go_to(END - timedelta(days=89))
    assert [at for at, _ in world.alerts] == [datetime(2026, 12, 10, 11, 10, tzinfo=UTC)]
    assert days_left(END, END - timedelta(hours=13, seconds=1), "Pacific/Auckland") == 1
    assert days_left(END, END, "Pacific/Auckland") == days_left(END, END, "GMT") == 0


@pytest.mark.parametrize(
    ("now", "zone", "check"),
    [
        ("2026-11-24T00:09:59", "GMT", "2026-11-24T00:10"),
        ("2026-11-24T00:10", "GMT", "2026-11-25T00:10"),
        ("2026-03-28T23:30", "Europe/Berlin", "2026-03-29T22:10"),
        ("2026-11-24T12:00", "Asia/Tokyo", "2026-11-24T15:10"),
    ],
)
def test_the_next_check(now: str, zone: str, check: str) -> None:
    moment, expected = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, check))
    assert next_check(moment, zone) == expected


async def test_one_certificate_under_two_names_and_one_that_cannot_be_read(world: World) -> None:
    config = with_profile(Config(certificate_authorities=CertificateAuthorities(custom_list=(ROOT.pem, "nonsense", LEAF.pem))))
    config = config.with_(certificates=config.certificates.put(profile(name="twin")), ldap=evolve(config.ldap, certificate="twin"))
    world.commit(**{name: getattr(config, name) for name in ("certificates", "destination_globals", "ldap", "certificate_authorities")})
    await world.go_to(END - timedelta(days=89))
    assert len(world.alerts) == 3, "as a profile once, as an authority once, and the other authority"


async def test_a_record_that_cannot_be_read_or_written_costs_no_alert(world: World, tmp_path: Path) -> None:
    world.path.write_text('{"no": "list"')
    world.restart()
    await world.go_to(END - timedelta(days=89))
    assert len(world.alerts) == 1
    world.path.unlink()
    world.path.mkdir()
    await world.go_to(END - timedelta(days=59))
    assert len(world.alerts) == 2
