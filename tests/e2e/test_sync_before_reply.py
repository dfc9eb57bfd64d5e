"""250 means that the message is on disk: seen in the system calls of the running program (performance.md rule 2)."""

from __future__ import annotations

import json
import re
import smtplib
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.served import Program, serving, wait

pytestmark = pytest.mark.e2e

SYNC = r"(?:fdatasync|fsync)"
WRITE = r"(?:pwrite64|pwritev2?|write)"


@contextmanager
def traced(program: Program, output: Path) -> Iterator[None]:
    """Every call that writes, syncs or sends, in the order in which they were made."""
    calls = "trace=write,pwrite64,pwritev,pwritev2,fdatasync,fsync,sendto"
    with subprocess.Popen(
        [
            "strace",
            "-f",
            "-y",
            "-s",
            "64",
            "-e",
            calls,
            "-o",
            str(output),
            *(f"--attach={pid}" for pid in (program.process.pid, *storing(program))),
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        assert "attached" in strace.stderr.readline()
        try:
            yield
        finally:
            strace.terminate()


def storing(program: Program) -> list[int]:
    """The process that writes the queue's database."""
    pid = program.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"queue.storing" in Path(f"/proc/{child}/cmdline").read_bytes()]


def events(trace: str, file: str) -> list[str]:
    """What happened to files whose name holds `file`: `write` and `synced` as they ended, and `250` as it was sent."""
    found: list[str] = []
    unfinished: dict[str, str] = {}
    for line in trace.splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            unfinished[thread] = call.removesuffix("<unfinished ...>")
        if call.startswith("sendto(") and '"250 ok:  Message' in call:
            found.append("250")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            call = unfinished.pop(thread, "") + resumed[1]
        elif call.endswith("<unfinished ...>"):
            continue
        if re.match(rf"{SYNC}\(\d+<[^>]*{file}[^>]*>\s*\)\s*= 0", call):
            found.append("synced")
        elif re.match(rf"{WRITE}\(\d+<[^>]*{file}[^>]*>", call):
            found.append("write")
    return found


def body_file(program: Program) -> str:
    """The file that holds the body of the only message."""
    connection = sqlite3.connect(program.state / "queue" / "queue.sqlite")
    ((envelope,),) = connection.execute("SELECT envelope FROM message").fetchall()
    connection.close()
    fields = json.loads(envelope)
    return str(fields["spool"] or (fields["place"] and fields["place"][0]) or "queue.sqlite-wal")


@pytest.mark.parametrize(("lines", "folder"), [(50, ""), (1_000, "segments"), (5_000, "spool")], ids=["small", "medium", "large"])
def test_what_is_answered_250_was_synced_before(tmp_path: Path, lines: int, folder: str) -> None:
    with serving(tmp_path / "state", "--map", "auto", "--dns", "127.0.0.1:1") as program:
        line = 'listenerconfig new InboundMail public Management smtp --accept=plain.test; commit "test" Y'
        assert program.batch(line).returncode == 0
        host, port = program.socket("smtp", "InboundMail")
        trace = tmp_path / "trace"
        with smtplib.SMTP(host, port, timeout=20) as client:
            client.ehlo("client.test")
            wait(lambda: storing(program), "the process that stores")
            with traced(program, trace):
                client.sendmail("a@client.test", ["joe@plain.test"], "Subject: x\r\n\r\n" + "0123456789012345678901234567890\r\n" * lines)
                wait(lambda: "250 ok:  Message" in trace.read_text(errors="replace"), "the reply in the trace")
        text, name = trace.read_text(errors="replace"), body_file(program)
        assert not folder or (program.state / "queue" / folder / name).exists()
        for file in {"queue.sqlite-wal", name}:
            seen = events(text, re.escape(file))
            before = seen[: seen.index("250")]
            assert "write" in before, text
            assert before[-1] == "synced", text
