"""Questions and options of policy parameters: of `hat_default`, and of a policy or entry, which may inherit each one.

None stands for "inherits". In a policy the empty text of a reply means: no text of one's own, whatever the default is.
Source: listenerconfig.md 5.2, 5.5, 10.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from appliance_state.hat_parameters import size_in_bytes
from appliance_state.model.fields import bounds
from appliance_state.model.interfaces import DEMO
from appliance_state.model.listeners import PolicyParameters, ReceivingTls
from commands.answers import hostname, integer
from commands.dialog import Conversation, Rejected
from commands.listenerconfig.listings import size_text
from commands.listenerconfig.responses import ask_code, ask_text

DEFAULT = "Default"
SIZE_RULE = "The maximum message size must be at least 1 kilobyte. Add a trailing k for kilobytes, M for megabytes, or no letter for bytes."
NO_OVERRIDE = "The default policy parameters override the host name. Answer Yes or Default."
TLS_NOTE = """\
You have chosen to enable TLS. Please use the 'certconfig' command to
ensure that there is a valid certificate configured."""
DEMO_NOTE = 'The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.'

RATE_CODE = 452
RATE_TEXT = "Too many recipients received this hour"
HOURLY = (1, bounds(PolicyParameters, "max_rcpts_per_hour")[1])
BITS = (1, bounds(PolicyParameters, "significant_bits")[1])


def message_size(answer: str) -> int:
    """`10M`, `512k` or bytes. Errors: Rejected."""
    low, high = bounds(PolicyParameters, "max_message_size")
    try:
        size = size_in_bytes(answer)
    except ValueError:
        raise Rejected(SIZE_RULE) from None
    if not low <= size <= high:
        raise Rejected(SIZE_RULE)
    return size


async def ask_parameters(
    talk: Conversation, current: PolicyParameters, *, certificate: str, default: PolicyParameters | None = None
) -> PolicyParameters:
    """The parameters of the answers. `default`: what they inherit from, None for `hat_default` itself.

    `certificate`: name of the listener's certificate, for the note about `Demo`.
    """
    inherits = default is not None
    changes: dict[str, object] = {}
    questions: tuple[tuple[str, str], ...] = (
        ("max_concurrency", "Enter the maximum number of concurrent connections allowed from a single IP address."),
        ("max_msgs_per_session", "Enter the maximum number of messages per connection."),
        ("max_rcpts_per_msg", "Enter the maximum number of recipients per message."),
    )
    changes["max_message_size"] = await _value(
        talk,
        f"Enter the {'' if inherits else 'default '}maximum message size. "
        "Add a trailing k for kilobytes, M for megabytes, or no letter for bytes.",
        message_size,
        current.max_message_size,
        key="max_message_size",
        inherits=inherits,
        show=size_text,
    )
    for field, question in questions:
        parse = integer(*bounds(PolicyParameters, field))
        changes[field] = await _value(talk, question, parse, getattr(current, field), key=field, inherits=inherits)
    changes["override_hostname"] = await _ask_override(talk, current, default)
    changes |= await _ask_response(
        talk, current, "Would you like to specify a custom SMTP acceptance response?", "smtp_banner", 220, inherits=inherits
    )
    changes |= await _ask_response(
        talk, current, "Would you like to specify a custom SMTP rejection response?", "reject_banner", 554, inherits=inherits
    )
    changes |= await _ask_hourly_limit(talk, current, inherits=inherits)
    changes["significant_bits"] = await _ask_bits(talk, current.significant_bits, inherits=inherits)
    changes |= await _ask_tls(talk, current, certificate, inherits=inherits)
    return attrs.evolve(current, **changes)  # type: ignore[arg-type]


async def _value(
    talk: Conversation,
    question: str,
    parse: Callable[[str], int],
    current: int | None,
    *,
    key: str,
    inherits: bool,
    show: Callable[[int], str] = str,
) -> int | None:
    """A number; where it can inherit, the word `default` makes it."""

    def read(answer: str) -> tuple[int | None]:
        return (None,) if inherits and answer.lower() == "default" else (parse(answer),)

    shown = DEFAULT if current is None else show(current)
    return (await talk.ask(question, read, key=key, default=(current,), shown=shown))[0]


async def _switch(
    talk: Conversation,
    question: str,
    state: bool | None,
    *,
    key: str,
    inherits: bool,
    check: Callable[[bool | None], None] = lambda _: None,
) -> bool | None:
    """Yes, No, or (where it can inherit) None for Default."""
    if not inherits:
        return await talk.confirm(question, key=key, default=bool(state))

    return await talk.decide(question, key=key, default=state, shown=DEFAULT, check=check)


async def _ask_override(talk: Conversation, current: PolicyParameters, default: PolicyParameters | None) -> str | None:
    """The name for the banner, "" = none, None = not overridden here."""

    def check(value: bool | None) -> None:
        # None is the only value that a policy has for "not overridden", so No cannot undo an override of the default.
        if value is False and default is not None and default.override_hostname is not None:
            raise Rejected(NO_OVERRIDE)

    inherits = default is not None
    own = current.override_hostname
    state = True if own is not None else None if inherits else False
    question = "Do you want to override the hostname in the SMTP banner?"
    if not await _switch(talk, question, state, key="override", inherits=inherits, check=check):
        return None
    question = "Enter the hostname to use in the SMTP banner."
    if own:
        return await talk.ask(question, hostname, key="override_hostname", default=own)
    return await talk.ask_optional(question, hostname, key="override_hostname") or ""


async def _ask_response(
    talk: Conversation,
    current: PolicyParameters,
    question: str,
    field: str,
    standard: int,
    *,
    inherits: bool,
    standard_text: str | None = None,
) -> dict[str, object]:
    """Code and text of a reply of one's own: the fields `<field>_code` and `<field>_text`."""
    code: int | None = getattr(current, f"{field}_code")
    text: str | None = getattr(current, f"{field}_text")
    custom = bool(text) and (code, text) not in ((standard, standard_text), (None, standard_text))
    state = True if custom else None if text is None and inherits else False
    answer = await _switch(talk, question, state, key=f"{field}_custom", inherits=inherits)
    if answer:
        low, high = bounds(PolicyParameters, f"{field}_code")
        code = await ask_code(talk, standard, low, high, code, key=f"{field}_code")
        text = await ask_text(talk, text, key=f"{field}_text")
    elif answer is None and state is not None:
        code = text = None
    elif answer is False and state is not False:
        code, text = standard, standard_text or ("" if inherits else None)
    return {f"{field}_code": code, f"{field}_text": text}


