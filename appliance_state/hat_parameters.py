"""Policy parameters of the host access table by their names in files: order, ranges, how a value is read.

Source: listenerconfig.md 1, 5.6, 5.8, 13.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from appliance_state.model.fields import bounds
from appliance_state.model.listeners import PolicyParameters, ReceivingTls
from appliance_state.names import is_hostname

PARAMETER_ORDER = (
    "max_msgs_per_session",
    "max_concurrency",
    "max_rcpts_per_msg",
    "max_rcpts_per_hour",
    "max_message_size",
    "override_hostname",
    "smtp_banner_code",
    "smtp_banner_text",
    "reject_banner_code",
    "reject_banner_text",
    "max_rcpts_per_hour_code",
    "max_rcpts_per_hour_text",
    "significant_bits",
    "tls",
    "tls_verify",
)
"""Order in which parameters are written: the five limits as in existing files, then the others."""

TLS_WORDS = {
    "off": ReceivingTls.OFF,
    "no": ReceivingTls.OFF,
    "on": ReceivingTls.ON,
    "yes": ReceivingTls.ON,
    "preferred": ReceivingTls.ON,
    "require": ReceivingTls.REQUIRE,
    "required": ReceivingTls.REQUIRE,
}
SWITCH_WORDS = {"on": True, "yes": True, "off": False, "no": False}

_OMITTED = re.compile(
    r"spam_check|virus_check|use_sb|use_exception_table|dhap_\w+|\w*_?env_sender\w*|envelope_\w+|smtp_auth\w*|auth_\w+|tls_list\w*"
    r"|dkim_\w+|domainkeys_\w+|smime_\w+|spf_\w+|sidf_\w+|dmarc_\w+|\w*untagged_bounces?\w*|etf_\w+|\w*_?sender_verification\w*"
)
"""Parameters of functions that do not exist here: read with a warning."""

_SIZE = re.compile(r"([0-9]{1,12})([kKmM]?)", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,12}", re.ASCII)


def is_omitted(parameter: str) -> bool:
    """Whether this parameter (lower case) belongs to a function that does not exist here."""
    return _OMITTED.fullmatch(parameter) is not None


def size_in_bytes(text: str) -> int:
    """`10M`, `512k`, `2000`. Errors: ValueError."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(text)
    return int(found[1]) * {"": 1, "k": 1024, "m": 1024 * 1024}[found[2].lower()]


def _number(parameter: str, convert: Callable[[str], int]) -> Callable[[str], int]:
    low, high = bounds(PolicyParameters, parameter)

    def read(text: str) -> int:
        value = convert(text)
        if not low <= value <= high or (parameter == "max_rcpts_per_hour" and value == 0):
            raise ValueError(text)
        return value

    return read


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _banner_name(text: str) -> str:
    if text and not is_hostname(text):
        raise ValueError(text)
    return text.lower()


READERS: dict[str, Callable[[str], object]] = {
    **{name: _number(name, _integer) for name in PARAMETER_ORDER if "range" in attrs.fields_dict(PolicyParameters)[name].metadata},
    "max_message_size": _number("max_message_size", size_in_bytes),
    "override_hostname": _banner_name,
    "smtp_banner_text": str,
    "reject_banner_text": str,
    "max_rcpts_per_hour_text": str,
    "tls": lambda text: TLS_WORDS[text.lower()],
    "tls_verify": lambda text: SWITCH_WORDS[text.lower()],
}
"""Reader of each parameter's value: raises ValueError or KeyError for anything out of its range."""
