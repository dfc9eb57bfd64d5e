"""The questions of NEW, EDIT and DEFAULT of the destination controls, in the order in which they are asked (destconfig.md 4, 5).

A field that is not configured inherits. Defaults are those of the entry that is edited, else the factory values.
"""

from __future__ import annotations

from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.destinations import (
    DEFAULT_DOMAIN,
    FACTORY_DEFAULT,
    DaneSupport,
    Destination,
    IpSortPref,
    LimitApply,
    LimitType,
    TlsSupport,
)
from appliance_state.model.fields import bounds
from appliance_state.model.interfaces import DEMO
from commands.answers import integer
from commands.bounceconfig import new_profile
from commands.certificate_choice import DEMO_NOTE
from commands.dialog import Conversation

MINUTES = 60
DEFAULT_RECIPIENTS = 500
"""offered for the limits that the factory values leave open"""
NEW_PROFILE = "New Profile"

TLS_NOTE = """\
You have chosen to enable TLS. Please use the 'certconfig' command to
ensure that there is a valid certificate configured."""


async def entry_questions(talk: Conversation, session: Session, old: Destination, *, new: bool) -> tuple[Destination, BounceProfile | None]:
    """The entry as answered, and the bounce profile that was made on the way. Nothing is stored here."""
    config = session.draft.config
    domain = old.domain
    concurrency = await _concurrency(talk, old, new=new)
    messages = await _messages(talk, old)
    recipients = await _recipients(talk, old)
    limit_type = limit_apply = None
    if concurrency is not None or recipients is not None:
        limit_type, limit_apply = await _limits(
            talk,
            above=f"Select how you want to apply the limits for {domain}:",
            entire=f"{LimitType.HOST.label} {domain}",
            current=old.limit_type,
        )
    tls: TlsSupport | None = None
    if await talk.confirm(
        "Do you wish to apply a specific TLS setting for this domain?", key="tls_gate", default=old.tls_support is not None
    ):
        tls = await _tls(talk, old.tls_support or TlsSupport.NO, demo=config.destination_globals.certificate == DEMO)
    dane = await _dane(talk, old) if tls not in (None, TlsSupport.NO) else DaneSupport.NO if tls is TlsSupport.NO else None
    profile, created = await _bounce_profile(talk, session, old)
    ip_sort: IpSortPref | None = None
    if await talk.confirm(
        "Do you wish to apply a specific IP sort preference to this domain?", key="ip_sort_gate", default=old.ip_sort_pref is not None
    ):
        ip_sort = await _ip_sort(talk, old.ip_sort_pref)
    minutes, limit = recipients or (None, None)
    entry = Destination(
        domain=domain,
        max_host_concurrency=concurrency,
        max_messages_per_connection=messages,
        recipient_limit=limit,
        recipient_minutes=minutes,
        limit_type=limit_type,
        limit_apply=limit_apply,
        tls_support=tls,
        dane_support=dane,
        bounce_profile=profile,
        ip_sort_pref=ip_sort,
    )
    return entry, created


async def default_questions(talk: Conversation, session: Session) -> Destination:
    """The `DEFAULT` entry as answered."""
    config = session.draft.config
    old = config.destinations[DEFAULT_DOMAIN]
    concurrency = await talk.ask(
        'Enter the default maximum concurrency limit ("0" for unlimited).',
        integer(*bounds(Destination, "max_host_concurrency")),
        key="max_host_concurrency",
        default=old.max_host_concurrency,
    )
    messages = await talk.ask(
        "Enter the default maximum number of messages to send per connection.",
        integer(*bounds(Destination, "max_messages_per_connection")),
        key="max_messages_per_connection",
        default=old.max_messages_per_connection,
    )
    minutes = limit = None
    if await talk.confirm(
        "Do you wish to specify a default recipient limit?", key="recipient_gate", default=old.recipient_limit is not None
    ):
        minutes = await _minutes(talk, old)
        limit = await talk.ask(
            f"Enter the number of recipients per {minutes} minutes.",
            integer(*bounds(Destination, "recipient_limit")),
            key="recipient_limit",
            default=DEFAULT_RECIPIENTS if old.recipient_limit is None else old.recipient_limit,
        )
    limit_type, limit_apply = await _limits(
        talk,
        above="Select how you want to apply the limits for each host:",
        entire="One limit applies to the entire domain",
        current=old.limit_type,
    )
    tls = await _tls(talk, old.tls_support or TlsSupport.NO, demo=config.destination_globals.certificate == DEMO)
    dane = DaneSupport.NO if tls is TlsSupport.NO else await _dane_option(talk, "Do you want to use DANE Support?", old.dane_support)
    return evolve(
        old,
        max_host_concurrency=concurrency,
        max_messages_per_connection=messages,
        recipient_limit=limit,
        recipient_minutes=minutes,
        limit_type=limit_type,
        limit_apply=limit_apply,
        tls_support=tls,
        dane_support=dane,
        ip_sort_pref=await _ip_sort(talk, old.ip_sort_pref),
    )


