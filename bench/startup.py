"""Start-up times and idle memory: run `make bench`. Prints the median of several runs and the bounds they are held against.

Measured from the start of the process to the octet that ends the first prompt, warm file cache.
"""

from __future__ import annotations

import os
import platform
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 7
PROGRAM = [sys.executable, "-m", "asyncos_shell"]
PROMPT = b"> "
LIMIT = 20.0


def environment() -> dict[str, str]:
    return {**os.environ, "ASYNCOS_SHELL_ADMIN_PASSPHRASE": "bench-passphrase", "TERM": "dumb"}


def to_prompt(state: Path) -> float:
    """Seconds from start to the main prompt at a terminal."""
    leader, follower = pty.openpty()
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*PROGRAM, "--state", str(state), "--map", "auto", "--ui", "plain"],
        stdin=follower,
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    os.close(follower)
    seen = b""
    while not seen.endswith(PROMPT):
        if not select.select([leader], [], [], LIMIT)[0]:
            raise RuntimeError(f"no prompt within {LIMIT} s: {seen!r}")
        seen += os.read(leader, 65536)
    taken = time.perf_counter() - begin
    os.write(leader, b"exit\r")
    process.wait(LIMIT)
    os.close(leader)
    return taken


def help_text() -> float:
    begin = time.perf_counter()
    subprocess.run([*PROGRAM, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def idle_memory(state: Path) -> float:
    """Resident MiB of `serve` with nothing to do, its other process included."""
    process = subprocess.Popen(
        [*PROGRAM, "--state", str(state), "--map", "auto", "serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    statuses = [Path(f"/proc/{pid}/status").read_text().splitlines() for pid in (process.pid, *children)]
    process.terminate()
    process.wait(LIMIT)
    process.stdout.close()
    return sum(int(line.split()[1]) / 1024 for status in statuses for line in status if line.startswith("VmRSS"))


def report(what: str, values: list[float], unit: str, bound: float) -> None:
    median = statistics.median(values)
    print(
        f"{what:<42}{median:8.3f} {unit:<4} (min {min(values):.3f}, max {max(values):.3f}, bound {bound}) {'ok' if median < bound else 'OVER'}"
    )


def main() -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {RUNS} runs")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        to_prompt(root / "warm")
        report("new state directory to prompt", [to_prompt(root / f"new{n}") for n in range(RUNS)], "s", 1.0)
        report("existing state directory to prompt", [to_prompt(root / "warm") for _ in range(RUNS)], "s", 0.6)
        report("--help", [help_text() for _ in range(RUNS)], "s", 0.2)
        report("idle appliance, resident", [idle_memory(root / "warm")], "MiB", 90)


if __name__ == "__main__":
    main()
