"""alertconfig: who gets which alerts by mail, how often, and from whom (alertconfig.md 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.alerts import ALL, CLASSES, SEVERITIES, AlertRecipient, Alerts
from appliance_state.model.fields import bounds
from appliance_state.table import Table
from commands.alert_subscriptions import (
    added,
    classes_of,
    pairs,
    parse_classes,
    parse_pairs,
    parse_severities,
    removed,
    severities_of,
    tidied,
)
from commands.answers import EMAIL_TEXT, email, integer, words
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, Rejected
from commands.interfaces import until_valid
from commands.menu import Menu
from commands.registry import Command

T = TypeVar("T")

NO_COMBINATION = f'"{ALL}" cannot be combined with other choices.'
MAXIMUM_TEXT = "The maximum interval cannot be less than the initial interval."

_NAMED_ADDRESS = re.compile(r'"([^"\\]{1,128})" +<([^<>]+)>')


def status_text(config: Config) -> str:
    """The status block: recipients with their subscriptions, intervals, From address."""
    alerts = config.alerts
    lines = ["Sending alerts to:" if alerts.recipients else "Not sending alerts."]
    for recipient in alerts.recipients.sorted():
        lines.append(recipient.address)
        lines += [
            f"     Class: {name} - Severities: {', '.join(severities_of(recipient.subscriptions, name))}"
            for name in classes_of(recipient.subscriptions)
        ]
    sender = f'the From Address "{alerts.from_address}"' if alerts.from_address else "the system-default From Address"
    return "\n".join(
        [
            *lines,
            "",
            f"Initial number of seconds to wait before sending a duplicate alert: {alerts.initial_interval}",
            f"Maximum number of seconds to wait before sending a duplicate alert: {alerts.max_interval}",
            f"Maximum number of alerts stored in the system are: {alerts.stored_max}",
            "",
            f"Alerts will be sent using {sender}.",
        ]
    )


def has_recipients(session: Session) -> bool:
    return len(session.draft.config.alerts.recipients) > 0


def _store(session: Session, alerts: Alerts) -> None:
    session.draft.config = session.draft.config.with_(alerts=alerts)


def _store_recipient(session: Session, recipient: AlertRecipient) -> None:
    alerts = session.draft.config.alerts
    _store(session, evolve(alerts, recipients=alerts.recipients.put(recipient)))


# -- answers --------------------------------------------------------------------------------------------------------------


def _new_address(config: Config, answer: str) -> str:
    address = email(answer)
    if address in config.alerts.recipients:
        raise Rejected(f'The email address "{address}" is already configured. Use EDIT to change its subscription.')
    return address


def from_address(answer: str) -> str:
    """`user@domain` or `"Name" <user@domain>`."""
    named = _NAMED_ADDRESS.fullmatch(answer)
    if not named:
        return email(answer)
    if not named[1].isprintable():
        raise Rejected(EMAIL_TEXT)
    return f'"{named[1]}" <{email(named[2])}>'


def _check_intervals(initial: int, maximum: int) -> None:
    if initial and maximum < initial:
        raise Rejected(MAXIMUM_TEXT)


async def _choose_some(talk: Conversation, names: Iterable[str], default: list[str], *, above: str, key: str) -> tuple[list[str], bool]:
    """(names, whether they were typed). All stands alone."""
    typed = False

    def check(chosen: list[str]) -> None:
        nonlocal typed
        if ALL in chosen and len(chosen) > 1:
            raise Rejected(NO_COMBINATION)
        typed = True

    options = [(name, name) for name in (ALL, *names)]
    return await talk.choose_many(options, key=key, above=above, default=default, check=check), typed


async def _subscriptions(talk: Conversation, current: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """The two lists. Two empty answers keep what is there, also where the severities differ from class to class."""
    classes, typed = await _choose_some(
        talk,
        CLASSES,
        classes_of(current),
        above="Choose the Alert Classes. Separate multiple choices with commas.",
        key="classes",
    )
    severities, typed_too = await _choose_some(
        talk,
        SEVERITIES,
        severities_of(current, classes_of(current)[0]),
        above="Select a Severity Level. Separate multiple choices with commas.",
        key="severities",
    )
    return pairs(classes, severities) if typed or typed_too else current


# -- operations -----------------------------------------------------------------------------------------------------------

menu: Menu[Session] = Menu(status=lambda session: status_text(session.draft.config))


@menu.operation("NEW", "Add a new email address to send alerts.")
async def new(talk: Conversation, session: Session) -> None:
    config = session.draft.config
    question = 'Please enter a new email address to send alerts.\n(Ex: "administrator@example.com")'
    address = await talk.ask(question, lambda answer: _new_address(config, answer), key="address")
    _store_recipient(session, AlertRecipient(address=address, subscriptions=await _subscriptions(talk, frozenset({(ALL, ALL)}))))


async def _choose_recipient(talk: Conversation, session: Session, question: str) -> AlertRecipient:
    recipients = session.draft.config.alerts.recipients
    addresses = [(recipient.address, recipient.address) for recipient in recipients.sorted()]
    return recipients[await talk.choose(addresses, key="address", above=question, default=addresses[0][0])]


@menu.operation("EDIT", "Modify alert subscription for an email address.", when=has_recipients)
async def edit(talk: Conversation, session: Session) -> None:
    recipient = await _choose_recipient(talk, session, "Enter the number of the email address you wish to edit.")
    _store_recipient(session, evolve(recipient, subscriptions=await _subscriptions(talk, recipient.subscriptions)))


@menu.operation("DELETE", "Remove an email address.", when=has_recipients)
async def delete(talk: Conversation, session: Session) -> None:
    recipient = await _choose_recipient(talk, session, "Enter the number of the email address you wish to delete.")
    alerts = session.draft.config.alerts
    _store(session, evolve(alerts, recipients=alerts.recipients.without(recipient.address)))


@menu.operation("CLEAR", "Remove all email addresses (disable alerts).", when=has_recipients)
async def clear(talk: Conversation, session: Session) -> None:
    if await talk.confirm("Are you sure you want to clear all alert recipients?", key="sure", default=False):
        _store(session, evolve(session.draft.config.alerts, recipients=Table()))


@menu.operation("SETUP", "Configure alert settings.")
async def setup(talk: Conversation, session: Session) -> None:
    alerts = session.draft.config.alerts
    initial = await talk.ask(
        "Initial number of seconds to wait before sending a duplicate alert. Enter a value of 0 to\ndisable duplicate alert summaries.",
        integer(*bounds(Alerts, "initial_interval")),
        key="initial",
        default=alerts.initial_interval,
    )
    maximum = alerts.max_interval
    if initial:
        maximum = await until_valid(
            talk,
            lambda: talk.ask(
                "Maximum number of seconds to wait before sending a duplicate alert.",
                integer(*bounds(Alerts, "max_interval")),
                key="maximum",
                default=alerts.max_interval,
            ),
            lambda value: _check_intervals(initial, value),
        )
    stored = await talk.ask(
        "Maximum number of alerts to be stored in the system.",
        integer(*bounds(Alerts, "stored_max")),
        key="stored",
        default=alerts.stored_max,
    )
    _store(session, evolve(session.draft.config.alerts, initial_interval=initial, max_interval=maximum, stored_max=stored))


def _from_status(session: Session) -> str:
    config = session.draft.config
    if config.alerts.from_address:
        return f'Alerts will be sent using the From Address "{config.alerts.from_address}".'
    return f"Alerts will be sent using the system-default From Address (alert@{config.system.hostname})."


from_menu: Menu[Session] = Menu(status=_from_status)


@menu.operation("FROM", "Configure the From Address of alert emails.")
async def from_(talk: Conversation, session: Session) -> None:
    await from_menu.run(talk, session)


@from_menu.operation("EDIT", "Edit the From Address.")
async def edit_from(talk: Conversation, session: Session) -> None:
    question = "Please enter the From Address to use for alert emails."
    address = await talk.ask(question, from_address, key="from", default=session.draft.config.alerts.from_address)
    _store(session, evolve(session.draft.config.alerts, from_address=address))


@from_menu.operation(
    "DEFAULT", "Use the system default From Address.", when=lambda session: session.draft.config.alerts.from_address is not None
)
async def default_from(talk: Conversation, session: Session) -> None:
    _store(session, evolve(session.draft.config.alerts, from_address=None))


# -- batch ----------------------------------------------------------------------------------------------------------------


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    config = session.draft.config
    match args.operation("new", "edit", "delete", "clear", "setup", "from", "print"):
        case "new":
            options = args.declare(valued=("classes", "severities"))
            address = _new_address(config, args.word("address"))
            args.end()
            chosen = pairs(_classes(options.get("classes", ALL)), _severities(options.get("severities", ALL)))
            _store_recipient(session, AlertRecipient(address=address, subscriptions=chosen))
        case "edit":
            options = args.declare(valued=("classes", "severities", "add", "remove"))
            recipient = _known(config, args.word("address"))
            args.end()
            _store_recipient(session, evolve(recipient, subscriptions=_edited(recipient.subscriptions, options)))
        case "delete":
            address = _known(config, args.word("address")).address
            args.end()
            _store(session, evolve(config.alerts, recipients=config.alerts.recipients.without(address)))
        case "clear":
            args.end()
            await clear(talk.answering({"sure": "y"}), session)
        case "setup":
            options = args.declare(valued=("initial", "maximum", "stored"))
            args.end()
            _store(session, _with_settings(config.alerts, options))
        case "from":
            address = args.word("address")
            args.end()
            _store(session, evolve(config.alerts, from_address=None if address.lower() == "default" else from_address(address)))
        case "print":
            args.end()
            talk.show(status_text(config))


def _known(config: Config, address: str) -> AlertRecipient:
    if address not in config.alerts.recipients:
        raise Refused(f'The email address "{address}" is not configured.')
    return config.alerts.recipients[address]


def _classes(value: str) -> list[str]:
    return _alone(parse_classes(words(value)))


def _severities(value: str) -> list[str]:
    return _alone(parse_severities(words(value)))


def _alone(names: list[str]) -> list[str]:
    if ALL in names and len(names) > 1:
        raise Rejected(NO_COMBINATION)
    return names


def _edited(current: frozenset[tuple[str, str]], options: dict[str, str]) -> frozenset[tuple[str, str]]:
    """`classes` and `severities` replace, `add` and `remove` change what is there."""
    subscriptions = current
    if "classes" in options or "severities" in options:
        classes = _classes(options["classes"]) if "classes" in options else classes_of(current)
        severities = _severities(options["severities"]) if "severities" in options else severities_of(current, classes_of(current)[0])
        subscriptions = pairs(classes, severities)
    if "add" in options:
        subscriptions = tidied(added(subscriptions, parse_pairs(options["add"])))
    if "remove" in options:
        subscriptions = removed(subscriptions, parse_pairs(options["remove"]))
    if not subscriptions:
        raise Refused("At least one subscription is required. Use DELETE to remove the email address.")
    return subscriptions


def _with_settings(alerts: Alerts, options: dict[str, str]) -> Alerts:
    def number(option: str, field: str, present: int) -> int:
        return integer(*bounds(Alerts, field))(options[option]) if option in options else present

    changed = evolve(
        alerts,
        initial_interval=number("initial", "initial_interval", alerts.initial_interval),
        max_interval=number("maximum", "max_interval", alerts.max_interval),
        stored_max=number("stored", "stored_max", alerts.stored_max),
    )
    _check_intervals(changed.initial_interval, changed.max_interval)
    return changed


COMMAND = Command(
    "alertconfig",
    "Configure email alerts.",
    dialog=menu.run,
    batch=_batch,
    needs_commit=True,
    usage="""\
alertconfig new <address> [--classes="<class>,<class>"] [--severities="<severity>,<severity>"]
alertconfig edit <address> [--classes="<class>"] [--severities="<severity>"]
alertconfig edit <address> [--add="<class>:<severity>,<severity>"] [--remove="<class>:<severity>"]
alertconfig delete <address>
alertconfig clear
alertconfig setup [--initial=<seconds>] [--maximum=<seconds>] [--stored=<n>]
alertconfig from <address>|default
alertconfig print""",
)
