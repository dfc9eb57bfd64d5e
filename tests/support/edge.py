"""An appliance for the tests of the edges: sessions, accounts and login history are real, mail and commits are not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import attrs
from attrs import define, field

from appliance_runtime.accounts import Accounts, hash_passphrase
from appliance_runtime.sessions import Session
from appliance_runtime.state_directory import StateDirectory
from appliance_runtime.supervisor import Supervisor
from appliance_runtime.vault import SealedFiles
from appliance_state.draft import Draft
from appliance_state.model import Config
from appliance_state.model.certificates import SecretRef
from appliance_state.model.users import User
from appliance_state.secrets import Seal
from tests.support.appliance import DialogAppliance

PASSPHRASE = "correct horse"


@define
class Live:
    config: Config


@define
class EdgeAppliance(DialogAppliance):
    directory: StateDirectory = field(kw_only=True)
    accounts: Accounts = field(init=False)
    supervisor: Supervisor = field(init=False)
    faults: list[str] = field(factory=list)
    sealed_files: SealedFiles = field(factory=lambda: SealedFiles(Seal(os.urandom(32), os.urandom)))

    def __attrs_post_init__(self) -> None:
        DialogAppliance.__attrs_post_init__(self)
        self.accounts = Accounts(lambda: Live(self.config), self.vault.reveal, self.clock, self.logs)
        self.supervisor = Supervisor(lambda service, error: self.faults.append(error))

    def set_user(self, user: User, passphrase: str | None = None) -> None:
        """Put an account into the running configuration."""
        if passphrase is not None:
            ref = SecretRef(f"hash of {user.name}")
            self.vault.values[ref] = hash_passphrase(passphrase)
            user = attrs.evolve(user, passphrase=ref)
        self.config = self.config.with_(users=self.config.users.put(user))

    def open_session(self, *, user: str, kind: str, remote: str, interface: str | None = None, service: str | None = None) -> Session:
        numbers = iter(range(1_000_000))
        return self.sessions.add(
            lambda pid: Session(
                pid=pid,
                appliance=cast(Any, self),
                draft=Draft(self.running, self.vault, lambda: f"{pid}-{next(numbers)}"),
                user=user,
                kind=kind,
                remote=remote,
                started=self.clock.now(),
                interface=interface,
                interface_service=service,
            )
        )

    async def change_now(self, config: Config, new_secrets: dict[SecretRef, bytes], author: object) -> None:
        self.vault.values.update(new_secrets)
        self.config = config
        self.generation += 1

    def close_session(self, session: Session) -> None:
        if session.draft.changed:
            self.logs.event("cli.uncommitted", user=session.user)
        self.sessions.remove(session)


def make_edge(root: Path) -> EdgeAppliance:
    """An appliance whose `admin` has PASSPHRASE."""
    directory = StateDirectory(root)
    directory.lock()
    appliance = EdgeAppliance(config=Config(), files=directory.files, directory=directory)
    appliance.set_user(appliance.config.users["admin"], PASSPHRASE)
    return appliance