async def _concurrency(talk: Conversation, old: Destination, *, new: bool) -> int | None:
    question = f"Do you wish to configure a concurrency limit for {old.domain}?"
    if not await talk.confirm(question, key="concurrency_gate", default=new or old.max_host_concurrency is not None):
        return None
    return await talk.ask(
        f'Enter the max concurrency limit for "{old.domain}".',
        integer(1, bounds(Destination, "max_host_concurrency")[1]),
        key="max_host_concurrency",
        default=old.max_host_concurrency or FACTORY_DEFAULT.max_host_concurrency,
    )


async def _messages(talk: Conversation, old: Destination) -> int | None:
    question = "Do you wish to apply a messages-per-connection limit to this domain?"
    if not await talk.confirm(question, key="messages_gate", default=old.max_messages_per_connection is not None):
        return None
    return await talk.ask(
        f'Enter the max number of messages per connection for "{old.domain}".',
        integer(*bounds(Destination, "max_messages_per_connection")),
        key="max_messages_per_connection",
        default=old.max_messages_per_connection or FACTORY_DEFAULT.max_messages_per_connection,
    )


async def _recipients(talk: Conversation, old: Destination) -> tuple[int, int] | None:
    """(minutes, recipients)."""
    question = "Do you wish to apply a recipient limit to this domain?"
    if not await talk.confirm(question, key="recipient_gate", default=old.recipient_limit is not None):
        return None
    minutes = await _minutes(talk, old)
    recipients = await talk.ask(
        f'Enter the max number of recipients per {minutes} minutes for "{old.domain}".',
        integer(*bounds(Destination, "recipient_limit")),
        key="recipient_limit",
        default=old.recipient_limit,
    )
    return minutes, recipients


async def _minutes(talk: Conversation, old: Destination) -> int:
    return await talk.ask(
        "Enter the number of minutes used to measure the recipient limit.",
        integer(*bounds(Destination, "recipient_minutes")),
        key="recipient_minutes",
        default=old.recipient_minutes or MINUTES,
    )


async def _limits(talk: Conversation, *, above: str, entire: str, current: LimitType | None) -> tuple[LimitType, LimitApply]:
    limit_type = await talk.choose(
        [(LimitType.HOST, entire), (LimitType.MXIP, LimitType.MXIP.label)], key="limit_type", above=above, default=current or LimitType.HOST
    )
    limit_apply = await talk.choose(
        [(value, value.label) for value in LimitApply],
        key="limit_apply",
        above="Select how the limits will be enforced:",
        default=LimitApply.SYSTEM,
    )
    return limit_type, limit_apply


async def _tls(talk: Conversation, current: TlsSupport, *, demo: bool) -> TlsSupport:
    level = await talk.choose(
        [(value, value.label) for value in TlsSupport], key="tls", above="Do you want to use TLS support?", default=current
    )
    if level is not TlsSupport.NO:
        talk.note(TLS_NOTE)
        if demo:
            talk.note(DEMO_NOTE)
    return level


async def _dane(talk: Conversation, old: Destination) -> DaneSupport | None:
    """Asked only where TLS is in use (R-247, R-249)."""
    if not await talk.confirm("Do you wish to configure DANE Support?", key="dane_gate", default=old.dane_support is not None):
        return None
    return await _dane_option(talk, "Please choose a DANE option:", old.dane_support)


async def _dane_option(talk: Conversation, above: str, current: DaneSupport | None) -> DaneSupport:
    return await talk.choose([(value, value.label) for value in DaneSupport], key="dane", above=above, default=current or DaneSupport.NO)


async def _bounce_profile(talk: Conversation, session: Session, old: Destination) -> tuple[str | None, BounceProfile | None]:
    """(name of the profile, the profile if it is new)."""
    question = "Do you wish to apply a specific bounce profile to this domain?"
    if not await talk.confirm(question, key="bounce_profile_gate", default=old.bounce_profile is not None):
        return None, None
    names = [profile.name for profile in session.draft.config.bounce_profiles.entries()]
    current = next((name for name in names if name.casefold() == (old.bounce_profile or "").casefold()), names[0])
    chosen = await talk.choose(
        [*((name, name) for name in names), ("", NEW_PROFILE)],
        key="bounce_profile",
        above="Please choose a bounce profile to apply:",
        default=current,
    )
    if chosen:
        return chosen, None
    created = await new_profile(talk, session.draft.config)
    return created.name, created


async def _ip_sort(talk: Conversation, current: IpSortPref | None) -> IpSortPref:
    return await talk.choose(
        [(value, value.label) for value in IpSortPref],
        key="ip_sort_pref",
        above="Select how to sort IP addresses within an MX preference level:",
        default=current or FACTORY_DEFAULT.ip_sort_pref,
    )
