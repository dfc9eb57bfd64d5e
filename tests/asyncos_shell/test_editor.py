"""The line editor: what each key does, and what the screen is sent for it (conventions.md 9, 14)."""

from __future__ import annotations

import pytest

from asyncos_shell.terminals.editor import End, Entered, Interruption, LineEditor, cells

UP, DOWN, RIGHT, LEFT, DELETE, HOME, END = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[3~", "\x1b[H", "\x1b[F"


def screen(output: str, columns: int = 80) -> str:
    """What a terminal shows after `output`: rows joined by LF, without trailing blanks."""
    rows: list[list[str]] = [[]]
    row = column = 0
    position = 0
    while position < len(output):
        char = output[position]
        position += 1
        if char == "\x1b":
            assert output[position] == "["
            end = position + 1
            while not output[end].isalpha():
                end += 1
            count = int(output[position + 1 : end] or 1)
            row -= count if output[end] == "A" else 0
            column += count if output[end] == "C" else 0
            position = end + 1
        elif char == "\b":
            column -= 1
            assert column >= 0, "moved past the left margin"
        elif char == "\n":
            row, column = row + 1, 0
        else:
            if column == columns:
                row, column = row + 1, 0
            while len(rows) <= row:
                rows.append([])
            line = rows[row]
            line.extend(" " * (column + 1 - len(line)))
            line[column] = char
            column += cells(char)
            if cells(char) == 2:
                line.extend(" " * (column - len(line)))
                line[column - 1] = ""
    return "\n".join("".join(line).rstrip() for line in rows)


def type_in(editor: LineEditor, keys: str) -> tuple[object, str]:
    """(event, what was sent) for keys that arrive one by one."""
    waiting = ""
    event: object = None
    for key in keys:
        waiting += key
        taken, event = editor.feed(waiting)
        waiting = waiting[taken:]
    assert not waiting
    output = "".join(editor.output)
    editor.output.clear()
    return event, output


def typed(keys: str, *, columns: int = 80, **begin: object) -> tuple[object, str]:
    editor = LineEditor(columns=columns, moves_up=True)
    editor.begin("> ", **begin)  # type: ignore[arg-type]
    return type_in(editor, keys)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("abc\r", "abc"),
        ("abc\n", "abc"),
        ("abx\x7fc\r", "abc"),
        ("abx\x08c\r", "abc"),
        ("\x7f\x08a\r", "a"),
        (f"ac{LEFT}b\r", "abc"),
        ("ac\x02b\r", "abc"),
        (f"ac{LEFT}{RIGHT}b\r", "acb"),
        ("ac\x02\x06b\r", "acb"),
        (f"bc{HOME}a\r", "abc"),
        ("bc\x01a\x05d\r", "abcd"),
        (f"bc{HOME}a{END}d\r", "abcd"),
        ("bc\x1b[1~a\x1b[4~d\r", "abcd"),
        ("bc\x1bOHa\x1bOFd\r", "abcd"),
        (f"abxc{LEFT}{LEFT}{DELETE}\r", "abc"),
        (f"abxc{LEFT}{LEFT}\x04\r", "abc"),
        ("abcd\x02\x02\x0b\r", "ab"),
        ("abcd\x02\x02\x15\r", "cd"),
        ("ab cd  \x17ef\r", "ab ef"),
        ("ab\x15cd\x19\r", "cdab"),
        (f"{UP}{DOWN}a\r", "a"),
        ("a\x00\x07\x1f\x80b\r", "ab"),
        ("a\x1b[200~b\x1b[201~c\r", "abc"),
        ("a\x1b[5~\x1bOPb\r", "ab"),
        ("a\x1b[1;5Cb\r", "ab"),
        ("a\x1bxb\r", "ab"),
        ("a\x1b[\rb", "a"),
        ("äöü\x7f\r", "äö"),
        ("日本\x7f\r", "日"),
    ],
)
def test_a_line_is_edited(keys: str, line: str) -> None:
    editor = LineEditor()
    editor.begin("> ")
    _, event = editor.feed(keys)
    assert event == Entered(line)
    assert not "".join(editor.output).strip("abcdefxäöü日本\n \b\x1b[0123456789ACD")


@pytest.mark.parametrize(("keys", "event"), [("\x03", Interruption()), ("abc\x03", Interruption()), ("\x04", End()), ("a\x7f\x04", End())])
def test_ctrl_c_and_ctrl_d(keys: str, event: object) -> None:
    assert typed(keys)[0] == event


def test_ctrl_c_drops_the_line() -> None:
    editor = LineEditor()
    editor.begin("> ")
    assert editor.feed("abc\x03")[1] == Interruption()
    assert "".join(editor.output) == "abc^C\n"
    editor.begin("> ")
    assert editor.feed("d\r")[1] == Entered("d")


def test_carriage_return_and_line_feed_end_one_line_once() -> None:
    editor = LineEditor()
    lines = []
    position, text = 0, "a\r\nb\rc\n\n\r\r\n"
    while position < len(text):
        editor.begin("> ")
        position, event = editor.feed(text, position)
        if isinstance(event, Entered):
            lines.append(event.text)
    assert lines == ["a", "b", "c", "", "", ""]


def test_ordinary_typing_is_answered_by_itself() -> None:
    assert typed("abc\r")[1] == "abc\n"
    assert typed("abcx\x7f\r")[1] == "abcx\b \b\n"


@pytest.mark.parametrize("moves_up", [True, False])
def test_ordinary_typing_never_sends_an_escape_bell_or_nul(moves_up: bool) -> None:
    editor = LineEditor(columns=10, moves_up=moves_up)
    editor.begin("host> ", command=True)
    _, output = type_in(editor, "a" * 35 + "\x7f" * 40 + "text\x03")
    assert not set(output) & {"\x1b", "\x07", "\x00"}


def test_typing_past_the_margin_adds_only_blanks_and_backspaces() -> None:
    _, output = typed("x" * 30, columns=10)
    assert output.replace(" \b", "") == "x" * 30
    assert screen("> " + output, 10) == "> " + "x" * 8 + "\n" + "x" * 10 + "\n" + "x" * 10 + "\n" + "x" * 2


def test_backspace_over_the_margin_shows_the_line_again() -> None:
    _, output = typed("x" * 10 + "\x7f" * 4, columns=10)
    assert screen("> " + output, 10).endswith("> " + "x" * 6)


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        (f"abcd{LEFT}{LEFT}xy", "> abxycd"),
        (f"abcd{LEFT}{LEFT}\x7f", "> acd"),
        (f"abcd{LEFT}{LEFT}{DELETE}", "> abd"),
        ("abcd\x01\x0b", ">"),
        ("abcd\x01xy", "> xyabcd"),
        ("日本語\x02\x7fx", "> 日x語"),
    ],
)
def test_the_screen_shows_the_edited_line(keys: str, shown: str) -> None:
    _, output = typed(keys)
    assert screen("> " + output) == shown


