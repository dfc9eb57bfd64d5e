"""The prompt: layout, dispatch, Ctrl-C, end of input, exit status (conventions.md 3, 4, 8, 12, 13, 15.3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from appliance_runtime.sessions import Session
from asyncos_shell.shell import Shell
from commands import exit as exit_command
from commands import sethostname
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused
from commands.help import help_command
from commands.menu import Menu
from commands.registry import Command, Registry
from tests.support.appliance import make_session
from tests.support.wire import make_terminal, person, soon, until

HOST = "mail.example.com"
menu: Menu[Session] = Menu(status=lambda session: f"Hostname: {session.draft.config.system.hostname}")


def _named(name: str, session: Session) -> None:
    draft = session.draft
    draft.config = draft.config.with_(system=type(draft.config.system)(hostname=name))


@menu.operation("NEW", "Two questions.")
async def new(talk: Conversation, session: Session) -> None:
    name = await talk.ask("Name:", str, key="name")
    await talk.ask("Number:", int_answer, key="number")
    _named(name, session)


@menu.operation("REFUSE", "Nothing.")
async def refuse(talk: Conversation, session: Session) -> None:
    raise Refused("Not today.")


def int_answer(answer: str) -> int:
    return integer(1, 9)(answer)


async def demo_batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("new", "show", "refuse"):
        case "new":
            inner = talk.answering({"name": args.word("name"), "number": "1"})
            args.end()
            await new(inner, session)
        case "show":
            talk.answering({}).say("shown")
        case "refuse":
            talk.answering({}).fail("refused inside")


async def wait_for_ever(talk: Conversation, session: Session) -> None:
    talk.say("waiting")
    await asyncio.Event().wait()


async def silent(talk: Conversation, session: Session) -> None:
    pass


async def display(talk: Conversation, session: Session) -> None:
    talk.show("a display")


def make_registry() -> Registry:
    registry = Registry()
    registry.add(
        [
            Command("demo", "A menu.", dialog=menu.run, batch=demo_batch, needs_commit=True, usage="demo new <name>"),
            Command("wait", "Waits.", dialog=wait_for_ever),
            Command("silent", "Says nothing.", dialog=silent),
            Command("display", "Shows something.", dialog=display),
            sethostname.COMMAND,
            exit_command.COMMAND,
        ]
    )
    registry.add([help_command(registry)])
    return registry


async def type_script(
    text: str, *, session: Session | None = None, line: str | None = None, keyboard: bool = False, **fields: Any
) -> tuple[str, int]:
    """(everything that was shown, exit status) of a session whose whole input is `text`."""
    session = session or make_session(**fields)
    terminal, wire = person() if keyboard else make_terminal()
    shell = Shell(session, terminal, make_registry(), line=line, comments=not keyboard)
    terminal.received(text.encode())
    terminal.ended()
    status = await soon(shell.run())
    terminal.flush()
    return wire.sent.decode().replace("\r\n", "\n"), status


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", f"{HOST}> \n"),
        ("\n", f"{HOST}> \n{HOST}> \n"),
        ("silent\n", f"{HOST}> \n\n{HOST}> \n"),
        ("display\n", f"{HOST}> \n\na display\n\n{HOST}> \n"),
        ("display; display\n", f"{HOST}> \n\na display\n\na display\n\n{HOST}> \n"),
        ("demo show\n", f"{HOST}> \n\nshown\n\n{HOST}> \n"),
        (" ; ;\n", f"{HOST}> \n{HOST}> \n"),
        ("# a comment\n", f"{HOST}> \n{HOST}> \n"),
        ("nosuch\n", f"{HOST}> \n\nUnknown command or missing feature key: nosuch\n\n{HOST}> \n"),
        ("demo new a.test\n", f"{HOST}> \n\n{HOST}> \n"),
        ("\x03silent\n", f"{HOST}> ^C\n{HOST}> \n\n{HOST}> \n"),
        ("exit\nsilent\n", f"{HOST}> \n\n"),
    ],
)
async def test_layout_of_a_shell(typed: str, shown: str) -> None:
    assert (await type_script(typed))[0] == shown


async def test_with_a_keyboard_the_echo_stands_behind_the_prompt() -> None:
    shown, status = await type_script("silent\r# x\r\x04", keyboard=True)
    assert shown == f"{HOST}> silent\n\n{HOST}> # x\n\nUnknown command or missing feature key: #\n\n{HOST}> \n\n"
    assert status == 0


@pytest.mark.parametrize(
    ("line", "shown", "status"),
    [
        ("silent", "", 0),
        ("display", "a display\n", 0),
        ("display; display;", "a display\na display\n", 0),
        ("demo new a.test; demo show", "shown\n", 0),
        ("nosuch; display", "Unknown command or missing feature key: nosuch\na display\n", 1),
        ("CLUSTERMODE cluster", "Unknown command or missing feature key: CLUSTERMODE\n", 1),
        ("Trace", 'The command "trace" is not available in this product.\n', 1),
        ("demo importt x", "Invalid arguments when processing demo:\nUnknown operation.\n: 'importt'\n", 1),
        ("demo new", "Invalid arguments when processing demo:\nMissing argument: <name>.\n", 1),
        ("demo new a b", "Invalid arguments when processing demo:\nToo many arguments.\n: 'b'\n", 1),
        ('demo new "a', "Invalid arguments when processing demo:\nMissing closing quotation mark.\n", 1),
        ("silent now", "Invalid arguments when processing silent:\nThis command does not support a batch format.\n", 1),
        ("demo refuse", "refused inside\n", 1),
        ("DISPLAY", "a display\n", 0),
        ("display\n;\tsilent\x00", "a display\n", 0),
        ("exit; display", "", 0),
        ("# display", "Unknown command or missing feature key: #\n", 1),
    ],
)
async def test_a_single_line_prints_no_prompt_and_no_blank_lines(line: str, shown: str, status: int) -> None:
    assert await type_script("left over\n", line=line, kind="exec") == (shown, status)


async def test_answers_of_a_single_line_come_from_its_input() -> None:
    session = make_session(kind="exec")
    shown, status = await type_script("new\nb.test\n3\n\nversion\n", session=session, line="demo; display")
    assert shown == (
        f"Hostname: {HOST}\n\n"
        "Choose the operation you want to perform:\n- NEW - Two questions.\n- REFUSE - Nothing.\n[]> \n\n"
        "Name:\n[]> \n\nNumber:\n[]> \n\n"
        "Hostname: b.test\n\n"
        "Choose the operation you want to perform:\n- NEW - Two questions.\n- REFUSE - Nothing.\n[]> \n"
        "a display\n"
    )
    assert status == 0
    assert session.draft.config.system.hostname == "b.test"


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        ("silent\n", 0),
        ("nosuch\nsilent\n", 1),
        ("demo\nfoo\n\n", 1),
        ("demo\nrefuse\n\n", 1),
        ("demo\nnew\nb.test\n12\n3\n\n", 1),
        ("demo\n", 1),
        ("demo\n\x03", 1),
        ("", 0),
    ],
)
async def test_exit_status_without_keyboard(typed: str, status: int) -> None:
    assert (await type_script(typed))[1] == status


async def test_a_keyboard_session_that_ends_by_exit_has_status_0() -> None:
    assert (await type_script("nosuch\rexit\r", keyboard=True))[1] == 0


async def test_ctrl_c_in_an_operation_stores_nothing_and_says_so() -> None:
    session = make_session()
    shown, _ = await type_script("demo\nnew\na.test\n1\nnew\nb.test\n\x03silent\n", session=session)
    assert shown.endswith(f"Number:\n[]> ^C\n-- Changes not recorded\n\n{HOST}> \n\n{HOST}> \n")
    assert session.draft.config.system.hostname == "a.test"


async def test_ctrl_c_before_an_accepted_answer_says_nothing_of_changes() -> None:
    shown, _ = await type_script("demo\n\x03")
    assert shown.endswith(f"[]> ^C\n\n{HOST}> \n")


async def test_ctrl_c_drops_the_rest_of_the_line() -> None:
    shown, _ = await type_script("demo; display\n\x03")
    assert "a display" not in shown


async def test_end_of_input_in_a_dialog_stores_nothing_and_ends_the_session() -> None:
    session = make_session()
    shown, status = await type_script("demo\nnew\nb.test\n", session=session)
    assert shown.endswith("Number:\n[]> \n-- Changes not recorded\n")
    assert status == 1
    assert not session.draft.changed


async def test_ctrl_d_in_a_dialog_is_as_ctrl_c_for_a_keyboard() -> None:
    shown, _ = await type_script("demo\r\x04silent\r", keyboard=True)
    assert shown.endswith(f"[]> \n\n{HOST}> silent\n\n{HOST}> \n\n")


async def test_exit_with_pending_changes_asks() -> None:
    session = make_session()
    shown, _ = await type_script("demo new a.test\nexit\n\nexit\nn\nexit\ny\nsilent\n", session=session)
    question = (
        "\nConfiguration changes entered but not committed. Exiting will lose changes.\n"
        "Type 'commit' at the command prompt to commit changes.\n"
        "Are you sure you wish to exit? [N]> \n"
    )
    assert shown == f"{HOST}> \n\n{HOST}> \n{question}\n{HOST}> \n{question}\n{HOST}> \n{question}"
    assert session.closing


async def test_end_of_input_at_that_question_leaves() -> None:
    shown, status = await type_script("demo new a.test\nexit\n")
    assert shown.endswith("Are you sure you wish to exit? [N]> \n") and status == 0


async def test_ctrl_d_at_the_prompt_asks_as_exit_does() -> None:
    shown, _ = await type_script("demo new a.test\r\x04n\r\x04y\r", keyboard=True)
    assert shown.count("Are you sure you wish to exit? [N]> ") == 2


async def test_an_exec_request_discards_without_a_word() -> None:
    assert await type_script("", line="demo new a.test; exit", kind="exec") == ("", 0)


async def test_a_running_command_stops_at_ctrl_c() -> None:
    session = make_session()
    terminal, wire = person()
    running = asyncio.ensure_future(Shell(session, terminal, make_registry()).run())
    terminal.received(b"wait\r")
    await until(lambda: b"waiting" in wire.sent)
    terminal.received(b"\x03")
    await until(lambda: wire.sent.endswith(f"waiting\r\n^C\r\n\r\n{HOST}> ".encode()))
    terminal.received(b"exit\r")
    assert await soon(running) == 0


async def test_the_prompt_shows_a_host_name_after_its_commit_only() -> None:
    session = make_session()
    appliance: Any = session.appliance
    terminal, wire = make_terminal()
    running = asyncio.ensure_future(Shell(session, terminal, make_registry()).run())
    terminal.received(b"sethostname new.example.com\n")
    await until(lambda: wire.sent.endswith(f"\n\n{HOST}> ".encode()))
    appliance.accept(session.draft)
    terminal.received(b"silent\n")
    await until(lambda: wire.sent.endswith(b"\n\nnew.example.com> "))
    terminal.ended()
    assert await soon(running) == 0


@pytest.mark.parametrize(("typed", "before"), [("", f"{HOST}> \n"), ("wait\n", f"{HOST}> \n\nwaiting\n")])
async def test_the_appliance_ends_a_session_on_a_new_line(typed: str, before: str) -> None:
    session = make_session()
    terminal, wire = make_terminal()
    running = asyncio.ensure_future(Shell(session, terminal, make_registry()).run())
    terminal.received(typed.encode())
    await until(lambda: wire.sent.decode().endswith(before.removesuffix("\n") if not typed else before))
    assert session.on_close
    session.on_close("The appliance is shutting down.")
    assert await soon(running) == 1
    assert wire.sent.decode() == f"{before}The appliance is shutting down.\n"


async def test_a_lost_session_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    terminal, wire = make_terminal()
    running = asyncio.ensure_future(Shell(make_session(), terminal, make_registry()).run())
    terminal.received(b"wait\n")
    await until(lambda: b"waiting" in wire.sent)
    running.cancel()
    await asyncio.wait((running,))
    assert asyncio.all_tasks() == before


async def test_command_lines_are_logged_without_secrets() -> None:
    session = make_session()
    await type_script("demo new a.test --passphrase=top\nnosuch\n\n# x\n", session=session)
    events = [fields for name, fields in session.appliance.logs.events if name == "cli.command"]  # type: ignore[attr-defined]
    assert [(fields["line"], fields["outcome"]) for fields in events] == [
        ("demo new a.test --passphrase=****", "executed"),
        ("nosuch", "rejected"),
    ]


async def test_help_lists_every_command_by_name() -> None:
    shown, _ = await type_script("", line="help")
    rows = shown.splitlines()
    assert rows[0] == "demo                    A menu."
    assert [row.split()[0] for row in rows] == sorted(make_registry().commands)
    assert (await type_script("", line="?"))[0] == shown == (await type_script("", line="h"))[0]


async def test_help_of_one_command_shows_its_attributes() -> None:
    assert (await type_script("", line="help DEMO"))[0] == (
        "demo - A menu.\n"
        "\n"
        "Commit: This command requires a 'commit'.\n"
        "Cluster Management: This command can be used in all three machine modes (cluster, group, machine).\n"
        "Batch Command: This command supports a batch format.\n"
        "\n"
        "demo new <name>\n"
    )
    assert "does not require a 'commit'.\n" in (await type_script("", line="help wait"))[0]
    assert "does not support a batch format.\n" in (await type_script("", line="help wait"))[0]
    assert (await type_script("", line="help nosuch")) == ("Unknown command or missing feature key: nosuch\n", 1)


async def test_completion_offers_command_names() -> None:
    shown, _ = await type_script("di\t\r\x15\x04", keyboard=True)
    assert shown.startswith(f"{HOST}> display \n\na display\n")
