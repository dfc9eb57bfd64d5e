"""What sslconfig does to outgoing TLS: delivery, tlsverify and alert mail against the openssl command (tls-tools.md 1; delivery.md 5.5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance_runtime.queue.message_queue import NewMessage
from asyncos_shell.lab.authority import Authority, Identity, rsa_root
from tests.support.live import Person, Place, live
from tests.support.openssl_peer import OpensslPeer, openssl_peer, openssl_web_server

LIMIT = 20.0
OLD = ("-cipher", "ALL:@SECLEVEL=0")
FLAGS = {"TLSv1": "-tls1", "TLSv1.1": "-tls1_1", "TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}
NAMES = {"TLSv1": "tlsv1", "TLSv1.1": "tlsv1_1", "TLSv1.2": "tlsv1_2", "TLSv1.3": "tlsv1_3"}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with live(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with an RSA key: any cipher can be used with it."""
    return write(
        tmp_path_factory.mktemp("peer"),
        rsa_root("peer.test", now()).issue(now(), common_name="peer.test", dns_names=["peer.test"], rsa_bits=2048),
    )


def now() -> datetime:
    return datetime.now(UTC)


def write(folder: Path, identity: Identity) -> Path:
    file = folder / f"{identity.certificate.serial_number:x}.pem"
    file.write_bytes(identity.pem)
    return file


async def established(person: Person, peer: OpensslPeer) -> str:
    """What tlsverify says of the session, or why there is none."""
    output, _ = await person.batch(f"tlsverify peer.test 127.0.0.1:{peer.port}")
    lines = [
        line for line in output.splitlines() if line.startswith(("TLS connection established: ", "TLS connection to 127.0.0.1 failed: "))
    ]
    return lines[0].partition(": ")[2]


@pytest.mark.parametrize("methods", ["tlsv1_2,tlsv1_3", "tlsv1_3", "tlsv1,tlsv1_1", "tlsv1_1,tlsv1_2", "tlsv1,tlsv1_1,tlsv1_2,tlsv1_3"])
async def test_versions(place: Place, certificate: Path, methods: str) -> None:
    person = place.person()
    await person.done(f"sslconfig outbound --methods={methods} --ciphers=ALL", 'commit "" Y')
    for version, flag in FLAGS.items():
        async with openssl_peer(certificate, flag, *OLD) as peer:
            said = await established(person, peer)
        assert said.startswith(f"protocol {version}, cipher ") == (NAMES[version] in methods.split(",")), said


