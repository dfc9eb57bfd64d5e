"""Questions for a reply of one's own: its code and its lines (listenerconfig.md 5.2, 6, 8)."""

from __future__ import annotations

from commands.answers import integer
from commands.dialog import BLANK, INVALID, Conversation, Rejected

TEXT_QUESTION = "Enter your custom SMTP response.  Press Enter on a blank line to finish."


async def ask_code(talk: Conversation, standard: int, low: int, high: int, current: int | None, *, key: str) -> int:
    question = f"Enter the SMTP code to use in the response. {standard} is the standard code."
    return await talk.ask(question, integer(low, high), key=key, default=standard if current is None else current)


def reply_text(answer: str) -> str:
    """The lines without control characters. Errors: Rejected for bytes that are no UTF-8."""
    if any("\ud800" <= char <= "\udfff" for char in answer):
        raise Rejected(INVALID)
    return "".join(char for char in answer if char == "\n" or (char >= " " and not "\x7f" <= char <= "\x9f"))


async def ask_text(talk: Conversation, current: str | None, *, key: str) -> str:
    """The lines of the reply. Nothing keeps the current ones, where there are none it is refused."""
    while True:
        answer = await talk.paste(TEXT_QUESTION, key=key, end="")
        talk.at_gap = not talk.batch  # the blank line that ended the text is on the screen
        try:
            text = reply_text(answer) or current
            if not text:
                raise Rejected(BLANK)
            return text
        except Rejected as rejection:
            if talk.batch:
                raise
            talk.fail(str(rejection))