async def _ask_hourly_limit(talk: Conversation, current: PolicyParameters, *, inherits: bool) -> dict[str, object]:
    limit = current.max_rcpts_per_hour
    state = None if limit is None and inherits else limit not in (None, -1)
    answer = await _switch(talk, "Do you want to enable rate limiting per host?", state, key="rate_limiting", inherits=inherits)
    if answer:
        question = "Enter the maximum number of recipients per hour from a remote host."
        limit = await talk.ask(question, integer(*HOURLY), key="max_rcpts_per_hour", default=limit if state else None)
        response = await _ask_response(
            talk,
            current,
            "Would you like to specify a custom SMTP limit exceeded response?",
            "max_rcpts_per_hour",
            RATE_CODE,
            inherits=inherits,
            standard_text=RATE_TEXT,
        )
        return {"max_rcpts_per_hour": limit, **response}
    if answer == state:
        return {}
    own = not inherits
    return {
        "max_rcpts_per_hour": None if answer is None else -1,
        "max_rcpts_per_hour_code": RATE_CODE if own else None,
        "max_rcpts_per_hour_text": RATE_TEXT if own else None,
    }


async def _ask_bits(talk: Conversation, current: int | None, *, inherits: bool) -> int | None:
    state = None if current is None and inherits else bool(current)
    question = "Would you like to group hosts by the similarity of their IP addresses?"
    answer = await _switch(talk, question, state, key="grouping", inherits=inherits)
    if not answer:
        return None if answer is None else 0
    question = f"Enter the number of bits of IP address to treat as significant, from {BITS[0]} to {BITS[1]}."
    return await talk.ask(question, integer(*BITS), key="significant_bits", default=current or 24)


async def _ask_tls(talk: Conversation, current: PolicyParameters, certificate: str, *, inherits: bool) -> dict[str, object]:
    rows = [(level.value, level.label) for level in ReceivingTls] + ([(DEFAULT, DEFAULT)] if inherits else [])
    was = (DEFAULT if inherits else ReceivingTls.OFF.value) if current.tls is None else current.tls.value
    chosen = await talk.choose(rows, key="tls", above="Do you want to allow encrypted TLS connections?", default=was)
    if chosen == DEFAULT:
        return {"tls": None, "tls_verify": current.tls_verify if current.tls is None else None}
    tls = ReceivingTls(chosen)
    if tls is ReceivingTls.OFF:
        return {"tls": tls, "tls_verify": None if inherits else False}
    talk.note(TLS_NOTE)
    if certificate.casefold() == DEMO.casefold():
        talk.note(DEMO_NOTE)
    question = "Do you want to verify the client certificate?"
    verify = await _switch(talk, question, current.tls_verify, key="tls_verify", inherits=inherits)
    return {"tls": tls, "tls_verify": verify}
