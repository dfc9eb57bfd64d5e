"""grep: matching, inversion, context, and the process that may take too long (operations.md 6.2)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance_runtime.logs import reading
from appliance_runtime.logs.reading import SearchStopped, grep_following, matching
from appliance_runtime.logs.search import Search, file_lines, matching_lines

LINES = ["zero", "One MID 1", "two", "three", "four MID 2", "five", "six MID 12", "seven", "eight", "nine"]


@pytest.mark.parametrize(
    ("search", "shown"),
    [
        (Search(patterns=["MID 1"]), [1, 6]),
        (Search(patterns=[r"MID 1\b"]), [1]),
        (Search(patterns=["one"]), []),
        (Search(patterns=["one"], ignore_case=True), [1]),
        (Search(patterns=["zero", "nine"]), [0, 9]),
        (Search(patterns=["e"], invert=True), [2, 4, 6]),
        (Search(patterns=["zero", "e"], invert=True), [2, 4, 6]),
        (Search(patterns=["^zero", "^nine"], context=1), [0, 1, None, 8, 9]),
        (Search(patterns=["^two", "^five"], context=1), [1, 2, 3, 4, 5, 6]),
        (Search(patterns=["^two", "^six"], context=1), [1, 2, 3, None, 5, 6, 7]),
        (Search(patterns=["^three$"], context=100), list(range(10))),
        (Search(patterns=["^two", "^three"], context=1), [1, 2, 3, 4]),
    ],
)
def test_lines_that_are_shown(search: Search, shown: list[int | None]) -> None:
    assert list(matching_lines(LINES, search)) == ["--" if number is None else LINES[number] for number in shown]


@pytest.mark.parametrize("pattern", ["(", "x" * 1001, "a{2,1}"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises((re.error, ValueError)):
        Search(patterns=[pattern]).matcher()


def test_all_files_oldest_first_and_octets_as_they_are(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"a\xff\nb\r\n")
    new.write_bytes("ü\nlast without end".encode())
    assert list(file_lines([old, tmp_path / "gone", new])) == ["a\\xff", "b\r", "ü", "last without end"]


async def test_the_process_finds_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{line}\n" for line in LINES))
    search = Search(patterns=["MID"], context=1)
    assert [line async for line in matching([path], search)] == list(matching_lines(LINES, search))


async def test_a_search_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LIMIT", 2.0)
    path = tmp_path / "log"
    path.write_text(f"quick a\n{'a' * 5000}!\n")
    shown = []
    with pytest.raises(SearchStopped):
        async for line in matching([path], Search(patterns=["quick", r"^(a+)+$"])):
            shown.append(line)


async def test_a_process_that_was_ended_is_no_end_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CPU_LIMIT", 1)
    path = tmp_path / "log"
    path.write_text(f"quick a\n{'a' * 5000}!\n")
    with pytest.raises(SearchStopped):
        async for _ in matching([path], Search(patterns=["quick", r"^(a+)+$"])):
            pass


async def test_following_shows_lines_that_match() -> None:
    async def coming():  # type: ignore[no-untyped-def]
        for line in LINES:
            yield line

    assert [line async for line in grep_following(coming(), Search(patterns=["MID"]))] == [LINES[1], LINES[4], LINES[6]]
