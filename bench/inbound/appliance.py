"""The appliance as `asyncos-shell serve` runs it: public listeners with host access table, recipient table, limits, logs.

Limits that 100 connections from one address would exceed are raised, the listen queue is as long as that of the other side,
and there is no reverse look-up of the client, as there. The only destination accepts connections and never greets, and one
connection is allowed to it, so what is accepted is scheduled and stays queued.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.inbound.certificates import KEYS
from bench.inbound.servers import Server

PROGRAM = [sys.executable, "-m", "asyncos_shell"]
START_LIMIT = 20.0
SILENT = "192.0.2.25"
GENERAL = (
    "dnsconfig setup --ptr_timeout=0",
    "listenerconfig setup --max_connections=1000 --max_tls_connections=1000",
    "destconfig new bench.test --max_host_concurrency=1",
    f"smtproutes new bench.test [{SILENT}]",
)


@contextmanager
def appliance(certificates: Path, silent: int, *, queue: Path | None = None, workers: int = 0) -> Iterator[Server]:
    """A new one each time. `silent`: port of the destination; `queue`: directory of a queue that it takes as its own; `workers`: see `--workers`."""
    root = Path(tempfile.mkdtemp(prefix="bench-appliance-"))
    state, ready = root / "state", root / "ready"
    if queue is not None:
        state.mkdir(0o700)
        queue.rename(state / "queue")
    words = ("--state", str(state), "--ready-file", str(ready), "--map", "auto", "--map", f"{SILENT}:25=127.0.0.1:{silent}")
    process = subprocess.Popen(
        [*PROGRAM, *words, "--dns", "127.0.0.1:1", "--workers", str(workers), "serve"],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "ASYNCOS_SHELL_ADMIN_PASSPHRASE": "bench-passphrase"},
    )
    try:
        _wait_for(process, ready)
        _configure(state, certificates)
        ports = {name: _port(ready, name) for name in KEYS}
        yield Server("appliance", process.pid, {"": ports["rsa"], **ports}, state=state)
    finally:
        process.kill()  # an orderly end would wait for the silent destination
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


def _wait_for(process: subprocess.Popen[bytes], ready: Path) -> None:
    end = time.monotonic() + START_LIMIT
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit("the appliance does not start")
        time.sleep(0.02)


def _configure(state: Path, certificates: Path) -> None:
    lines = list(GENERAL)
    for port, name in enumerate(KEYS, start=2525):
        for suffix in ("pem", "key"):
            shutil.copy(certificates / f"{name}.{suffix}", state / "configuration")
        lines += (
            f"certconfig certificate paste {name} --certificate={name}.pem --key={name}.key",
            f"listenerconfig new {name} public Management smtp --port={port} --accept=bench.test --certificate={name}",
            f"listenerconfig edit {name} limits 1000 100",
            f"listenerconfig edit {name} hostaccess default --max_conn=1000 --max_msgs=1000000 --tls=preferred",
        )
    lines.append('commit "benchmark" Y')
    done = _batch(state, "; ".join(lines))
    if done.returncode:
        raise SystemExit(f"the appliance cannot be configured: {done.stdout}{done.stderr}")


def status_number(server: Server, row: str) -> int:
    """A number that `status` shows."""
    shown = _batch(server.state, "status detail").stdout
    return next(int(line.split()[-1].replace(",", "")) for line in shown.splitlines() if line.strip().startswith(row))


def _batch(state: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, "--state", str(state), "-c", line], capture_output=True, text=True, check=False)


def _port(ready: Path, listener: str) -> int:
    sockets = json.loads(ready.read_text())["sockets"]
    return next(int(entry["real"].rpartition(":")[2]) for entry in sockets if entry["service"] == "smtp" and entry["owner"] == listener)
