"""Sealed values."""

import os

import pytest

from appliance_state.model.certificates import SecretRef
from appliance_state.secrets import Seal, Unsealable


def test_a_value_opens_with_its_key_and_reference_only() -> None:
    seal = Seal(os.urandom(32), os.urandom)
    sealed = seal.close(SecretRef("a"), b"private key")
    assert b"private key" not in sealed
    assert seal.open(SecretRef("a"), sealed) == b"private key"
    for wrong, ref, value in (
        (Seal(os.urandom(32), os.urandom), SecretRef("a"), sealed),
        (seal, SecretRef("b"), sealed),
        (seal, SecretRef("a"), sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (seal, SecretRef("a"), b""),
    ):
        with pytest.raises(Unsealable):
            wrong.open(ref, value)


def test_the_key_is_in_no_representation() -> None:
    key = os.urandom(32)
    assert repr(key)[2:-1] not in repr(Seal(key, os.urandom))
