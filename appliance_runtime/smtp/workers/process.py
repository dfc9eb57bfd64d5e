"""The process of a receiving worker: it serves the sessions that the appliance gives it, with the settings that were live then.

Standard input is the channel to the appliance, with which the process ends. Sessions are those of the appliance itself; what
they need of it: `remote`. Contexts and tables of new settings are made beside the event loop; those that did not change stay.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from appliance_runtime.clock import SystemClock
from appliance_runtime.smtp.access import CompiledListener, compile_listener
from appliance_runtime.smtp.connection import Connection
from appliance_runtime.smtp.sessions import Sessions
from appliance_runtime.smtp.surroundings import Peer, Services
from appliance_runtime.smtp.workers.frames import Answered, Carry, Ending, Settings, Sign, Stored, ToWorker
from appliance_runtime.smtp.workers.remote import Channel, RemoteCounters, RemoteIntake, RemoteLimits, RemoteLog
from appliance_runtime.tls import ServerTls
from appliance_state.table import fold


@frozen(kw_only=True)
class Ready:
    """Settings with what is made from them."""

    settings: Settings
    receiving: Mapping[str, CompiledListener]
    contexts: Mapping[ServerTls, ssl.SSLContext]


class Worker:
    def __init__(self, sock: socket.socket) -> None:
        self._channel = Channel(sock, self._handle)
        self._logs = RemoteLog(self._channel)
        self._intake = RemoteIntake(self._channel)
        self._limits = RemoteLimits(self._channel)
        self._services = Services(
            queue=self._intake, logs=self._logs, clock=SystemClock(), counters=RemoteCounters(self._channel), limits=self._limits
        )
        self._sessions: Sessions | None = None
        self._by_icid: dict[int, Connection] = {}
        self._ready: Ready | None = None
        self._preparing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, report: self._channel.say("fault", _fault(report)))
        self._channel.begin()
        await loop.create_future()  # for ever: the process ends with its channel

    def _handle(self, value: ToWorker) -> None:
        match value:
            case Stored():
                self._intake.settle(value)
            case Carry():
                self._carry(value)
            case Answered():
                self._limits.settle(value)
            case Ending():
                self._end(value)
            case Settings():
                self._run(self._prepare(value))
            case Sign():
                self._channel.say("alive")

    def _run(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepare(self, settings: Settings) -> None:
        async with self._preparing:
            self._ready = await asyncio.to_thread(_made, settings, self._ready)
            self._logs.logged = settings.logged
            self._intake.spool = settings.spool
            if self._sessions is None:
                self._sessions = Sessions(self._services, settings.network_scale)
            # What is there now stays; and mail makes little garbage.
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)
            self._channel.say("ready", settings.number)

    def _carry(self, carry: Carry) -> None:
        sock = self._channel.socket_of_client()
        if sock is None:
            self._logs.event("icid.lost", icid=carry.icid)
            self._logs.event("icid.close", icid=carry.icid)
            self._channel.say("ended", carry.icid)
            return
        ready, sessions = self._ready, self._sessions
        assert ready is not None and sessions is not None  # nothing is given to a worker that is not ready
        listener = ready.receiving[carry.endpoint.uid]
        decision = listener.decide(carry.client, carry.reverse.name if carry.reverse.verified else None)
        tls = ready.settings.tls.get(fold(listener.listener.tls_certificate))
        connection = sessions.begin(
            ready.settings.config,
            listener,
            carry.endpoint,
            Peer(
                icid=carry.icid,
                address=carry.client,
                reverse=carry.reverse,
                interface_ip=carry.endpoint.address,
                decision=decision,
            ),
            ready.contexts[tls] if tls is not None else None,
            on_end=lambda _: self._channel.say("over", carry.icid),
            on_closed=lambda _: self._closed(carry.icid),
        )
        self._by_icid[carry.icid] = connection
        sock.setblocking(False)
        sessions.attach(connection, sock)

    def _closed(self, icid: int) -> None:
        del self._by_icid[icid]
        self._channel.say("ended", icid)

    def _end(self, ending: Ending) -> None:
        connection = self._by_icid.get(ending.icid)
        if connection is not None:
            {"retire": connection.retire, "cut": connection.cut, "abort": connection.abort}[ending.how]()


def _made(settings: Settings, before: Ready | None) -> Ready:
    """In a thread. The appliance has made the same before it sent them, so nothing of it fails."""
    config = settings.config
    known = before.contexts if before else {}
    return Ready(
        settings=settings,
        receiving={listener.uid: compile_listener(config, listener) for listener in config.listeners.entries()},
        contexts={tls: known.get(tls) or tls.context() for tls in settings.tls.values()},
    )


def _fault(report: dict[str, Any]) -> str:
    error = report.get("exception")
    return f"{report['message']}: {type(error).__name__}: {error}" if error else str(report["message"])


def main() -> None:
    """The process."""
    # The appliance says when to end; a service manager may tell all its processes at once.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    async def run() -> None:
        await Worker(socket.socket(fileno=0)).run()

    asyncio.run(run())
