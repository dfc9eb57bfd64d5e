"""Revocation lists are fetched at commit, on request and by the clock, and kept across restarts (certconfig.md 6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_runtime.trust.revocation import Revocation
from appliance_state.model.certificates import CrlSettings, CrlSource, CrlType
from appliance_state.table import Table
from asyncos_shell.lab.authority import Authority, self_signed
from tests.support.appliance import NOW, DialogAppliance, make_appliance
from tests.support.file_server import FileServer, file_server

ROOT = Authority.root("Lab Root CA", NOW)
PEER = ROOT.issue(NOW, common_name="mx1.d.test")
CHAIN = (PEER.certificate, ROOT.certificate)
EMPTY = ROOT.revocation_list(NOW).public_bytes(Encoding.DER)
LISTED = ROOT.revocation_list(NOW, PEER.certificate).public_bytes(Encoding.DER)
UPDATED = 'CRL source "lab" was updated.'


def failed(reason: str) -> str:
    return f'CRL source "lab" was not updated: {reason}.'


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as served:
        served.files["/lab.crl"] = LISTED
        yield served


@pytest.fixture
async def appliance() -> AsyncIterator[DialogAppliance]:
    """With the service running."""
    made = make_appliance()
    task = asyncio.create_task(made.trust.revocation.keep())
    await asyncio.sleep(0)
    yield made
    task.cancel()
    await asyncio.gather(task, made.trust.revocation.close(), return_exceptions=True)


def commit(appliance: DialogAppliance, *sources: CrlSource) -> None:
    appliance.config = appliance.config.with_(crl_sources=Table(sources), crl=CrlSettings(check_outbound=True))
    appliance.generation += 1
    appliance.trust.configuration_changed()


def revoked(appliance: DialogAppliance) -> bool:
    return appliance.trust.revocation.outbound(appliance.config).revoked(CHAIN, appliance.clock.now()) is not None


def source(url: str, **fields: object) -> CrlSource:
    return CrlSource(name="lab", url=url, **fields)  # type: ignore[arg-type]


async def test_a_commit_fetches_what_is_new_and_forgets_what_is_gone(appliance: DialogAppliance, server: FileServer) -> None:
    commit(appliance, source(f"{server.base}lab.crl"))
    await until(lambda: appliance.logs.lines == [UPDATED])
    assert revoked(appliance)
    assert not appliance.trust.revocation.inbound(appliance.config)
    commit(appliance, source(f"{server.base}lab.crl", update="off"))
    server.files["/other.crl"] = EMPTY
    commit(appliance, source(f"{server.base}other.crl", update="off"))
    await until(lambda: len(appliance.logs.lines) == 2)
    assert server.targets == ["/lab.crl", "/other.crl"] and not revoked(appliance)
    directory = appliance.trust.revocation._directory
    assert [path.name for path in directory.iterdir()] == ["lab.crl"]
    commit(appliance)
    assert appliance.trust.revocation.list_of("lab") is None and not list(directory.iterdir())


REFUSALS: dict[str, tuple[Callable[[FileServer], object], str, str, str]] = {
    "missing": (lambda s: s.files.clear(), "asn1", "/lab.crl", "HTTP status 404"),
    "no list": (lambda s: s.files.update({"/lab.crl": ROOT.der}), "asn1", "/lab.crl", "the file does not contain a CRL"),
    "no PEM": (lambda s: None, "pem", "/lab.crl", "the file does not contain a CRL"),
    "too large": (
        lambda s: s.files.update({"/lab.crl": b"x" * (16 * 1024 * 1024 + 1)}),
        "asn1",
        "/lab.crl",
        "the file is larger than 16 MB",
    ),
    "no file": (lambda s: None, "asn1", "file:lab.crl", 'the file "lab.crl" does not exist'),
    "nobody": (lambda s: None, "asn1", "http://127.0.0.1:1/", "the server is not reachable: [Errno 111] Connection refused"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_download_that_fails_keeps_the_list(appliance: DialogAppliance, server: FileServer, case: str) -> None:
    commit(appliance, source(f"{server.base}lab.crl"))
    await until(lambda: appliance.logs.lines == [UPDATED])
    prepare, kind, url, reason = REFUSALS[case]
    prepare(server)
    commit(appliance, source(url if "://" in url or url.startswith("file:") else f"{server.base}lab.crl", type=CrlType(kind)))
    outcome = await appliance.trust.revocation.update("LAB")
    assert (outcome.text, outcome.reason) == (failed(reason), reason)
    assert ("system.crl_failed", {"text": failed(reason)}) in appliance.logs.events
    assert revoked(appliance)


async def test_files_of_the_appliance(appliance: DialogAppliance, tmp_path: Path) -> None:
    (appliance.files / "lab.crl").write_bytes(ROOT.revocation_list(NOW, PEER.certificate).public_bytes(Encoding.PEM))
    commit(appliance, source("file:lab.crl", type=CrlType.PEM))
    await until(lambda: appliance.logs.lines == [UPDATED])
    assert revoked(appliance)
    (tmp_path / "secret").write_bytes(LISTED)
    (appliance.files / "lab.crl").unlink()
    (appliance.files / "lab.crl").symlink_to(tmp_path / "secret")
    assert (await appliance.trust.revocation.update("lab")).reason == 'the file "lab.crl" does not exist'


async def test_an_https_server_needs_no_trusted_certificate(appliance: DialogAppliance) -> None:
    async with file_server(self_signed(NOW, common_name="whoever")) as server:
        server.files["/lab.crl"] = LISTED
        commit(appliance, source(f"{server.base}lab.crl"))
        await until(lambda: appliance.logs.lines == [UPDATED])
    assert revoked(appliance)


async def test_the_schedule(appliance: DialogAppliance, server: FileServer) -> None:
    weekly = CrlSource(name="weekly", url=f"{server.base}weekly.crl", update="weekly 03:00")
    never = CrlSource(name="never", url=f"{server.base}never.crl", update="off")
    server.files |= {"/weekly.crl": EMPTY, "/never.crl": EMPTY}
    commit(appliance, source(f"{server.base}lab.crl", update="daily 03:00"), weekly, never)
    await until(lambda: len(appliance.logs.lines) == 3)
    server.requests.clear()
    for day in range(1, 8):  # from Wednesday on; day 5 is a Sunday
        due = NOW.replace(hour=3) + timedelta(days=day)
        count = day + (day >= 5)
        await until(lambda: any(entry[0] == due and not entry[2].done() for entry in appliance.clock._waiting))  # noqa: B023
        await appliance.clock.advance((due - appliance.clock.now()).total_seconds() - 1)
        assert len(server.requests) < count
        await appliance.clock.advance(1)
        await until(lambda: len(server.requests) == count)  # noqa: B023
        await until(lambda: len(appliance.logs.lines) == 3 + count)  # noqa: B023
    assert sorted(server.targets) == ["/lab.crl"] * 7 + ["/weekly.crl"]


async def test_a_restart_takes_the_lists_that_are_there_and_fetches_the_others(appliance: DialogAppliance, server: FileServer) -> None:
    commit(appliance, source(f"{server.base}lab.crl", update="off"))
    await until(lambda: appliance.logs.lines == [UPDATED])
    old = appliance.trust.revocation
    broken = CrlSource(name="broken", url=f"{server.base}missing.crl", update="off")
    appliance.config = appliance.config.with_(crl_sources=appliance.config.crl_sources.put(broken))
    (old._directory / "broken.crl").write_bytes(b"\x30\x03abc")
    again = Revocation(
        old._directory, appliance.files, old._live, appliance.logs, appliance.clock, appliance.downloads, old._background.crashed
    )
    await again.load(appliance.config)
    assert again.outbound(appliance.config).revoked(CHAIN, NOW) is not None and again.list_of("broken") is None
    assert server.targets == ["/lab.crl"]
    task = asyncio.create_task(again.keep())
    await until(lambda: len(appliance.logs.lines) == 2)
    assert server.targets == ["/lab.crl", "/missing.crl"]
    task.cancel()
    await asyncio.gather(task, again.close(), return_exceptions=True)


async def test_a_source_that_goes_while_it_is_fetched_leaves_nothing(appliance: DialogAppliance, server: FileServer) -> None:
    commit(appliance, source(f"{server.base}lab.crl"))
    commit(appliance)
    await until(lambda: appliance.logs.lines == [UPDATED])
    assert appliance.trust.revocation.list_of("lab") is None and not appliance.trust.revocation._directory.exists()
    assert (await appliance.trust.revocation.update("lab")).text == failed("it has not been committed")
