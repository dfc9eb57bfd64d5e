"""Options of the host access table in command lines: policy parameters and behaviors (listenerconfig.md 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from appliance_state.hat_parameters import SWITCH_WORDS, TLS_WORDS
from appliance_state.model.fields import bounds
from appliance_state.model.listeners import Behavior, MailFlowPolicy, PolicyParameters
from commands.answers import hostname, integer
from commands.dialog import Refused, Rejected
from commands.listenerconfig.parameters import BITS, HOURLY, RATE_CODE, RATE_TEXT, message_size
from commands.listenerconfig.responses import reply_text

FIELDS = {
    "max_size": "max_message_size",
    "max_conn": "max_concurrency",
    "max_msgs": "max_msgs_per_session",
    "max_rcpt": "max_rcpts_per_msg",
    "override": "override_hostname",
    "cust_acc": "smtp_banner_text",
    "acc_code": "smtp_banner_code",
    "cust_rej": "reject_banner_text",
    "rej_code": "reject_banner_code",
    "rate_lim": "max_rcpts_per_hour",
    "cust_lim": "max_rcpts_per_hour_text",
    "lim_code": "max_rcpts_per_hour_code",
    "sig_bits": "significant_bits",
    "tls": "tls",
    "tls_verify": "tls_verify",
}
"""Option of a command line, field of the model."""

NOT_SUPPORTED = ("use_sb", "as_scan", "av_scan", "dhap")
OPTIONS = (*FIELDS, *NOT_SUPPORTED)


def _number(field: str) -> Callable[[str], int]:
    return integer(*bounds(PolicyParameters, field))


def _text(answer: str) -> str:
    if not (text := reply_text(answer)):
        raise Rejected("")
    return text


_READERS: dict[str, Callable[[str], object]] = {
    "max_size": message_size,
    **{option: _number(FIELDS[option]) for option in ("max_conn", "max_msgs", "max_rcpt", "acc_code", "rej_code", "lim_code")},
    "override": lambda answer: hostname(answer) if answer else "",
    "cust_acc": _text,
    "cust_rej": _text,
    "cust_lim": _text,
    "rate_lim": integer(*HOURLY),
    "sig_bits": integer(0, BITS[1]),
    "tls": lambda answer: TLS_WORDS[answer.lower()],
    "tls_verify": lambda answer: SWITCH_WORDS[answer.lower()],
}

_CODES = {
    "cust_acc": ("smtp_banner_code", 220, None),
    "cust_rej": ("reject_banner_code", 554, None),
    "cust_lim": ("max_rcpts_per_hour_code", RATE_CODE, RATE_TEXT),
}
"""Code that goes back to standard together with a text: field, standard code, standard text."""


def with_options(current: PolicyParameters, given: dict[str, str], default: PolicyParameters | None = None) -> PolicyParameters:
    """The parameters with the options of a command line; one that is not given keeps its value.

    `default`: what the parameters inherit from, None for `hat_default` itself. Errors: Refused.
    """
    changes: dict[str, object] = {}
    for option, value in given.items():
        if option in NOT_SUPPORTED:
            raise Refused(f'Option "{option}" is not supported.')
        if value.lower() == "default":
            if default is None:
                raise Refused(f'"{option}" can only be "default" when working with policies.')
            changes[FIELDS[option]] = None
            if option in _CODES:
                changes.setdefault(_CODES[option][0], None)
        elif value.lower() == "no" and option in ("override", "rate_lim", "sig_bits", *_CODES):
            changes |= {field: new for field, new in _cleared(option, default).items() if field not in changes or field == FIELDS[option]}
        else:
            try:
                changes[FIELDS[option]] = _READERS[option](value)
            except (Rejected, KeyError):
                raise _invalid(option, value) from None
    return attrs.evolve(current, **changes)  # type: ignore[arg-type]


def _cleared(option: str, default: PolicyParameters | None) -> dict[str, object]:
    """What the value `no` of an option sets."""
    match option:
        case "override":
            if default is not None and default.override_hostname is not None:
                raise _invalid(option, "no")
            return {"override_hostname": None}
        case "rate_lim":
            return {"max_rcpts_per_hour": -1}
        case "sig_bits":
            return {"significant_bits": 0}
    code_field, code, text = _CODES[option]
    return {FIELDS[option]: text or ("" if default is not None else None), code_field: code}


def _invalid(option: str, value: str) -> Refused:
    return Refused(f'Invalid "{option}" value: {value}')


def behavior_named(text: str, policies: Iterable[MailFlowPolicy], *, entry: bool) -> tuple[Behavior | None, str | None]:
    """(behavior, None) or (None, policy). `entry`: an entry of the table, where Continue and policies are possible too.

    Understood: `Accept`, `"TCP Refuse"`, `"Policy: NAME"`, `$NAME`, in any case. Errors: Refused.
    """
    word = text.strip().casefold()
    name = word.removeprefix("$") if word.startswith("$") else word.removeprefix("policy:").strip() if word.startswith("policy:") else None
    if name is not None:
        for policy in policies:
            if entry and policy.name.casefold() == name:
                return None, policy.name
    else:
        for behavior in Behavior:
            if word in (behavior.value, behavior.label.casefold()) and (entry or behavior is not Behavior.CONTINUE):
                return behavior, None
    raise Refused(f"Invalid selected behavior: {text}")
