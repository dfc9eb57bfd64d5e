"""kill -9 while mail arrives and leaves: what was acknowledged is delivered, what was committed is there, the state directory opens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import smtplib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field

from asyncos_shell.lab.peers import Peer
from tests.support.served import PROGRAM, Program, environment, serving

pytestmark = pytest.mark.e2e

SINK, DOMAIN = "192.0.2.25", "sink.test"
PREPARED = (
    f"listenerconfig new InboundMail public Management smtp --accept={DOMAIN}; "
    "listenerconfig edit InboundMail hostaccess default --max_conn=1000 --max_msgs=1000; "
    f'smtproutes new {DOMAIN} [{SINK}]; commit "as the test needs it" Y'
)


@define
class Senders:
    """Clients that send message after message, each with an id of its own, and note those that were acknowledged."""

    program: Program
    stopped: bool = False
    acknowledged: set[str] = field(factory=set)
    numbers: Iterator[int] = field(factory=itertools.count)

    def stop(self) -> None:
        """No further message."""
        self.stopped = True

    async def run(self, clients: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._send())

    async def _send(self) -> None:
        while not self.stopped:
            with contextlib.suppress(OSError, EOFError, StopIteration, ValueError):
                await self._session()
            await asyncio.sleep(0.01)  # the appliance is down

    async def _session(self) -> None:
        reader, writer = await asyncio.open_connection(*self.program.socket("smtp", "InboundMail"))

        async def command(text: str) -> str:
            writer.write(text.encode())
            while (line := await reader.readuntil(b"\n"))[3:4] == b"-":
                pass
            return line.decode()

        try:
            await command("")
            await command("EHLO client.test\r\n")
            while not self.stopped:
                mark = f"message-{next(self.numbers):06d}"
                await command("MAIL FROM:<sender@client.test>\r\n")
                await command(f"RCPT TO:<joe@{DOMAIN}>\r\n")
                await command("DATA\r\n")
                if (await command(f"Subject: {mark}\r\n\r\n{'x' * 70}\r\n.\r\n")).startswith("250"):
                    self.acknowledged.add(mark)
        finally:
            writer.close()


def delivered(sink: Peer) -> list[str]:
    return [mark.decode() for message in sink.messages for mark in re.findall(rb"message-\d{6}", message.octets)]


def other_processes(pid: int) -> list[int]:
    """Those that receive, and the one that stores."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if re.search(rb"smtp\.workers\.process|queue\.storing", Path(f"/proc/{child}/cmdline").read_bytes())
    ]


@define
class Acknowledgements:
    """Kills the program while clients send, starts it again, and looks for every acknowledged message at the sink."""

    state: Path
    senders: int
    crashes: int
    between: int
    """acknowledged messages between two crashes, at most"""
    moments: random.Random
    workers: int = 0
    """processes that receive; each crash kills one of them, the one that stores, or the appliance"""

    async def run(self) -> None:
        sink = Peer("mx.sink.test", behaviour="no-starttls")
        await sink.start()
        arguments = ("--map", "auto", "--map", f"{SINK}:25=127.0.0.1:{sink.port}", "--dns", "127.0.0.1:1")
        if self.workers:
            arguments += ("--workers", str(self.workers))
        try:
            with contextlib.ExitStack() as stack:
                program = await asyncio.to_thread(stack.enter_context, serving(self.state, *arguments))
                done = await asyncio.to_thread(program.batch, PREPARED)
                assert (done.returncode, done.stdout) == (0, ""), done.stdout
                senders = Senders(program)
                sending = asyncio.create_task(senders.run(self.senders))
                for _ in range(self.crashes):
                    share = len(senders.acknowledged) + self.moments.randint(1, self.between)
                    async with asyncio.timeout(60):
                        while len(senders.acknowledged) < share:
                            await asyncio.sleep(0.001)
                    await asyncio.sleep(self.moments.random() * 0.02)
                    if victim := self.moments.choice([None, *other_processes(program.process.pid)]):
                        os.kill(victim, signal.SIGKILL)
                        continue
                    program.kill()
                    program = await asyncio.to_thread(stack.enter_context, serving(program.state, *arguments))
                    senders.program = program
                senders.stop()
                await asyncio.wait_for(sending, 60)
                async with asyncio.timeout(120):
                    while missing := senders.acknowledged - set(delivered(sink)):
                        await asyncio.sleep(0.05)
                assert not missing
                assert len(senders.acknowledged) >= self.crashes
                shown = await asyncio.to_thread(program.batch, "listenerconfig list")
                assert "InboundMail" in shown.stdout
        finally:
            await sink.stop()


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_acknowledged_message_is_delivered(tmp_path: Path, seed: int) -> None:
    await Acknowledgements(tmp_path / "state", senders=20, crashes=6, between=300, moments=random.Random(seed)).run()


