"""Question forms: layout, defaults, what a bad answer gets (conventions.md 4 to 8, 10)."""

import re
from collections.abc import Awaitable, Callable

import pytest

from commands.answers import email, file_name, hostname, integer, ipv4, ipv6, port, text
from commands.dialog import Cancelled, Conversation, EndOfInput, Interrupted, Refused, Rejected, SyntaxProblem
from commands.menu import Menu
from tests.support.terminal import CTRL_C, ScriptedTerminal

LIST = [("no", "No"), ("preferred", "Preferred"), ("required", "Required")]


async def dialog(run: Callable[[Conversation], Awaitable[object]], *answers: str) -> tuple[object, str, bool]:
    terminal = ScriptedTerminal(answers)
    talk = Conversation(terminal)
    result = await run(talk)
    assert not terminal.answers
    return result, terminal.screen, talk.failed


async def test_a_rejected_answer_gets_its_text_and_the_whole_question_again() -> None:
    result, screen, failed = await dialog(lambda t: t.ask("Enter the port.", port, key="p", default=25), "0", "abc", "")
    assert result == 25
    assert screen == (
        "Enter the port.\n[25]> 0\nThe value must be an integer from 1 to 65535.\n"
        "\nEnter the port.\n[25]> abc\nThe value must be an integer from 1 to 65535.\n"
        "\nEnter the port.\n[25]> \n"
    )
    assert failed


async def test_yes_no() -> None:
    result, screen, _ = await dialog(lambda t: t.confirm("Line one\nGo on?", key="g", default=False), "maybe", "YES")
    assert result is True
    assert screen == "Line one\nGo on? [N]> maybe\nPlease answer Yes or No.\n\nLine one\nGo on? [N]> YES\n"


@pytest.mark.parametrize("answer", ["3", "required", "REQUIRED", "Required"])
async def test_a_list_answers_to_number_text_and_name(answer: str) -> None:
    result, screen, failed = await dialog(lambda t: t.choose(LIST, key="tls", above="TLS?", default="no"), "9", answer)
    assert result == "required"
    assert screen.startswith("TLS?\n1. No\n2. Preferred\n3. Required\n[1]> 9\nThe value must be an integer from 1 to 3.\n\nTLS?\n")
    assert failed


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [("1,3", ["no", "required"]), ("1-3", ["no", "preferred", "required"]), ("Preferred , 2", ["preferred"]), ("", ["preferred"])],
)
async def test_several_from_a_list(answer: str, chosen: list[str]) -> None:
    result, screen, _ = await dialog(lambda t: t.choose_many(LIST, key="k", below="Which?", default=["preferred"]), answer)
    assert result == chosen
    assert screen.endswith(f"3. Required\nWhich?\n[2]> {answer}\n")


@pytest.mark.parametrize("answer", ["0", "4", "1-4", "3-1", "x", "1,,2", "²", "9" * 30])
async def test_numbers_that_do_not_exist_are_refused(answer: str) -> None:
    result, screen, _ = await dialog(lambda t: t.choose_many(LIST, key="k", default=["no"]), answer, "")
    assert result == ["no"]
    assert "The value must be an integer from 1 to 3." in screen


async def test_blank_answers() -> None:
    _, screen, _ = await dialog(lambda t: t.ask("Enter it.", text(5), key="k"), "", "123456", "ok")
    assert "[]> \nThe value cannot be blank.\n" in screen
    assert "[]> 123456\nThe value may not be longer than 5 characters.\n" in screen
    assert (await dialog(lambda t: t.ask_optional("Enter it.", text(5), key="k"), ""))[0] is None
    with pytest.raises(Cancelled):
        await dialog(lambda t: t.select("Which?", text(5), key="k"), "")


async def test_hostile_lines() -> None:
    _, screen, _ = await dialog(
        lambda t: t.ask("Name:", text(9999), key="k", bare=True), "x" * 20_000, "a\udcff", "\x00 \x1b[31mred\x07 \t"
    )
    assert "The value may not be longer than 4096 characters.\n" in screen
    assert "That value is not valid.\n" in screen
    assert (await dialog(lambda t: t.ask("Name:", text(9), key="k"), "\x00a\x1b"))[0] == "a"


