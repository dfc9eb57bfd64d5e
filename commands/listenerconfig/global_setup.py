"""SETUP of `listenerconfig`: settings of all listeners (listenerconfig.md 8).

Times are digits with `s`, `m` or `h`, combinable (`1m30s`); without a letter they are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from appliance_runtime.sessions import Session
from appliance_state.model.fields import bounds
from appliance_state.model.listeners import ListenerGlobals
from commands.answers import integer
from commands.dialog import Conversation, Rejected, yes_or_no
from commands.listenerconfig.responses import ask_code, ask_text, reply_text

STANDARD_CODE = 550
MESSAGE_ID = (
    "The system will always add a Message-ID header to outgoing messages that don't already have one. "
    "Would you like to do the same for incoming messages? (Not recommended.)"
)
DELAYED_REJECT = (
    "By default connections with a HAT REJECT policy will be closed with a banner message at the start of the SMTP conversation. "
    "Would you like to do the rejection at the message recipient level instead for more detailed logging of rejected mail?"
)

_PERIOD = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s?)?", re.ASCII | re.IGNORECASE)
_UNITS = ((3600, "h"), (60, "m"), (1, "s"))


def period_text(seconds: int) -> str:
    """`1h`, `5m`, `1m30s`."""
    parts = []
    for unit, letter in _UNITS:
        if seconds >= unit:
            parts.append(f"{seconds // unit}{letter}")
            seconds %= unit
    return "".join(parts) or "0s"


def period(low: int, high: int) -> Callable[[str], int]:
    """Parser of a time in seconds, from `low` to `high`."""

    def parse(answer: str) -> int:
        found = _PERIOD.fullmatch(answer)
        if answer and found:
            seconds = sum(int(digits or 0) * unit for digits, (unit, _) in zip(found.groups(), _UNITS, strict=True))
            if low <= seconds <= high:
                return seconds
        raise Rejected(f'Enter a time such as "30s", "15m" or "1h", from {period_text(low)} to {period_text(high)}.')

    return parse


NUMBERS = (
    ("max_connections", "Enter the global limit for concurrent connections to be allowed across all listeners."),
    ("max_tls_connections", "Enter the global limit for concurrent TLS connections to be allowed across all listeners."),
    ("max_header_lines", "Enter the maximum number of message header lines. 0 indicates no limit."),
)
PERIODS = (
    ("counter_reset_period", "Enter the rate at which injection control counters are reset."),
    ("unsuccessful_timeout", "Enter the timeout for unsuccessful inbound connections."),
    ("max_connection_time", "Enter the maximum connection time for inbound connections."),
)

READERS: dict[str, Callable[[str], object]] = {
    **{field: integer(*bounds(ListenerGlobals, field)) for field, _ in NUMBERS},
    **{field: period(*bounds(ListenerGlobals, field)) for field, _ in PERIODS},
    "add_message_id": yes_or_no,
    "hat_delayed_reject": yes_or_no,
    "hat_delayed_reject_code": integer(*bounds(ListenerGlobals, "hat_delayed_reject_code")),
    "hat_delayed_reject_text": lambda answer: reply_text(answer) or None,
}
"""Parser of each option of `listenerconfig setup`."""


async def setup(talk: Conversation, session: Session) -> None:
    old = session.draft.config.listener_globals
    changes: dict[str, object] = {}
    for field, question in NUMBERS:
        parse = integer(*bounds(ListenerGlobals, field))
        changes[field] = await talk.ask(question, parse, key=field, default=getattr(old, field))
    for field, question in PERIODS:
        seconds: int = getattr(old, field)
        parse = period(*bounds(ListenerGlobals, field))
        changes[field] = await talk.ask(question, parse, key=field, default=seconds, shown=period_text(seconds))
    changes["add_message_id"] = await talk.confirm(MESSAGE_ID, key="add_message_id", default=old.add_message_id)
    delayed = await talk.confirm(DELAYED_REJECT, key="hat_delayed_reject", default=old.hat_delayed_reject)
    changes["hat_delayed_reject"] = delayed
    if delayed:
        changes |= await _ask_reply(talk, old)
    store(session, changes)


async def _ask_reply(talk: Conversation, old: ListenerGlobals) -> dict[str, object]:
    """Code and text of the delayed rejection."""
    code, text = old.hat_delayed_reject_code, old.hat_delayed_reject_text
    custom = text is not None or code != STANDARD_CODE
    if not await talk.confirm("Do you want to modify the SMTP RCPT TO reject response in this case?", key="reply", default=custom):
        return {"hat_delayed_reject_code": STANDARD_CODE, "hat_delayed_reject_text": None}
    low, high = bounds(ListenerGlobals, "hat_delayed_reject_code")
    return {
        "hat_delayed_reject_code": await ask_code(talk, STANDARD_CODE, low, high, code, key="hat_delayed_reject_code"),
        "hat_delayed_reject_text": await ask_text(talk, text, key="hat_delayed_reject_text"),
    }


def store(session: Session, changes: dict[str, object]) -> None:
    config = session.draft.config
    changed = attrs.evolve(config.listener_globals, **changes)  # type: ignore[arg-type]
    session.draft.config = config.with_(listener_globals=changed)
