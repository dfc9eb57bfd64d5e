"""The load driver: `driver.c`, compiled once for each run of the benchmark (needs gcc and libssl-dev)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from attrs import frozen

from bench.inbound.scenarios import Scenario

SOURCE = Path(__file__).with_name("driver.c")


class DriverFailed(Exception):
    """It could not be compiled, or a server gave a reply that was not wanted."""


@frozen
class Load:
    """What one run of the driver measured. `cpu_ms`: the driver's own time for each message."""

    accepted: int
    measured: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float

    @property
    def rate(self) -> float:
        return self.measured / self.seconds


def compile_driver(folder: Path) -> Path:
    """Errors: DriverFailed."""
    program = folder / "driver"
    try:
        done = subprocess.run(
            ["gcc", "-O2", "-o", str(program), str(SOURCE), "-lssl", "-lcrypto"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise DriverFailed("gcc is missing (Debian: apt-get install gcc libc6-dev libssl-dev)") from None
    if done.returncode:
        raise DriverFailed(f"the driver does not compile (Debian: apt-get install gcc libc6-dev libssl-dev)\n{done.stderr}")
    return program


def drive(program: Path, port: int, scenario: Scenario, warm_up: float, seconds: float) -> Load:
    """Errors: DriverFailed."""
    words = (port, scenario.connections, warm_up, seconds, scenario.size, scenario.mode, "tls" if scenario.certificate else "plain")
    done = subprocess.run([str(program), *map(str, words)], capture_output=True, text=True, check=False, timeout=warm_up + seconds + 30)
    if done.returncode:
        raise DriverFailed(done.stderr.strip())
    return Load(**json.loads(done.stdout))
