"""The configuration with which an appliance opens: the running generation of its store, or the one that the first start makes.

Start options may set the passphrase of `admin` (users-and-access.md 1); one that has been generated is told only once.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

import attrs
from attrs import define, field

from appliance_runtime import first_start
from appliance_runtime.accounts import hash_passphrase
from appliance_runtime.addresses import AddressMap
from appliance_runtime.options import StartFailed, StartOptions
from appliance_runtime.product import new_serial
from appliance_runtime.vault import SealedVault
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef
from appliance_state.store import Generation, Store

if TYPE_CHECKING:
    from appliance_runtime.dns.trust_anchors import Anchor


def new_id() -> str:
    """For secrets."""
    return secrets.token_hex(8)


def given_anchors(text: str | None) -> tuple[Anchor, ...] | None:
    """Keys of the root from a start option; None = the built-in ones. Errors: StartFailed."""
    if text is None:
        return None
    from appliance_runtime.dns.trust_anchors import parse_anchors

    try:
        return parse_anchors(text)
    except ValueError as error:
        raise StartFailed(f"The trust anchor cannot be used: {error}.") from None


@define
class Opening:
    """`generated_passphrase`: to be shown now, None = the operator gave or knows it; `notes`: remarks for standard error."""

    store: Store
    vault: SealedVault
    options: StartOptions
    address_map: AddressMap
    now: datetime
    generated_passphrase: str | None = None
    notes: list[str] = field(factory=list)

    async def configuration(self) -> tuple[int, Config]:
        """Number and content of the running generation. Errors: StartFailed, StoreFailed."""
        head = self.store.head()
        number, config = await self._first() if head is None else await self._next(head[0].id, head[1])
        self.vault.load(config.secrets())
        return number, config

    async def _first(self) -> tuple[int, Config]:
        factory = first_start.factory_config(self.options.dns)
        config, new = await self._with_passphrase(factory)
        self._append(Generation(
            id=1, parent=None, at=self.now, who="system", kind="system", comment="Initial configuration", rollback=True
        ), config, new)  # fmt: skip
        self.store.set_fact("serial", new_serial())
        self.store.set_fact("install_date", self.now.isoformat())
        return 1, config

    async def _next(self, number: int, config: Config) -> tuple[int, Config]:
        """A state directory that has users already."""
        if not self.options.reset_passphrase:
            if self.options.passphrase is not None:
                self.notes.append('Note: the user "admin" already has a passphrase; the given one was ignored.')
            return number, config
        changed, new = await self._with_passphrase(config)
        self._append(Generation(
            id=number + 1, parent=number, at=self.now, who="system", kind="system", comment="", rollback=False, changed=("users/admin",)
        ), changed, new)  # fmt: skip
        return number + 1, changed

    def _append(self, generation: Generation, config: Config, new: dict[SecretRef, bytes]) -> None:
        self.store.append(generation, config, self.vault.close(new))

    async def _with_passphrase(self, config: Config) -> tuple[Config, dict[SecretRef, bytes]]:
        passphrase = self.options.passphrase
        if passphrase is None:
            passphrase = self.generated_passphrase = first_start.generated_passphrase()
        else:
            self._check(passphrase, config)
        hashed = await asyncio.to_thread(hash_passphrase, passphrase)
        ref = SecretRef(new_id())
        admin = attrs.evolve(config.users["admin"], passphrase=ref, enabled=True)
        return config.with_(users=config.users.put(admin)), {ref: hashed}

    def _check(self, passphrase: str, config: Config) -> None:
        if first_start.well_known(passphrase, config.system.hostname):
            text = 'The passphrase of "admin" is too well known.'
            if first_start.reachable_management(config, self.address_map):
                raise StartFailed(text)
            self.notes.append(f"Warning: {text}")
        elif len(passphrase) < config.user_policy.min_length:
            raise StartFailed(f"The passphrase must be at least {config.user_policy.min_length} characters long.")
