"""What follows from a message being in the queue, whoever received it: the log line and the counters, before its sender is answered."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from appliance_runtime.logs.writer import EventLog
from appliance_runtime.queue.body import Body
from appliance_runtime.queue.envelope import NewMessage, Settle
from appliance_runtime.smtp.surroundings import Counting, MessageStore


class QueueIntake:
    """The intake of this process."""

    def __init__(self, queue: MessageStore, logs: EventLog, counters: Counting) -> None:
        self._queue = queue
        self._logs = logs
        self._counters = counters

    @property
    def spool(self) -> Path:
        return self._queue.spool

    def next_mid(self) -> int:
        return self._queue.next_mid()

    def new_body(self) -> Body:
        return self._queue.new_body()

    def submit(self, message: NewMessage, settled: Settle) -> None:
        self._queue.submit(message, partial(self._stored, message.mid, len(message.recipients), settled))

    def _stored(self, mid: int, recipients: int, settled: Settle, error: Exception | None) -> None:
        if error is None:
            self._logs.event("mid.queued", mid=mid)
            self._counters.add("inj_msgs")
            self._counters.add("inj_recips", recipients)
        settled(error)
