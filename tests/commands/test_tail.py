"""tail: pick list, the last lines, new lines as they are written, its ends (operations.md 6.2)."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance_runtime.logs.writer import Logs
from appliance_runtime.sessions import Session
from appliance_state.model.logs import FACTORY_LOGS, LogSubscription
from commands.arguments import Arguments
from commands.dialog import Conversation, EndOfInput, Interrupted
from commands.tail import COMMAND
from tests.support.appliance import make_session
from tests.support.terminal import CTRL_C, run_batch, run_dialog

PICK_LIST = """\
Currently configured logs:
1. "authentication" Type: "Authentication Logs" Retrieval: Manual Download
2. "bounces" Type: "Bounce Logs" Retrieval: Manual Download
3. "cli_logs" Type: "CLI Audit Logs" Retrieval: Manual Download
4. "error_logs" Type: "IronPort Text Mail Logs" Retrieval: Manual Download
5. "gui_logs" Type: "HTTP Logs" Retrieval: Manual Download
6. "mail_logs" Type: "IronPort Text Mail Logs" Retrieval: Manual Download
7. "system_logs" Type: "System Logs" Retrieval: Manual Download
Enter the number of the log you wish to tail.
[]> """


class Keyboard:
    """An operator who answers, then watches, and after `shown` lines of the log presses Ctrl-C or goes away."""

    def __init__(self, answers: Sequence[str], *, keyboard: bool, shown: int) -> None:
        self.answers = list(answers)
        self.keyboard = keyboard
        self.shown = shown
        self.screen = ""
        self.enough = asyncio.Event()
        self.watching = asyncio.Event()

    async def read_line(self, prompt: str, *, hidden: bool = False, words: Sequence[str] = (), history: bool = False) -> str:
        self.screen += prompt
        if self.answers:
            self.screen += f"{self.answers[0]}\n"
            return self.answers.pop(0)
        self.watching.set()
        await self.enough.wait()
        raise Interrupted if self.keyboard else EndOfInput

    def write(self, text: str) -> None:
        self.screen += text
        if self.screen.count("user-") >= self.shown:
            self.enough.set()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = make_session()
    appliance: Any = opened.appliance
    logs = Logs(tmp_path, appliance.clock, "15.5.1-055", "000F1F6ACFA6-2Y5SQ41", immediate=True)
    logs.configure(FACTORY_LOGS.entries(), "GMT")
    appliance.logs = logs
    yield opened
    logs.close()


def write(session: Session, *users: str) -> None:
    for user in users:
        session.appliance.logs.event("cli.uncommitted", user=user)


def users(screen: str) -> list[str]:
    """Of the lines that were shown."""
    return [word for line in screen.splitlines() for word in line.split() if word.startswith("user-")]


async def test_pick_list_and_its_answers(session: Session) -> None:
    assert await run_dialog(COMMAND, session, ["8", CTRL_C]) == (
        f"{PICK_LIST}8\nThe value must be an integer from 1 to 7.\n\n{PICK_LIST}^C\n"
    )


@pytest.mark.parametrize("answer", ["3", "cli_logs", "CLI_LOGS"])
async def test_until_ctrl_c(session: Session, answer: str) -> None:
    write(session, *(f"user-{n}" for n in range(12)))
    terminal = Keyboard([answer], keyboard=True, shown=12)
    talk = Conversation(terminal)
    running = asyncio.ensure_future(COMMAND.dialog(talk, session))
    await terminal.watching.wait()
    write(session, "user-12", "user-13")
    with pytest.raises(Interrupted):
        await running
    assert terminal.screen.startswith(f"{PICK_LIST}{answer}\n\nPress Ctrl-C to stop.\n")
    assert users(terminal.screen) == [f"user-{n}" for n in range(2, 14)]
    assert talk.unrecorded == 0


async def test_without_a_keyboard_until_the_input_ends(session: Session) -> None:
    terminal = Keyboard(["cli_logs"], keyboard=False, shown=1)
    running = asyncio.ensure_future(COMMAND.dialog(Conversation(terminal), session))
    await terminal.watching.wait()
    session.appliance.logs.roll_over("cli_logs")
    write(session, "user-1")
    await running
    assert users(terminal.screen) == ["user-1"]


async def test_batch_that_follows_prints_lines_only(session: Session) -> None:
    write(session, "user-1", "user-2")
    terminal = Keyboard([], keyboard=True, shown=2)
    assert COMMAND.batch is not None
    running = asyncio.ensure_future(COMMAND.batch(Conversation(terminal), session, Arguments(["cli_logs", "--lines", "1"])))
    await terminal.watching.wait()
    write(session, "user-3")
    with pytest.raises(Interrupted):
        await running
    assert users(terminal.screen) == ["user-2", "user-3"]
    assert len(terminal.screen.splitlines()) == 2


async def test_input_that_has_ended_already_hides_no_line(session: Session) -> None:
    write(session, *(f"user-{n}" for n in range(12)))
    assert COMMAND.batch is not None
    terminal = Keyboard([], keyboard=False, shown=0)
    terminal.enough.set()
    await COMMAND.batch(Conversation(terminal), session, Arguments(["cli_logs"]))
    assert users(terminal.screen) == [f"user-{n}" for n in range(2, 12)]


async def test_batch_without_following(session: Session) -> None:
    write(session, *(f"user-{n}" for n in range(12)))
    screen, failed = await run_batch(COMMAND, session, "tail CLI_logs --no-follow")
    assert not failed and users(screen) == [f"user-{n}" for n in range(2, 12)]
    assert len(screen.splitlines()) == 10
    screen, failed = await run_batch(COMMAND, session, "tail --lines=2 cli_logs --no-follow")
    assert not failed and users(screen) == ["user-10", "user-11"]


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("tail nosuch", 'There is no log named "nosuch".'),
        ("tail mail_logs --lines=0", "The value must be an integer from 1 to 5000."),
        ("tail mail_logs --lines=5001", "The value must be an integer from 1 to 5000."),
        ("tail mail_logs -f", "Invalid arguments when processing tail:\nToo many arguments.\n: '-f'"),
        ("tail --no-follow", "Invalid arguments when processing tail:\nMissing argument: <log>."),
    ],
)
async def test_batch_lines_that_fail(session: Session, line: str, output: str) -> None:
    assert await run_batch(COMMAND, session, line) == (f"{output}\n", True)


async def test_a_log_that_is_only_pending_cannot_be_read(session: Session) -> None:
    config = session.draft.config
    session.draft.config = config.with_(logs=config.logs.put(LogSubscription(name="lab", filename="lab")))
    assert await run_batch(COMMAND, session, "tail lab") == ('There is no log named "lab".\n', True)