async def test_ciphers(place: Place, certificate: Path) -> None:
    person = place.person()
    async with openssl_peer(certificate, "-tls1_2", *OLD) as peer:
        for ciphers, chosen in (
            ("ECDHE+AESGCM", "ECDHE-RSA-AES256-GCM-SHA384"),
            ("AES128-SHA256", "AES128-SHA256"),
            ("DHE-RSA-AES256-SHA256", "DHE-RSA-AES256-SHA256"),
        ):
            await person.done(f'sslconfig outbound --ciphers="{ciphers}"', 'commit "" Y')
            assert await established(person, peer) == f"protocol TLSv1.2, cipher {chosen}."
    async with openssl_peer(certificate, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256") as peer:
        assert await established(person, peer) == "sslv3 alert handshake failure."


@pytest.mark.parametrize(
    ("check", "common_name", "sha1", "text"),
    [
        ("peer_cert_fqdn", "mailhost", False, 'name "mailhost" is not a fully qualified domain name (commonName)'),
        ("peer_cert_x509", "peer.test", True, "signature algorithm sha1WithRSAEncryption is not allowed (CN=peer.test)"),
    ],
)
async def test_tlsverify_makes_the_checks(place: Place, tmp_path: Path, check: str, common_name: str, sha1: bool, text: str) -> None:
    root = rsa_root("Lab RSA Root CA", now())
    trust(place, root)
    identity = root.issue(now(), common_name=common_name, dns_names=["peer.test"], sha1=sha1, rsa_bits=2048)
    person = place.person()
    await person.done("certconfig certauthority custom import roots.pem", 'commit "" Y')
    async with openssl_peer(write(tmp_path, identity), *OLD) as peer:
        line = f"tlsverify peer.test 127.0.0.1:{peer.port}"
        output, failed = await person.batch(line)
        assert not failed and output.endswith("TLS verification completed.\n"), output
        screen = await person.type("sslconfig", check, "enable", "", "")
        assert screen.rpartition("Choose the operation you want to perform:\n- DISABLE")[1], screen
        await person.done('commit "" Y')
        output, failed = await person.batch(line)
        assert failed and f"\nCertificate verification error: {text}.\nTLS certificate not verified.\n" in output


async def test_a_peer_with_a_key_of_1024_bits(place: Place, tmp_path: Path) -> None:
    weak = write(tmp_path, rsa_root("Lab CA", now()).issue(now(), dns_names=["peer.test"], rsa_bits=1024))
    async with openssl_peer(weak, *OLD) as peer:
        assert (await established(place.person(), peer)).startswith("protocol TLSv1.3, ")


# -- delivery ---------------------------------------------------------------------------------------------------------------


async def send(place: Place, recipient: str) -> None:
    queue = place.appliance.queue
    body = queue.new_body()
    body.write(b"Subject: m\r\n\r\nm\r\n")
    await queue.accept(
        NewMessage(
            mid=queue.next_mid(), sender="a@example.com", recipients=(recipient,), body=body, received=place.appliance.clock.now(),
            listener=None, bounce_profile="Default", direction="outbound", icid=0,
        )
    )  # fmt: skip


async def logged(place: Place, text: str) -> None:
    async with asyncio.timeout(LIMIT):
        while not any(text in line for line in place.lines("mail_logs")):
            await asyncio.sleep(0.005)


async def test_delivery_speaks_the_versions_that_are_enabled(place: Place, certificate: Path) -> None:
    person = place.person()
    async with openssl_peer(certificate, "-tls1_1", *OLD) as peer:
        for domain in ("one.test", "two.test"):
            await person.done(f"smtproutes new {domain} 127.0.0.1:{peer.port}", f"destconfig new {domain} --tls=required")
        await person.done('commit "" Y')
        await send(place, "bob@one.test")
        await logged(place, "TLS failed: tlsv1 alert protocol version")
        assert peer.messages == []
        await person.done("sslconfig outbound --methods=tlsv1_1,tlsv1_2", 'commit "" Y')
        await send(place, "bob@two.test")
        assert await peer.wait(1) == [True]
        await logged(place, "TLS success protocol TLSv1.1 cipher ")


@pytest.mark.parametrize(
    ("check", "names", "sha1", "text"),
    [
        ("peer_cert_fqdn", "mailhost", False, 'verify error: name "mailhost" is not a fully qualified domain name (commonName)'),
        ("peer_cert_x509", "peer.test", True, "verify error: signature algorithm sha1WithRSAEncryption is not allowed (CN=peer.test)"),
    ],
)
async def test_checks_of_peer_certificates(place: Place, tmp_path: Path, check: str, names: str, sha1: bool, text: str) -> None:
    root = rsa_root("Lab RSA Root CA", now())
    identity = root.issue(now(), common_name=names, dns_names=["one.test", "two.test"], sha1=sha1, rsa_bits=2048)
    trust(place, root)
    person = place.person()
    await person.done("certconfig certauthority custom import roots.pem")
    async with openssl_peer(write(tmp_path, identity), *OLD) as peer:
        for domain in ("one.test", "two.test"):
            await person.done(f"smtproutes new {domain} 127.0.0.1:{peer.port}", f"destconfig new {domain} --tls=required_verify")
        await person.done('commit "" Y')
        await send(place, "bob@one.test")
        assert await peer.wait(1) == [True], "off: trusted, right name"
        await person.done(f"sslconfig {check} enable", 'commit "" Y')
        await send(place, "bob@two.test")
        await logged(place, text)
        assert peer.messages == [True]
        await person.done(f"sslconfig {check} disable", 'commit "" Y')
        await send(place, "eve@one.test")
        assert await peer.wait(2) == [True, True]


def trust(place: Place, root: Authority) -> None:
    (place.appliance.files / "roots.pem").write_text(root.pem)


# -- other clients ------------------------------------------------------------------------------------------------------------


async def test_alert_mail_may_speak_tls_1_0_where_that_is_enabled(place: Place, certificate: Path) -> None:
    person = place.person()
    async with openssl_peer(certificate, "-tls1", *OLD) as peer:
        await person.done(
            f"smtproutes new ops.test 127.0.0.1:{peer.port}",
            "alertconfig new ops@ops.test --classes=System --severities=All",
            "alertconfig setup --initial=0",
            'commit "" Y',
        )
        place.appliance.alerts.raise_("test.one", "one", "System", "Warning", "first")
        assert await peer.wait(1) == [False], "no common version: clear text"
        await logged(place, "TLS")
        await person.done("sslconfig other_client_tlsv10 enable", 'commit "" Y')
        place.appliance.alerts.raise_("test.two", "two", "System", "Warning", "second")
        assert await peer.wait(2) == [False, True]
        assert "alert protocol version" in await established(person, peer), "delivery and its tools keep the versions of outbound"


@pytest.mark.parametrize(("check", "names", "sha1"), [("peer_cert_fqdn", "mailhost", False), ("peer_cert_x509", "peer.test", True)])
async def test_alert_mail_to_a_peer_that_does_not_pass_a_check_goes_in_clear_text(
    place: Place, tmp_path: Path, check: str, names: str, sha1: bool
) -> None:
    identity = rsa_root("Unknown CA", now()).issue(now(), common_name=names, sha1=sha1, rsa_bits=2048)
    person = place.person()
    async with openssl_peer(write(tmp_path, identity), *OLD) as peer:
        await person.done(
            f"smtproutes new ops.test 127.0.0.1:{peer.port}",
            "alertconfig new ops@ops.test --classes=System --severities=All",
            'commit "" Y',
        )
        place.appliance.alerts.raise_("test.one", "one", "System", "Warning", "first")
        assert await peer.wait(1) == [True]
        await person.done(f"sslconfig {check} enable", 'commit "" Y')
        place.appliance.alerts.raise_("test.two", "two", "System", "Warning", "second")
        assert await peer.wait(2) == [True, False]


async def test_updates_may_speak_tls_1_0_where_that_is_enabled(place: Place, certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "ca_bundle").mkdir()
    (tmp_path / "ca_bundle" / "manifest.json").write_text("[]")
    person = place.person()
    async with openssl_web_server(certificate, tmp_path, "-tls1", *OLD) as port:
        await person.done(
            f"updateconfig setup --source=server --url=https://127.0.0.1:{port}/", "updateconfig validate_certificates no", 'commit "" Y'
        )
        output, failed = await person.batch("updatenow force --wait")
        assert failed and "the server is not reachable: tlsv1 alert protocol version" in output, output
        await person.done("sslconfig other_client_tlsv10 enable", 'commit "" Y')
        output, failed = await person.batch("updatenow force --wait")
        assert failed and "the manifest is damaged" in output, output
