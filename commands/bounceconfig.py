"""bounceconfig: how often delivery is retried and what the sender is told (routing.md 3).

A yes/no setting of a profile may also be "default": the value of the profile `Default` at the time of use (None in the
model; DEFAULT_ADDRESS for the alternate address). The profile `Default` itself has values of its own only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, fields_dict

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.bounces import BOUNCE_PROFILE_NAME, DEFAULT_PROFILE, BounceProfile
from appliance_state.model.fields import bounds
from commands.answers import email, integer, text, word
from commands.arguments import Arguments
from commands.dialog import BLANK, INVALID, Conversation, Refused, Rejected, SyntaxProblem, yes_no_or_default, yes_or_no
from commands.interfaces import until_valid
from commands.menu import Menu
from commands.registry import Command

NAME_TAKEN = "Profile name already in use"
NAME_START = "The bounce profile name must start with a letter or underscore"
DEFAULT_STAYS = "The default profile may not be deleted"
MAXIMUM_TEXT = "The maximum must not be smaller than the initial number of seconds."
DEFAULT_ADDRESS = ""
"""alternate address of a profile that takes that of `Default`"""
LONGEST_SUBJECT = 255
SWITCHES = ("send_bounces", "use_dsn_bounce_format", "use_bounce_response_code", "send_warnings")
SUBJECTS = ("bounce_subject", "delay_subject")
ALIASES = {"max_retry_timeout": "max_retry_time"}

_profile_name = word(BOUNCE_PROFILE_NAME, INVALID)


def _subject(answer: str) -> str:
    """A line of a message header."""
    if not answer.isprintable():
        raise Rejected(INVALID)
    return text(LONGEST_SUBJECT)(answer)


def status_text(config: Config) -> str:
    rows = [f"{n}. {profile.name}" for n, profile in enumerate(config.bounce_profiles.entries(), start=1)]
    return "\n".join(["Current bounce profiles:", *rows])


def profile_text(profile: BounceProfile) -> str:
    """The settings of a profile as the `key=value` of a batch line."""
    return "\n".join(f"{key}={_written(key, getattr(profile, key))}" for key in _keys(profile))


def profile_users(config: Config, name: str) -> list[str]:
    """What refers to a profile: `listener "InboundMail"`, `destination "partner.test"`."""
    key = name.casefold()
    listeners = [f'listener "{entry.name}"' for entry in config.listeners.sorted() if entry.bounce_profile.casefold() == key]
    destinations = [
        f'destination "{entry.domain}"' for entry in config.destinations.sorted() if (entry.bounce_profile or "").casefold() == key
    ]
    return listeners + destinations


def _is_default(profile: BounceProfile) -> bool:
    return profile.name == DEFAULT_PROFILE


def _keys(profile: BounceProfile) -> list[str]:
    keys = [key for key in fields_dict(BounceProfile) if key != "name"]
    return keys if _is_default(profile) else [key for key in keys if key != "max_bounce_copy"]


def _written(key: str, value: object) -> str:
    if key in SWITCHES:
        return "default" if value is None else "yes" if value else "no"
    if key == "bounce_address":
        return "none" if value is None else "default" if value == DEFAULT_ADDRESS else str(value)
    return str(value)


# -- questions ------------------------------------------------------------------------------------------------------------


def _new_name(config: Config) -> Callable[[str], str]:
    def parse(answer: str) -> str:
        if not answer:
            raise Rejected(BLANK)
        if not (answer[0] == "_" or (answer[0].isascii() and answer[0].isalpha())):
            raise Rejected(NAME_START)
        if len(answer) > 63:
            raise Rejected("The value may not be longer than 63 characters.")
        name = _profile_name(answer)
        if name in config.bounce_profiles:
            raise Rejected(NAME_TAKEN)
        return name

    return parse


def _by_number(config: Config, *, check: Callable[[BounceProfile], None] = lambda _: None) -> Callable[[str], BounceProfile]:
    """Parser of a profile by its number in the list or by its name."""
    profiles = config.bounce_profiles.entries()

    def parse(answer: str) -> BounceProfile:
        profile = config.bounce_profiles[answer] if answer in config.bounce_profiles else profiles[integer(1, len(profiles))(answer) - 1]
        check(profile)
        return profile

    return parse


async def _switch(talk: Conversation, question: str, profile: BounceProfile, *, key: str, default: bool | None) -> bool | None:
    """A yes/no question that, outside the profile `Default`, can also be answered with Default."""
    if _is_default(profile):
        return await talk.confirm(f"{question} (Yes/No)", key=key, default=bool(default))

    return await talk.decide(question, key=key, default=default, shown="D")


async def new_profile(talk: Conversation, config: Config) -> BounceProfile:
    """The dialog of NEW, which `destconfig` offers too. Nothing is stored."""
    name = await talk.ask("Please create a name for the profile:", _new_name(config), key="name")
    return await _questions(talk, BounceProfile(name=name))


async def _questions(talk: Conversation, old: BounceProfile) -> BounceProfile:
    """All questions behind the name; the defaults are those of `old`."""

    async def number(question: str, key: str) -> int:
        return await talk.ask(question, integer(*bounds(BounceProfile, key)), key=key, default=getattr(old, key))

    changes: dict[str, Any] = {}
    changes["max_retries"] = await number("Please enter the maximum number of retries.", "max_retries")
    changes["max_queue_lifetime"] = await number(
        "Please enter the maximum number of seconds a message may stay in the queue before being hard bounced.", "max_queue_lifetime"
    )
    initial = changes["initial_retry"] = await number(
        "Please enter the initial number of seconds to wait before retrying a message.", "initial_retry"
    )
    changes["max_retry_time"] = await until_valid(
        talk,
        lambda: number("Please enter the maximum number of seconds to wait before retrying a message.", "max_retry_time"),
        lambda value: _check_times(initial, value),
    )
    changes |= await _bounce_questions(talk, old)
    changes |= await _warning_questions(talk, old)
    changes["bounce_address"] = await _address(talk, old)
    if _is_default(old):
        changes["max_bounce_copy"] = await number(
            "Please enter the maximum size of the original message to include in a bounce (in bytes).", "max_bounce_copy"
        )
    return evolve(old, **changes)


def _check_times(initial: int, maximum: int) -> None:
    if maximum < initial:
        raise Rejected(MAXIMUM_TEXT)


async def _bounce_questions(talk: Conversation, old: BounceProfile) -> dict[str, Any]:
    send = await _switch(talk, "Do you want a message sent for each hard bounce?", old, key="send_bounces", default=old.send_bounces)
    if send is False:
        return {"send_bounces": False}
    dsn = await _switch(
        talk,
        "Do you want bounce messages to use the DSN message format?",
        old,
        key="use_dsn_bounce_format",
        default=old.use_dsn_bounce_format,
    )
    subject = await talk.ask("Enter the subject to use:", _subject, key="bounce_subject", default=old.bounce_subject)
    parse_status = await _switch(
        talk,
        'Do you want to parse the DSN "Status" field received from bounce responses to include in the DSN generated by the appliance?',
        old,
        key="use_bounce_response_code",
        default=old.use_bounce_response_code,
    )
    return {
        "send_bounces": send,
        "use_dsn_bounce_format": dsn,
        "bounce_subject": subject,
        "use_bounce_response_code": parse_status,
    }


async def _warning_questions(talk: Conversation, old: BounceProfile) -> dict[str, Any]:
    send = await _switch(
        talk,
        "If a message is undeliverable after some interval, do you want to send a delay warning message?",
        old,
        key="send_warnings",
        default=old.send_warnings,
    )
    if send is False:
        return {"send_warnings": False}
    return {
        "send_warnings": send,
        "delay_subject": await talk.ask("Enter the subject to use:", _subject, key="delay_subject", default=old.delay_subject),
        "send_warnings_interval": await talk.ask(
            "Please enter the minimum interval in seconds between delay warning messages.",
            integer(*bounds(BounceProfile, "send_warnings_interval")),
            key="send_warnings_interval",
            default=old.send_warnings_interval,
        ),
        "send_warnings_count": await talk.ask(
            "Please enter the maximum number of delay warning messages to send per recipient.",
            integer(*bounds(BounceProfile, "send_warnings_count")),
            key="send_warnings_count",
            default=old.send_warnings_count,
        ),
    }


async def _address(talk: Conversation, old: BounceProfile) -> str | None:
    alternate = await _switch(
        talk,
        "Do you want hard bounce and delay warning messages sent to an alternate address, instead of the sender?",
        old,
        key="alternate_address",
        default=None if old.bounce_address == DEFAULT_ADDRESS else old.bounce_address is not None,
    )
    if alternate is None:
        return DEFAULT_ADDRESS
    if not alternate:
        return None
    question = "Please enter the email address to send hard bounce and delay warning."
    return await talk.ask(question, email, key="bounce_address", default=old.bounce_address or None)


# -- operations -----------------------------------------------------------------------------------------------------------


def _store(session: Session, profile: BounceProfile) -> None:
    config = session.draft.config
    session.draft.config = config.with_(bounce_profiles=config.bounce_profiles.put(profile))


menu: Menu[Session] = Menu(status=lambda session: status_text(session.draft.config))


@menu.operation("NEW", "Create a new profile.")
async def new(talk: Conversation, session: Session) -> None:
    _store(session, await new_profile(talk, session.draft.config))


@menu.operation("EDIT", "Modify a profile.")
async def edit(talk: Conversation, session: Session) -> None:
    old = await talk.select("Please enter the number of the profile to edit:", _by_number(session.draft.config), key="profile")
    _store(session, await _questions(talk, old))


@menu.operation("DELETE", "Remove a profile.", when=lambda session: len(session.draft.config.bounce_profiles) > 1)
async def delete(talk: Conversation, session: Session) -> None:
    draft = session.draft

    def check(profile: BounceProfile) -> None:
        if _is_default(profile):
            raise Rejected(DEFAULT_STAYS)

    question = "Please enter the number of the profile to delete:"
    profile = await talk.select(question, _by_number(draft.config, check=check), key="profile")
    if users := profile_users(draft.config, profile.name):
        talk.note(f'The profile "{profile.name}" is used by: {", ".join(users)}.')
    if await talk.confirm(f'Are you sure you want to delete "{profile.name}"?', key="sure", default=False):
        draft.config = draft.config.with_(bounce_profiles=draft.config.bounce_profiles.without(profile.name))


# -- batch ----------------------------------------------------------------------------------------------------------------


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    config = session.draft.config
    match args.operation("new", "edit", "delete", "print"):
        case "new":
            profile = BounceProfile(name=_new_name(config)(args.word("profile")))
            _store(session, with_settings(profile, args.rest()))
        case "edit":
            _store(session, with_settings(_named(config, args.word("profile")), args.rest()))
        case "delete":
            name = _named(config, args.word("profile")).name
            args.end()
            await delete(talk.answering({"profile": name, "sure": "y"}), session)
        case "print":
            name_ = args.optional()
            args.end()
            talk.show(status_text(config) if name_ is None else profile_text(_named(config, name_)))


def _named(config: Config, name: str) -> BounceProfile:
    if name not in config.bounce_profiles:
        raise Refused(f'There is no bounce profile named "{name}".')
    return config.bounce_profiles[name]


def with_settings(profile: BounceProfile, settings: list[str]) -> BounceProfile:
    """The profile with `key=value` or `--key=value` applied. Errors: Rejected, Refused, SyntaxProblem."""
    changes: dict[str, Any] = {}
    for setting in settings:
        written, equals, value = setting.removeprefix("--").partition("=")
        key = written.lower().replace("-", "_")
        key = ALIASES.get(key, key)
        if key not in _keys(profile):
            raise Refused(f'Unknown option "{written}".')
        if not equals:
            raise SyntaxProblem(f"Missing argument: <{written}>.")
        changes[key] = _setting(profile, key, value)
    changed = evolve(profile, **changes)
    _check_times(changed.initial_retry, changed.max_retry_time)
    return changed


def _setting(profile: BounceProfile, key: str, value: str) -> Any:
    own = _is_default(profile)
    if key in SWITCHES:
        return yes_or_no(value) if own else yes_no_or_default(value)
    if key == "bounce_address":
        if value.lower() == "none":
            return None
        return DEFAULT_ADDRESS if value.lower() == "default" and not own else email(value)
    if key in SUBJECTS:
        return _subject(value)
    return integer(*bounds(BounceProfile, key))(value)


COMMAND = Command(
    "bounceconfig",
    "Configure the behavior of bounces.",
    dialog=menu.run,
    batch=_batch,
    needs_commit=True,
    usage="""\
bounceconfig <new|edit> <profile> <key>=<value> [<key>=<value> ...]
bounceconfig delete <profile>
bounceconfig print [<profile>]""",
)
