"""Command lines: splitting by `;`, quoting, and the arguments of one batch command (conventions.md 12)."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field, frozen

from commands.dialog import SyntaxProblem

NO_BATCH = "This command does not support a batch format."


@frozen
class CommandLine:
    """One command of a line: its name as typed, its arguments, and the problem that keeps it from being run."""

    name: str
    arguments: tuple[str, ...] = ()
    problem: str | None = None


def split_line(line: str) -> list[CommandLine]:
    """The commands of a line, in order; empty ones are skipped.

    `"…"` may hold blanks and `;` with `\\"` and `\\\\` as escapes; `'…'` is literal when it begins an argument.
    """
    commands: list[CommandLine] = []
    words: list[str] = []
    word: str | None = None
    quote = ""
    position = 0

    def close() -> None:
        nonlocal word
        if word is not None:
            words.append(word)
            word = None

    def finish(problem: str | None = None) -> None:
        close()
        if words:
            commands.append(CommandLine(words[0], tuple(words[1:]), problem))
        words.clear()

    while position < len(line):
        char = line[position]
        position += 1
        if quote == '"' and char == "\\" and line[position : position + 1] in ('"', "\\"):
            word = (word or "") + line[position]
            position += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                word = (word or "") + char
        elif char == '"' or (char == "'" and word is None):
            quote = char
            word = word or ""
        elif char == ";":
            finish()
        elif char in " \t":
            close()
        else:
            word = (word or "") + char
    finish("Missing closing quotation mark." if quote else None)
    return commands


@define
class Arguments:
    """The arguments of a batch command, taken from left to right. Options may stand anywhere."""

    tokens: list[str]
    options: dict[str, str | None] = field(factory=dict)

    def declare(self, *, valued: Iterable[str] = (), flags: Iterable[str] = ()) -> dict[str, str]:
        """Take the options out of the tokens.

        `valued` options are written `--name=value` or `--name value`, `flags` `--name` or `--name=value`; the returned
        dictionary has a flag without value as "". Names in any case, `-` counts as `_`. `--` ends the options.
        Errors: SyntaxProblem for an unknown option and for a missing value.
        """
        values, marks = set(valued), set(flags)
        found: dict[str, str] = {}
        rest: list[str] = []
        tokens = iter(self.tokens)
        for token in tokens:
            if token == "--":
                rest.extend(tokens)
            elif token.startswith("--"):
                name, equals, value = token[2:].partition("=")
                name = name.lower().replace("-", "_")
                if name in values and not equals:
                    following = next(tokens, None)
                    if following is None:
                        raise SyntaxProblem(f"Missing argument: <{name}>.")
                    value = following
                elif name not in values and name not in marks:
                    raise SyntaxProblem("Unknown option.", token)
                found[name] = value
            else:
                rest.append(token)
        self.tokens = rest
        return found

    def operation(self, *words: str) -> str:
        """The next word, which must be one of `words`; returned in lower case. Errors: SyntaxProblem."""
        if not self.tokens:
            raise SyntaxProblem("Missing argument: <operation>.")
        token = self.tokens.pop(0)
        if token.lower() not in words:
            raise SyntaxProblem("Unknown operation.", token)
        return token.lower()

    def word(self, name: str) -> str:
        """The next argument; `name` is what it is called in the error text."""
        if not self.tokens:
            raise SyntaxProblem(f"Missing argument: <{name}>.")
        return self.tokens.pop(0)

    def optional(self) -> str | None:
        """The next argument, if there is one."""
        return self.tokens.pop(0) if self.tokens else None

    def rest(self) -> list[str]:
        """All arguments that are left."""
        rest, self.tokens = self.tokens, []
        return rest

    def end(self) -> None:
        """Errors: SyntaxProblem when an argument is left."""
        if self.tokens:
            raise SyntaxProblem("Unknown option." if self.tokens[0].startswith("--") else "Too many arguments.", self.tokens[0])
