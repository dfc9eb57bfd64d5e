"""Log files: layout, header, levels, rollover, crash, full disk, commit, followers (logs-and-alerts.md 1 and 9)."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from appliance_runtime.clock import FakeClock
from appliance_runtime.logs import writer
from appliance_runtime.logs.messages import MESSAGES
from appliance_runtime.logs.writer import Logs, MemoryLogs
from appliance_state.model.logs import FACTORY_LOGS, LogSubscription, LogType
from appliance_state.table import Table

START = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
HEADER = [
    "Fri Mar  6 09:00:00 2026 Info: Begin Logfile",
    "Fri Mar  6 09:00:00 2026 Info: Version: 15.5.1-055 SN: 000F1F6ACFA6-2Y5SQ41",
    "Fri Mar  6 09:00:00 2026 Info: Time offset from UTC: 0 seconds",
]
END = "Fri Mar  6 09:00:00 2026 Info: End Logfile"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


Make = Callable[..., Logs]


@pytest.fixture
def make(tmp_path: Path, clock: FakeClock) -> Iterator[Make]:
    made: list[Logs] = []

    def make_logs(subscriptions: Table[LogSubscription] = FACTORY_LOGS, timezone: str = "GMT", *, immediate: bool = True) -> Logs:
        logs = Logs(tmp_path, clock, "15.5.1-055", "000F1F6ACFA6-2Y5SQ41", immediate=immediate)
        logs.configure(subscriptions.entries(), timezone)
        made.append(logs)
        return logs

    yield make_logs
    for logs in made:
        logs.close()


def content(path: Path) -> list[str]:
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    return text.split("\n")[:-1]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


MAIL_ONLY = Table([FACTORY_LOGS["mail_logs"]])
SMALL = Table([attrs.evolve(FACTORY_LOGS["mail_logs"], rollover_size=102400, rollover_max_files=3)])


def test_every_subscription_has_a_current_file_with_header(make: Make, tmp_path: Path) -> None:
    make()
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == {
        "authentication/authentication.current",
        "bounces/bounces.text.current",
        "cli_logs/cli.current",
        "error_logs/errors.current",
        "gui_logs/gui.current",
        "mail_logs/mail.current",
        "system_logs/system.current",
    }
    assert content(tmp_path / "mail_logs" / "mail.current") == HEADER


def test_lines_go_where_type_and_level_say(make: Make, tmp_path: Path) -> None:
    debug = LogSubscription(name="lab", type=LogType.MAIL, level=4, filename="mail.text")
    logs = make(FACTORY_LOGS.put(debug))
    logs.event("icid.close", icid=1)
    logs.event("icid.command", icid=1, line="NOOP")
    logs.event("alert.giving_up", address="ops@example.com", subject="Warning")
    critical = "Fri Mar  6 09:00:00 2026 Critical: Internal SMTP giving up on message to ops@example.com with subject 'Warning': " + (
        "Unrecoverable error."
    )
    info, command = "Fri Mar  6 09:00:00 2026 Info: ICID 1 close", "Fri Mar  6 09:00:00 2026 Debug: ICID 1 < NOOP"
    assert content(tmp_path / "mail_logs" / "mail.current")[3:] == [info, critical]
    assert content(tmp_path / "error_logs" / "errors.current")[3:] == [critical]
    assert content(tmp_path / "lab" / "mail.text.current")[3:] == [info, command, critical]
    assert content(tmp_path / "system_logs" / "system.current")[3:] == []


def test_wants(make: Make) -> None:
    logs = make()
    assert logs.wants("icid.close") and not logs.wants("icid.command")
    with pytest.raises(KeyError):
        logs.wants("no.such")
    with pytest.raises(KeyError):
        logs.event("no.such")


async def test_dates_follow_clock_and_zone(make: Make, clock: FakeClock, tmp_path: Path) -> None:
    logs = make(MAIL_ONLY, "America/Los_Angeles")
    logs.event("icid.close", icid=1)
    await clock.advance(1.5)
    logs.event("icid.close", icid=2)
    assert content(tmp_path / "mail_logs" / "mail.current")[2:] == [
        "Fri Mar  6 01:00:00 2026 Info: Time offset from UTC: -28800 seconds",
        "Fri Mar  6 01:00:00 2026 Info: ICID 1 close",
        "Fri Mar  6 01:00:01 2026 Info: ICID 2 close",
    ]


def test_foreign_values_stay_on_their_line(make: Make, tmp_path: Path) -> None:
    logs = make()
    logs.event("mid.subject", mid=1, subject="a\r\nFri Mar  6 09:00:00 2026 Info: MID 2 forged \x1b[2J")
    logs.event("mid.subject", mid=2, subject=b"caf\xe9")
    logs.event("mid.possible_delivery", dcid=3, mid=2, rids=[0, 1])
    logs.event("mid.subject", mid=3, subject="x" * 5000)
    assert [line[31:] for line in content(tmp_path / "mail_logs" / "mail.current")[3:]] == [
        'MID 1 Subject "a\\x0d\\x0aFri Mar  6 09:00:00 2026 Info: MID 2 forged \\x1b[2J"',
        'MID 2 Subject "caf\\xe9"',
        "Possible Delivery: DCID: 3 MID 2 to [0, 1]",
        f'MID 3 Subject "{"x" * 1024}..."',
    ]


def test_rollover_by_size_keeps_lines_and_the_newest_files(make: Make, tmp_path: Path) -> None:
    logs = make(SMALL)
    folder = tmp_path / "mail_logs"
    for number in range(5):
        for _ in range(100):
            logs.event("mid.subject", mid=number, subject="y" * 1000)
    finished = names(folder)[:-1]
    assert names(folder)[-1] == "mail.current"
    # Files that begin within one frozen second are numbered by the seconds that follow.
    assert finished == ["mail.@20260306T090001.s", "mail.@20260306T090002.s", "mail.@20260306T090003.s"]
    for name in finished:
        lines = content(folder / name)
        assert (lines[:3], lines[-1]) == (HEADER, END)
        assert 102400 - 1100 < (folder / name).stat().st_size <= 102400
    assert content(folder / "mail.current")[:3] == HEADER
    assert [path.name for path in logs.files("mail_logs")] == [*finished, "mail.current"]


async def test_one_batch_larger_than_a_file(make: Make, tmp_path: Path) -> None:
    logs = make(SMALL.put(attrs.evolve(SMALL["mail_logs"], rollover_max_files=10)), immediate=False)
    for number in range(250):
        logs.event("mid.subject", mid=number, subject="z" * 1000)
    logs.flush()
    lines = [line for path in logs.files("mail_logs") for line in content(path)]
    assert [line.split()[7] for line in lines if "Subject" in line] == [str(number) for number in range(250)]


async def test_rollovernow(make: Make, clock: FakeClock, tmp_path: Path) -> None:
    logs = make()
    logs.roll_over("mail_logs")
    assert names(tmp_path / "mail_logs") == ["mail.current"]  # nothing in it
    logs.event("icid.close", icid=1)
    await clock.advance(5)
    logs.roll_over("MAIL_LOGS")
    assert names(tmp_path / "mail_logs") == ["mail.@20260306T090000.s", "mail.current"]
    assert content(tmp_path / "mail_logs" / "mail.@20260306T090000.s")[3:] == [
        "Fri Mar  6 09:00:00 2026 Info: ICID 1 close",
        "Fri Mar  6 09:00:05 2026 Info: End Logfile",
    ]
    assert content(tmp_path / "mail_logs" / "mail.current")[0] == "Fri Mar  6 09:00:05 2026 Info: Begin Logfile"
    with pytest.raises(KeyError):
        logs.roll_over("nothing")


def test_orderly_end(make: Make, tmp_path: Path) -> None:
    logs = make()
    logs.event("icid.close", icid=1)
    logs.close()
    assert names(tmp_path / "mail_logs") == ["mail.@20260306T090000.s"]
    assert names(tmp_path / "bounces") == []  # an empty file is no file
    logs.event("icid.close", icid=2)  # after the end: nobody wants it


async def test_a_file_left_by_a_crash_is_kept_as_c(tmp_path: Path, clock: FakeClock, make: Make) -> None:
    crashed = make(MAIL_ONLY)
    crashed.event("icid.close", icid=1)
    await clock.advance(3600)
    make(MAIL_ONLY)  # as a new process would, without `close`
    folder = tmp_path / "mail_logs"
    assert names(folder) == ["mail.@20260306T090000.c", "mail.current"]
    assert content(folder / "mail.@20260306T090000.c")[-1] == "Fri Mar  6 09:00:00 2026 Info: ICID 1 close"
    assert content(folder / "mail.current")[0].startswith("Fri Mar  6 10:00:00 2026")
    crashed._files.clear()  # its file has another name now


def test_full_disk(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = make(MAIL_ONLY)
    logs.event("icid.close", icid=1)
    real = os.write

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) > 20:
            return real(descriptor, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("appliance_runtime.logs.log_file.os.write", half)
        logs.event("icid.close", icid=2)
        logs.event("icid.close", icid=3)
    assert content(tmp_path / "mail_logs" / "mail.current")[3:] == ["Fri Mar  6 09:00:00 2026 Info: ICID 1 close"]
    logs.event("icid.close", icid=4)
    assert [line[25:] for line in content(tmp_path / "mail_logs" / "mail.current")[4:]] == [
        "Warning: 2 log lines were lost",
        "Info: ICID 4 close",
    ]


async def test_errors_are_reported_once_for_each_outage(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = make(MAIL_ONLY, immediate=False)
    reported: list[tuple[str, int | None]] = []
    told = asyncio.Event()

    def report(name: str, error: OSError) -> None:
        reported.append((name, error.errno))
        told.set()

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    logs.report_errors(report)
    for _ in range(2):
        with monkeypatch.context() as full:
            full.setattr("appliance_runtime.logs.log_file.os.write", refuse)
            for number in range(3):
                logs.event("icid.close", icid=number)
                logs.flush()
        logs.event("icid.close", icid=9)
        logs.flush()
        await asyncio.wait_for(told.wait(), 5)
        told.clear()
    assert reported == [("mail_logs", errno.ENOSPC)] * 2


def test_more_than_may_wait_is_dropped_and_counted(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_PENDING", 10)
    monkeypatch.setattr(writer, "INTERVAL", 60)
    logs = make(MAIL_ONLY, immediate=False)
    for number in range(15):
        logs.event("icid.close", icid=number)
    lines = logs.lines("mail_logs", 20)[3:]
    assert len(lines) == 11
    assert lines[0].endswith("Warning: 5 log lines were lost")


async def test_lines_reach_the_file_without_being_asked(make: Make, tmp_path: Path) -> None:
    logs = make(MAIL_ONLY, immediate=False)
    logs.event("icid.close", icid=1)
    async with asyncio.timeout(2):
        while len(content(tmp_path / "mail_logs" / "mail.current")) < 4:
            await asyncio.sleep(0.01)


def test_commit_adds_changes_and_removes(make: Make, tmp_path: Path) -> None:
    logs = make()
    lab = LogSubscription(name="lab", type=LogType.MAIL, level=4, filename="lab.text")
    prepared = logs.prepare(FACTORY_LOGS.put(lab).entries(), "GMT")
    assert names(tmp_path / "lab") == ["lab.text.current"]
    logs.event("icid.command", icid=1, line="before")
    prepared.apply()
    logs.event("icid.command", icid=1, line="after")
    assert content(tmp_path / "lab" / "lab.text.current")[3:] == ["Fri Mar  6 09:00:00 2026 Debug: ICID 1 < after"]
    logs.configure(FACTORY_LOGS.put(attrs.evolve(lab, level=3)).entries(), "GMT")
    logs.event("icid.command", icid=1, line="no more")
    assert len(content(tmp_path / "lab" / "lab.text.current")) == 4
    logs.configure(FACTORY_LOGS.entries(), "GMT")
    assert names(tmp_path / "lab") == ["lab.text.@20260306T090000.s"]
    with pytest.raises(KeyError):
        logs.lines("lab", 1)


def test_abort_leaves_nothing(make: Make, tmp_path: Path) -> None:
    logs = make()
    logs.prepare(FACTORY_LOGS.put(LogSubscription(name="lab", filename="lab.text")).entries(), "GMT").abort()
    assert names(tmp_path / "lab") == []


@pytest.mark.parametrize(("name", "file_name"), [("blocked", "x"), ("lab", "../x"), ("..", "x"), ("lab", "")])
def test_a_file_that_cannot_be_opened_refuses_the_commit(make: Make, tmp_path: Path, name: str, file_name: str) -> None:
    (tmp_path / "blocked").write_text("a file where a directory is wanted")
    logs = make()
    good = LogSubscription(name="good", filename="good.text")
    with pytest.raises(OSError):
        logs.prepare(FACTORY_LOGS.put(good, LogSubscription(name=name, filename=file_name)).entries(), "GMT")
    assert names(tmp_path / "good") == []
    logs.event("icid.close", icid=1)
    assert logs.lines("mail_logs", 1) == ["Fri Mar  6 09:00:00 2026 Info: ICID 1 close"]


def test_reopen_after_the_file_was_moved(make: Make, tmp_path: Path) -> None:
    logs = make(MAIL_ONLY)
    logs.event("icid.close", icid=1)
    (tmp_path / "mail_logs" / "mail.current").rename(tmp_path / "moved")
    logs.reopen()
    logs.event("icid.close", icid=2)
    assert content(tmp_path / "moved")[3:] == ["Fri Mar  6 09:00:00 2026 Info: ICID 1 close"]
    assert content(tmp_path / "mail_logs" / "mail.current") == [*HEADER, "Fri Mar  6 09:00:00 2026 Info: ICID 2 close"]
    logs.reopen()
    logs.event("icid.close", icid=3)
    assert len(content(tmp_path / "mail_logs" / "mail.current")) == 5


def test_last_lines_of_a_long_file(make: Make) -> None:
    logs = make(MAIL_ONLY, immediate=False)
    for number in range(5000):
        logs.event("icid.close", icid=number)
    expected = [f"Fri Mar  6 09:00:00 2026 Info: ICID {number} close" for number in range(5000)]
    assert logs.lines("mail_logs", 10) == expected[-10:]
    assert logs.lines("mail_logs", 4000) == expected[-4000:]
    assert logs.lines("mail_logs", 9000) == HEADER + expected
    assert logs.lines("mail_logs", 0) == []


async def test_follow_over_a_rollover_to_the_end_of_the_subscription(make: Make) -> None:
    logs = make()
    logs.event("icid.close", icid=1)
    logs.event("icid.close", icid=2)
    seen: list[str] = []
    started = asyncio.Event()

    async def reader() -> None:
        async with aclosing(logs.follow("mail_logs", 1)) as lines:
            async for line in lines:
                seen.append(line[25:])
                started.set()

    task = asyncio.create_task(reader())
    await asyncio.wait_for(started.wait(), 5)
    logs.event("icid.close", icid=3)
    logs.roll_over("mail_logs")
    logs.event("icid.close", icid=4)
    logs.configure(FACTORY_LOGS.without("mail_logs").entries(), "GMT")
    await asyncio.wait_for(task, 5)
    header = [line[25:] for line in HEADER]
    assert seen == [
        "Info: ICID 2 close",
        "Info: ICID 3 close",
        "Info: End Logfile",
        *header,
        "Info: ICID 4 close",
        "Info: End Logfile",
    ]


async def test_a_slow_reader_loses_lines_and_holds_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_FOLLOWED", 5)
    logs = make(MAIL_ONLY)
    lines = logs.follow("mail_logs")
    logs.event("icid.close", icid=0)
    first = asyncio.create_task(anext(lines))
    await asyncio.sleep(0)
    for number in range(1, 20):
        logs.event("icid.close", icid=number)
    assert (await first).endswith("ICID 1 close")
    rest = [(await anext(lines)).split()[-2] for _ in range(4)]
    assert rest == ["2", "3", "4", "5"]
    await lines.aclose()
    assert logs._files["mail_logs"].followers == []


def test_memory_logs(clock: FakeClock) -> None:
    logs = MemoryLogs(clock)
    logs.event("icid.close", icid=3)
    logs.event("icid.unknown", icid=3, command="\x1b")
    assert logs.lines == ["ICID 3 close", "ICID 3 Unknown command: \\x1b"]
    assert logs.events[0] == ("icid.close", {"icid": 3})
    with pytest.raises(KeyError):
        logs.event("icid.close")


def test_new_lines_about_tls_fit_log_analysers() -> None:
    """Whatever begins with a connection number goes on with `TLS`, or is one of the confirmed words (9.7)."""
    for name, message in MESSAGES.items():
        if name.startswith("dcid.") and "TLS" in message.text:
            assert message.text.startswith(("DCID {dcid} TLS ", "DCID {dcid} STARTTLS command", "DCID {dcid} IP {ip} TLS was required"))
