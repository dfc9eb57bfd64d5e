"""Command lines: the grammar of conventions.md 12."""

import re

import pytest

from commands.arguments import Arguments, CommandLine, split_line
from commands.dialog import SyntaxProblem


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("", []),
        (" ; ;", []),
        ("version", [("version",)]),
        ("a; b;", [("a",), ("b",)]),
        ('commit "a \\"b\\"; c"', [("commit", 'a "b"; c')]),
        ("x 'lit; \"eral\\'", [("x", 'lit; "eral\\')]),
        ("x it's", [("x", "it's")]),
        ('x ""', [("x", "")]),
        ('x --cn="a b"', [("x", "--cn=a b")]),
        ('x "back\\\\slash"', [("x", "back\\slash")]),
        ("x\ty", [("x", "y")]),
    ],
)
def test_splitting(line: str, commands: list[tuple[str, ...]]) -> None:
    assert split_line(line) == [CommandLine(name, tuple(rest)) for name, *rest in commands]


def test_an_open_quotation_mark_is_a_problem_of_its_command() -> None:
    (first, second) = split_line('version; commit "x')
    assert first.problem is None
    assert second.problem == "Missing closing quotation mark."


def test_options_stand_anywhere_in_any_case() -> None:
    args = Arguments(["new", "--CN=Web.test", "name", "--overwrite", "--st", "Kyoto", "--", "--odd"])
    assert args.declare(valued=("cn", "st"), flags=("overwrite",)) == {"cn": "Web.test", "overwrite": "", "st": "Kyoto"}
    assert args.tokens == ["new", "name", "--odd"]


@pytest.mark.parametrize(
    ("tokens", "problem", "token"),
    [
        (["--nosuch=1"], "Unknown option.", "--nosuch=1"),
        (["--cn"], "Missing argument: <cn>.", None),
    ],
)
def test_bad_options(tokens: list[str], problem: str, token: str | None) -> None:
    with pytest.raises(SyntaxProblem, match=problem) as caught:
        Arguments(tokens).declare(valued=("cn",))
    assert caught.value.token == token


def test_words() -> None:
    args = Arguments(["NEW", "a", "b"])
    assert args.operation("new", "edit") == "new"
    assert args.word("name") == "a"
    with pytest.raises(SyntaxProblem, match=re.escape("Too many arguments.")):
        args.end()
    assert args.rest() == ["b"]
    args.end()
    with pytest.raises(SyntaxProblem, match=re.escape("Missing argument: <name>.")):
        args.word("name")
    with pytest.raises(SyntaxProblem, match=re.escape("Unknown operation.")):
        Arguments(["importt"]).operation("import")
