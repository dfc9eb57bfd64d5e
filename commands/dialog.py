"""All that a command may do to its operator: say, show, ask, choose, confirm, paste. Menus: `menu.py`.

One code path serves a terminal, SSH, a pipe, and a batch line. A `Conversation` asks its `Terminal`; a batch
conversation takes the answers from the arguments of the line instead, a question without one takes its default, and
one without default fails: it never waits.

Layout (conventions.md 4): every question block is preceded by exactly one blank line, a reaction to an answer by none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from attrs import define, field

from commands.choices import one_option, several_options
from commands.choices import yes_no_or_default as yes_no_or_default
from commands.choices import yes_or_no as yes_or_no
from commands.outcomes import Cancelled as Cancelled
from commands.outcomes import EndOfInput as EndOfInput
from commands.outcomes import Interrupted as Interrupted
from commands.outcomes import Refused as Refused
from commands.outcomes import Rejected as Rejected
from commands.outcomes import SyntaxProblem as SyntaxProblem

T = TypeVar("T")

MAX_ANSWER = 4096
MAX_PASTE = 1024 * 1024
BLANK = "The value cannot be blank."
INVALID = "That value is not valid."
MORE = "-Press Any Key For More-"


class Terminal(Protocol):
    """Where an operator is. Output lines end in LF; the terminal makes CR LF of it where that is wanted."""

    keyboard: bool
    """A person may be typing: completion, `exit` asks about pending changes."""
    paging: bool
    """Long output stops after each screenful, where there is a screen. `setttymode` changes it."""

    @property
    def page_rows(self) -> int:
        """Rows of the screen that long output stops for; 0 = it never stops."""

    async def read_line(self, prompt: str, *, hidden: bool = False, words: Sequence[str] = (), history: bool = False) -> str:
        """One line of input without its end, after `prompt` has been written (and all before it has been sent).

        `hidden`: nothing is echoed. `words`: candidates for completion. `history`: the line is a command.
        Afterwards the cursor stands in column 0, whether or not the terminal echoes.
        Errors: EndOfInput, Interrupted.
        """

    async def read_key(self) -> None:
        """Wait for any key. Errors: Interrupted for Ctrl-C, EndOfInput."""

    def write(self, text: str) -> None:
        """Send `text`; never waits."""


@define
class Answers:
    """Answers of a batch line by question key."""

    given: dict[str, str]
    used: set[str] = field(factory=set)

    def take(self, key: str) -> str | None:
        self.used.add(key)
        return self.given.get(key)

    def unused(self) -> list[str]:
        return [key for key in self.given if key not in self.used]


@define
class Conversation:
    """A dialog with one operator.

    `failed` is set by everything that makes a non-interactive run end with status 1, a rejected answer included.
    """

    terminal: Terminal
    answers: Answers | None = None
    failed: bool = False
    parts: list[Conversation] = field(factory=list)
    """the batch operations that were run in this one"""
    unrecorded: int = 0
    """answers accepted in the operation that is under way"""
    at_gap: bool = True
    """the cursor stands below a blank line, or where none is wanted"""
    wrote: bool = False
    """something was written since this was last cleared"""

    @property
    def batch(self) -> bool:
        """Nothing is asked: every answer comes from the line."""
        return self.answers is not None

    def answering(self, answers: Mapping[str, str]) -> Conversation:
        """This conversation as a batch one that answers with `answers` (by question key)."""
        part = Conversation(self.terminal, Answers(dict(answers)), at_gap=self.at_gap)
        self.parts.append(part)
        return part

    @property
    def any_failed(self) -> bool:
        """Whether this or one of its batch operations counts as failed."""
        return self.failed or any(part.any_failed for part in self.parts)

    # -- output ---------------------------------------------------------------------------------------------------

    def _write(self, text: str) -> None:
        self.terminal.write(text)
        self.at_gap = False
        self.wrote = True

    def gap(self) -> None:
        """The blank line before a block, unless one is there already."""
        if not self.at_gap and not self.batch:
            self.terminal.write("\n")
            self.at_gap = True

    def say(self, text: str) -> None:
        """Lines that follow directly what was written before: results, errors."""
        self._write(f"{text}\n")

    def note(self, text: str) -> None:
        """A reaction to an answer that informs only. A batch line does not print it."""
        if not self.batch:
            self.say(text)

    def show(self, text: str) -> None:
        """A block of its own, preceded by a blank line: displays and status blocks."""
        self.gap()
        self._write(f"{text}\n")

    async def page(self, text: str) -> None:
        """As `show`, a screenful at a time where a person reads it: listings (conventions.md 11)."""

        async def lines() -> AsyncIterator[str]:
            for line in text.split("\n"):
                yield line

        await self.page_lines(lines())

    async def page_lines(self, lines: AsyncIterator[str]) -> int:
        """The same for lines that are still being found; how many were shown. Ctrl-C at the end of a page drops the rest."""
        self.gap()
        shown = 0
        async for line in lines:
            rows = self.terminal.page_rows
            if rows > 1 and shown and shown % (rows - 1) == 0 and not await self._goes_on():
                return shown
            self._write(f"{line}\n")
            shown += 1
        return shown

    async def _goes_on(self) -> bool:
        self.terminal.write(MORE)
        try:
            await self.terminal.read_key()
        except Interrupted:
            return False
        finally:
            self.terminal.write(f"\r{' ' * len(MORE)}\r")
        return True

    def fail(self, text: str) -> None:
        """Print an error and count the command as failed."""
        self.say(text)
        self.failed = True

    # -- questions ------------------------------------------------------------------------------------------------

    async def ask(
        self,
        question: str,
        parse: Callable[[str], T],
        *,
        key: str,
        default: T | None = None,
        shown: str | None = None,
        bare: bool = False,
        words: Sequence[str] = (),
    ) -> T:
        """Ask until `parse` accepts. An empty answer takes `default` (shown as `shown` or its text); without one it is refused."""
        text = "" if default is None else str(default) if shown is None else shown

        def read(answer: str) -> T:
            if answer:
                return parse(answer)
            if default is None:
                raise Rejected(BLANK)
            return default

        return await self.question(question, "> " if bare else f"[{text}]> ", read, key=key, default=default, words=words)

    async def ask_optional(
        self, question: str, parse: Callable[[str], T], *, key: str, bare: bool = False, words: Sequence[str] = ()
    ) -> T | None:
        """As `ask`, but an empty answer is an answer: None."""

        def read(answer: str) -> tuple[T | None]:
            return (parse(answer) if answer else None,)

        return (await self.question(question, "> " if bare else "[]> ", read, key=key, default=(None,), words=words))[0]

    async def select(self, question: str, parse: Callable[[str], T], *, key: str, bare: bool = False, words: Sequence[str] = ()) -> T:
        """Ask for something that exists. An empty answer cancels the operation (Cancelled)."""

        def read(answer: str) -> T:
            if not answer:
                raise Cancelled
            return parse(answer)

        return await self.question(question, "> " if bare else "[]> ", read, key=key, words=words)

    async def choose(
        self,
        options: Sequence[tuple[T, str]],
        *,
        key: str,
        above: str = "",
        below: str = "",
        default: T | None = None,
        aliases: Callable[[T], Iterable[str]] | None = None,
    ) -> T:
        """A numbered list of (value, text). Number, text or an alias answers; an empty answer takes `default`, else cancels."""
        rows = [f"{n}. {text}" for n, (_, text) in enumerate(options, start=1)]
        question = "\n".join([*filter(None, [above]), *rows, *filter(None, [below])])
        values = [value for value, _ in options]
        number = values.index(default) + 1 if default is not None and default in values else None

        def read(answer: str) -> T:
            if not answer:
                if number is None:
                    raise Cancelled
                return values[number - 1]
            return one_option(answer, options, aliases)

        return await self.question(
            question,
            f"[{'' if number is None else number}]> ",
            read,
            key=key,
            default=default,
            words=[text for _, text in options],
        )

    async def choose_many(
        self,
        options: Sequence[tuple[T, str]],
        *,
        key: str,
        above: str = "",
        below: str = "",
        default: Sequence[T] = (),
        check: Callable[[list[T]], None] | None = None,
    ) -> list[T]:
        """A numbered list of which several may be taken: `1,3`, `1-3`, texts, in the order of the list.

        `check` may raise Rejected for a set that does not go together.
        """
        rows = [f"{n}. {text}" for n, (_, text) in enumerate(options, start=1)]
        question = "\n".join([*filter(None, [above]), *rows, *filter(None, [below])])
        values = [value for value, _ in options]
        numbers = ",".join(str(values.index(value) + 1) for value in default)

        def read(answer: str) -> list[T]:
            if not answer:
                if not default:
                    raise Cancelled
                return list(default)
            chosen = several_options(answer, options)
            if check:
                check(chosen)
            return chosen

        return await self.question(
            question, f"[{numbers}]> ", read, key=key, default=list(default) or None, words=[text for _, text in options]
        )

    async def confirm(self, question: str, *, key: str, default: bool, implied: Iterable[str] = ()) -> bool:
        """A yes/no question that ends `[Y]> ` or `[N]> `. In batch it is answered Yes when a question of `implied` has an answer."""
        if self.answers is not None and key not in self.answers.given and any(k in self.answers.given for k in implied):
            return True

        def read(answer: str) -> bool:
            return yes_or_no(answer) if answer else default

        return await self.question(f"{question} ", f"[{'Y' if default else 'N'}]> ", read, key=key, default=default, inline=True)

    async def decide(
        self, question: str, *, key: str, default: bool | None, shown: str, check: Callable[[bool | None], None] = lambda _: None
    ) -> bool | None:
        """A question that is answered Yes, No or Default (None). `shown`: the word for Default in the prompt; `check` may raise Rejected."""

        def read(answer: str) -> bool | None:
            value = yes_no_or_default(answer) if answer else default
            check(value)
            return value

        prompt = shown if default is None else "Y" if default else "N"
        return await self.question(f"{question} (Yes/No/Default) ", f"[{prompt}]> ", read, key=key, default=(default,), inline=True)

    async def hidden(self, prompt: str, *, key: str, gap: bool = True) -> str:
        """A secret, typed behind the last line of `prompt` (which gets one trailing blank). May be empty; the caller decides."""
        if self.answers is not None:
            return self.answers.take(key) or ""
        if gap:
            self.gap()
        *first, last = prompt.split("\n")
        self._write("".join(f"{line}\n" for line in first))
        answer = await self.terminal.read_line(f"{last} ", hidden=True)
        self.at_gap, self.wrote = False, True
        self.unrecorded += 1
        return answer

    async def paste(self, question: str, *, key: str, end: str = ".", blank_quits: bool = False) -> str:
        """Lines up to a line that is only `end` (which may be empty), joined by LF; "" = nothing was pasted.

        `blank_quits`: an empty first line ends it as well. Blanks at both ends of a line and CR are removed. Longer than 1 MiB: refused, asked again.
        """
        if self.answers is not None:
            return self.answers.take(key) or ""
        while True:
            self.gap()
            self._write(f"{question}\n")
            lines: list[str] = []
            size = 0
            while (line := (await self.terminal.read_line("")).strip()) != end:
                if blank_quits and not line and not lines:
                    break
                size += len(line) + 1
                if size <= MAX_PASTE:
                    lines.append(line)
            if size <= MAX_PASTE:
                self.unrecorded += 1
                return "\n".join(lines)
            self.fail("The pasted text is too long.")

    async def menu(self, words: Sequence[tuple[str, str]]) -> str:
        """The menu of an operation list; the answer in upper case, "" = one level up."""
        rows = [f"- {word} - {summary}" for word, summary in words]
        self.gap()
        self._write("\n".join(["Choose the operation you want to perform:", *rows]) + "\n")
        answer = _clean(await self.terminal.read_line("[]> ", words=[word for word, _ in words]))
        self.at_gap = False
        return answer.upper() if len(answer) <= MAX_ANSWER else answer

    async def question(
        self,
        text: str,
        prompt: str,
        read: Callable[[str], T],
        *,
        key: str,
        default: object = None,
        words: Sequence[str] = (),
        inline: bool = False,
    ) -> T:
        """Ask until `read` accepts (it may raise Rejected or Cancelled); the other questions are forms of this one.

        `inline`: the prompt stands on the line of the text. Errors in batch, where nothing is asked: SyntaxProblem for an answer
        that is not given and has no `default`, Rejected.
        """
        if self.answers is not None:
            given = self.answers.take(key)
            if given is None and default is None:
                raise SyntaxProblem(f"Missing argument: <{key}>.")
            try:
                return read("" if given is None else _accepted(given))
            except Cancelled:
                raise SyntaxProblem(f"Missing argument: <{key}>.") from None
        while True:
            self.gap()
            if inline:
                *first, last = text.split("\n")
                self._write("".join(f"{line}\n" for line in first))
                line = await self.terminal.read_line(f"{last}{prompt}", words=words)
            else:
                self._write(f"{text}\n" if text else "")
                line = await self.terminal.read_line(prompt, words=words)
            self.at_gap, self.wrote = False, True
            try:
                value = read(_accepted(line))
            except Rejected as rejection:
                self.fail(str(rejection))
            else:
                self.unrecorded += 1
                return value


def _clean(line: str) -> str:
    return "".join(char for char in line if char >= " " and char != "\x7f").strip()


def _accepted(line: str) -> str:
    """The answer without surrounding blanks and control characters. Errors: Rejected for too long ones and for bytes that are no UTF-8."""
    answer = _clean(line)
    if any("\ud800" <= char <= "\udfff" for char in answer):
        raise Rejected(INVALID)
    if len(answer) > MAX_ANSWER:
        raise Rejected(f"The value may not be longer than {MAX_ANSWER} characters.")
    return answer
