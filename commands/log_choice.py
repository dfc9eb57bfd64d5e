"""Log subscriptions as commands name and list them, and patterns to search them with (operations.md 6.2, 6.3)."""

from __future__ import annotations

import re

from appliance_runtime.logs.search import LONGEST_PATTERN
from appliance_state.model import Config
from commands.dialog import Refused, Rejected

NOT_A_PATTERN = "That value is not a valid regular expression."
STOPPED = "The search was stopped after 60 seconds."


def pick_rows(config: Config) -> list[tuple[str, str]]:
    """(name, row of a pick list) of every log subscription."""
    return [(log.name, f'"{log.name}" Type: "{log.type.label}" Retrieval: Manual Download') for log in config.logs.sorted()]


def existing_log(config: Config, name: str) -> str:
    """The name as it is configured. Errors: Refused."""
    if name not in config.logs:
        raise Refused(f'There is no log named "{name}".')
    return config.logs[name].name


def pattern(answer: str) -> str:
    """A regular expression. Errors: Rejected."""
    if len(answer) > LONGEST_PATTERN:
        raise Rejected(NOT_A_PATTERN)
    try:
        re.compile(answer)
    except (re.error, OverflowError, RecursionError):
        raise Rejected(NOT_A_PATTERN) from None
    return answer
