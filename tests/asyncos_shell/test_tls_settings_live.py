"""What sslconfig does: real handshakes of the openssl command with a whole appliance, before and after commits (tls-tools.md 1)."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import define

from tests.support.live import Place, live
from tests.support.openssl_client import Handshake, finish, handshake, s_client, say, seen

OLD = ("-cipher", "ALL:@SECLEVEL=0")
VERSIONS = {"tlsv1": "TLSv1", "tlsv1_1": "TLSv1.1", "tlsv1_2": "TLSv1.2", "tlsv1_3": "TLSv1.3"}
FLAGS = {"tlsv1": "-tls1", "tlsv1_1": "-tls1_1", "tlsv1_2": "-tls1_2", "tlsv1_3": "-tls1_3"}
SERVICES = {"gui": "https", "inbound": "smtp"}


@define
class Gateway:
    """An appliance with one listener that offers STARTTLS."""

    place: Place

    async def commit(self, *lines: str) -> None:
        await self.place.person().done(*lines, 'commit "" Y')

    def port(self, service: str) -> int:
        return self.place.port("InboundMail" if service == "smtp" else "Management", service)

    async def handshake(self, service: str, *options: str) -> Handshake:
        return await handshake(self.port(service), *options, starttls=service == "smtp")

    async def session(self, service: str, *options: str) -> Process:
        """A TLS session of openssl s_client, established."""
        process = await s_client(self.port(service), *options, starttls=service == "smtp")
        await seen(process, b"Extended master secret")
        return process


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with live(tmp_path) as place:
        made = Gateway(place)
        await made.commit(
            "listenerconfig new InboundMail public Management smtp --accept=example.com",
            "listenerconfig edit InboundMail hostaccess default --tls=preferred",
        )
        yield made


@pytest.mark.parametrize("purpose", ["gui", "inbound"])
@pytest.mark.parametrize(
    "methods", ["tlsv1_2,tlsv1_3", "tlsv1_3", "tlsv1_2", "tlsv1,tlsv1_1", "tlsv1_1,tlsv1_2", "tlsv1,tlsv1_1,tlsv1_2,tlsv1_3"]
)
async def test_versions(gateway: Gateway, purpose: str, methods: str) -> None:
    await gateway.commit(f"sslconfig {purpose} --methods={methods} --ciphers=ALL")
    service, other = SERVICES[purpose], SERVICES["gui" if purpose == "inbound" else "inbound"]
    tried = dict(zip(FLAGS, await asyncio.gather(*(gateway.handshake(service, flag, *OLD) for flag in FLAGS.values())), strict=True))
    spoken = {name: handshake.protocol for name, handshake in tried.items()}
    assert spoken == {name: VERSIONS[name] if name in methods.split(",") else "" for name in FLAGS}, tried
    assert (await gateway.handshake(other, "-tls1_1", *OLD)).protocol == "", "the other service keeps its own versions"


async def test_a_dialog_and_its_commit_turn_old_and_new_clients_round(gateway: Gateway) -> None:
    """With the cipher list of the factory (tls-tools.md 6.2)."""

    async def spoken() -> list[str]:
        return [(await gateway.handshake("smtp", flag, *OLD)).protocol for flag in ("-tls1", "-tls1_3")]

    assert await spoken() == ["", "TLSv1.3"]
    person = gateway.place.person()
    await person.type("sslconfig", "inbound", "1-3", "", "", "")
    assert await spoken() == ["", "TLSv1.3"], "pending only"
    await person.done('commit "" Y')
    assert await spoken() == ["TLSv1", ""]
    assert (await gateway.handshake("https", "-tls1", *OLD)).protocol == ""
    assert (await gateway.handshake("https", "-tls1_3")).protocol == "TLSv1.3"


async def test_one_cipher_only(gateway: Gateway) -> None:
    await gateway.commit("sslconfig inbound --ciphers=ECDHE-RSA-AES256-GCM-SHA384")
    for cipher, chosen in (("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"), ("ECDHE-RSA-AES128-GCM-SHA256", "")):
        assert (await gateway.handshake("smtp", "-tls1_2", "-cipher", cipher)).cipher == chosen


@pytest.mark.parametrize("purpose", ["gui", "inbound"])
async def test_ciphers(gateway: Gateway, purpose: str) -> None:
    service = SERVICES[purpose]
    offered = ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-SHA256")
    for ciphers, chosen in (
        ("AES256:!AESGCM:!kDHE:!SHA1", ""),
        ("ECDHE+AESGCM", "ECDHE-RSA-AES256-GCM-SHA384"),
        ("AES128:!AESGCM", "ECDHE-RSA-AES128-SHA256"),
        ("kDHE", "DHE-RSA-AES256-SHA256"),
    ):
        await gateway.commit(f'sslconfig {purpose} --ciphers="{ciphers}"')
        handshake = await gateway.handshake(service, *offered)
        assert handshake.cipher == chosen, handshake.output
        # Suites of TLS 1.3 are not governed by the string.
        assert (await gateway.handshake(service, "-tls1_3")).cipher == "TLS_AES_256_GCM_SHA384"


async def test_a_failed_handshake_is_logged(gateway: Gateway) -> None:
    await gateway.commit("sslconfig inbound --methods=tlsv1_3", "sslconfig gui --methods=tlsv1_3")
    assert "alert protocol version" in (await gateway.handshake("smtp", "-tls1_2")).error
    await gateway.handshake("https", "-tls1_2")
    assert any(line.endswith("TLS failed: unsupported protocol") for line in gateway.place.lines("mail_logs"))
    assert any("unsupported protocol" in line for line in gateway.place.lines("gui_logs"))


async def test_a_security_level_of_the_string_is_honoured(gateway: Gateway) -> None:
    """Level 2 by itself; with TLS 1.1 level 0; what the string says goes before both."""
    weak = ("-tls1_2", "-cipher", "aNULL:@SECLEVEL=0")
    assert (await gateway.handshake("smtp", *weak)).cipher == ""
    await gateway.commit("sslconfig inbound --ciphers=ALL --methods=tlsv1_1,tlsv1_2")
    assert (await gateway.handshake("smtp", *weak)).cipher.startswith(("ADH-", "AECDH-"))
    await gateway.commit("sslconfig inbound --ciphers=ALL:@SECLEVEL=1")
    assert (await gateway.handshake("smtp", *weak)).cipher == ""


# -- renegotiation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["smtp", "https"])
async def test_a_client_may_not_renegotiate(gateway: Gateway, service: str) -> None:
    process = await gateway.session(service, "-tls1_2")
    await say(process, b"R\n")
    assert b"no renegotiation" in await seen(process, b"no renegotiation")
    await finish(process)


@pytest.mark.parametrize(("service", "purpose"), [("smtp", "inbound"), ("https", "gui")])
async def test_a_client_may_renegotiate_where_that_is_enabled(gateway: Gateway, service: str, purpose: str) -> None:
    await gateway.commit(f"sslconfig {purpose} --renegotiation=yes")
    process = await gateway.session(service, "-tls1_2")
    for _ in range(3):
        await say(process, b"R\n")
        output = await seen(process, b"RENEGOTIATING")  # what openssl said of the handshake before may come late
        if b"verify return:1" not in output.partition(b"RENEGOTIATING")[2]:
            await seen(process, b"verify return:1")
    request = b"NOOP\r\n" if service == "smtp" else b"GET / HTTP/1.0\r\n\r\n"
    await say(process, request)
    assert b"250" in await seen(process, b"250") if service == "smtp" else b"HTTP/1.1" in await seen(process, b"HTTP/1.1")
    await finish(process)


async def test_renegotiation_of_the_gui_is_not_that_of_listeners(gateway: Gateway) -> None:
    await gateway.commit("sslconfig gui --renegotiation=yes")
    process = await gateway.session("smtp", "-tls1_2")
    await say(process, b"R\n")
    assert b"no renegotiation" in await seen(process, b"no renegotiation")
    await finish(process)


async def test_a_session_keeps_the_settings_with_which_it_began(gateway: Gateway) -> None:
    process = await gateway.session("smtp", "-tls1_2")
    await say(process, b"EHLO a\r\n")
    await seen(process, b"250 SIZE", b"250-SIZE")
    await gateway.commit("sslconfig inbound --methods=tlsv1_3")
    assert (await gateway.handshake("smtp", "-tls1_2")).protocol == ""
    await say(process, b"NOOP\r\n")
    assert b"250 ok" in await seen(process, b"250 ok")
    await finish(process)


# -- commit -----------------------------------------------------------------------------------------------------------------


async def test_a_dialog_and_a_pending_change(gateway: Gateway) -> None:
    screen = await gateway.place.person().type("sslconfig", "inbound", "4", "", "", "")
    assert "Inbound SMTP method:  tlsv1_3\n" in screen
    assert (await gateway.handshake("smtp", "-tls1_2")).protocol == "TLSv1.2", "nothing was committed"


async def test_a_level_that_the_certificate_does_not_have_is_refused_at_commit(gateway: Gateway) -> None:
    person = gateway.place.person()
    await person.done("sslconfig inbound --ciphers=ALL:@SECLEVEL=3")
    assert await person.batch('commit "" Y') == (
        'Error: Listener "InboundMail": certificate "Demo" cannot be loaded: ee key too small\n'
        "Commit failed. The running configuration is unchanged and your changes are still pending.\n",
        True,
    )
    assert (await gateway.handshake("smtp", "-tls1_2")).protocol == "TLSv1.2"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("service", ["smtp", "https"])
async def test_a_session_can_be_resumed_until_the_settings_change(gateway: Gateway, tmp_path: Path, service: str, version: str) -> None:
    file = str(tmp_path / "session")

    async def shown(*options: str) -> bytes:
        process = await s_client(gateway.port(service), version, *options, starttls=service == "smtp")
        # An answer comes behind the tickets of TLS 1.3.
        await say(process, b"NOOP\r\n" if service == "smtp" else b"GET / HTTP/1.0\r\n\r\n")
        output = await seen(process, b"250 ok" if service == "smtp" else b"HTTP/1.1")
        await finish(process)
        return output

    assert b"New, TLSv1" in await shown("-sess_out", file)
    assert b"Reused, TLSv1" in await shown("-sess_in", file)
    await gateway.commit("deliveryconfig setup --max_concurrency=5")
    assert b"Reused, TLSv1" in await shown("-sess_in", file), "what does not change the context leaves its sessions alone"
    await gateway.commit("sslconfig gui --ciphers=AES256", "sslconfig inbound --ciphers=AES256")
    assert b"New, TLSv1" in await shown("-sess_in", file)


# -- own certificates ---------------------------------------------------------------------------------------------------------


async def assign(gateway: Gateway, name: str) -> None:
    await gateway.commit(f"listenerconfig edit InboundMail certificate {name}", f"interfaceconfig edit Management --certificate={name}")


@pytest.mark.parametrize("service", ["smtp", "https"])
async def test_a_1024_bit_certificate_works_for_clients_that_accept_it(gateway: Gateway, service: str) -> None:
    await gateway.commit("certconfig certificate new short --cn=mail.example.com --o=L --ou=L --l=L --st=L --c=JP --bits=1024")
    await assign(gateway, "short")
    for version in ("-tls1_2", "-tls1_3"):
        assert (await gateway.handshake(service, version, "-cipher", "DEFAULT:@SECLEVEL=1")).protocol
    assert (
        "EE certificate key too weak" in (await gateway.handshake(service, "-cipher", "DEFAULT:@SECLEVEL=2", "-verify_return_error")).output
    )
