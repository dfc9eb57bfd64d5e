"""Log subscriptions as they are written: from an event to the lines of all files that want it (logs-and-alerts.md 1).

`Logs.event` only formats a line and puts it into a bounded list; one thread writes what has gathered every 50 ms, so a
slow disk never holds mail. What does not fit into the list, or cannot be written, is dropped and counted in the file.
With `immediate` (frozen clock) each line is in its file when `event` returns. Reading calls may block: off the event loop.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from attrs import define, field, frozen

from appliance_runtime.clock import Clock
from appliance_runtime.logs.escaping import LONGEST_VALUE, field_text
from appliance_runtime.logs.log_file import Entry, LineFormat, LogFile
from appliance_runtime.logs.messages import LEVEL_WORDS, MESSAGES
from appliance_state.model.logs import LogSubscription
from appliance_state.table import fold

INTERVAL = 0.05
"""seconds between two writes"""
MAX_PENDING = 50_000
"""lines that may wait for the disk"""
MAX_FOLLOWED = 5_000
"""lines that a reader of `follow` may be behind"""

_NEVER = datetime.min.replace(tzinfo=UTC)
_TEMPLATES = {name: re.sub(r"\{(\w+)\}", r"%(\1)s", message.text.replace("%", "%%")) for name, message in MESSAGES.items()}
"""the texts of the messages as the `%` operator wants them, which takes half the time of `format`"""


_PLAIN = frozenset((str, int))
"""types whose values stand in a line as `str` has them, where nothing is to be escaped"""


class EventLog(Protocol):
    """What a part of the appliance that only logs needs to know."""

    def event(self, name: str, **fields: object) -> None: ...

    def wants(self, name: str) -> bool: ...


class LineLog(EventLog, Protocol):
    """A log that also takes what another process has logged."""

    def line(self, name: str, text: str) -> None: ...


@frozen
class _Route:
    """Where the lines of one event go."""

    word: str
    files: tuple[LogFile, ...]


def event_text(name: str, fields: Mapping[str, object]) -> str:
    """The line of an event without date and level, its values escaped and cut. Errors: KeyError for an unknown event or a missing field."""
    plain = fields
    if not _PLAIN.issuperset(map(type, fields.values())):
        plain = {key: value if value.__class__ in _PLAIN else field_text(value) for key, value in fields.items()}
    text = _TEMPLATES[name] % plain
    if len(text) <= LONGEST_VALUE and text.isprintable():
        return text  # nearly always: then none of its values has to be escaped or cut
    return _TEMPLATES[name] % {key: field_text(value) for key, value in fields.items()}


class Logs:
    """All log subscriptions of the running appliance. `event` may be called from any thread."""

    def __init__(self, directory: Path, clock: Clock, product_version: str, serial: str, *, immediate: bool = False) -> None:
        self._directory = directory
        self._clock = clock
        self._timestamp = clock.timestamp
        self._format = LineFormat(zone=ZoneInfo("UTC"), version=product_version, serial=serial)
        self._immediate = immediate
        self._files: dict[str, LogFile] = {}
        self._routes = {name: _Route(LEVEL_WORDS[message.level], ()) for name, message in MESSAGES.items()}
        self._pending: deque[tuple[tuple[LogFile, ...], datetime, str]] = deque()
        self._second = -1
        """of the clock: the one that `_moment` and `_date` are about"""
        self._moment = _NEVER
        self._date = ""
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._called = False
        """the thread knows that there is work; asking the event itself would be a call for each line"""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._report: Callable[[str, OSError], None] | None = None

    def report_errors(self, report: Callable[[str, OSError], None]) -> None:
        """Call `report(subscription, error)` on the running loop, once for each time that a file stops being writable."""
        loop = asyncio.get_running_loop()
        self._report = lambda name, error: _call(loop, report, name, error)

    # configuration

    def prepare(self, subscriptions: Iterable[LogSubscription], timezone: str) -> PreparedLogs:
        """Open the files of new subscriptions; nothing changes before `apply`. Errors: OSError, nothing stays open."""
        line_format = LineFormat(zone=ZoneInfo(timezone), version=self._format.version, serial=self._format.serial)
        wanted = list(subscriptions)
        opened: dict[str, LogFile] = {}
        try:
            for subscription in wanted:
                key = fold(subscription.name)
                known = self._files.get(key)
                directory = self._directory / subscription.name
                if known and (known.directory, known.file_name) == (directory, subscription.filename):
                    continue
                file = LogFile(
                    directory,
                    subscription.filename,
                    line_format,
                    max_size=subscription.rollover_size,
                    max_files=subscription.rollover_max_files,
                )
                file.start(self._clock.now())
                opened[key] = file
        except OSError:
            for file in opened.values():
                file.discard()
            raise
        return PreparedLogs(logs=self, subscriptions=wanted, line_format=line_format, opened=opened)

    def configure(self, subscriptions: Iterable[LogSubscription], timezone: str) -> None:
        """`prepare` and `apply` in one step: at start."""
        self.prepare(subscriptions, timezone).apply()

    def _switch(self, subscriptions: Sequence[LogSubscription], line_format: LineFormat, opened: dict[str, LogFile]) -> None:
        with self._lock:
            self._drain()
            before = self._files
            self._files = {fold(s.name): opened.get(fold(s.name)) or before[fold(s.name)] for s in subscriptions}
            self._format = line_format
            self._second = -1
            for subscription in subscriptions:
                file = self._files[fold(subscription.name)]
                file.format = line_format
                file.max_size = subscription.rollover_size
                file.max_files = subscription.rollover_max_files
            self._routes = {
                name: _Route(
                    LEVEL_WORDS[message.level],
                    tuple(self._files[fold(s.name)] for s in subscriptions if s.type is message.log and s.level >= message.level),
                )
                for name, message in MESSAGES.items()
            }
            self._drain()
            self._end([file for file in before.values() if file not in self._files.values()])
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_on, name="logs", daemon=True)
            self._thread.start()

    # writing

    def wants(self, name: str) -> bool:
        """Whether any subscription gets this event: asked before costly fields are made."""
        return bool(self._routes[name].files)

    def event(self, name: str, **fields: object) -> None:
        """Write the line of `MESSAGES[name]`. Values are escaped and cut here. Errors: KeyError, a mistake of the caller."""
        route = self._routes[name]
        if route.files:
            self._put(route, event_text(name, fields))

    def line(self, name: str, text: str) -> None:
        """`event`, for a text that `event_text` has made."""
        route = self._routes[name]
        if route.files:
            self._put(route, text)

    def _put(self, route: _Route, text: str) -> None:
        second = int(self._timestamp())
        if second != self._second:
            self._second = second
            self._moment = self._clock.now().replace(microsecond=0)
            self._date = self._format.date(self._moment)
        pending = self._pending
        if len(pending) >= MAX_PENDING:
            for file in route.files:
                file.lost += 1
            return
        pending.append((route.files, self._moment, f"{self._date} {route.word}: {text}\n"))
        if not self._called:
            self._have_written()

    def _have_written(self) -> None:
        if self._immediate:
            self.flush()
        else:
            self._called = True
            self._work.set()

    def flush(self) -> None:
        """Write what has gathered now."""
        with self._lock:
            self._drain()

    def close(self) -> None:
        """Write everything and end all files in order."""
        self._closing.set()
        self._work.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._drain()
            self._end(self._files.values())
            self._files = {}
            self._routes = {name: _Route(route.word, ()) for name, route in self._routes.items()}

    def _write_on(self) -> None:
        while not self._closing.is_set():
            self._work.wait()
            self._closing.wait(INTERVAL)
            # In this order: what is put in before the last step is written by it, what comes later sets the event again.
            self._work.clear()
            self._called = False
            self.flush()

    def _drain(self) -> None:
        by_file: dict[LogFile, list[Entry]] = {}
        for _ in range(len(self._pending)):
            files, moment, line = self._pending.popleft()
            for file in files:
                by_file.setdefault(file, []).append((moment, line))
        for file, entries in by_file.items():
            try:
                file.write(entries)
            except OSError as error:
                self._failed(file, error)
            else:
                file.failing = False

    def _failed(self, file: LogFile, error: OSError) -> None:
        if not file.failing and self._report is not None:
            self._report(file.directory.name, error)
        file.failing = True

    def _end(self, files: Iterable[LogFile]) -> None:
        for file in files:
            try:
                file.close(self._clock.now())
            except OSError as error:
                self._failed(file, error)

    # files

    def roll_over(self, name: str) -> None:
        """Begin a new file (`rollovernow`). Errors: KeyError, OSError."""
        with self._lock:
            self._drain()
            self._files[fold(name)].roll(self._clock.now())

    def reopen(self) -> None:
        """Open all active files again (SIGHUP)."""
        with self._lock:
            self._drain()
            for file in self._files.values():
                file.reopen()

    def files(self, name: str) -> list[Path]:
        """All files of a subscription, oldest first, the active one last, with everything that has happened so far. Errors: KeyError."""
        with self._lock:
            self._drain()
            file = self._files[fold(name)]
            return [*file.rolled(), *([file.path] if file.path.exists() else [])]

    def lines(self, name: str, count: int) -> list[str]:
        """The last `count` lines of the active file. Errors: KeyError."""
        with self._lock:
            self._drain()
            return self._files[fold(name)].last_lines(count)

    async def follow(self, name: str, count: int = 0) -> AsyncGenerator[str, None]:
        """The last `count` lines, then each line as it is written, over rollovers, until the subscription ends.

        Lines are dropped while the reader is more than 5,000 behind. Close the iterator (`contextlib.aclosing`). Errors: KeyError.
        """
        loop = asyncio.get_running_loop()
        reader = _Follower()

        def tell(lines: Sequence[str] | None) -> None:
            _call(loop, reader.take, lines)

        file = self._files[fold(name)]
        with self._lock:
            self._drain()
            reader.take([f"{line}\n" for line in file.last_lines(count)])
            file.followers.append(tell)
        try:
            while True:
                await reader.more.wait()
                while reader.lines:
                    yield reader.lines.popleft()
                reader.more.clear()
                if reader.ended:
                    return
        finally:
            with self._lock:
                if tell in file.followers:
                    file.followers.remove(tell)


@frozen(kw_only=True)
class PreparedLogs:
    """Log files of a commit that has not happened yet."""

    logs: Logs
    subscriptions: Sequence[LogSubscription]
    line_format: LineFormat
    opened: dict[str, LogFile]

    def apply(self) -> None:
        """Switch over; files of subscriptions that are gone are ended and stay readable."""
        self.logs._switch(self.subscriptions, self.line_format, self.opened)

    def abort(self) -> None:
        """Undo `prepare`."""
        for file in self.opened.values():
            file.discard()


@define
class _Follower:
    lines: deque[str] = field(factory=deque)
    more: asyncio.Event = field(factory=asyncio.Event)
    ended: bool = False

    def take(self, lines: Sequence[str] | None) -> None:
        if lines is None:
            self.ended = True
        else:
            room = MAX_FOLLOWED - len(self.lines)
            self.lines.extend(line[:-1] for line in lines[:room])
        self.more.set()


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    """Call on `loop`, from any thread; a loop that has ended needs no news."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *arguments)


class MemoryLogs:
    """An event log for tests: `lines` holds the texts without date and level, `events` names and fields."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lines: list[str] = []
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, **fields: object) -> None:
        self.events.append((name, dict(fields)))
        self.line(name, event_text(name, fields))

    def line(self, name: str, text: str) -> None:
        self.lines.append(text)

    def wants(self, name: str) -> bool:
        return name in MESSAGES

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""
