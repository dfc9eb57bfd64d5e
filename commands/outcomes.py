"""How a question or an operation may end other than by an answer (conventions.md 6 to 8)."""

from __future__ import annotations


class Rejected(Exception):
    """The operator's answer is not acceptable: the message is printed and the question asked again."""


class Refused(Exception):
    """The operation cannot be done: the message is printed, nothing is stored, the menu follows."""


class Cancelled(Exception):
    """An empty answer to a question that selects something: back to the menu, nothing is stored."""


class Interrupted(Exception):
    """Ctrl-C: the whole command is left, the unfinished operation stores nothing."""


class EndOfInput(Exception):
    """No further answer will come: as Ctrl-C, and the session ends."""


class SyntaxProblem(Exception):
    """A batch line is not understood. `token` is the word concerned, or None when there is none."""

    def __init__(self, reason: str, token: str | None = None) -> None:
        super().__init__(reason)
        self.token = token
