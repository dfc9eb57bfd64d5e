"""Sealing of secrets: AES-256-GCM under the configuration key, bound to the id of the reference."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance_state.model.certificates import SecretRef

KEY_SIZE = 32
NONCE_SIZE = 12


class Unsealable(Exception):
    """The configuration key does not open this value."""


@frozen
class Seal:
    """`key`: 32 octets. `random`: source of random octets (a nonce is never used twice)."""

    key: bytes = field(repr=False)
    random: Callable[[int], bytes]

    def close(self, ref: SecretRef, value: bytes) -> bytes:
        nonce = self.random(NONCE_SIZE)
        return nonce + AESGCM(self.key).encrypt(nonce, value, ref.id.encode())

    def open(self, ref: SecretRef, sealed: bytes) -> bytes:
        """Errors: Unsealable."""
        try:
            return AESGCM(self.key).decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], ref.id.encode())
        except (InvalidTag, ValueError):
            raise Unsealable(ref.id) from None