def test_editing_across_rows_moves_up() -> None:
    _, output = typed("abcdefghijklmnop\x01X", columns=10)
    assert screen("> " + output, 10) == "> Xabcdefg\nhijklmnop"


def test_hidden_input_shows_nothing() -> None:
    event, output = typed("secret\x7f\x02x\t\r", hidden=True, words=["secretary"])
    assert event == Entered("secrxe")
    assert output == "\n"


def test_what_was_killed_in_a_secret_does_not_come_back() -> None:
    editor = LineEditor()
    editor.begin("> ", hidden=True)
    editor.feed("secret\x15\r")
    editor.begin("> ")
    assert editor.feed("\x19\r")[1] == Entered("")


def test_history_recalls_commands_only() -> None:
    editor = LineEditor()
    for line, command in (("one", True), ("two", True), ("two", True), ("", True), ("answer", False)):
        editor.begin("> ", command=command)
        editor.feed(f"{line}\r")
    assert editor.history == ["one", "two"]
    editor.begin("> ", command=True)
    assert editor.feed(f"new{UP}{UP}{UP}\r")[1] == Entered("one")
    editor.begin("> ", command=True)
    assert editor.feed(f"new\x10{DOWN}{DOWN}er\r")[1] == Entered("newer")
    editor.begin("> ")
    assert editor.feed(f"{UP}\r")[1] == Entered("")


def test_recalling_a_shorter_line_erases_the_longer_one() -> None:
    editor = LineEditor()
    editor.history = ["ab"]
    editor.begin("> ", command=True)
    _, output = type_in(editor, f"longer{UP}")
    assert screen("> " + output) == "> ab"


def test_history_keeps_200_lines() -> None:
    editor = LineEditor()
    for number in range(250):
        editor.begin("> ", command=True)
        editor.feed(f"{number}\r")
    assert len(editor.history) == 200 and editor.history[-1] == "249"


WORDS = ["destconfig", "sethostname", "settz", "NEW", "No"]


@pytest.mark.parametrize(
    ("keys", "line", "shown"),
    [
        ("set\t", "set", "set\nsethostname, settz\n> set"),
        ("seth\t", "sethostname ", "sethostname "),
        ("SETH\t", "SETHostname ", "SETHostname "),
        ("ne\t", "new ", "new "),
        ("x\t", "x", "x"),
        ("commit; dest\t", "commit; destconfig ", "commit; destconfig "),
    ],
)
def test_completion(keys: str, line: str, shown: str) -> None:
    editor = LineEditor()
    editor.begin("> ", words=WORDS, command=True)
    _, output = type_in(editor, keys)
    assert editor.line == line
    assert output == shown


def test_an_unfinished_sequence_waits_for_its_rest() -> None:
    editor = LineEditor()
    editor.begin("> ")
    assert editor.feed("ab\x1b[") == (2, None)
    assert editor.feed("\x1b[Dc\r")[1] == Entered("acb")


def test_a_line_of_20000_characters_is_kept_whole() -> None:
    line = "0123456789" * 2000
    assert typed(line + "\r")[0] == Entered(line)


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1)])
def test_cells(text: str, columns: int) -> None:
    assert cells(text) == columns
