"""Revocation lists and client certificates of listeners, also in sessions that are taken up again (certconfig.md 6)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_runtime.tls import server_context
from appliance_state.certificates.crl import RevocationLists, read_crl
from appliance_state.model.certificates import CrlSettings
from asyncos_shell.lab.authority import Authority
from tests.appliance_runtime.smtp.bench import METHODS, Bench, certificate, client_context, public_listener

REVOKED = "client certificate verify error: certificate revoked (CN=client.test)"
CHECKED = {"crl": CrlSettings(check_inbound=True)}


class Lab:
    """A root, an issuing authority below it, and a client certificate with its chain. Times are real: OpenSSL looks at them."""

    def __init__(self) -> None:
        now = datetime.now().astimezone()
        self.now = now
        self.root = Authority.root("Lab Root CA", now)
        self.issuing = self.root.intermediate("Lab Issuing CA", now)
        self.client = self.issuing.issue(now, common_name="client.test", usages=())

    def lists(self) -> RevocationLists:
        crl = self.issuing.revocation_list(self.now - timedelta(days=365), self.client.certificate, days=3650)
        return RevocationLists([read_crl(crl.public_bytes(Encoding.DER), pem=False)])

    def contexts(self) -> dict[str, ssl.SSLContext]:
        made = {
            f"demo{suffix}": server_context(
                certificate("mail.example.com"),
                methods=METHODS,
                ciphers="HIGH",
                renegotiation=False,
                verify=mode,
                anchors=[self.root.der],
            )
            for suffix, mode in {"": ssl.CERT_NONE, "?verify": ssl.CERT_OPTIONAL, "?require": ssl.CERT_REQUIRED}.items()
        }
        for context in made.values():
            context.options |= ssl.OP_NO_TICKET
        return made

    def client_context(self, directory: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
        context = client_context()
        file = directory / "client.pem"
        file.write_bytes(self.client.pem)
        context.load_cert_chain(file)
        context.maximum_version = version
        return context


@pytest.mark.parametrize("tls", ["on", "require"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_revoked_clients_are_refused_at_the_next_handshake(bench: Bench, tmp_path: Path, tls: str, version: ssl.TLSVersion) -> None:
    lab = Lab()
    listener = public_listener(tls=tls, tls_verify=True)
    port = await bench.start(listener, **CHECKED)
    contexts = lab.contexts()
    bench.running = evolve(bench.running, inbound_contexts=contexts, anchors=(lab.root.der,))
    context = lab.client_context(tmp_path, version)

    def talk(session: ssl.SSLSession | None) -> tuple[str, ssl.SSLSession | None, bool]:
        """EHLO in TLS; (the reply or the error, the session, whether it was taken up again)."""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.recv(1000)
            for line in (b"EHLO a\r\n", b"STARTTLS\r\n"):
                plain.sendall(line)
                plain.recv(1000)
            try:
                with context.wrap_socket(plain, session=session) as tls_socket:
                    tls_socket.sendall(b"EHLO a\r\n")
                    reply = tls_socket.recv(1000).decode()
                    seen = reply[:3], tls_socket.session, bool(tls_socket.session_reused)
                    tls_socket.sendall(b"QUIT\r\n")
                    while tls_socket.recv(1000):  # to the orderly end, without which a session is never taken up again
                        pass
                    return seen
            except OSError as error:
                return type(error).__name__, None, False

    reply, session, _ = await asyncio.to_thread(talk, None)
    assert reply == "250"
    assert (await asyncio.to_thread(talk, session))[::2] == ("250", True)
    bench.revocations = lab.lists()
    assert (await asyncio.to_thread(talk, None))[0] in ("", "ConnectionResetError", "SSLEOFError")
    assert (await asyncio.to_thread(talk, session))[0] in ("", "ConnectionResetError", "SSLEOFError")
    await bench.lines("ICID 4 close")
    assert bench.logs.lines.count("ICID 3 TLS verify failed: certificate revoked (CN=client.test)") == 1
    assert [line for line in bench.logs.lines if REVOKED in line] == [f"ICID {icid} TLS failed: {REVOKED}" for icid in (3, 4)]
    bench.configure(listener)
    bench.running = evolve(bench.running, inbound_contexts=contexts)
    assert (await asyncio.to_thread(talk, None))[0] == "250"


async def test_a_client_without_a_certificate_is_not_concerned(bench: Bench) -> None:
    await bench.start(public_listener(tls="on", tls_verify=True), **CHECKED)
    bench.revocations = Lab().lists()
    client = await bench.client()
    await client.start_tls()
    assert (await client.command("EHLO a")).startswith("250")
    await client.quit()
