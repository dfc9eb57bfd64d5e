"""The pending copy of one session (commit.md 1): begun by the first change, ended by commit, clear or the session's end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, field

from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef


class Vault(Protocol):
    """Where sealed values are."""

    def reveal(self, ref: SecretRef) -> bytes:
        """The value. Errors: KeyError when there is none."""


@define
class Draft:
    """View and pending changes of a session.

    `running` returns number and content of the running generation. Without changes the session sees that; from its
    first change on it sees base + its own changes. A copy that was changed back to its base counts as no change.
    """

    running: Callable[[], tuple[int, Config]]
    vault: Vault
    new_id: Callable[[], str]
    base: tuple[int, Config] | None = None
    candidate: Config | None = None
    secrets: dict[SecretRef, bytes] = field(factory=dict, repr=False)
    """values sealed by this session that no generation holds yet"""

    @property
    def config(self) -> Config:
        return self.running()[1] if self.candidate is None else self.candidate

    @config.setter
    def config(self, changed: Config) -> None:
        if self.base is None:
            self.base = self.running()
        if changed == self.base[1]:
            self.discard()
        else:
            self.candidate = changed

    @property
    def base_generation(self) -> int:
        return (self.base or self.running())[0]

    @property
    def base_config(self) -> Config:
        return (self.base or self.running())[1]

    @property
    def changed(self) -> bool:
        return self.candidate is not None

    def rebase(self, base: tuple[int, Config], candidate: Config) -> None:
        """Put another base under the pending copy, after a merge."""
        self.base = base
        self.candidate = candidate
        if candidate == base[1]:
            self.discard()

    def discard(self) -> None:
        """Drop all changes."""
        self.base = self.candidate = None
        self.secrets.clear()

    def seal(self, value: bytes) -> SecretRef:
        """Keep a secret; it is stored with the commit that refers to it."""
        ref = SecretRef(self.new_id())
        self.secrets[ref] = value
        return ref

    def reveal(self, ref: SecretRef) -> bytes:
        """A secret of the pending copy or of a generation."""
        pending = self.secrets.get(ref)
        return self.vault.reveal(ref) if pending is None else pending
