"""commit, commitdetail, showchanges, clear: from the pending copy to the running configuration (commit.md 2, 7)."""

from __future__ import annotations

from typing import Any

from appliance_runtime.clock import long_date, short_date
from appliance_runtime.commit import CLOSING_LINE, Author, CommitRefused, Conflicted
from appliance_runtime.sessions import Session
from appliance_state.diff import differences, tree_lines
from appliance_state.draft import Draft
from appliance_state.merge import Conflict, Side, merge
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, Rejected, SyntaxProblem
from commands.registry import Command

NOTHING = "There is no data to commit."
COMMENT_LIMIT = 255


def author(session: Session) -> Author:
    return Author(user=session.user, kind=session.kind, pid=session.pid)


def _comment(answer: str) -> str:
    if len(answer) > COMMENT_LIMIT:
        raise Rejected(f"The comment must be at most {COMMENT_LIMIT} characters.")
    return answer


async def commit(talk: Conversation, session: Session) -> None:
    """The dialog; in batch the answers are `comment`, `rollback` and `conflict`."""
    if not session.draft.changed:
        talk.show(NOTHING)
        return
    if not await _resolved(talk, session):
        return
    _tell_others(talk, session)
    comment = await talk.ask_optional("Please enter some comments describing your changes:", _comment, key="comment") or ""
    rollback = await talk.confirm("Do you want to save the current configuration for rollback?", key="rollback", default=True)
    while True:
        try:
            committed = await session.appliance.committer.commit(session.draft, author(session), comment, rollback)
        except Conflicted:  # somebody was faster while the questions were being asked
            if not await _resolved(talk, session):
                return
        except CommitRefused as refusal:
            report(talk, refusal)
            return
        else:
            break
    if not talk.batch:
        timezone = session.appliance.running()[1].system.timezone
        warnings = [f"Warning: {text}" for text in committed.warnings]
        talk.show("\n".join([*warnings, f"Changes committed: {long_date(committed.generation.at, timezone)}"]))


def report(talk: Conversation, refusal: CommitRefused) -> None:
    """The lines of a commit that failed."""
    talk.show("\n".join([*(f"Error: {problem}" for problem in refusal.problems), CLOSING_LINE]))
    talk.failed = True


async def _resolved(talk: Conversation, session: Session) -> bool:
    """Preview: merge and validate, let the operator decide conflicts. False = the commit ends here."""
    while True:
        try:
            session.appliance.committer.preview(session.draft)
        except CommitRefused as refusal:
            appliance = session.appliance
            appliance.logs.event("system.commit_failed", pid=session.pid, user=session.user, error=refusal.problems[0])
            report(talk, refusal)
            return False
        except Conflicted as conflicted:
            if not await _decide(talk, session, conflicted.conflicts):
                return False
        else:
            return True


def _conflict_lines(session: Session, conflicts: list[Conflict]) -> list[str]:
    appliance = session.appliance
    timezone = appliance.running()[1].system.timezone
    others = appliance.store.since(session.draft.base_generation)
    lines = []
    for number, conflict in enumerate(conflicts, start=1):
        place = "/".join(conflict.path[:2])
        culprit = next((g for g in reversed(others) if place in g.changed or conflict.path[0] in g.changed), others[-1] if others else None)
        by = f" ({culprit.who}, {long_date(culprit.at, timezone)})" if culprit else ""
        lines += [
            f"{number}. {conflict.title}",
            f"     Original:  {conflict.original}",
            f"     Yours:     {conflict.own}",
            f"     Committed: {conflict.committed}{by}",
        ]
    return lines


async def _decide(talk: Conversation, session: Session, conflicts: list[Conflict]) -> bool:
    heading = "Error: Your changes conflict with changes that were committed after you started."
    talk.show("\n".join([heading, "", *_conflict_lines(session, conflicts)]))
    talk.failed = True
    way = await talk.choose(
        [
            ("stop", "Stop. Nothing is committed and your changes stay pending."),
            ("mine", "Use your value for every conflict."),
            ("committed", "Use the committed value for every conflict."),
            ("each", "Decide for each conflict."),
        ],
        key="conflict",
        above="How do you want to proceed?",
        default="stop",
    )
    if way == "stop":
        return False
    decisions: dict[tuple[str, ...], Side] = {}
    for number, conflict in enumerate(conflicts, start=1):
        if way != "each":
            decisions[conflict.path] = "own" if way == "mine" else "committed"
            continue
        options: list[tuple[Side, str]] = [("own", f"{conflict.own} (yours)"), ("committed", f"{conflict.committed} (committed)")]
        decisions[conflict.path] = await talk.choose(
            options, key="decision", above=f"Conflict {number} of {len(conflicts)}: {conflict.title}", default="committed"
        )
    draft = session.draft
    running = session.appliance.running()
    merged, _ = merge(draft.base_config, draft.config, running[1], decisions)
    draft.rebase(running, merged)
    own = sum(side == "own" for side in decisions.values())
    session.appliance.logs.event(
        "system.conflicts", pid=session.pid, user=session.user, count=len(conflicts), own=own, committed=len(conflicts) - own
    )
    talk.failed = False
    return True


