"""The ready document: where a running appliance answers (labs-and-ci.md 2.1)."""

from __future__ import annotations

import json
import os
from datetime import UTC
from typing import TYPE_CHECKING

from appliance_runtime.state_directory import write_private
from asyncos_shell.ssh_server import SshServer

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance

FORM = 1


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def sockets(appliance: Appliance) -> list[dict[str, str]]:
    """Every open socket, in the order in which they were opened."""
    return [
        {"service": endpoint.service, "owner": endpoint.owner, "logical": _place(*endpoint.logical), "real": _place(*real)}
        for endpoint, real in appliance.sockets
    ]


def document(appliance: Appliance, ssh: SshServer) -> str:
    """One line of JSON."""
    now = appliance.clock.now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return json.dumps(
        {
            "ready": True,
            "version": FORM,
            "pid": os.getpid(),
            "state": str(appliance.directory.root),
            "generation": appliance.running()[0],
            "clock": {"mode": "real", "now": now},
            "sockets": sockets(appliance),
            "ssh_host_key": ssh.fingerprint,
        }
    )


class ReadyFile:
    """Keeps the ready file up to date. `write` is called when everything answers, and after each commit."""

    def __init__(self, appliance: Appliance, ssh: SshServer) -> None:
        self._appliance, self._ssh = appliance, ssh
        self._written: list[dict[str, str]] | None = None

    def write(self) -> None:
        path, now = self._appliance.options.ready_file, sockets(self._appliance)
        if path is not None and now != self._written:
            self._written = now
            write_private(path, f"{document(self._appliance, self._ssh)}\n".encode())
