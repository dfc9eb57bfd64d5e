"""grep and findevent at work: regular expressions run in a process of their own, for at most LIMIT seconds (operations.md 6.2, 6.3).

Some patterns take for ever on some lines, and the interpreter cannot be stopped inside one. The process gets a request as
one line of JSON, answers with one JSON value in each line, and in following grep then reads further log lines.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from appliance_runtime.child import child
from appliance_runtime.logs.search import Search, file_lines, matching_lines
from appliance_runtime.logs.tracking import Found, Part, find_messages, message_lines

LIMIT = 60.0
"""seconds of real time for one search"""
CPU_LIMIT = 60
"""seconds of computing, also while the reader takes its time"""
LONGEST_ANSWER = 1 << 24
"""octets of one answer: all lines of one message"""


class SearchStopped(Exception):
    """The search took too long; what was found until then has been given out."""


async def matching(files: Sequence[Path], search: Search) -> AsyncGenerator[str, None]:
    """What grep prints. Close the iterator (`contextlib.aclosing`). Errors: SearchStopped."""
    async with _asked({"work": "grep", "search": attrs.asdict(search)}, files) as process:
        async for line in _answers(process):
            yield line


async def grep_following(lines: AsyncIterator[str], search: Search) -> AsyncGenerator[str, None]:
    """Of the lines of a log that is being written those that match, as they come. Errors: SearchStopped, for each line anew."""
    async with _asked({"work": "follow", "search": attrs.asdict(search)}, [], resource.RLIM_INFINITY) as process:
        assert process.stdin is not None
        async for line in lines:
            process.stdin.write(f"{json.dumps(line)}\n".encode())
            if await _answer(process, LIMIT):
                yield line


async def find(files: Sequence[Path], part: Part, pattern: str, *, ignore_case: bool) -> list[Found]:
    """Messages that match. Errors: SearchStopped."""
    request = {"work": "find", "part": part, "pattern": pattern, "ignore_case": ignore_case}
    async with _asked(request, files) as process:
        return [Found(**answer) async for answer in _answers(process)]


async def stories(files: Sequence[Path], mids: Sequence[int]) -> list[list[str]]:
    """The lines of each message. Errors: SearchStopped."""
    async with _asked({"work": "stories", "mids": list(mids)}, files) as process:
        return [answer async for answer in _answers(process)]


@asynccontextmanager
async def _asked(request: dict[str, Any], files: Sequence[Path], cpu_seconds: int | None = None) -> AsyncIterator[Process]:
    async with child(__name__, cpu_seconds=CPU_LIMIT if cpu_seconds is None else cpu_seconds, line_limit=LONGEST_ANSWER) as process:
        assert process.stdin is not None
        process.stdin.write(f"{json.dumps({**request, 'files': [str(path) for path in files]})}\n".encode())
        yield process


async def _answers(process: Process) -> AsyncIterator[Any]:
    """All answers. What the reader does between two of them does not count as time of the search."""
    clock = asyncio.get_running_loop().time
    left = LIMIT
    while True:
        began = clock()
        answer = await _answer(process, left)
        left -= clock() - began
        if answer is None:
            return
        yield answer


async def _answer(process: Process, seconds: float) -> Any:
    """The next answer, None at the end. Errors: SearchStopped, also for a process that did not come to its end."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            if line := await process.stdout.readline():
                return json.loads(line)
            status = await process.wait()
    except TimeoutError:
        raise SearchStopped from None
    if status:
        raise SearchStopped
    return None


def main() -> None:
    """The process."""
    request = json.loads(sys.stdin.readline())
    for answer in _work(request):
        print(json.dumps(answer), flush=request["work"] == "follow")


def _work(request: dict[str, Any]) -> Iterator[Any]:
    files = [Path(name) for name in request["files"]]
    match request["work"]:
        case "grep":
            yield from matching_lines(file_lines(files), Search(**request["search"]))
        case "follow":
            matches = Search(**request["search"]).matcher()
            for line in sys.stdin:
                yield matches(json.loads(line))
        case "find":
            pattern = re.compile(request["pattern"], re.IGNORECASE if request["ignore_case"] else re.NOFLAG)
            yield from (attrs.asdict(found) for found in find_messages(file_lines(files), request["part"], pattern.search))
        case "stories":
            yield from message_lines(lambda: file_lines(files), request["mids"])
