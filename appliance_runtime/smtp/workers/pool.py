"""Receiving workers as the appliance sees them: processes that serve SMTP sessions (`--workers`).

A client is accepted here, and here the host access table and the limits of connections decide about it. Then a worker that has
the live settings gets its socket and speaks with it to the end. It stores nothing: messages come here, and it answers
250 when it is told that the queue has them. Log lines and counters come here too, in their order, and limits that sessions
share are asked here. A worker that is not there, is behind with the settings, or does not keep up gets no client, and the
session is served in this process, as are all whose policy verifies client certificates. A worker that dies, or gives no sign of life and
is killed, takes its sessions with it; messages that it has passed on are in the queue. The supervisor reports it and starts another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from appliance_runtime.child import child
from appliance_runtime.logs.messages import MESSAGES
from appliance_runtime.logs.writer import LineLog
from appliance_runtime.queue.body import Body
from appliance_runtime.queue.database import from_microseconds
from appliance_runtime.queue.envelope import NewMessage
from appliance_runtime.queue.errors import QueueFull
from appliance_runtime.services import Endpoint
from appliance_runtime.smtp.surroundings import Counting, Intake, Peer, SharedLimits, Surroundings
from appliance_runtime.smtp.workers import process as worker_process
from appliance_runtime.smtp.workers.frames import FULL, Answered, Carry, MoreNumbers, Settings, Sign, Stored
from appliance_runtime.smtp.workers.running import HandedOver, RunningWorker
from appliance_runtime.supervisor import FaultReport, Supervisor
from appliance_runtime.tls import ServerTls
from appliance_state.model import Config

MIDS = 500
"""that a worker gets at a time"""
STARTING = 10.0
"""seconds in which the workers become ready"""
PARTING = 5.0
"""seconds in which a worker ends"""
SILENCE = 30.0
"""seconds of real time without a sign of life after which a worker is killed"""
SIGNS = 3
"""that it is asked for meanwhile"""


class WorkerEnded(Exception):
    """A process has ended although nobody asked for it."""


class ReceivingWorkers:
    """`count` of them, which may be none. `use` says what is live; `hand_over` gives one a client."""

    def __init__(
        self, count: int, intake: Intake, logs: LineLog, counters: Counting, limits: SharedLimits, report: FaultReport, network_scale: float
    ) -> None:
        self.count = count
        self.running: list[RunningWorker] = []
        self.served = 0
        """clients that were given to a worker so far"""
        self._intake = intake
        self._logs = logs
        self._counters = counters
        self._limits = limits
        self._report = report
        self._scale = network_scale
        self._live: Surroundings | None = None
        self._settings: Settings | None = None
        self._services: list[asyncio.Task[None]] = []
        self._stopping = False
        self._all_ready = asyncio.Event()
        """for the first time"""
        self._messages: dict[str, Callable[..., None]] = {
            "lines": self._write_lines,
            "message": self._submit,
            "over": self._over,
            "ended": self._ended,
            "counts": self._count,
            "recipient": self._take_recipient,
            "tls": self._enter_tls,
            "numbers": self._give_numbers,
            "ready": self._ready,
            "fault": self._fault,
            "alive": lambda worker, body: None,
        }

    async def start(self, supervisor: Supervisor) -> None:
        """Returns when they are ready, or have not become so in time: sessions are served here until they are."""
        for number in range(1, self.count + 1):
            name = f"receiving worker {number}"
            self._services.append(supervisor.run(name, partial(self._serve, name)))
        if self._services:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STARTING):
                    await self._all_ready.wait()

    def use(self, live: Surroundings, tls: Mapping[str, ServerTls]) -> None:
        """This snapshot is live; `tls`: what its inbound contexts are made from, but for those that verify clients."""
        if not self.count:
            return
        config = live.config
        own = Config().with_(
            system=config.system,
            interfaces=config.interfaces,
            listeners=config.listeners,
            listener_globals=config.listener_globals,
            log_globals=config.log_globals,
        )
        self._live = live
        self._settings = Settings(
            number=self._settings.number + 1 if self._settings else 1,
            config=own,
            tls=tls,
            logged=frozenset(name for name in MESSAGES if self._logs.wants(name)),
            spool=self._intake.spool,
            network_scale=self._scale,
        )
        for worker in self.running:
            worker.say(self._settings)

    def hand_over(
        self, snapshot: Surroundings, endpoint: Endpoint, peer: Peer, sock: socket.socket, *, on_end: Callable[[], None]
    ) -> HandedOver | None:
        """Give a client to the worker that has the fewest. None = it is to be served here."""
        if not self.running or snapshot is not self._live or peer.decision.parameters.tls_verify:
            return None
        able = [worker for worker in self.running if self.is_ready(worker)]
        if not able:
            return None
        worker = min(able, key=lambda worker: len(worker.sessions))
        if not worker.hand_over(Carry(peer.icid, endpoint, peer.address, peer.reverse), sock):
            return None
        self.served += 1
        session = worker.sessions[peer.icid] = HandedOver(endpoint, peer, worker, on_end)
        return session

    def is_ready(self, worker: RunningWorker) -> bool:
        """It works with the live settings."""
        return self._settings is not None and worker.ready == self._settings.number

    async def stop(self) -> None:
        """Let every worker end."""
        self._stopping = True
        for worker in self.running:
            worker.end()
        if self._services:
            await asyncio.wait(self._services, timeout=PARTING)

    async def _serve(self, name: str) -> None:
        """One process from its start to its end. Errors: WorkerEnded."""
        near, far = socket.socketpair()
        with near, far:
            async with child(worker_process.__name__, channel=far) as process:
                far.close()
                worker = RunningWorker(process.pid, near, self._handle)
                worker.begin()
                self.running.append(worker)
                self._give_numbers(worker)
                if self._settings is not None:
                    worker.say(self._settings)
                if self._stopping:
                    worker.end()
                watch = asyncio.create_task(self._watch(worker, process))
                try:
                    status = await process.wait()
                finally:
                    watch.cancel()
                    self.running.remove(worker)
                    worker.end()
                    self._lose(worker)
        if not self._stopping:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise WorkerEnded(f"process {worker.pid} ended with {how}; its sessions are lost")

    async def _watch(self, worker: RunningWorker, process: Process) -> None:
        """Kill a process that hangs: its clients are better off with another one."""
        while worker.heard:
            worker.heard = False
            for _ in range(SIGNS):
                worker.say(Sign())
                await asyncio.sleep(SILENCE / SIGNS)
        process.kill()

    def _lose(self, worker: RunningWorker) -> None:
        """What a worker that has ended was about."""
        for mid in sorted(worker.begun):
            self._logs.event("mid.aborted", mid=mid, reason="Receiving aborted")
            self._logs.event("mid.finished", mid=mid, outcome="aborted")
        for icid in list(worker.sessions):
            self._logs.event("icid.lost", icid=icid)
            self._logs.event("icid.close", icid=icid)
            self._ended(worker, b"", icid)

    # what workers say

    def _handle(self, worker: RunningWorker, head: list[Any], body: bytes) -> None:
        self._messages[head[0]](worker, body, *head[1:])

    def _write_lines(self, worker: RunningWorker, _: bytes, lines: Sequence[tuple[str, str, int]]) -> None:
        for name, text, mid in lines:
            self._logs.line(name, text)
            if name == "mid.start":
                worker.begun.add(mid)
            elif name == "mid.finished":
                worker.begun.discard(mid)

    def _count(self, worker: RunningWorker, _: bytes, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            self._counters.add(name, count)

    def _submit(
        self,
        worker: RunningWorker,
        octets: bytes,
        mid: int,
        icid: int,
        sender: str,
        recipients: Sequence[str],
        received: int,
        listener: str,
        bounce_profile: str,
        direction: str,
        body: Sequence[Any],
    ) -> None:
        worker.begun.discard(mid)
        size, checksum, verbatim, spool, problem = body
        made = Body.received(self._intake.spool, octets, spool, size=size, checksum=checksum)
        made.verbatim = verbatim
        if problem:
            made.error = OSError(problem, os.strerror(problem))
        message = NewMessage(
            mid=mid,
            sender=sender,
            recipients=tuple(recipients),
            body=made,
            received=from_microseconds(received),
            listener=listener,
            bounce_profile=bounce_profile,
            direction=direction,
            icid=icid,
        )
        self._intake.submit(message, partial(self._stored, worker, mid))

    def _stored(self, worker: RunningWorker, mid: int, error: Exception | None) -> None:
        if error is None:
            worker.say(Stored(mid, ""))
        else:
            worker.say(Stored(mid, FULL if isinstance(error, QueueFull) else str(error) or "unknown"))

    def _take_recipient(self, worker: RunningWorker, _: bytes, question: int, client: list[int], limit: int, period: int) -> None:
        def answer(allowed: bool) -> None:
            if question:
                worker.say(Answered(question, allowed))

        version, bits, network = client
        self._limits.take_recipient((version, bits, network), limit, period, answer)

    def _enter_tls(self, worker: RunningWorker, _: bytes, question: int, icid: int, limit: int) -> None:
        def answer(allowed: bool) -> None:
            worker.sessions[icid].in_tls = allowed
            worker.say(Answered(question, allowed))

        self._limits.enter_tls(icid, limit, answer)

    def _give_numbers(self, worker: RunningWorker, _: bytes = b"") -> None:
        worker.say(MoreNumbers(tuple(self._intake.next_mid() for _ in range(MIDS))))

    def _over(self, worker: RunningWorker, _: bytes, icid: int) -> None:
        worker.sessions[icid].over(self._limits)

    def _ended(self, worker: RunningWorker, _: bytes, icid: int) -> None:
        session = worker.sessions.pop(icid)
        session.over(self._limits)
        session.closed.set_result(None)

    def _ready(self, worker: RunningWorker, _: bytes, number: int) -> None:
        worker.ready = number
        if len(self.running) == self.count and all(map(self.is_ready, self.running)):
            self._all_ready.set()

    def _fault(self, worker: RunningWorker, _: bytes, text: str) -> None:
        self._report("receiving worker", text)
