"""One appliance in this process with all its ways in: SSH, the private socket, and whoever runs it."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys

from attrs import define, field

from appliance_runtime.appliance import Appliance
from appliance_runtime.options import StartOptions
from asyncos_shell.console import Console
from asyncos_shell.ready import ReadyFile
from asyncos_shell.ssh_server import SshServer
from commands.catalog import catalog, load_soon
from commands.registry import Registry

DRAIN_SECONDS = 30.0
FAREWELL_SECONDS = 2.0
"""for the last words to sessions that the appliance ends"""
SECOND_KEY_AFTER = 3.0
"""seconds from the start to the making of the slow host key"""
SHUTTING_DOWN = "The appliance is shutting down."
OPEN_FILES = 65536
"""more than the largest settings need: 10,000 connections out, as many in, and sessions"""
ENDED = "The appliance has ended this session."


@define(eq=False)
class Running:
    appliance: Appliance
    registry: Registry
    ssh: SshServer
    console: Console
    ready: ReadyFile = field(init=False)

    @classmethod
    async def start(cls, options: StartOptions) -> Running:
        """Errors: Locked, StartFailed. Remarks about the start, a generated passphrase among them, go to standard error."""
        _allow_open_files()
        appliance = await Appliance.open(options)
        for remark in (*appliance.notes, *_first_passphrase(appliance)):
            print(remark, file=sys.stderr, flush=True)
        registry = catalog()
        running = cls(appliance, registry, SshServer(appliance, registry), Console(appliance, registry))
        running.ready = ReadyFile(appliance, running.ssh)
        await appliance.start(running.ssh)
        appliance.supervisor.run("commands", load_soon)
        await running.console.start()
        appliance.on_change.append(running._changed)
        running.ready.write()
        running.ssh.add_second_key(after=SECOND_KEY_AFTER)
        return running

    def _changed(self) -> None:
        """After a commit: sockets may have moved, users may have gone."""
        self.ready.write()
        users = self.appliance.running()[1].users
        for session in list(self.appliance.sessions.open.values()):
            account = users.get(session.user)
            if (account is None or not account.enabled) and session.on_close:
                session.on_close(ENDED)

    def say_goodbye(self) -> None:
        """End all sessions, with the text that says why."""
        for session in list(self.appliance.sessions.open.values()):
            if session.on_close:
                session.on_close(SHUTTING_DOWN)

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """End all sessions, accept nothing more, let deliveries end within `seconds`, release the state directory."""
        appliance = self.appliance
        appliance.on_change.remove(self._changed)
        self.console.close()
        self.ssh.close()
        self.say_goodbye()
        await self.ssh.stop(FAREWELL_SECONDS)
        if self.console.tasks:
            await asyncio.wait(list(self.console.tasks), timeout=FAREWELL_SECONDS)
        appliance.accounts.logins.stopped(appliance.clock.now())
        await appliance.stop(seconds)


def _first_passphrase(appliance: Appliance) -> list[str]:
    if appliance.generated_passphrase is None:
        return []
    return [
        f'First start: the passphrase of the user "admin" is {appliance.generated_passphrase}',
        'It is shown only this once. Change it with the command "passphrase".',
    ]


def _allow_open_files() -> None:
    """As many as the system lets this process have; the usual soft limit is meant for programs that use `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