async def test_paste() -> None:
    result, screen, _ = await dialog(lambda t: t.paste("Paste (end with '.'):", key="p"), " one\r", "", "two", ".")
    assert result == "one\n\ntwo"
    assert screen.startswith("Paste (end with '.'):\n")
    too_long = ["y" * 1024] * 1025
    result, screen, failed = await dialog(lambda t: t.paste("Paste:", key="p"), *too_long, ".", "short", ".")
    assert result == "short" and failed
    assert "The pasted text is too long.\n\nPaste:\n" in screen
    with pytest.raises(EndOfInput):
        await dialog(lambda t: t.paste("Paste:", key="p"), "half")


async def test_hidden_answers_leave_no_trace() -> None:
    result, screen, _ = await dialog(lambda t: t.hidden("Enter passphrase:", key="p"), "s3cret")
    assert (result, screen) == ("s3cret", "Enter passphrase: \n")


def example_menu(log: list[str]) -> Menu[list[str]]:
    menu: Menu[list[str]] = Menu(status=lambda entries: f"There are {len(entries)} entries.")

    @menu.operation("NEW", "Create a new entry.")
    async def new(talk: Conversation, entries: list[str]) -> None:
        entries.append(await talk.ask("Name?", text(5), key="name"))
        log.append("new")

    @menu.operation("EDIT", "Modify an entry.", when=bool)
    async def edit(talk: Conversation, entries: list[str]) -> None:
        await talk.select("Which?", text(5), key="name")
        raise Refused("It cannot be edited.")

    @menu.operation("PRINT", "Display.", listed=False)
    async def display(talk: Conversation, entries: list[str]) -> None:
        talk.show(", ".join(entries))

    return menu


async def test_a_menu() -> None:
    entries: list[str] = []
    terminal = ScriptedTerminal(["foo", "edit", "new", "a", "edit", "", "EDIT", "a", "print", ""])
    talk = Conversation(terminal)
    await example_menu([]).run(talk, entries)
    assert talk.failed
    assert terminal.screen == (
        "There are 0 entries.\n\nChoose the operation you want to perform:\n- NEW - Create a new entry.\n[]> foo\n"
        'Unknown option "foo".\n\nChoose the operation you want to perform:\n- NEW - Create a new entry.\n[]> edit\n'
        'Unknown option "edit".\n\nChoose the operation you want to perform:\n- NEW - Create a new entry.\n[]> new\n'
        "\nName?\n[]> a\n"
        "\nThere are 1 entries.\n\nChoose the operation you want to perform:\n- NEW - Create a new entry.\n- EDIT - Modify an entry.\n[]> edit\n"
        "\nWhich?\n[]> \n"
        "\nThere are 1 entries.\n\nChoose the operation you want to perform:\n- NEW - Create a new entry.\n- EDIT - Modify an entry.\n[]> EDIT\n"
        "\nWhich?\n[]> a\nIt cannot be edited.\n"
        "\nThere are 1 entries.\n\nChoose the operation you want to perform:\n- NEW - Create a new entry.\n- EDIT - Modify an entry.\n[]> print\n"
        "\na\n"
        "\nThere are 1 entries.\n\nChoose the operation you want to perform:\n- NEW - Create a new entry.\n- EDIT - Modify an entry.\n[]> \n"
    )


async def test_ctrl_c_knows_whether_answers_are_lost() -> None:
    talk = Conversation(ScriptedTerminal(["new", CTRL_C]))
    with pytest.raises(Interrupted):
        await example_menu([]).run(talk, [])
    assert talk.unrecorded == 0

    async def two(talk: Conversation) -> None:
        await talk.ask("One?", text(5), key="a")
        await talk.ask("Two?", text(5), key="b")

    talk = Conversation(ScriptedTerminal(["1", CTRL_C]))
    with pytest.raises(Interrupted):
        await two(talk)
    assert talk.unrecorded == 1