async def test_any_process_may_be_killed(tmp_path: Path) -> None:
    await Acknowledgements(tmp_path / "state", senders=20, crashes=15, between=200, moments=random.Random(3), workers=2).run()


@pytest.mark.slow
async def test_fifty_crashes_under_a_hundred_connections_lose_nothing(tmp_path: Path) -> None:
    await Acknowledgements(tmp_path / "state", senders=100, crashes=50, between=150, moments=random.Random(5)).run()


COMMITS = 200


def test_a_commit_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    moments = random.Random(3)
    done = 0
    while done < COMMITS:
        with serving(tmp_path / "state", "--map", "auto", "--dns", "127.0.0.1:1") as program:
            shown = program.batch("commitdetail; destconfig list")
            assert shown.returncode == 0, shown.stdout
            comment = re.search(r'comments: "number (\d+)"', shown.stdout)
            there = int(comment[1]) + 1 if comment else 0
            assert there in (done, done + 1), "the last one reported, or the one that was in progress"
            assert set(re.findall(r"^d\d+\.test", shown.stdout, re.M)) == {f"d{n}.test" for n in range(there)}
            line = "; ".join(
                f'destconfig new d{n}.test --tls=required; commit "number {n}" Y; commitdetail'
                for n in range(there, min(there + 60, COMMITS))
            )
            if not line:
                return
            operator = subprocess.Popen(
                [*PROGRAM, "--state", str(program.state), "-c", line],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment(),
            )
            assert operator.stdout is not None
            seen = "".join(operator.stdout.readline() for _ in range(moments.randint(1, 25)))
            time.sleep(moments.random() * 0.03)
            program.kill()
            reported = re.findall(r'comments: "number (\d+)"', seen + operator.communicate(timeout=20)[0])
            done = int(reported[-1]) + 1


def test_what_is_suspended_is_so_after_a_crash(tmp_path: Path) -> None:
    with serving(tmp_path / "state", "--map", "auto", "--dns", "127.0.0.1:1") as program:
        assert program.batch(PREPARED.replace(f"[{SINK}]", "/dev/null")).returncode == 0
        assert program.batch("workqueue pause checking").returncode == 0
        host, port = program.socket("smtp", "InboundMail")
        with smtplib.SMTP(host, port, timeout=10) as client:
            client.sendmail("sender@client.test", f"joe@{DOMAIN}", "Subject: x\r\n\r\nx\r\n")
        assert program.batch("suspend 1").stdout == "Receiving suspended.\nMail delivery suspended.\n"
        program.kill()
        with serving(program.state, *program.arguments) as again:
            assert [row for row in again.ready()["sockets"] if row["service"] == "smtp"] == []
            shown = again.batch("workqueue status; status").stdout
            assert "Status:   Paused by admin: checking\nMessages: 1\n" in shown
            assert "System status:                 Offline\n" in shown
            assert again.batch("workqueue resume; resume").stdout == "Receiving resumed.\nMail delivery resumed.\n"
            again.wait_for('MID 1 RID [0] discarded by SMTP route "/dev/null"')
            assert again.socket("smtp", "InboundMail")
