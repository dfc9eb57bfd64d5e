"""The alerts that `displayalerts` shows: one JSON object a line, the oldest first, bounded, across restarts.

The file is rewritten when it holds twice as many as are kept. A line that cannot be read is left out; a disk that is full
costs the record, never the alert.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from datetime import datetime
from pathlib import Path

from attrs import asdict, frozen

from appliance_runtime.state_directory import write_private

MOST = 500


@frozen(kw_only=True)
class StoredAlert:
    """`text`: with the sentence about duplicates as its last line. `severity`: the word of subjects and listings."""

    at: datetime
    alert_id: str
    alert_class: str
    severity: str
    text: str
    number: int = 0
    key: str = ""
    recipients: tuple[str, ...] = ()
    suppressed: int = 0
    """duplicates that this mail stands for"""


class AlertStore:
    """Alerts in the order in which they were sent, numbered from 1."""

    def __init__(self, path: Path | None) -> None:
        """`path`: None = only in memory. Errors: OSError, no file yet is none."""
        self._path = path
        self._alerts: deque[StoredAlert] = deque(maxlen=MOST)
        self._lines = 0
        if path is not None and path.exists():
            for line in path.read_bytes().splitlines():
                self._lines += 1
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    self._alerts.append(_read(line))

    @property
    def next_number(self) -> int:
        return self._alerts[-1].number + 1 if self._alerts else 1

    def add(self, alert: StoredAlert, most: int) -> None:
        """Keep an alert and at most `most` in all."""
        self._alerts.append(alert)
        while len(self._alerts) > most:
            self._alerts.popleft()
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            if self._lines >= 2 * most:
                write_private(self._path, b"".join(map(_write, self._alerts)))
                self._lines = len(self._alerts)
            else:
                with self._path.open("ab") as file:
                    file.write(_write(alert))
                self._lines += 1

    def latest(self, count: int) -> list[StoredAlert]:
        """The last `count` alerts, newest first."""
        return list(self._alerts)[: -count - 1 : -1] if count > 0 else []

    def __len__(self) -> int:
        return len(self._alerts)


def _write(alert: StoredAlert) -> bytes:
    fields = asdict(alert)
    fields["at"] = alert.at.isoformat()
    return json.dumps(fields).encode("ascii") + b"\n"


def _read(line: bytes) -> StoredAlert:
    fields = json.loads(line)
    fields["at"] = datetime.fromisoformat(fields["at"])
    fields["recipients"] = tuple(fields["recipients"])
    return StoredAlert(**fields)
