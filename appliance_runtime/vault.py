"""The secrets of the running configuration, the configuration key, and small sealed files of the state directory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import define, field

from appliance_runtime.options import StartFailed
from appliance_runtime.state_directory import write_private
from appliance_state.model.certificates import SecretRef
from appliance_state.secrets import KEY_SIZE, Seal, Unsealable
from appliance_state.store import Store


def load_key(path: Path, *, create: bool) -> bytes:
    """The configuration key; made when `create` and there is none. Errors: StartFailed."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        if not create:
            raise StartFailed(f"The configuration key {path} does not exist.") from None
        key = os.urandom(KEY_SIZE)
        write_private(path, key)
    if len(key) != KEY_SIZE:
        raise StartFailed(f"The configuration key {path} must have {KEY_SIZE} octets.")
    return key


@define
class SealedFiles:
    """Secrets that are no part of the configuration: each a file, sealed and bound to its name."""

    seal: Seal = field(repr=False)

    def read(self, path: Path) -> bytes | None:
        """None = there is none. Errors: StartFailed when it cannot be opened."""
        try:
            return self.seal.open(SecretRef(path.name), path.read_bytes())
        except FileNotFoundError:
            return None
        except Unsealable:
            raise StartFailed(f"{path.name} cannot be opened with the configuration key.") from None

    def write(self, path: Path, content: bytes) -> None:
        write_private(path, self.seal.close(SecretRef(path.name), content))


@define
class SealedVault:
    """Values stay sealed in memory too; they are opened for the moment of their use."""

    store: Store
    seal: Seal = field(repr=False)
    _sealed: dict[SecretRef, bytes] = field(factory=dict, repr=False)

    def load(self, references: Iterable[SecretRef]) -> None:
        """Take the sealed values of a configuration into memory."""
        self._sealed = self.store.sealed(references)

    def keep(self, references: Iterable[SecretRef]) -> None:
        """Forget what the running configuration does not need any more."""
        wanted = set(references)
        self._sealed = {ref: sealed for ref, sealed in self._sealed.items() if ref in wanted}

    def close(self, values: Mapping[SecretRef, bytes]) -> dict[SecretRef, bytes]:
        """Seal new values for the store."""
        return {ref: self.seal.close(ref, value) for ref, value in values.items()}

    def reveal(self, ref: SecretRef) -> bytes:
        sealed = self._sealed.get(ref)
        if sealed is None:
            sealed = self.store.sealed((ref,))[ref]
            self._sealed[ref] = sealed
        return self.seal.open(ref, sealed)
