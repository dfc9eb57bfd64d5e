"""An LDAP or LDAPS server on a loopback port, with blocking sockets in threads: asyncio's drops what a session is ended with.

`answers`: what it says to each request, in order, as octets; after the last one it says nothing more and waits for the client.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import NamedTemporaryFile

from attrs import define, field
from cryptography import x509

from appliance_runtime.tls import peer_chain
from asyncos_shell.lab.authority import Identity

PATIENCE = 10
"""seconds until a server thread gives up"""
UNBIND = b"\x30\x05\x02\x01\x03\x42\x00"


def message(number: int, operation: int, content: bytes) -> bytes:
    """A message of less than 128 octets."""
    body = bytes([0x02, 1, number, operation, len(content)]) + content
    return bytes([0x30, len(body)]) + body


def result(number: int, operation: int, code: int) -> bytes:
    return message(number, operation, bytes([0x0A, 1, code, 0x04, 0, 0x04, 0]))


def bound(code: int = 0) -> bytes:
    return result(1, 0x61, code)


def done(code: int = 0) -> bytes:
    return result(2, 0x65, code)


ENTRY = message(2, 0x64, b"\x04\x04dc=x\x30\x00")
WELL = (bound(), ENTRY + done())


@define(eq=False)
class LdapPeer:
    """What clients did is kept: one entry per connection in `chains` (serials, leaf first; empty = no certificate) and `names`."""

    answers: Sequence[bytes] = WELL
    context: ssl.SSLContext | None = None
    endless: bytes = b""
    """sent again and again after the answers"""
    hangs_up: bool = False
    """at the first request"""
    clients: list[str] = field(factory=list)
    requests: list[bytes] = field(factory=list)
    chains: list[list[int]] = field(factory=list)
    names: list[str | None] = field(factory=list)
    port: int = 0
    asked: threading.Event = field(factory=threading.Event)
    """a request has come"""
    ended: threading.Event = field(factory=threading.Event)
    """a client has gone"""

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                client, address = listening.accept()
            except OSError:
                return
            client.settimeout(PATIENCE)
            self.clients.append(address[0])
            with contextlib.suppress(OSError):  # alerts, resets
                self._attend(client)
            self.ended.set()

    def _attend(self, client: socket.socket) -> None:
        with client:
            if self.context is None:
                self._converse(client)
                return
            with self.context.wrap_socket(client, server_side=True) as session:
                self.chains.append([x509.load_der_x509_certificate(der).serial_number for der in peer_chain(session)])
                self._converse(session)

    def _converse(self, client: socket.socket) -> None:
        for answer in self.answers:
            self.requests.append(client.recv(65536))
            self.asked.set()
            if self.hangs_up:
                return
            client.sendall(answer)
        while self.endless:
            client.sendall(self.endless)
        while octets := client.recv(65536):
            self.requests.append(octets)


@contextmanager
def ldap_peer(
    *answers: bytes,
    identity: Identity | None = None,
    verify: ssl.VerifyMode = ssl.CERT_NONE,
    trusted: Sequence[str] = (),
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    endless: bytes = b"",
    hangs_up: bool = False,
) -> Iterator[LdapPeer]:
    """`identity`: LDAPS with this certificate. `verify`, `trusted` (PEM): client certificates."""
    peer = LdapPeer(answers or WELL, endless=endless, hangs_up=hangs_up)
    if identity is not None:
        peer.context = _context(peer, identity, verify, trusted, newest)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer.port = listening.getsockname()[1]
        thread = threading.Thread(target=peer.serve, args=(listening,), daemon=True)
        thread.start()
        yield peer
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def _context(peer: LdapPeer, identity: Identity, verify: ssl.VerifyMode, trusted: Sequence[str], newest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    with NamedTemporaryFile(prefix="ldap-") as file:
        file.write(identity.pem)
        file.flush()
        context.load_cert_chain(file.name)
    if trusted:
        context.load_verify_locations(cadata="\n".join(trusted))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = verify
    context.sni_callback = lambda session, name, _: peer.names.append(name)
    return context
