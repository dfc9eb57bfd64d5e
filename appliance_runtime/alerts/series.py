"""The duplicate rule: how often the same alert is mailed (alertconfig.md 5). Pure: the time comes in.

A series begins with an alert that is mailed at once. Duplicates are counted until the next due time; then one mail tells
how many there were, or, if there were none, the series ends. Due times, in seconds from the first alert, with initial
interval i and maximum m: i, then 2e + i after e while that is below m, from there on the multiples of m.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define


def due_after(elapsed: float, initial: int, maximum: int) -> float:
    """The due time that follows `elapsed`. Unit: seconds from the first alert. `initial` is not 0."""
    grown = initial + 2 * elapsed
    if grown < maximum:
        return grown
    longest = max(maximum, initial)
    return longest * (elapsed // longest + 1)


@define
class DuplicateSeries:
    """One open series. `text` is that of the newest alert."""

    opened: datetime
    text: str
    due: datetime
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @classmethod
    def open(cls, now: datetime, text: str, initial: int, maximum: int) -> DuplicateSeries:
        return cls(now, text, now + timedelta(seconds=due_after(0, initial, maximum)))

    def repeat(self, now: datetime, text: str) -> None:
        """The alert was raised again."""
        self.text = text
        self.count += 1
        self.first = self.first or now
        self.last = now

    def fall_due(self, initial: int, maximum: int) -> Summary | None:
        """The due time has come: what is to be mailed; None = the series has ended. The intervals count from here on."""
        if self.count == 0 or self.first is None or self.last is None:
            return None
        summary = Summary(self.text, self.count, self.first, self.last)
        self.count, self.first, self.last = 0, None, None
        if initial:
            elapsed = (self.due - self.opened).total_seconds()
            self.due = self.opened + timedelta(seconds=due_after(elapsed, initial, maximum))
        return summary


@define
class Summary:
    """Alerts that were not mailed one by one."""

    text: str
    count: int
    first: datetime
    last: datetime
