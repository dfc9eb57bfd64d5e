"""The appliance as `asyncos-shell serve` runs it, set up by its own commands; every domain is routed to the sink.

Limits that 20 connections from one address would exceed are raised, and there is no reverse look-up of the client, as on the
other side. A queue is filled before the program starts, by the queue itself, so bodies are read back from disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from appliance_runtime.clock import SystemClock
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage
from bench.outbound.scenarios import Scenario
from bench.outbound.servers import DOMAIN, Running

PROGRAM = [sys.executable, "-m", "asyncos_shell"]
START_LIMIT = 30.0
SINK, SILENT, DEAD = "192.0.2.25", "192.0.2.26", "dead.test"
SCALE = 0.005
"""of network time limits with a dead domain: its greeting is waited for 1.5 s"""
LINE = b"0123456789" * 7 + b"01234\r\n"


class Appliance:
    """`domains`: over which a filled queue is spread; `dead`: messages queued for a domain whose host never says a word; `workers`: see `--workers`."""

    name = "appliance"

    def __init__(self, domains: Sequence[str] = (DOMAIN,), dead: int = 0, workers: int = 0) -> None:
        self._options = ("--workers", str(workers))
        self._domains = domains
        self._dead = dead

    @contextmanager
    def full(self, scenario: Scenario, port: int, messages: int) -> Iterator[Running]:
        with _prepared(scenario) as state:
            asyncio.run(fill(state / "queue", scenario.size, messages, self._domains))
            with _serving(state, port, *self._options) as running:
                yield running

    @contextmanager
    def empty(self, scenario: Scenario, port: int) -> Iterator[Running]:
        with _prepared(scenario) as state:
            if not self._dead:
                with _serving(state, port, *self._options) as running:
                    yield running
                return
            asyncio.run(fill(state / "queue", scenario.size, self._dead, [DEAD]))
            with socket.create_server(("127.0.0.1", 0)) as silent:
                target = f"{SILENT}:25=127.0.0.1:{silent.getsockname()[1]}"
                with _serving(state, port, *self._options, "--map", target, "--net-timeout-scale", str(SCALE)) as running:
                    _wait_for_failures(state)
                    yield running


@contextmanager
def _prepared(scenario: Scenario) -> Iterator[Path]:
    """A state directory with the configuration of a scenario."""
    root = Path(tempfile.mkdtemp(prefix="bench-appliance-"))
    commands = [
        "dnsconfig setup --ptr_timeout=0",
        f"listenerconfig new In public Management smtp --accept={DOMAIN}",
        "listenerconfig edit In hostaccess default --max_conn=1000 --max_msgs=1000000",
        f"smtproutes new ALL [{SINK}]",
        f"smtproutes new {DEAD} [{SILENT}]",
        f"destconfig default --tls={'required' if scenario.tls else 'no'} --max_messages_per_connection={50 if scenario.reuse else 1}",
        'commit "benchmark" Y',
    ]
    try:
        done = subprocess.run(
            [*PROGRAM, "--state", str(root / "state"), "-c", "; ".join(commands)],
            capture_output=True, text=True, env={**os.environ, "ASYNCOS_SHELL_ADMIN_PASSPHRASE": "bench-passphrase"}, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"the appliance cannot be set up: {done.stdout}{done.stderr}")
        yield root / "state"
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _serving(state: Path, target: int, *options: str) -> Iterator[Running]:
    ready = state.parent / "ready"
    process = subprocess.Popen(
        [
            *(*PROGRAM, "--state", str(state), "--ready-file", str(ready), "--map", f"{SINK}:25=127.0.0.1:{target}"),
            *("--map", "auto", "--dns", "127.0.0.1:1", *options, "serve"),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + START_LIMIT
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("the appliance does not start")
            time.sleep(0.02)
        rows = json.loads(ready.read_text())["sockets"]
        real = next(row["real"] for row in rows if row["service"] == "smtp")
        yield Running(process.pid, int(real.rpartition(":")[2]))
    finally:
        process.terminate()
        process.wait()


def _wait_for_failures(state: Path) -> None:
    """Until the first attempt for the dead domain has failed, and its mail is being put off."""
    end = time.monotonic() + START_LIMIT
    while not any("Delayed: " in path.read_text(errors="replace") for path in (state / "logs" / "mail_logs").glob("*")):
        if time.monotonic() > end:
            raise SystemExit("the dead domain does not fail")
        time.sleep(0.05)


async def fill(folder: Path, size: int, messages: int, domains: Sequence[str]) -> None:
    """Put messages into a queue directory, their recipients in the domains in turn."""
    queue = await MessageQueue.open(folder, SystemClock())
    body = (b"Subject: benchmark\r\n\r\n" + LINE * (size // len(LINE) + 1))[: size - 2] + b"\r\n"
    pending = []
    for number in range(messages):
        octets = queue.new_body()
        octets.write(body)
        message = NewMessage(
            mid=queue.next_mid(),
            sender="sender@client.test",
            recipients=(f"joe@{domains[number % len(domains)]}",),
            body=octets,
            received=SystemClock().now(),
            listener="In",
            bounce_profile="Default",
            direction="inbound",
            icid=1,
        )
        pending.append(queue.accept(message))
    await asyncio.gather(*pending)
    await queue.close()
