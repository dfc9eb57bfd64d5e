"""grep in log files: which lines match, with context (operations.md 6.2). Pure but for reading the files.

Lines are the files' lines without line end, oldest file first; octets that are no UTF-8 are shown as `\\xNN`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attrs import frozen

LONGEST_PATTERN = 1000
SEPARATOR = "--"
"""between groups of lines when there is context"""


@frozen(kw_only=True)
class Search:
    """`patterns`: a line matches when any of them is found in it. `context`: lines shown before and after."""

    patterns: Sequence[str]
    ignore_case: bool = False
    invert: bool = False
    context: int = 0

    def matcher(self) -> Matcher:
        """Errors: re.error, ValueError for a pattern that is too long."""
        if any(len(pattern) > LONGEST_PATTERN for pattern in self.patterns):
            raise ValueError("pattern too long")
        flags = re.IGNORECASE if self.ignore_case else re.NOFLAG
        return Matcher([re.compile(pattern, flags) for pattern in self.patterns], self.invert)


@frozen
class Matcher:
    patterns: Sequence[re.Pattern[str]]
    invert: bool

    def __call__(self, line: str) -> bool:
        return any(pattern.search(line) for pattern in self.patterns) is not self.invert


def file_lines(files: Iterable[Path]) -> Iterator[str]:
    """All lines; a file that was removed meanwhile has none."""
    for path in files:
        try:
            with path.open(encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                for line in file:
                    yield line.removesuffix("\n")
        except FileNotFoundError:
            continue


def matching_lines(lines: Iterable[str], search: Search) -> Iterator[str]:
    """What grep prints: matching lines with their context, each line once, in their order."""
    matches = search.matcher()
    before: deque[str] = deque(maxlen=search.context)
    after = 0
    skipped = shown = False
    for line in lines:
        if matches(line):
            if search.context and shown and skipped:
                yield SEPARATOR
            yield from before
            before.clear()
            yield line
            after, skipped, shown = search.context, False, True
        elif after:
            yield line
            after -= 1
        else:
            skipped = skipped or not search.context or len(before) == search.context
            before.append(line)
