"""A client that renegotiates: what the server says meanwhile waits (RFC 5246 7.4.1.1; tls-tools.md 1)."""

from __future__ import annotations

import contextlib

import pytest
from OpenSSL import SSL

from appliance_runtime.smtp.tls_session import TlsSession
from appliance_runtime.tls import server_context
from tests.appliance_runtime.smtp.bench import HOST, certificate

TLS_1_2 = frozenset({"tlsv1_2"})


class RenegotiatingClient:
    """The client's side of a session, without sockets."""

    def __init__(self, server: TlsSession) -> None:
        self.server = server
        self.connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        self.connection.set_connect_state()
        self.heard = b""
        self.plain = b""
        """what the server has read"""

    def shake(self, *, rounds: int = 10) -> None:
        """Go on with the handshake, at most so many rounds."""
        for _ in range(rounds):
            with contextlib.suppress(SSL.WantReadError):
                self.connection.do_handshake()
            self.carry()

    def carry(self) -> None:
        """What the client has written to the server, what the server has written to the client."""
        with contextlib.suppress(SSL.WantReadError):
            self.plain += self.server.receive(self.connection.bio_read(65536))
        if records := self.server.take():
            self.connection.bio_write(records)
        with contextlib.suppress(SSL.WantReadError):
            self.heard += self.connection.recv(65536)

    @property
    def renegotiations(self) -> int:
        return self.connection.total_renegotiations()


def client(*, renegotiation: bool) -> RenegotiatingClient:
    context = server_context(certificate(HOST), methods=TLS_1_2, ciphers="HIGH", renegotiation=renegotiation)
    made = RenegotiatingClient(TlsSession(context))
    made.shake()
    assert made.server.established
    return made


def test_what_is_said_meanwhile_waits_and_is_not_lost() -> None:
    peer = client(renegotiation=True)
    peer.connection.renegotiate()
    peer.shake(rounds=1)
    peer.server.send(b"250 one\r\n")
    peer.server.send(b"421 two\r\n")
    peer.shake()
    assert (peer.heard, peer.renegotiations) == (b"250 one\r\n421 two\r\n", 1)
    peer.connection.send(b"NOOP\r\n")
    peer.carry()
    assert peer.plain == b"NOOP\r\n"
    peer.server.send(b"250 three\r\n")
    peer.carry()
    assert peer.heard.endswith(b"250 three\r\n")


def test_a_session_that_ends_meanwhile() -> None:
    peer = client(renegotiation=True)
    peer.connection.renegotiate()
    peer.shake(rounds=1)
    peer.server.send(b"421 two\r\n")
    peer.server.close()


def test_where_it_is_not_allowed_the_session_goes_on() -> None:
    peer = client(renegotiation=False)
    peer.connection.renegotiate()
    with pytest.raises(SSL.Error, match="no renegotiation"):
        peer.shake()
    peer.server.send(b"250 ok\r\n")
    assert peer.server.take()
