"""The sink: `sink.c`, compiled once for each run of the benchmark (needs gcc and libssl-dev), one process for each measurement."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from attrs import define, frozen

SOURCE = Path(__file__).with_name("sink.c")
LIMIT = 120.0
"""seconds that a measurement may take"""


class SinkFailed(Exception):
    """It could not be compiled, or the messages did not all come."""


@frozen
class Taken:
    """`seconds`: from the first to the last message."""

    seconds: float
    connections: int
    encrypted: int


def compile_sink(folder: Path) -> Path:
    """Errors: SinkFailed."""
    program = folder / "sink"
    needed = "(Debian: apt-get install gcc libc6-dev libssl-dev)"
    try:
        done = subprocess.run(
            ["gcc", "-O2", "-o", str(program), str(SOURCE), "-lssl", "-lcrypto"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise SinkFailed(f"gcc is missing {needed}") from None
    if done.returncode:
        raise SinkFailed(f"the sink does not compile {needed}\n{done.stderr}")
    return program


@define
class Sink:
    port: int
    _lines: IO[str]

    def wait_first(self) -> None:
        """Until the first message has come."""
        self._line("first")

    def wait_all(self) -> Taken:
        """Until the last one has come."""
        seconds, connections, encrypted = self._line("done").split()
        return Taken(float(seconds), int(connections), int(encrypted))

    def _line(self, word: str) -> str:
        found, _, rest = self._lines.readline().strip().partition(" ")
        if found != word:
            raise SinkFailed(f"not all messages have come within {LIMIT:.0f} s")
        return rest


@contextmanager
def sink(program: Path, messages: int, certificate: Path | None = None) -> Iterator[Sink]:
    """Errors: SinkFailed."""
    words = [str(program), str(messages)]
    if certificate is not None:
        words += [str(certificate), str(certificate.with_suffix(".key"))]
    # `timeout` ends a sink for which messages never come, and with it whoever waits for its lines.
    process = subprocess.Popen(["timeout", str(LIMIT), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        word, _, port = process.stdout.readline().strip().partition(" ")
        if word != "port":
            raise SinkFailed("the sink does not listen")
        yield Sink(int(port), process.stdout)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
