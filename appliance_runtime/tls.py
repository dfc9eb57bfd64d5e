"""TLS contexts from certificate profiles and SSL settings; what a handshake left to be looked at.

A context is built at commit and shared by all its connections: building one costs milliseconds. Security levels:
`appliance_state.ciphers`. Renegotiation means TLS 1.2 and older; TLS 1.3 has none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import ssl
import tempfile
from collections.abc import Iterable
from typing import Any

from attrs import field, frozen
from cryptography.hazmat.primitives import serialization

from appliance_state.certificates.keys import describe_key, read_sealed_key
from appliance_state.certificates.pem import NotReadable, read_certificate
from appliance_state.ciphers import OUTGOING_LEVEL, SERVER_LEVEL, WEAK_KEY_LEVEL, restrict

STRONG_RSA_BITS = 2048
DH_PARAMETERS = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""ffdhe2048 (RFC 7919 A.1). Without a group a server has none of the DHE ciphers that a cipher string may select."""
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""the last: the key is of another kind than that of the certificate"""
_OP_ALLOW_CLIENT_RENEGOTIATION = 0x100
"""of OpenSSL 3, which refuses it otherwise; Python has no name for it"""


class UnusableContext(Exception):
    """The context cannot be built; the text says why."""


@frozen(kw_only=True)
class Credentials:
    """A leaf, its key and its chain (issuer of the leaf first), all PEM."""

    certificate: str
    private_key: bytes = field(repr=False)
    intermediates: tuple[str, ...] = ()

    @property
    def weak(self) -> bool:
        """An RSA key under 2048 bits, which needs a lower security level. Errors: UnusableContext."""
        try:
            kind, bits, _ = describe_key(read_certificate(self.certificate))
        except NotReadable:
            raise UnusableContext("the certificate cannot be read") from None
        return kind == "rsa" and bits is not None and bits < STRONG_RSA_BITS


def server_context(
    credentials: Credentials, *, methods: frozenset[str], ciphers: str, renegotiation: bool, verify: ssl.VerifyMode = ssl.CERT_NONE,
    anchors: Iterable[bytes] = (),
) -> ssl.SSLContext:  # fmt: skip
    """For listeners and HTTPS. `verify`, `anchors` (DER): client certificates. Errors: UnusableContext."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _configure(context, methods, ciphers, WEAK_KEY_LEVEL if credentials.weak else SERVER_LEVEL)
    context.options |= _OP_ALLOW_CLIENT_RENEGOTIATION if renegotiation else ssl.OP_NO_RENEGOTIATION
    _load(context, credentials, server=True)
    if verify is not ssl.CERT_NONE:
        _trust(context, anchors)
    context.verify_mode = verify
    return context


@frozen(kw_only=True)
class ServerTls:
    """Everything that a context of a listener is made from. `tickets`: whether sessions may be taken up again by ticket."""

    credentials: Credentials
    methods: frozenset[str]
    ciphers: str
    renegotiation: bool
    verify: ssl.VerifyMode = ssl.CERT_NONE
    anchors: tuple[bytes, ...] = ()
    tickets: bool = True

    def context(self) -> ssl.SSLContext:
        """Errors: UnusableContext."""
        made = server_context(
            self.credentials,
            methods=self.methods,
            ciphers=self.ciphers,
            renegotiation=self.renegotiation,
            verify=self.verify,
            anchors=self.anchors,
        )
        if not self.tickets:
            made.options |= ssl.OP_NO_TICKET
        return made


def client_context(credentials: Credentials | None, *, methods: frozenset[str], ciphers: str) -> ssl.SSLContext:
    """For outgoing connections: the handshake accepts any certificate, verification comes afterwards. Errors: UnusableContext.

    What was verified after the handshake must not change behind it: renegotiation is refused (RFC 9325 3.5).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _configure(context, methods, ciphers, OUTGOING_LEVEL)
    context.options |= ssl.OP_NO_RENEGOTIATION
    if credentials:
        _load(context, credentials, server=False)
    return context


def _configure(context: ssl.SSLContext, methods: frozenset[str], ciphers: str, level: int) -> None:
    try:
        restrict(context, methods, ciphers, level)
    except (ssl.SSLError, ValueError) as error:
        raise UnusableContext(tls_error_text(error)) from error


def _load(context: ssl.SSLContext, credentials: Credentials, *, server: bool) -> None:
    """Certificate, key and chain; for a server a group for DHE ciphers too, unless the security level is too high for it.

    Python reads keys from files only: the key goes there encrypted, under a passphrase that is never stored.
    """
    passphrase = secrets.token_bytes(24).hex().encode()
    try:
        sealed = read_sealed_key(credentials.private_key).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(passphrase)
        )
    except (NotReadable, ValueError, TypeError) as error:
        raise UnusableContext("the private key cannot be read") from error
    descriptor, path = tempfile.mkstemp(prefix="asyncos-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write("".join(f"{pem.strip()}\n" for pem in (credentials.certificate, *credentials.intermediates)).encode() + sealed)
            file.write(DH_PARAMETERS.encode())
        context.load_cert_chain(path, password=passphrase)
        if server:
            with contextlib.suppress(ssl.SSLError):
                context.load_dh_params(path)
    except ssl.SSLError as error:
        mismatch = error.reason in _MISMATCHES
        raise UnusableContext("the private key does not match" if mismatch else tls_error_text(error)) from error
    finally:
        os.unlink(path)


def _trust(context: ssl.SSLContext, anchors: Iterable[bytes]) -> None:
    """What OpenSSL cannot read is no anchor. Reading hundreds takes a tenth of a second: from a file it happens beside the loop."""
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    anchors = list(anchors)
    if not anchors:
        return
    with tempfile.NamedTemporaryFile("w", prefix="asyncos-", suffix=".pem") as file:
        file.write("".join(map(ssl.DER_cert_to_PEM_cert, anchors)))
        file.flush()
        try:
            context.load_verify_locations(cafile=file.name)
        except ssl.SSLError:
            for anchor in anchors:
                with contextlib.suppress(ssl.SSLError, ValueError):
                    context.load_verify_locations(cadata=anchor)


def peer_chain(ssl_object: Any) -> list[bytes]:
    """The certificates that the peer sent, leaf first, as DER; empty = none. Nothing of them has been verified."""
    return _chain(ssl_object, "get_unverified_chain")


def verified_chain(ssl_object: Any) -> list[bytes]:
    """The path that a handshake with verification has found, leaf first, as DER; empty = none."""
    return _chain(ssl_object, "get_verified_chain")


def _chain(ssl_object: Any, method: str) -> list[bytes]:
    source = ssl_object if hasattr(ssl_object, method) else getattr(ssl_object, "_sslobj", None)
    # Python 3.13 has the method on the object itself, as octets; before it was there, but not public.
    chain = getattr(source, method)() if source is not None else None
    return [item if isinstance(item, bytes) else ssl.PEM_cert_to_DER_cert(item.public_bytes()) for item in chain or ()]


def tls_error_text(error: BaseException) -> str:
    """OpenSSL's reason in lower case with blanks, or the text of the socket error; never empty."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | EOFError):
        return "EOF"
    if isinstance(error, ssl.SSLError):
        # Errors that Python raises itself, without OpenSSL, have no reason at all.
        reason = getattr(error, "reason", None)
        return reason.lower().replace("_", " ") if reason else "unknown TLS error"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError) and error.errno:
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    return str(error) or type(error).__name__