def _tell_others(talk: Conversation, session: Session) -> None:
    """Commits of others that the merge keeps."""
    appliance = session.appliance
    if talk.batch or session.draft.base_generation == appliance.running()[0]:
        return
    others = appliance.store.since(session.draft.base_generation)
    if not others:
        return
    timezone = appliance.running()[1].system.timezone
    width = max(len(other.who) for other in others)
    count = "1 change was" if len(others) == 1 else f"{len(others)} changes were"
    rows = [f"  {long_date(o.at, timezone)}  {o.who:<{width}}  {o.comment or '(no comment)'}" for o in others]
    kept = "It is" if len(others) == 1 else "They are"
    talk.show("\n".join([f"{count} committed by other sessions after you started. {kept} kept:", *rows]))


async def _commit_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    options = args.declare(valued=("conflict",), flags=("conflict",)) if "-y" not in args.tokens else {}
    if args.tokens[:1] == ["-y"]:
        args.tokens.pop(0)
        comment, rollback = "", "y"
    else:
        comment = args.word("comment")
        rollback = args.optional() or "y"
    args.end()
    if rollback.lower() not in ("y", "yes", "n", "no"):
        raise SyntaxProblem("Unknown option.", rollback)
    conflict = options.get("conflict", "stop")
    if conflict not in ("stop", "mine", "committed"):
        raise SyntaxProblem("Unknown option.", f"--conflict={conflict}")
    door = talk.answering({"comment": comment, "rollback": rollback, "conflict": conflict})
    await commit(door, session)


def changes_text(draft: Draft, timezone: str, base_date: str) -> str:
    """The output of `showchanges` and `print changes`."""
    if not draft.changed:
        return "There are no uncommitted changes."
    lines = tree_lines(differences(draft.base_config, draft.config))
    return "\n".join([f"Changes since the configuration of {base_date}:", *lines])


def session_changes(session: Session) -> str:
    """`changes_text` of a session."""
    appliance = session.appliance
    timezone = session.draft.config.system.timezone
    base = session.draft.base_generation
    generation = next((g for g in appliance.store.since(base - 1) if g.id == base), None)
    return changes_text(session.draft, timezone, long_date(generation.at if generation else appliance.started, timezone))


def changes_json(draft: Draft) -> dict[str, Any]:
    """The document of `print changes --json`."""
    rows = [
        {
            "object": change.path[0],
            "name": change.path[1] if len(change.path) > 1 else None,
            "field": ".".join(change.path[2:]) or None,
            "old": change.old,
            "new": change.new,
            "kind": change.kind,
        }
        for change in (differences(draft.base_config, draft.config) if draft.changed else [])
    ]
    return {"base": draft.base_generation, "changes": rows}


async def showchanges(talk: Conversation, session: Session) -> None:
    await talk.page(session_changes(session))


async def _showchanges_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    args.end()
    await showchanges(talk, session)


async def commitdetail(talk: Conversation, session: Session) -> None:
    last = session.appliance.store.latest(1)
    if not last:
        talk.show("There have been no commits.")
        return
    timezone = session.draft.config.system.timezone
    talk.show(f'Commit at {long_date(last[0].at, timezone)} with comments: "{last[0].comment}".')


async def _commitdetail_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    count = integer(1, 1000)(args.word("number"))
    args.end()
    commits = session.appliance.store.latest(count)
    if not commits:
        raise Refused("There have been no commits.")
    timezone = session.draft.config.system.timezone
    for one in commits:
        talk.say(f'Commit at {long_date(one.at, timezone)} by {one.who} with comments: "{one.comment}".')


async def clear(talk: Conversation, session: Session) -> None:
    if not session.draft.changed:
        talk.show("There are no changes to clear.")
        return
    question = "Are you sure you want to clear all changes since the last commit? "
    if await talk.confirm(question, key="sure", default=True):
        session.draft.discard()
        if not talk.batch:
            now = session.appliance.clock.now()
            talk.show(f"Changes cleared: {short_date(now, session.draft.config.system.timezone)}")


async def _clear_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    answer = args.word("Y")
    args.end()
    await clear(talk.answering({"sure": answer}), session)


COMMANDS = (
    Command(
        "commit",
        "Commit changes",
        dialog=commit,
        batch=_commit_batch,
        usage='commit "<comment>" [Y|N] [--conflict=stop|mine|committed]\ncommit -y',
    ),
    Command(
        "commitdetail", "Display detailed information about the last commit", commitdetail, _commitdetail_batch, usage="commitdetail <n>"
    ),
    Command("showchanges", "Show the changes that have not been committed", showchanges, _showchanges_batch),
    Command("clear", "Clear changes", clear, _clear_batch, aliases=("clearchanges",), usage="clear Y"),
)
