"""Every reply that an SMTP client can get, as octets with line ends (listenerconfig.md 11).

What a client sent comes back in some replies: there it is cut at 400 octets, and octets that are not printable ASCII
become `?`, so that a reply stays one line of at most 512 octets (RFC 5321 4.5.3.1.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from appliance_state.model.listeners import PolicyParameters, RatEntry

LONGEST_ECHO = 400

READY_FOR_TLS = b"220 Go ahead with TLS\r\n"
RESET = b"250 reset\r\n"
OK = b"250 ok\r\n"
VERIFY = b"252 ok\r\n"
GO_AHEAD = b"354 go ahead\r\n"

TOO_MANY_ON_LISTENER = b"421 #4.4.5 Too many connections to this listener.\r\n"
TOO_MANY_ON_HOST = b"421 #4.4.5 Too many connections to this host.\r\n"
TOO_MANY_FROM_CLIENT = b"421 #4.4.5 Too many connections from your host.\r\n"
TOO_MANY_TLS = b"421 #4.4.5 Too many TLS sessions at this time\r\n"
TOO_MANY_MESSAGES = b"421 #4.x.2 Too many messages for this session\r\n"
TOO_MANY_BAD_COMMANDS = b"421 Exceeded bad SMTP command limit, disconnecting.\r\n"
TIMED_OUT = b"421 Timed out waiting for successful message injection, disconnecting.\r\n"
OVERTIME = b"421 Exceeded allowable connection time, disconnecting.\r\n"

TLS_NOT_AVAILABLE = b"454 TLS not available due to a temporary reason\r\n"
SERVER_ERROR = b"451 #4.3.0 Server Error\r\n"
QUEUE_FULL = b"452 #4.3.1 queue full\r\n"
TOO_MANY_RECIPIENTS = b"452 #4.5.3 Too many recipients\r\n"

UNKNOWN_COMMAND = b"500 #5.5.1 command not recognized\r\n"
LINE_TOO_LONG = b"500 Line too long\r\n"
EHLO_NEEDS_DOMAIN = b"501 #5.0.0 EHLO requires domain address\r\n"
BAD_RECIPIENT = b"501 #5.1.3 Bad recipient address syntax\r\n"
BAD_SENDER = b"501 #5.1.7 Bad sender address syntax\r\n"
NO_AUTH = b"503 #5.3.3 AUTH not available\r\n"
HELLO_FIRST = b"503 #5.5.1 HELO/EHLO first\r\n"
MAIL_FIRST = b"503 #5.5.1 MAIL first\r\n"
RCPT_FIRST = b"503 #5.5.1 RCPT first\r\n"
SENDER_GIVEN = b"503 #5.5.1 Sender already specified\r\n"
TLS_ACTIVE = b"503 #5.5.1 TLS already active\r\n"
STARTTLS_FIRST = b"530 #5.7.0 Must issue a STARTTLS command first\r\n"
MESSAGE_TOO_LARGE = b"552 #5.3.4 message size exceeds limit\r\n"
HEADER_TOO_LARGE = b"552 #5.3.4 message header size exceeds limit\r\n"
TOO_MANY_HOPS = b"554 Too many hops\r\n"
BARE_LINE_ENDS = b"554 message body contains illegal bare CR/LF characters.\r\n"

REPUTATION = (
    "Your access to this mail system has been rejected due to the sending MTA's poor reputation. "
    "If you believe that this failure is in error, please contact the intended recipient via alternate means."
)
RECIPIENT_REPUTATION = "#5.7.1 Your access to submit messages to this e-mail system has been rejected."
ADDRESS_REJECTED = "#5.1.0 Address rejected."
DEFAULT_HOURLY_TEXT = "Too many recipients received this hour"

_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]")
_VARIABLE = re.compile(r"\$(group|hostname|orgid|remoteip|hatentry)\b", re.IGNORECASE)


def echo(foreign: bytes) -> bytes:
    """What a client sent, fit to stand in a reply."""
    return _UNPRINTABLE.sub(b"?", foreign[:LONGEST_ECHO])


def reply(code: int, *lines: str) -> bytes:
    """A reply of one or more lines; at least one."""
    mark = [f"{code}-"] * (len(lines) - 1) + [f"{code} "]
    return "".join(f"{start}{line}\r\n" for start, line in zip(mark, lines, strict=True)).encode("utf-8", "replace")


def sender_ok(address: str) -> bytes:
    return b"250 sender <%s> ok\r\n" % echo(address.encode())


def recipient_ok(address: str) -> bytes:
    return b"250 recipient <%s> ok\r\n" % echo(address.encode())


def message_accepted(mid: int) -> bytes:
    return b"250 ok:  Message %d accepted\r\n" % mid


def syntax_error(argument: bytes) -> bytes:
    return (b"501 #5.5.2 syntax error %s" % echo(argument)).rstrip() + b"\r\n"


def unknown_option(keyword: bytes) -> bytes:
    return b"501 Unknown option %s\r\n" % echo(keyword)


def unknown_value(value: bytes) -> bytes:
    return b"501 Unknown value %s\r\n" % echo(value)


def hello(host: str) -> bytes:
    return reply(250, host)


def ehlo(host: str, max_message_size: int, starttls: bool) -> bytes:
    # One piece: a reply in several segments makes some clients miss STARTTLS.
    extensions = ["8BITMIME", f"SIZE {max_message_size}", *(["STARTTLS"] if starttls else [])]
    return reply(250, host, *extensions)


def commands(starttls: bool) -> bytes:
    last = "rcpt rset starttls vrfy" if starttls else "rcpt rset vrfy"
    return reply(214, "The following commands are recognized", " auth data ehlo helo", " help mail noop quit", last)


def goodbye(host: str) -> bytes:
    return reply(221, host)


def closing(host: str) -> bytes:
    return reply(421, f"{host} Service closing transmission channel")


def lines_of(text: str) -> list[str]:
    """The lines of a custom text; no text has one empty line."""
    return text.splitlines() or [""]


def fill_in(text: str, variables: Mapping[str, str]) -> str:
    """A custom text with its HAT variables (names in lower case, without `$`) replaced."""
    return _VARIABLE.sub(lambda match: variables[match[1].lower()], text) if "$" in text else text


def greeting(name: str, parameters: PolicyParameters, variables: Mapping[str, str]) -> bytes:
    """The banner of a session. `name`: host name, or empty for a banner without one."""
    title = f"{name} ESMTP" if name else "ESMTP"
    text = parameters.smtp_banner_text
    custom = lines_of(fill_in(text, variables)) if text else []
    return reply(parameters.smtp_banner_code or 220, title, *custom)


def rejection(name: str, parameters: PolicyParameters, variables: Mapping[str, str]) -> bytes:
    """The banner of a connection that is rejected."""
    text = parameters.reject_banner_text
    return reply(parameters.reject_banner_code or 554, name, *(lines_of(fill_in(text, variables)) if text else [REPUTATION]))


def hourly_limit(parameters: PolicyParameters, variables: Mapping[str, str]) -> bytes:
    text = parameters.max_rcpts_per_hour_text or DEFAULT_HOURLY_TEXT
    return reply(parameters.max_rcpts_per_hour_code or 452, *lines_of(fill_in(text, variables)))


def custom_acceptance(entry: RatEntry | None, address: str) -> bytes:
    """The reply that an entry sets; empty = the usual one."""
    if entry is None or (entry.response_text is None and entry.response_code is None):
        return b""
    lines = lines_of(entry.response_text) if entry.response_text else [f"recipient <{address}> ok"]
    return reply(entry.response_code or 250, *lines)
