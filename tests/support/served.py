"""A running `asyncos-shell serve`, looked at from outside: commands, log files, sockets."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define

PROGRAM = [sys.executable, "-m", "asyncos_shell"]
START_LIMIT, STOP_LIMIT = 20.0, 40.0


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCOS_SHELL_")}
    return {**kept, "ASYNCOS_SHELL_ADMIN_PASSPHRASE": "correct-horse-battery"}


def command(*words: str, stdin: str = "", timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Another program, such as openssl or swaks, or this one."""
    return subprocess.run(
        list(words), input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout, check=False, env=environment()
    )


def wait(condition: Any, what: str, limit: float = 20.0, seen: Any = None) -> Any:
    """The first true value of `condition`; fails after `limit` seconds."""
    end = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit} s: {what}\n{seen() if seen else ''}")
        time.sleep(0.02)
    return value


@define
class Program:
    state: Path
    process: subprocess.Popen[bytes]
    ready_file: Path
    arguments: tuple[str, ...]

    def ready(self) -> dict[str, Any]:
        """The ready document as it stands now."""
        document: dict[str, Any] = json.loads(self.ready_file.read_text())
        return document

    def socket(self, service: str, owner: str) -> tuple[str, int]:
        """Real address and port of a service. Errors: StopIteration."""
        rows = self.ready()["sockets"]
        real = next(row["real"] for row in rows if row["service"] == service and row["owner"] == owner)
        host, _, port = real.rpartition(":")
        return host, int(port)

    def batch(self, line: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return command(*PROGRAM, "--state", str(self.state), "-c", line, stdin=stdin)

    def type(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """A script on standard input."""
        return command(*PROGRAM, "--state", str(self.state), stdin="".join(f"{line}\n" for line in lines))

    def log(self, name: str = "mail_logs") -> str:
        return "".join(path.read_text(errors="replace") for path in sorted((self.state / "logs" / name).glob("*")))

    def wait_for(self, text: str, log: str = "mail_logs") -> str:
        """The log, once it holds `text`."""
        wait(lambda: text in self.log(log), f"{text!r} in {log}", seen=lambda: self.log(log))
        return self.log(log)

    def open_sockets(self) -> int:
        """How many TCP sockets it has, listening ones included."""
        tcp = {line.split()[9] for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]}
        count = 0
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed just now
                count += os.readlink(link).removeprefix("socket:[").removesuffix("]") in tcp
        return count

    def kill(self) -> None:
        """As a crash."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(state: Path, *arguments: str) -> Iterator[Program]:
    """A running appliance; ended by its process id."""
    ready_file = state.parent / f"{state.name}.ready"
    ready_file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*PROGRAM, "--state", str(state), "--ready-file", str(ready_file), *arguments, "serve"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )

    def started() -> bool:
        if process.poll() is not None:
            raise AssertionError(f"did not start: {process.communicate()[1].decode()}")
        return ready_file.exists()

    wait(started, "the ready document", START_LIMIT)
    try:
        yield Program(state, process, ready_file, arguments)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()
