"""The system list is updated from real servers: what is accepted, what is refused and how it is told (tls-tools.md 4)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from appliance_runtime.clock import settle
from appliance_runtime.trust.system_list import load_system_list
from appliance_state.certificates.ca_bundle import packaged_bundle
from appliance_state.certificates.pem import certificate_pem
from appliance_state.model.certificates import CertificateAuthorities, SecretRef
from appliance_state.model.tls_settings import SslSettings
from appliance_state.model.updates import Updates, UpdateSource
from asyncos_shell.lab.authority import Authority, Identity, self_signed
from tests.support.appliance import NOW, DialogAppliance, make_appliance
from tests.support.file_server import FileServer, file_server
from tests.support.lab_ca import mail_leaf, root

OLD = packaged_bundle().version
NEW = "2099.1.2"
LATEST = f"The Cisco Trusted Root Certificate Bundle is already at the latest version ({OLD})."
UPDATED = f"The Cisco Trusted Root Certificate Bundle was updated from version {OLD} to {NEW}."
ALERT = ("updater.failed", "Cisco Trusted Root Certificate Bundle", "Updater", "Warning")
BUNDLE = (root().pem + mail_leaf().pem).encode()


def failure(reason: str) -> str:
    return f"The Cisco Trusted Root Certificate Bundle was not updated: {reason}."


def offer(server: FileServer, data: bytes = BUNDLE, **changes: object) -> None:
    fields = {"version": NEW, "file": "ca.pem", "sha256": hashlib.sha256(data).hexdigest(), "count": 2, **changes}
    server.files |= {"/lab/ca_bundle/manifest.json": json.dumps(fields).encode(), "/lab/ca_bundle/ca.pem": data}


def use(appliance: DialogAppliance, url: str | SecretRef | None, **fields: object) -> None:
    updates = Updates(source=UpdateSource.SERVER, server_url=url, **fields)  # type: ignore[arg-type]
    appliance.config = appliance.config.with_(updates=updates)
    appliance.trust.updater.configuration_changed()


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as served:
        yield served


@pytest.fixture
def appliance(server: FileServer) -> DialogAppliance:
    made = make_appliance()
    use(made, f"{server.base}lab/")
    return made


async def test_a_newer_bundle_is_installed_and_kept(appliance: DialogAppliance, server: FileServer) -> None:
    offer(server)
    appliance.config = appliance.config.with_(certificate_authorities=CertificateAuthorities(custom_list=(root().pem,)))
    before = appliance.config
    outcome = await appliance.trust.updater.update()
    assert outcome.text == appliance.logs.lines[-1] == UPDATED and outcome.reason is None
    assert server.targets == ["/lab/ca_bundle/manifest.json", "/lab/ca_bundle/ca.pem"]
    assert appliance.trust.updater.bundle.certificates == (root().certificate, mail_leaf().certificate)
    assert appliance.renewals == 1 and appliance.config is before and not appliance.alerts
    kept = load_system_list(appliance.trust.updater._path)
    assert kept == appliance.trust.updater.bundle and kept.updated == NOW
    again = await appliance.trust.updater.update()
    assert again.text == LATEST.replace(OLD, NEW) and len(server.requests) == 3


async def test_one_damaged_root_costs_only_itself(appliance: DialogAppliance, server: FileServer) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    offer(server, broken + BUNDLE, count=3)
    assert (await appliance.trust.updater.update()).text == UPDATED
    assert len(appliance.trust.updater.bundle.certificates) == 2


async def test_force_installs_the_same_version_again_and_never_an_older_one(appliance: DialogAppliance, server: FileServer) -> None:
    offer(server, version=OLD)
    assert (await appliance.trust.updater.update()).text == LATEST and appliance.trust.updater.bundle is packaged_bundle()
    assert (await appliance.trust.updater.update(force=True)).text == LATEST
    assert appliance.trust.updater.bundle.updated == NOW and len(appliance.trust.updater.bundle.certificates) == 2
    offer(server, version="2020.1.1")
    assert (await appliance.trust.updater.update(force=True)).text == LATEST
    assert server.targets.count("/lab/ca_bundle/ca.pem") == 1


TOO_LONG = b"x" * (16 * 1024 * 1024 + 1)
REFUSALS: dict[str, tuple[Callable[[FileServer], None], str]] = {
    "no manifest": (lambda s: None, "HTTP status 404"),
    "redirect": (
        lambda s: s.raw.update({"/lab/ca_bundle/manifest.json": b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n"}),
        "HTTP status 302",
    ),
    "no json": (lambda s: s.files.update({"/lab/ca_bundle/manifest.json": b"{"}), "the manifest is damaged"),
    "deep json": (lambda s: s.files.update({"/lab/ca_bundle/manifest.json": b"[" * 60000}), "the manifest is damaged"),
    "huge manifest": (lambda s: s.files.update({"/lab/ca_bundle/manifest.json": b" " * 65537}), "the manifest is damaged"),
    "no object": (lambda s: s.files.update({"/lab/ca_bundle/manifest.json": b"[]"}), "the manifest is damaged"),
    "other directory": (lambda s: offer(s, file="../../secret"), "the manifest is damaged"),
    "other server": (lambda s: offer(s, file="http://127.0.0.1/x"), "the manifest is damaged"),
    "bad version": (lambda s: offer(s, version="1.2a"), "the manifest is damaged"),
    "bad count": (lambda s: offer(s, count=True), "the manifest is damaged"),
    "no file": (lambda s: offer(s, file="other.pem"), "HTTP status 404"),
    "checksum": (lambda s: offer(s, sha256="0" * 64), "the checksum does not match"),
    "count": (lambda s: offer(s, count=3), "the number of certificates does not match"),
    "no authority": (lambda s: offer(s, mail_leaf().pem.encode(), count=1), "the file contains no CA certificate"),
    "nothing": (lambda s: offer(s, b"", count=0), "the file contains no CA certificate"),
    "too large": (lambda s: offer(s, TOO_LONG), "the file is larger than 16 MB"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_refused_bundles(appliance: DialogAppliance, server: FileServer, case: str) -> None:
    prepare, reason = REFUSALS[case]
    prepare(server)
    outcome = await appliance.trust.updater.update()
    assert (outcome.text, outcome.reason) == (failure(reason), reason)
    assert appliance.logs.events[-1] == ("system.update_failed", {"text": failure(reason)})
    assert appliance.alerts == [(*ALERT, f"The update of Cisco Trusted Root Certificate Bundle was rejected: {reason}")]
    assert appliance.trust.updater.bundle is packaged_bundle() and appliance.renewals == 0
    assert load_system_list(appliance.trust.updater._path) is packaged_bundle()


async def test_a_server_that_is_not_there_is_an_alert_after_an_hour(appliance: DialogAppliance, server: FileServer) -> None:
    use(appliance, "http://127.0.0.1:1/")
    reason = "the server is not reachable: [Errno 111] Connection refused"
    for minutes, hours in ((0, 0), (59, 0), (1, 1), (59, 1), (1, 2)):
        await appliance.clock.advance(60 * minutes)
        assert (await appliance.trust.updater.update()).reason == reason
        text = f"The updater has been unable to communicate with the update server for at least {hours}h."
        assert appliance.alerts == ([(*ALERT, text)] if hours else [])
        appliance.alerts.clear()
    use(appliance, f"{server.base}lab/")
    offer(server, version=OLD)
    assert (await appliance.trust.updater.update()).reason is None
    use(appliance, "http://127.0.0.1:1/")
    await appliance.clock.advance(4000)
    await appliance.trust.updater.update()
    assert not appliance.alerts


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "EOF"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "EOF"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "the answer is not HTTP"),
    ],
)
async def test_answers_that_are_none(appliance: DialogAppliance, server: FileServer, answer: bytes, text: str) -> None:
    server.raw["/lab/ca_bundle/manifest.json"] = answer
    assert (await appliance.trust.updater.update()).reason == f"the server is not reachable: {text}"


async def test_names_without_an_address(appliance: DialogAppliance) -> None:
    use(appliance, "http://updates.invalid/")
    reason = (await appliance.trust.updater.update()).reason
    assert reason is not None and reason.startswith("the server is not reachable: DNS ")
    use(appliance, None)
    assert (await appliance.trust.updater.update()).reason == "no update server is configured"


async def test_the_passphrase_of_the_url_is_sent_and_never_shown(appliance: DialogAppliance, server: FileServer) -> None:
    offer(server)
    ref = SecretRef("url")
    appliance.vault.values[ref] = server.base.replace("//", "//op:s%40cret@").encode() + b"lab/"
    use(appliance, ref)
    assert (await appliance.trust.updater.update()).text == UPDATED
    assert "Authorization: Basic b3A6c0BjcmV0\r\n" in server.requests[0] and f"Host: 127.0.0.1:{server.port}\r\n" in server.requests[0]


async def test_packaged_data_needs_no_network(server: FileServer) -> None:
    appliance = make_appliance()
    assert (await appliance.trust.updater.update()).text == LATEST
    appliance.trust.updater.bundle = attrs.evolve(packaged_bundle(), version="2001.1.1")
    assert (await appliance.trust.updater.update()).text == LATEST.replace("is already at the latest version", "was").replace(
        f"was ({OLD})", f"was updated from version 2001.1.1 to {OLD}"
    )
    assert appliance.trust.updater.bundle.der == packaged_bundle().der and not server.requests


# -- https


async def over_https(identity: Identity, **settings: object) -> str | None:
    """Why an update from a server with that certificate is refused; None = it is accepted."""
    async with file_server(identity) as server:
        offer(server)
        appliance = make_appliance()
        ssl_settings = settings.pop("ssl", SslSettings())
        authorities = settings.pop("certificate_authorities", CertificateAuthorities())
        appliance.config = appliance.config.with_(ssl=ssl_settings, certificate_authorities=authorities)
        use(appliance, f"{server.base}lab/", **settings)
        return (await appliance.trust.updater.update()).reason


LAB = Authority.root("Lab Root CA", NOW)
GOOD = LAB.issue(NOW, common_name="updates.lab.test", dns_names=["127.0.0.1", "updates.lab.test"])
NAMELESS = LAB.issue(NOW, common_name="127.0.0.1", dns_names=["updates.lab.test"])
BAD_NAME = LAB.issue(NOW, common_name="mailhost", dns_names=["127.0.0.1"])
UNTRUSTED = "the server certificate is not trusted: "


@pytest.mark.parametrize(
    ("identity", "settings", "reason"),
    [
        (GOOD, {}, f"{UNTRUSTED}unable to get local issuer certificate (issuer: CN=Lab Root CA)"),
        (GOOD, {"validate_certificates": False}, None),
        (GOOD, {"trusted_certificates": (LAB.pem,)}, None),
        (
            GOOD,
            {"certificate_authorities": CertificateAuthorities(custom_enabled=True, custom_list=(LAB.pem,))},
            f"{UNTRUSTED}unable to get local issuer certificate (issuer: CN=Lab Root CA)",
        ),
        (
            NAMELESS,
            {"trusted_certificates": (LAB.pem,)},
            f"{UNTRUSTED}hostname mismatch (expected 127.0.0.1; presented updates.lab.test)",
        ),
        (BAD_NAME, {"trusted_certificates": (LAB.pem,)}, None),
        (
            BAD_NAME,
            {"trusted_certificates": (LAB.pem,), "ssl": SslSettings(peer_cert_fqdn=True)},
            f'{UNTRUSTED}name "mailhost" is not a fully qualified domain name (commonName)',
        ),
        (self_signed(NOW, dns_names=["127.0.0.1"]), {"validate_certificates": False}, None),
        (
            LAB.issue(NOW, dns_names=["127.0.0.1"], starts=timedelta(days=-9), days=8),
            {"trusted_certificates": (LAB.pem,)},
            f"{UNTRUSTED}certificate has expired (no name)",
        ),
    ],
)
async def test_https_servers(identity: Identity, settings: dict[str, object], reason: str | None) -> None:
    assert await over_https(identity, **settings) == reason


# -- the schedule


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


Scheduled = Callable[[], Awaitable[None]]


@pytest.fixture
async def keeping(appliance: DialogAppliance) -> AsyncIterator[None]:
    task = asyncio.create_task(appliance.trust.updater.keep())
    await until(lambda: bool(appliance.clock._waiting))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_check_in_each_interval(appliance: DialogAppliance, server: FileServer, keeping: None) -> None:
    use(appliance, f"{server.base}lab/", interval=3600)
    await settle()
    offer(server, version=OLD)
    for count in range(1, 4):
        await appliance.clock.advance(3599)
        assert len(server.requests) == count - 1
        appliance.clock._waiting = [entry for entry in appliance.clock._waiting if not entry[2].done()]
        await appliance.clock.advance(1)
        await until(lambda: len(server.requests) == count and bool(appliance.clock._waiting))  # noqa: B023
    assert not appliance.logs.lines
    offer(server)
    await appliance.clock.advance(3600)
    await until(lambda: UPDATED in appliance.logs.lines)
    assert len(server.requests) == 5


async def test_no_check_with_interval_zero_and_no_request_from_a_packaged_source(
    appliance: DialogAppliance, server: FileServer, keeping: None
) -> None:
    use(appliance, f"{server.base}lab/", interval=0)
    await settle()
    await appliance.clock.advance(40 * 86400)
    assert not server.requests and not appliance.logs.lines
    appliance.trust.updater.bundle = attrs.evolve(packaged_bundle(), version="2001.1.1")
    appliance.config = appliance.config.with_(updates=Updates(interval=30))
    appliance.trust.updater.configuration_changed()
    await settle()
    await appliance.clock.advance(30)
    await until(lambda: UPDATED.replace(OLD, "2001.1.1").replace(NEW, OLD) in appliance.logs.lines)
    assert not server.requests


async def test_what_crashes_in_the_background_is_reported(appliance: DialogAppliance, server: FileServer) -> None:
    async def crash() -> None:
        raise KeyError("a bug")

    offer(server)
    appliance.trust.updater._installed = crash
    appliance.trust.updater.request()
    await until(lambda: bool(appliance.crashes))
    ((service, error),) = appliance.crashes
    assert service == "updater" and isinstance(error, KeyError)


def test_what_is_stored_and_cannot_be_read_is_replaced_by_the_packaged_list(tmp_path: Path) -> None:
    path = tmp_path / "system_list.json"
    pem = certificate_pem(root().certificate)
    for content in ("", "{", "[]", '{"version": 1}', json.dumps({"version": "1.0", "updated": None, "certificates": ""})):
        path.write_text(content)
        assert load_system_list(path) is packaged_bundle()
    path.write_text(json.dumps({"version": "1.0", "updated": None, "certificates": pem}))
    assert (load_system_list(path).version, load_system_list(path).updated) == ("1.0", None)
