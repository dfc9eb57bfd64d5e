"""Files that are built to keep their reader busy: PKCS#12 inside PKCS#12, keys of absurd length."""

from __future__ import annotations

import base64
import os

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

SEQUENCE, INTEGER, OCTETS, OID, EXPLICIT, IMPLICIT = 0x30, 0x02, 0x04, 0x06, 0xA0, 0x80
_DATA = "2a864886f70d010701"
_ENCRYPTED_DATA = "2a864886f70d010706"
_SHROUDED_KEY = "2a864886f70d010c0a0102"
_PBES2, _PBKDF2 = "2a864886f70d01050d", "2a864886f70d01050c"
_HMAC_SHA256, _AES256_CBC = "2a864886f70d0209", "60864801650304012a"


def element(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    size = len(body)
    head = (
        bytes([size]) if size < 128 else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8, "big")
    )
    return bytes([tag]) + head + body


def integer(value: int) -> bytes:
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(digits: str) -> bytes:
    return element(OID, bytes.fromhex(digits))


def _encryption(salt: bytes, iv: bytes, iterations: int) -> bytes:
    """AlgorithmIdentifier of PBES2 (RFC 8018 A.4)."""
    prf = element(SEQUENCE, oid(_HMAC_SHA256), b"\x05\x00")
    kdf = element(SEQUENCE, oid(_PBKDF2), element(SEQUENCE, element(OCTETS, salt), integer(iterations), prf))
    cipher = element(SEQUENCE, oid(_AES256_CBC), element(OCTETS, iv))
    return element(SEQUENCE, oid(_PBES2), element(SEQUENCE, kdf, cipher))


def hidden_iterations(passphrase: str, iterations: int) -> bytes:
    """A PKCS#12 file whose outside asks for one iteration, and whose key bag, inside what is encrypted, for many."""
    salt, iv = os.urandom(16), os.urandom(16)
    key_bag = element(SEQUENCE, _encryption(salt, iv, iterations), element(OCTETS, os.urandom(1200 // 16 * 16)))
    safe_contents = element(SEQUENCE, element(SEQUENCE, oid(_SHROUDED_KEY), element(EXPLICIT, key_bag)))
    key = PBKDF2HMAC(hashes.SHA256(), 32, salt, 1).derive(passphrase.encode())
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    encrypted = encryptor.update(padder.update(safe_contents) + padder.finalize()) + encryptor.finalize()
    content = element(SEQUENCE, oid(_DATA), _encryption(salt, iv, 1), element(IMPLICIT, encrypted))
    encrypted_data = element(SEQUENCE, oid(_ENCRYPTED_DATA), element(EXPLICIT, element(SEQUENCE, integer(0), content)))
    safe = element(SEQUENCE, oid(_DATA), element(EXPLICIT, element(OCTETS, element(SEQUENCE, encrypted_data))))
    return element(SEQUENCE, integer(3), safe)


def endless_rsa_key() -> str:
    """A proper RSA key of 67,706 bits (its primes are Mersenne's): to test them takes an hour."""
    p, q, e = 2**44497 - 1, 2**23209 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    der = element(SEQUENCE, *map(integer, numbers))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{base64.encodebytes(der).decode()}-----END RSA PRIVATE KEY-----\n"
