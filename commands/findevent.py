"""findevent: everything that the mail logs say about a message (operations.md 6.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from appliance_runtime.logs.reading import SearchStopped, find, stories
from appliance_runtime.logs.tracking import Part
from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.logs import LogType
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, SyntaxProblem
from commands.log_choice import STOPPED, existing_log, pattern
from commands.registry import Command

NOTHING = "No matching messages were found."
KINDS: Sequence[tuple[Part | None, str]] = (
    ("from", "Search by envelope FROM"),
    (None, "Search by Message ID"),
    ("subject", "Search by Subject"),
    ("to", "Search by envelope TO"),
)
OPTIONS: dict[str, Part] = {"-f": "from", "-s": "subject", "-t": "to"}
HIGHEST_MID = 2**63 - 1


def _mail_logs(config: Config) -> list[str]:
    return [log.name for log in config.logs.sorted() if log.type is LogType.MAIL]


async def findevent(talk: Conversation, session: Session) -> None:
    part = await talk.choose(KINDS, key="kind", above="Please choose which type of search you want to perform:", default="from")
    if part is None:
        mids = [await talk.ask("Enter the Message ID (MID) to search for.", integer(1, HIGHEST_MID), key="mid")]
        files = await _ask_files(talk, session)
    else:
        regex = await talk.ask("Enter the regular expression to search for.", pattern, key="regex")
        files = await _ask_files(talk, session)
        mids = await _pick_message(talk, files, part, regex)
    await _show(talk, files, mids)


async def _ask_files(talk: Conversation, session: Session) -> list[Path]:
    rows = [
        (name, f"{name:<23}{'IronPort Text Mail Logs':<30}{'Manual Download':<20}None")
        for name in _mail_logs(session.appliance.running()[1])
    ]
    heading = f"    {'Log Name':<22}{'Log Type':<30}{'Retrieval':<20}Interval"
    log = await talk.choose(
        rows,
        key="log",
        above="\n".join(["Currently configured logs:", heading, "-" * 81]),
        below="\nEnter the number of the log you wish to use for message tracking.",
    )
    files = await asyncio.to_thread(session.appliance.logs.files, log)
    which = await talk.choose(
        [("all", "All available log files"), ("some", "Select log files by date list"), ("current", "Current log file")],
        key="files",
        above="Please choose which set of logs to search:",
        default="current",
    )
    match which:
        case "all":
            return files
        case "current":
            return files[-1:]
    dated = await asyncio.to_thread(lambda: [(path, f"{_first_date(path)} {path.name}") for path in files])
    return await talk.choose_many(dated, key="dates", below="Enter the numbers of the log files. Separate multiple choices with commas.")


def _first_date(path: Path) -> str:
    """`Tue Jul 31 17:37:35 2007`, as the first line has it; blank for a file that was removed meanwhile."""
    try:
        with path.open(encoding="utf-8", errors="backslashreplace") as file:
            return file.readline(24)
    except FileNotFoundError:
        return ""


async def _pick_message(talk: Conversation, files: Sequence[Path], part: Part, regex: str) -> list[int]:
    found = await _found(files, part, regex, ignore_case=False)
    if len(found) < 2:
        return [mid for mid, _ in found]
    return [
        await talk.choose(
            found,
            key="match",
            above="The following matching message IDs were found.  Please choose one to\nshow additional log information:",
            default=found[0][0],
        )
    ]


async def _found(files: Sequence[Path], part: Part, regex: str, *, ignore_case: bool) -> list[tuple[int, str]]:
    """(MID, row of a pick list)."""
    try:
        return [(one.mid, f"MID {one.mid} ({one.date}) {one.subject}") for one in await find(files, part, regex, ignore_case=ignore_case)]
    except SearchStopped:
        raise Refused(STOPPED) from None


async def _show(talk: Conversation, files: Sequence[Path], mids: Sequence[int]) -> None:
    try:
        groups = [lines for lines in await stories(files, mids) if lines] if mids else []
    except SearchStopped:
        raise Refused(STOPPED) from None
    talk.show("\n\n".join("\n".join(lines) for lines in groups) or NOTHING)


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    search: tuple[str, str] | None = None
    ignore_case = False
    words: list[str] = []
    tokens = iter(args.tokens)
    for token in tokens:
        if token == "-i":
            ignore_case = True
        elif token in (*OPTIONS, "-m"):
            if search is not None:
                raise SyntaxProblem("Only one search is possible.", token)
            value = next(tokens, None)
            if value is None:
                raise SyntaxProblem(f"Missing argument: <{'mid' if token == '-m' else 'regex'}>.")
            search = (token, value)
        elif token.startswith("-"):
            raise SyntaxProblem("Unknown option.", token)
        else:
            words.append(token)
    args.tokens = words
    name = args.word("log_name")
    args.end()
    if search is None:
        raise SyntaxProblem("Missing argument: <-f, -s, -t or -m>.")
    config = session.appliance.running()[1]
    log = existing_log(config, name)
    if log not in _mail_logs(config):
        raise Refused(f'The log "{log}" holds no message events.')
    option, value = search
    files = await asyncio.to_thread(session.appliance.logs.files, log)
    if option == "-m":
        mids = [integer(1, HIGHEST_MID)(value)]
    else:
        mids = [mid for mid, _ in await _found(files, OPTIONS[option], pattern(value), ignore_case=ignore_case)]
    await _show(talk, files, mids)


COMMAND = Command(
    "findevent",
    "Find events in mail log files",
    dialog=findevent,
    batch=_batch,
    usage="findevent [-i] [-f <from> | -s <subject> | -t <to>] <log_name>\nfindevent -m <mid> <log_name>",
)
