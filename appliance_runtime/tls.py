"""TLS contexts from certificate profiles and SSL settings; what a handshake left to be looked at.

A context is built at commit and shared by all its connections: building one costs milliseconds. Security level of a
context (tls-tools.md 1): `@SECLEVEL` of the cipher string, else 0 with TLS 1.0 or 1.1, else 1 for outgoing
connections and for an own RSA key under 2048 bits, else 2.
"""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from collections.abc import Iterable
from typing import Any

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1_1": ssl.TLSVersion.TLSv1_1,
    "tlsv1_2": ssl.TLSVersion.TLSv1_2,
    "tlsv1_3": ssl.TLSVersion.TLSv1_3,
}


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
        """An RSA key under 2048 bits, which needs security level 1."""
        key = x509.load_pem_x509_certificate(self.certificate.encode()).public_key()
        return isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048


def server_context(
    credentials: Credentials, *, methods: frozenset[str], ciphers: str, renegotiation: bool, verify: ssl.VerifyMode = ssl.CERT_NONE,
    anchors: Iterable[bytes] = (),
) -> ssl.SSLContext:  # fmt: skip
    """For listeners and HTTPS. `verify`, `anchors` (DER): client certificates. Errors: UnusableContext."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _configure(context, methods, ciphers, 1 if credentials.weak else 2)
    if not renegotiation:
        context.options |= ssl.OP_NO_RENEGOTIATION
    _load(context, credentials)
    if verify is not ssl.CERT_NONE:
        _trust(context, anchors)
    context.verify_mode = verify
    return context


def client_context(credentials: Credentials | None, *, methods: frozenset[str], ciphers: str) -> ssl.SSLContext:
    """For outgoing connections: the handshake accepts any certificate, verification comes afterwards. Errors: UnusableContext."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _configure(context, methods, ciphers, 1)
    if credentials:
        _load(context, credentials)
    return context


def _configure(context: ssl.SSLContext, methods: frozenset[str], ciphers: str, level: int) -> None:
    versions = [_VERSIONS[name] for name in _VERSIONS if name in methods]
    if methods & {"tlsv1", "tlsv1_1"}:
        level = 0
    try:
        context.minimum_version, context.maximum_version = versions[0], versions[-1]
        context.set_ciphers(ciphers if "@SECLEVEL" in ciphers.upper() else f"{ciphers}:@SECLEVEL={level}")
    except (ssl.SSLError, ValueError) as error:
        raise UnusableContext(tls_error_text(error)) from error


def _load(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Python reads keys from files only: the key goes there encrypted, under a passphrase that is never stored."""
    passphrase = secrets.token_bytes(24).hex().encode()
    try:
        key = serialization.load_pem_private_key(credentials.private_key, None)
        sealed = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(passphrase)
        )
    except (ValueError, TypeError) as error:
        raise UnusableContext("the private key cannot be read") from error
    descriptor, path = tempfile.mkstemp(prefix="asyncos-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write("".join(f"{pem.strip()}\n" for pem in (credentials.certificate, *credentials.intermediates)).encode() + sealed)
        context.load_cert_chain(path, password=passphrase)
    except ssl.SSLError as error:
        mismatch = error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")
        raise UnusableContext("the private key does not match" if mismatch else tls_error_text(error)) from error
    finally:
        os.unlink(path)


def _trust(context: ssl.SSLContext, anchors: Iterable[bytes]) -> None:
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if data := b"".join(anchors):
        context.load_verify_locations(cadata=data)


def peer_chain(ssl_object: Any) -> list[bytes]:
    """The certificates that the peer sent, leaf first, as DER; empty = none. Nothing of them has been verified."""
    source = ssl_object if hasattr(ssl_object, "get_unverified_chain") else getattr(ssl_object, "_sslobj", None)
    # Python 3.13 has the method on the object itself, as octets; before it was there, but not public.
    chain = source.get_unverified_chain() if source is not None else None
    return [item if isinstance(item, bytes) else ssl.PEM_cert_to_DER_cert(item.public_bytes()) for item in chain or ()]


def tls_error_text(error: BaseException) -> str:
    """OpenSSL's reason in lower case with blanks, or the text of the socket error; never empty."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | EOFError):
        return "EOF"
    if isinstance(error, ssl.SSLError):
        return error.reason.lower().replace("_", " ") if error.reason else "unknown TLS error"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError) and error.errno:
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    return str(error) or type(error).__name__