async def test_batch_answers_by_key_and_never_waits() -> None:
    terminal = ScriptedTerminal()
    talk = Conversation(terminal).answering({"tls": "Required", "limit": "7"})
    assert await talk.choose(LIST, key="tls", default="no") == "required"
    assert await talk.confirm("A limit?", key="gate", default=False, implied=("limit",)) is True
    assert await talk.confirm("Another?", key="other", default=False, implied=("nothing",)) is False
    assert await talk.ask("Limit?", integer(1, 9), key="limit") == 7
    assert await talk.ask("Default?", integer(1, 9), key="absent", default=3) == 3
    with pytest.raises(SyntaxProblem, match=re.escape("Missing argument: <name>.")):
        await talk.ask("Name?", text(5), key="name")
    with pytest.raises(Rejected):
        await Conversation(terminal).answering({"n": "10"}).ask("N?", integer(1, 9), key="n")
    talk.note("not in batch")
    assert terminal.screen == ""
    talk.show("a display")
    assert terminal.screen == "a display\n"


@pytest.mark.parametrize(
    ("parse", "good", "bad"),
    [
        (ipv4, ["192.168.1.1", "0.0.0.0"], ["192.168.1", "1.2.3.256", "01.2.3.4", "a.b.c.d", "::1"]),
        (ipv6, ["::1", "2001:420:80:1::5"], ["1.2.3.4", "fe80::1%eth0", "2001::1::2", "zz::"]),
        (hostname, ["mail.example.com"], ["mail", "-a.example.com"]),
        (email, ["administrator@example.com"], ["administrator", "a@b"]),
        (file_name, ["a.p12", "A_b-1"], [".hidden", "a/b", "..", "a b", "x" * 129, "é"]),
        (integer(5, 7), ["5", "7"], ["4", "8", "5.0", "+5", "٥", "0x5", "9" * 50]),
        (integer(-1, 3), ["-1", "3"], ["-2", "--1", "-"]),
    ],
)
def test_parsers(parse: Callable[[str], object], good: list[str], bad: list[str]) -> None:
    for answer in good:
        parse(answer)
    for answer in bad:
        with pytest.raises(Rejected):
            parse(answer)


async def test_a_failed_batch_operation_is_the_failure_of_the_whole() -> None:
    talk = Conversation(ScriptedTerminal([]))
    assert not talk.any_failed
    talk.answering({}).answering({}).fail("no")
    assert talk.any_failed and not talk.failed


@pytest.mark.parametrize(
    ("default", "prompt", "answer", "value"),
    [
        (None, "Default", "", None),
        (True, "Y", "", True),
        (False, "N", "", False),
        (True, "Y", "d", None),
        (None, "Default", "NO", False),
        (None, "Default", "yes", True),
    ],
)
async def test_yes_no_or_default(default: bool | None, prompt: str, answer: str, value: bool | None) -> None:
    terminal = ScriptedTerminal(["perhaps", answer])
    assert await Conversation(terminal).decide("Really?", key="k", default=default, shown="Default") is value
    question = f"Really? (Yes/No/Default) [{prompt}]> "
    assert terminal.screen == f"{question}perhaps\nPlease answer Yes, No or Default.\n\n{question}{answer}\n"


MORE = "-Press Any Key For More-"
ERASED = f"{MORE}\r{' ' * 24}\r"


@pytest.mark.parametrize(
    ("count", "rows", "keys", "shown"),
    [
        (3, 0, [], "1\n2\n3\n"),
        (3, 4, [], "1\n2\n3\n"),
        (3, 3, [" "], f"1\n2\n{ERASED}3\n"),
        (5, 3, ["a", "\r"], f"1\n2\n{ERASED}3\n4\n{ERASED}5\n"),
        (5, 3, ["a", CTRL_C], f"1\n2\n{ERASED}3\n4\n{ERASED}"),
        (2, 2, [" "], f"1\n{ERASED}2\n"),
        (3, 1, [], "1\n2\n3\n"),
    ],
)
async def test_long_output_stops_after_each_screenful(count: int, rows: int, keys: list[str], shown: str) -> None:
    terminal = ScriptedTerminal(keys, rows=rows)
    await Conversation(terminal).page("\n".join(str(number) for number in range(1, count + 1)))
    assert terminal.screen == shown and not terminal.answers


async def test_the_end_of_input_ends_a_page_too() -> None:
    terminal = ScriptedTerminal([], rows=2)
    with pytest.raises(EndOfInput):
        await Conversation(terminal).page("1\n2")
    assert terminal.screen == f"1\n{ERASED}"
