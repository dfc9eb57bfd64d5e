"""One subscription's active file: header, appending, rollover (logs-and-alerts.md 1, rules 1 to 4).

`<file name>.current` while it is written, `<file name>.@<YYYYMMDDTHHMMSS>.s` when rolled over, `.c` when an earlier run
left it open. A file that holds only its header is never rolled over; an orderly end removes it. Sizes are octets. A line
that could not be written is counted in `lost` and reported in the file as soon as writing works again. Callers serialize.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from attrs import frozen

from appliance_runtime.logs.messages import INFO, LEVEL_WORDS, WARNING

Entry = tuple[datetime, str]
"""moment of the event, whole line with its line end"""

BLOCK = 65536


@frozen(kw_only=True)
class LineFormat:
    """How lines are dated and how files begin and end."""

    zone: ZoneInfo
    version: str
    serial: str

    def date(self, moment: datetime) -> str:
        """`Fri Mar  6 09:00:00 2026`"""
        return moment.astimezone(self.zone).strftime("%a %b %e %H:%M:%S %Y")

    def line(self, moment: datetime, level: int, text: str) -> str:
        return f"{self.date(moment)} {LEVEL_WORDS[level]}: {text}\n"

    def header(self, moment: datetime) -> list[str]:
        offset = moment.astimezone(self.zone).utcoffset() or timedelta()
        texts = (
            "Begin Logfile",
            f"Version: {self.version} SN: {self.serial}",
            f"Time offset from UTC: {int(offset.total_seconds())} seconds",
        )
        return [self.line(moment, INFO, text) for text in texts]

    def end(self, moment: datetime) -> str:
        return self.line(moment, INFO, "End Logfile")

    def lost(self, moment: datetime, count: int) -> str:
        return self.line(moment, WARNING, f"{count} log lines were lost")

    def stamp(self, moment: datetime) -> str:
        return moment.astimezone(self.zone).strftime("%Y%m%dT%H%M%S")

    def begun(self, first_line: str) -> datetime | None:
        """The moment of a line as this format dates it; None when it has no such date."""
        try:
            local = datetime.strptime(" ".join(first_line.split()[:5]), "%a %b %d %H:%M:%S %Y")
        except ValueError:
            return None
        return local.replace(tzinfo=self.zone)


class LogFile:
    """The file of one subscription. Errors of every writing call: OSError; the lines concerned are counted as lost."""

    def __init__(self, directory: Path, file_name: str, line_format: LineFormat, *, max_size: int, max_files: int) -> None:
        for name in (directory.name, file_name):
            if not name or name in (".", "..") or "/" in name or "\0" in name:
                raise OSError(errno.EINVAL, "not a file name", name)
        self.directory = directory
        self.file_name = file_name
        self.format = line_format
        self.max_size = max_size
        self.max_files = max_files
        self.lost = 0
        self.failing = False
        self.empty = True
        self.followers: list[Callable[[Sequence[str] | None], None]] = []
        self._descriptor: int | None = None
        self._size = 0
        self._begun: datetime | None = None

    @property
    def path(self) -> Path:
        return self.directory / f"{self.file_name}.current"

    def start(self, moment: datetime) -> None:
        """Begin a new file; one that a crash left open is kept as `.c`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            if self.path.stat().st_size:
                self.path.rename(self._rolled_path(self._first_moment(), "c"))
            else:
                self.path.unlink()
        self._open(moment)

    def write(self, entries: Sequence[Entry]) -> None:
        """Append lines, rolling over when one would exceed the size."""
        written = 0
        try:
            self._open(entries[0][0])
            if self.lost:
                line = self.format.lost(entries[0][0], self.lost)
                self._append([line])
                self.lost = 0
            lines = [line for _, line in entries]
            whole = _octets(lines)
            if self._fits(len(whole), entries[-1][0]):
                self._append(lines, whole)
                return
            for moment, line in entries:
                octets = _octets([line])
                if not self.empty and not self._fits(len(octets), moment):
                    self.roll(moment)
                self._append([line], octets)
                written += 1
        except OSError:
            self.lost += len(entries) - written
            raise

    def roll(self, moment: datetime) -> None:
        """Close the file under its final name and begin the next one. An empty file stays."""
        self._open(moment)
        if not self.empty:
            self._finish(moment)
            self._open(moment)

    def reopen(self) -> None:
        """Let go of the descriptor: the next line goes to whatever `.current` is then."""
        self._release()

    def close(self, moment: datetime) -> None:
        """Orderly end of this subscription and of its followers."""
        try:
            self._open(moment)
            if self.empty:
                self.discard()
            else:
                self._finish(moment)
        finally:
            for tell in self.followers:
                tell(None)
            self.followers.clear()

    def discard(self) -> None:
        """Undo `start`."""
        self._release()
        self.path.unlink(missing_ok=True)

    def rolled(self) -> list[Path]:
        """Finished files, oldest first."""
        prefix = f"{self.file_name}.@"
        names = [entry.name for entry in os.scandir(self.directory) if entry.name.startswith(prefix) and entry.name[-2:] in (".s", ".c")]
        return [self.directory / name for name in sorted(names)]

    def last_lines(self, count: int) -> list[str]:
        """The last `count` lines of the active file, without line ends."""
        try:
            with self.path.open("rb") as file:
                left = file.seek(0, os.SEEK_END)
                data = b""
                while left and data.count(b"\n") <= count:
                    size = min(left, BLOCK)
                    left -= size
                    file.seek(left)
                    data = file.read(size) + data
        except FileNotFoundError:
            return []
        lines = data.decode("utf-8", "backslashreplace").split("\n")[:-1]
        return lines[-count:] if count > 0 else []

    def _open(self, moment: datetime) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self._size = os.fstat(self._descriptor).st_size
            self._begun = self._first_moment() if self._size else None
            self.empty = not self._size
        if not self._size:
            self._begun = moment
            self._append(self.format.header(moment))
            self.empty = True

    def _append(self, lines: Sequence[str], octets: bytes | None = None) -> None:
        assert self._descriptor is not None
        view = memoryview(_octets(lines) if octets is None else octets)
        done = 0
        try:
            while done < len(view):
                done += os.write(self._descriptor, view[done:])
        except OSError:
            if done:  # no half line may stay
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += done
        self.empty = False
        for tell in self.followers:
            tell(lines)

    def _fits(self, octets: int, moment: datetime) -> bool:
        return self._size + octets + len(self.format.end(moment)) <= self.max_size

    def _finish(self, moment: datetime) -> None:
        with contextlib.suppress(OSError):  # on a full disk the file ends without its last line
            self._append([self.format.end(moment)])
        begun = self._begun or moment
        self._release()
        self.path.rename(self._rolled_path(begun, "s"))
        self._size = 0
        finished = self.rolled()
        for path in finished[: max(0, len(finished) - self.max_files)]:
            path.unlink(missing_ok=True)

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _first_moment(self) -> datetime:
        with self.path.open("rb") as file:
            first = file.readline(BLOCK).decode("utf-8", "replace")
        return self.format.begun(first) or datetime.fromtimestamp(self.path.stat().st_mtime, self.format.zone)

    def _rolled_path(self, begun: datetime, suffix: str) -> Path:
        """Two files that begin within one second (frozen clock) get following seconds, so that names keep their order."""
        while True:
            name = f"{self.file_name}.@{self.format.stamp(begun)}"
            if not any((self.directory / f"{name}.{used}").exists() for used in "sc"):
                return self.directory / f"{name}.{suffix}"
            begun += timedelta(seconds=1)


def _octets(lines: Sequence[str]) -> bytes:
    return "".join(lines).encode("utf-8", "backslashreplace")
