"""The server's side of a TLS session without input and output, and why handshakes fail (logs-and-alerts.md 2).

Records go in and plain octets come out (`receive`), plain octets go in (`send`), records are taken away (`take`). Where the
settings allow it a client may renegotiate; what we say meanwhile waits until that handshake is complete.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import cast

from appliance_runtime.tls import peer_chain, tls_error_text, verified_chain

CLIENT_CERTIFICATE_MISSING = "client certificate missing"
CLIENT_CERTIFICATE_BAD = "client certificate verify error: "

_READ = 65536
_RECORD_HEAD = 5
"""octets: type, version, length (RFC 8446 5.1)"""
_HANDSHAKE_RECORD = 0x16
_GARBAGE = frozenset(("packet length too long", "length too short", "bad length", "bad record type", "length mismatch", "record too small"))


class TlsSession:
    """`established`: the handshake is complete. `ended`: the client has closed its side in order."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._head = bytearray()
        self._taken_in = 0
        self._answering = False
        self._unsent = bytearray()
        self.established = False
        self.ended = False

    def receive(self, records: bytes | memoryview) -> bytes:
        """Errors: ssl.SSLError; then what is to be taken still belongs to the client."""
        self.feed(records)
        return self.advance()

    def feed(self, records: bytes | memoryview) -> None:
        """The first half of `receive`: take records in."""
        if not self.established and len(self._head) < _RECORD_HEAD:
            self._head += records[: _RECORD_HEAD - len(self._head)]
        self._taken_in += len(records)
        self._incoming.write(records)

    @property
    def costly(self) -> bool:
        """The next `advance` answers the client's first message, which takes a signature. It may run in any thread."""
        head = self._head
        if self._answering or len(head) < _RECORD_HEAD or head[0] != _HANDSHAKE_RECORD:
            return False
        return self._taken_in >= _RECORD_HEAD + int.from_bytes(head[3:], "big")

    def advance(self) -> bytes:
        """The second half of `receive`."""
        self._answering = self._answering or self.costly
        plain = self._receive()
        if self._unsent:
            self._write()
        return plain

    def _receive(self) -> bytes:
        parts = []
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            while plain := self._object.read(_READ):
                parts.append(plain)
                if not self._incoming.pending and not self._object.pending():
                    break
            else:
                self.ended = True  # what Python's `read` says of an orderly end
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(parts)

    def send(self, plain: bytes) -> None:
        self._unsent += plain
        self._write()

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._object.write(self._unsent)]
        except ssl.SSLWantReadError:
            return  # the client renegotiates

    def close(self) -> None:
        """Say that nothing more follows."""
        # Without the client's own close, which nobody waits for, an error is the usual outcome.
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()

    def take(self) -> bytes:
        """Records to be sent."""
        return self._outgoing.read()

    @property
    def version(self) -> str:
        return self._object.version() or "unknown"

    @property
    def cipher(self) -> str:
        cipher = self._object.cipher()
        return cipher[0] if cipher else "unknown"

    @property
    def client_name(self) -> str | None:
        """Common name of the verified client certificate, empty if it has none; None = no certificate was sent."""
        certificate = self._object.getpeercert()
        if not certificate:
            return None
        subject = cast(tuple[tuple[tuple[str, str], ...], ...], certificate.get("subject", ()))
        return next((value for part in subject for key, value in part if key == "commonName"), "")

    @property
    def client_chain(self) -> list[bytes]:
        """The verified path of the client certificate, DER; in a session that was taken up again what the client sent then."""
        return verified_chain(self._object) or peer_chain(self._object)

    def failure(self, error: ssl.SSLError) -> str:
        """What the client did that ended the handshake."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{CLIENT_CERTIFICATE_BAD}{error.verify_message}"
        text = tls_error_text(error)
        if text == "peer did not return a certificate":
            return CLIENT_CERTIFICATE_MISSING
        if text in _GARBAGE or (text == "wrong version number" and self._head[:1] != bytes([_HANDSHAKE_RECORD])):
            return "bad packet length"
        return text
