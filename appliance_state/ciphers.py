"""Cipher strings as OpenSSL reads them (ciphers(1)): what one selects, and whether a version of TLS can use any of it.

OpenSSL itself is asked, so that what is accepted here works at a handshake. Unknown elements of a string are ignored. The
suites of TLS 1.3 are not governed by it. Security level of a context (tls-tools.md 1): `@SECLEVEL` of the string, else 0
with TLS 1.0 or 1.1, else what the service has by itself.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Set

from appliance_state.model.tls_settings import ordered

OUTGOING_LEVEL = 1
SERVER_LEVEL = 2
WEAK_KEY_LEVEL = 1
"""of a server with an own RSA key under 2048 bits"""
_VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1_1": ssl.TLSVersion.TLSv1_1,
    "tlsv1_2": ssl.TLSVersion.TLSv1_2,
    "tlsv1_3": ssl.TLSVersion.TLSv1_3,
}
_GOVERNED = ("tlsv1", "tlsv1_1", "tlsv1_2")


def restrict(context: ssl.SSLContext, methods: Set[str], ciphers: str, level: int) -> None:
    """Versions and ciphers of a context. Errors: ssl.SSLError, ValueError for a string that selects nothing."""
    names = ordered(methods)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions, which the operator has asked for
        context.minimum_version, context.maximum_version = _VERSIONS[names[0]], _VERSIONS[names[-1]]
    if methods & {"tlsv1", "tlsv1_1"}:
        level = 0
    context.set_ciphers(ciphers if "@SECLEVEL" in ciphers else f"{ciphers}:@SECLEVEL={level}")


def selected(ciphers: str) -> list[str]:
    """One line per cipher, as `openssl ciphers -v` prints them; empty = the string selects none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.set_ciphers(ciphers)
    except (ssl.SSLError, ValueError):
        return []
    return [str(cipher["description"]) for cipher in context.get_ciphers()]


def usable(ciphers: str, methods: Set[str], level: int) -> bool:
    """Whether the string selects a cipher for one of the enabled methods below TLS 1.3, if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    governed = methods & set(_GOVERNED)
    try:
        restrict(context, governed or methods, ciphers, level)
        if governed:
            # OpenSSL begins no handshake when version and security level leave no cipher.
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO()).do_handshake()
    except ssl.SSLWantReadError:
        return True
    except (ssl.SSLError, ValueError):
        return False
    return not governed
