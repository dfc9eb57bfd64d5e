"""The program itself as a process of its own."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define

PROGRAM = [sys.executable, "-m", "asyncos_shell"]
SECONDS = 30.0


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment without a variable of the product, and with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCOS_SHELL_")}
    return {**kept, "XDG_STATE_HOME": str(home), "TERM": "xterm", **more}


def run_program(*arguments: str, home: Path, stdin: bytes = b"", **variables: str) -> tuple[int, str, str]:
    """(status, output, errors)."""
    done = subprocess.run(
        [*PROGRAM, *arguments], input=stdin, capture_output=True, env=environment(home, **variables), timeout=SECONDS, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@define
class Served:
    """A running `asyncos-shell serve`."""

    process: subprocess.Popen[bytes]
    home: Path
    ready: dict[str, Any]

    def port(self, service: str) -> int:
        return next(int(entry["real"].rpartition(":")[2]) for entry in self.ready["sockets"] if entry["service"] == service)

    def run(self, *arguments: str, stdin: bytes = b"", **variables: str) -> tuple[int, str, str]:
        return run_program(*arguments, home=self.home, stdin=stdin, **variables)

    def stop(self) -> tuple[int, str]:
        """(status, errors)."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors.decode()


@contextmanager
def serving(home: Path, *options: str, **variables: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--map", "auto", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, **variables),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=SECONDS)[1].decode()
        yield Served(process, home, json.loads(line))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=SECONDS)


class Screen:
    """A program on a pseudo-terminal."""

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, env=env, start_new_session=True)
        os.close(slave)
        self.shown = b""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C at a terminal whose line discipline makes a signal of it."""
        settings = termios.tcgetattr(self._master)
        if settings[3] & termios.ISIG:
            self._process.send_signal(signal.SIGINT)
        else:
            self.type("\x03")

    def until(self, end: str) -> str:
        """What was shown since the last call, up to and including `end`."""
        start, deadline = len(self.shown), time.monotonic() + SECONDS
        while not self.shown[start:].endswith(end.encode()):
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waiting for {end!r}: {self.shown[start:]!r}"
            self.shown += os.read(self._master, 65536)
        return self.shown[start:].decode()

    def until_shown(self, text: str) -> None:
        """Wait until `text` stands anywhere on the screen."""
        while text.encode() not in self.shown:
            ready, _, _ = select.select([self._master], [], [], SECONDS)
            assert ready, f"waiting for {text!r}: {self.shown!r}"
            self.shown += os.read(self._master, 65536)

    def finish(self) -> int:
        """Wait for the end of the program; its status."""
        while True:
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not piece:
                break
            self.shown += piece
        os.close(self._master)
        return self._process.wait(timeout=SECONDS)
