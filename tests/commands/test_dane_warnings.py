"""A commit that brings DANE into use asks the name servers whether it can rest on them, and says so if not (dnsconfig)."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance_runtime.clock import FakeClock
from asyncos_shell.lab.dns_server import LabDns
from tests.support.live import Place, live

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
PLAIN, LOGICAL = "192.0.2.54", "192.0.2.53"
DANE = "destconfig new d.test --tls=preferred --dane=opportunistic"


@pytest.fixture
async def lab() -> AsyncIterator[LabDns]:
    server = LabDns(now=lambda: NOW)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def stripping() -> AsyncIterator[LabDns]:
    """A server that hands on no signatures and does not validate."""
    server = LabDns(now=lambda: NOW, validating=False)
    server.fault(".", "DNSKEY", "unsigned")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes questions and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@pytest.fixture
async def place(tmp_path: Path, lab: LabDns, stripping: LabDns, silent: socket.socket) -> AsyncIterator[Place]:
    rules = (
        f"{LOGICAL}:53=127.0.0.1:{lab.port}",
        f"{PLAIN}:53=127.0.0.1:{stripping.port}",
        f"192.0.2.55:53=127.0.0.1:{silent.getsockname()[1]}",
    )
    options = {"dns": (LOGICAL,), "trust_anchor": lab.trust_anchor, "net_timeout_scale": 0.03}
    async with live(tmp_path, *rules, clock=FakeClock(NOW), **options) as running:
        yield running


async def committed(place: Place, *lines: str) -> str:
    """What the dialog of the commit prints of DANE before its end."""
    person = place.person()
    await person.done(*lines)
    screen = await person.type("commit", "", "")
    before, end, _ = screen.partition("Changes committed")
    assert end, screen
    return "\n".join(line for line in before.splitlines() if "DANE" in line)


async def test_a_server_with_dnssec_is_not_warned_of(place: Place, lab: LabDns) -> None:
    assert await committed(place, DANE) == ""
    assert [(query.name, query.kind, query.do, query.cd) for query in lab.queries] == [(".", "DNSKEY", True, True)]
    assert await committed(place, "dnsconfig setup --dnssec_mode=trust_ad") == ""


async def test_without_dane_nothing_is_asked(place: Place, lab: LabDns, stripping: LabDns) -> None:
    assert await committed(place, f"dnsconfig setup --servers={PLAIN}", "destconfig new d.test --tls=preferred") == ""
    assert lab.queries == [] and stripping.queries == []


@pytest.mark.parametrize(
    ("setup", "problem"),
    [
        (f"--servers={PLAIN}", f"the DNS server {PLAIN} does not support DNSSEC: no signature of . DNSKEY"),
        (f"--servers={PLAIN},{LOGICAL}", f"the DNS server {PLAIN} does not support DNSSEC: no signature of . DNSKEY"),
        (f"--servers={PLAIN} --dnssec_mode=trust_ad", f"the DNS server {PLAIN} does not support DNSSEC: no AD flag"),
        ("--servers=192.0.2.55", "the DNS server 192.0.2.55 does not support DNSSEC: Timeout"),
        ("--dnssec_mode=off", "DNSSEC is switched off"),
    ],
)
async def test_the_commit_that_brings_it_about_warns(place: Place, setup: str, problem: str) -> None:
    warning = f"DANE is in use, but {problem}."
    assert await committed(place, DANE, f"dnsconfig setup {setup}") == f"Warning: {warning}"
    assert place.appliance.running()[0] == 2
    assert any(line.endswith(f"Warning: {warning}") for line in place.lines("system_logs"))
    assert await committed(place, "destconfig new e.test --tls=preferred --dane=mandatory") == ""
    assert await committed(place, "dnsconfig setup --ptr_timeout=19") == f"Warning: {warning}"


async def test_a_batch_commit_prints_nothing_and_logs(place: Place) -> None:
    person = place.person()
    await person.done(DANE, "dnsconfig setup --dnssec_mode=off", 'commit "x" Y')
    assert any(line.endswith("Warning: DANE is in use, but DNSSEC is switched off.") for line in place.lines("system_logs"))


async def test_dane_that_is_inherited_counts_and_dane_without_tls_does_not(place: Place) -> None:
    off = "dnsconfig setup --dnssec_mode=off"
    assert await committed(place, off, "destconfig default --tls=no --dane=no", "destconfig new d.test --tls=no") == ""
    assert await committed(place, "destconfig default --tls=required --dane=opportunistic") != ""
