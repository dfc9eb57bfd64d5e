"""Every question of every dialog is found and given answers that no question takes: refused, asked again, nothing stored.

The dialogs are walked from outside: at a menu every word is tried, at a question first the hostile answers, then all
harmless ones, as far as they lead to a question that was not seen yet. Longest walk: MAX_STEPS answers.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import define, field

from commands.catalog import catalog
from commands.dialog import Cancelled, Conversation, EndOfInput, Refused
from commands.registry import Command
from tests.support.live import Place, live
from tests.support.terminal import ScriptedTerminal

MAX_STEPS = 45
HOSTILE = ("\udcff\udcfe", "x" * 20_000, "\x1b[2J\udc80")
HARMLESS = ("", "1", "y", "new.example.com", "a@example.com", "192.0.2.77", "3", ".", "JP")
ACTING = ("commit", "exit", "tail", "passphrase", "workqueue")
"""not walked: they end the session, follow a file, or act at once, so that a second run meets something else; they have tests of their own"""
AT_LEAST = {
    "listenerconfig": 120,
    "destconfig": 40,
    "certconfig": 35,
    "bounceconfig": 25,
    "interfaceconfig": 15,
    "alertconfig": 15,
    "ldapconfig": 25,
}
"""questions and menus that a walk must find, so that it cannot pass by finding nothing"""
PREPARED = (
    "certconfig certificate new mail --cn=mail.example.com --o=O --ou=U --l=L --st=S --c=JP",
    "listenerconfig new InboundMail public Management smtp --accept=a.test",
    "destconfig new d.test --tls=required",
    "smtproutes new d.test [192.0.2.1]",
    "bounceconfig new Slow",
    "alertconfig new ops@a.test",
    "ldapconfig new PublicLDAP --hostname=192.0.2.1 --user=cn=esa --passphrase=x",
    'commit "something to edit" Y',
)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with live(tmp_path) as here:
        admin = here.person()
        for line in PREPARED:
            output, failed = await admin.batch(line)
            assert not failed, output
        here.appliance.close_session(admin.session)
        yield here


@define
class Walk:
    """One command. `seen`: (operation, text) of the questions and menus that were found; `problems`: what was wrong."""

    place: Place
    command: Command
    seen: set[tuple[str, str]] = field(factory=set)
    problems: list[str] = field(factory=list)

    async def run(self, answers: list[str]) -> tuple[str, bool, bool]:
        """(screen, whether something is pending, whether all answers were taken and one more is awaited)."""
        person = self.place.person()
        terminal = ScriptedTerminal(answers)
        talk = Conversation(terminal)
        waiting = False
        try:
            await self.command.dialog(talk, person.session)
        except EndOfInput:
            waiting = not terminal.answers
        except (Refused, Cancelled):
            pass
        changed = person.session.draft.changed
        self.place.appliance.close_session(person.session)
        return terminal.screen, changed, waiting

    async def explore(self, path: list[str], operation: str = "") -> None:
        """Everything below a point of the dialog that has not been seen yet in the same operation."""
        screen, changed, waiting = await self.run(path)
        words = re.findall(r"^- ([A-Z_]+) - ", block(screen), re.M)
        place = ("" if words else operation, kind(block(screen)))
        if not waiting or place in self.seen:
            return
        if len(path) > MAX_STEPS:
            self.problems.append(f"no end: {path}")
            return
        self.seen.add(place)
        await self.insult(path, screen, changed)
        for answer in words or HARMLESS:
            await self.explore([*path, answer], answer if words else operation)

    async def insult(self, path: list[str], screen: str, changed: bool) -> None:
        for answer in HOSTILE:
            after, now, waiting = await self.run([*path, answer])
            if changed != now:
                self.problems.append(f"{answer[:5]!r} stored something at {path}: {screen[-200:]}")
            if not waiting:
                self.problems.append(f"{answer[:5]!r} ended the dialog at {path}: {after[-200:]}")


def block(screen: str) -> str:
    """The last question: its text and prompt, without what was said before; of a paste only its first line."""
    text = screen.rstrip("\n").rpartition("\n\n")[2]
    return text if text.endswith(("> ", ": ")) else text.partition("\n")[0]


def kind(question: str) -> str:
    """The question without names, numbers and its default, which depend on what was answered before."""
    return re.sub(r'"[^"]*"|\d+|\[[^]]*\](?=> $)', "#", question)


@pytest.mark.parametrize("command", [c for c in catalog().listed() if c.name not in ACTING], ids=lambda command: command.name)
async def test_no_question_takes_them(place: Place, command: Command) -> None:
    walk = Walk(place, command)
    await walk.explore([])
    assert not walk.problems, "\n".join(walk.problems)
    assert len(walk.seen) >= AT_LEAST.get(command.name, 0)
