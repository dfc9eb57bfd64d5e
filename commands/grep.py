"""grep: lines of a log that match a regular expression (operations.md 6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from appliance_runtime.logs.reading import SearchStopped, grep_following, matching
from appliance_runtime.logs.search import Search
from appliance_runtime.sessions import Session
from commands.answers import integer
from commands.arguments import Arguments
from commands.continuous import print_until_stopped
from commands.dialog import Conversation, Refused, SyntaxProblem
from commands.log_choice import STOPPED, existing_log, pattern, pick_rows
from commands.registry import Command

NOTHING = "No results were found. Use another regular expression(s) to search."
MOST_CONTEXT = 1000
FLAGS = "ivtp"


async def grep(talk: Conversation, session: Session) -> None:
    log = await talk.choose(
        pick_rows(session.appliance.running()[1]),
        key="log",
        above="Currently configured logs:",
        below="Enter the number of the log you wish to grep.",
    )
    regex = await talk.ask("Enter the regular expression to grep.", pattern, key="regex")
    ignore_case = await talk.confirm("Do you want this search to be case insensitive?", key="ignore_case", default=True)
    invert = await talk.confirm("Do you want to search for non-matching lines?", key="invert", default=False)
    following = await talk.confirm("Do you want to tail the logs?", key="tail", default=False)
    paginate = await talk.confirm("Do you want to paginate the output?", key="paginate", default=False)
    await _search(talk, session, log, Search(patterns=[regex], ignore_case=ignore_case, invert=invert), following, paginate)


async def _search(talk: Conversation, session: Session, log: str, search: Search, following: bool, paginate: bool) -> None:
    """Search all files; then, if wanted, print matching lines as they are written (not those that came while the search ran)."""
    talk.unrecorded = 0
    logs = session.appliance.logs
    try:
        async with aclosing(matching(await asyncio.to_thread(logs.files, log), search)) as lines:
            if paginate:
                found = await talk.page_lines(lines)
            else:
                found = await _say_all(talk, lines)
        if not found:
            talk.say(NOTHING)
        if following:
            async with aclosing(logs.follow(log)) as coming, aclosing(grep_following(coming, search)) as matches:
                await print_until_stopped(talk, matches)
    except SearchStopped:
        raise Refused(STOPPED) from None


async def _say_all(talk: Conversation, lines: AsyncIterator[str]) -> int:
    talk.gap()
    count = 0
    async for line in lines:
        talk.say(line)
        count += 1
    return count


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    patterns: list[str] = []
    given: set[str] = set()
    words: list[str] = []
    context = 0
    tokens = iter(args.tokens)
    for token in tokens:
        if token in ("-e", "-C"):
            value = next(tokens, None)
            if value is None:
                raise SyntaxProblem(f"Missing argument: <{'regex' if token == '-e' else 'lines'}>.")
            if token == "-e":
                patterns.append(value)
            else:
                context = integer(0, MOST_CONTEXT)(value)
        elif len(token) > 1 and token[0] == "-" and not set(token[1:]) - set(FLAGS):
            given.update(token[1:])
        elif token.startswith("-") and len(token) > 1:
            raise SyntaxProblem("Unknown option.", token)
        else:
            words.append(token)
    args.tokens = words
    if not patterns:
        patterns.append(args.word("regex"))
    name = args.word("log")
    args.end()
    log = existing_log(session.appliance.running()[1], name)
    search = Search(patterns=[pattern(p) for p in patterns], ignore_case="i" in given, invert="v" in given, context=context)
    await _search(talk, session, log, search, "t" in given, "p" in given)


COMMAND = Command(
    "grep",
    "Search for text in a log file.",
    dialog=grep,
    batch=_batch,
    usage="grep [-C <lines>] [-e <regex>]... [-i] [-v] [-p] [-t] [<regex>] <log>",
)
