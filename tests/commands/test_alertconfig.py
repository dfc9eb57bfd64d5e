"""alertconfig: transcripts, subscriptions, refused answers, batch lines (alertconfig.md 2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.alerts import ALL, CLASSES, SEVERITIES, AlertRecipient, Alerts
from appliance_state.table import Table
from commands.alert_subscriptions import added, pairs, removed, tidied
from commands.alertconfig import COMMAND, status_text
from commands.answers import EMAIL_TEXT
from tests.support.appliance import make_session
from tests.support.terminal import CTRL_C, run_batch, run_dialog

JOE = AlertRecipient(address="joe@example.com")
TEAM = AlertRecipient(
    address="partner-team@example.com",
    subscriptions=frozenset({("System", "Warning"), ("System", "Critical"), ("Message Delivery", "Warning")}),
)
SETTINGS = """\
Initial number of seconds to wait before sending a duplicate alert: 300
Maximum number of seconds to wait before sending a duplicate alert: 3600
Maximum number of alerts stored in the system are: 50

Alerts will be sent using the system-default From Address.
"""
JOE_AND_TEAM = """\
Sending alerts to:
joe@example.com
     Class: All - Severities: All
partner-team@example.com
     Class: System - Severities: Critical, Warning
     Class: Message Delivery - Severities: Warning
"""
MENU = """\
Choose the operation you want to perform:
- NEW - Add a new email address to send alerts.
- EDIT - Modify alert subscription for an email address.
- DELETE - Remove an email address.
- CLEAR - Remove all email addresses (disable alerts).
- SETUP - Configure alert settings.
- FROM - Configure the From Address of alert emails.
[]> """
EMPTY_MENU = """\
Choose the operation you want to perform:
- NEW - Add a new email address to send alerts.
- SETUP - Configure alert settings.
- FROM - Configure the From Address of alert emails.
[]> """
CLASS_LIST = """\
Choose the Alert Classes. Separate multiple choices with commas.
1. All
2. System
3. Hardware
4. Updater
5. Outbreak Filters
6. Anti-Virus
7. Anti-Spam
8. Directory Harvest Attack Prevention
9. AMP
10. Release and Support Notifications
11. Message Delivery
"""
SEVERITY_LIST = """\
Select a Severity Level. Separate multiple choices with commas.
1. All
2. Critical
3. Warning
4. Information
"""
ADDRESS_QUESTION = """\
Please enter a new email address to send alerts.
(Ex: "administrator@example.com")
[]> """


def session_with(*recipients: AlertRecipient, **settings: object) -> Session:
    return make_session(Config().with_(alerts=Alerts(recipients=Table(recipients), **settings)))  # type: ignore[arg-type]


def alerts(session: Session) -> Alerts:
    return session.draft.config.alerts


async def test_transcript_of_the_specification() -> None:
    session = session_with(TEAM, JOE)
    assert await run_dialog(COMMAND, session, ["new", "ops@example.com", "2,11", "3", ""]) == (
        f"{JOE_AND_TEAM}\n{SETTINGS}\n{MENU}new\n\n{ADDRESS_QUESTION}ops@example.com\n\n{CLASS_LIST}[1]> 2,11\n\n{SEVERITY_LIST}[1]> 3\n\n"
        "Sending alerts to:\njoe@example.com\n     Class: All - Severities: All\n"
        "ops@example.com\n     Class: System - Severities: Warning\n     Class: Message Delivery - Severities: Warning\n"
        "partner-team@example.com\n     Class: System - Severities: Critical, Warning\n     Class: Message Delivery - Severities: Warning\n"
        f"\n{SETTINGS}\n{MENU}\n"
    )
    assert alerts(session).recipients["ops@example.com"].subscriptions == {("System", "Warning"), ("Message Delivery", "Warning")}


async def test_without_recipients() -> None:
    session = make_session()
    assert await run_dialog(COMMAND, session, ["edit", ""]) == (
        f'Not sending alerts.\n\n{SETTINGS}\n{EMPTY_MENU}edit\nUnknown option "edit".\n\n{EMPTY_MENU}\n'
    )


@pytest.mark.parametrize(
    ("classes", "severities", "chosen"),
    [
        ("", "", {(ALL, ALL)}),
        ("1", "2-4", {(ALL, severity) for severity in SEVERITIES}),
        ("amp, 2", "all", {("AMP", ALL), ("System", ALL)}),
        ("Anti-Virus,6-7", "information,Critical", pairs(["Anti-Virus", "Anti-Spam"], ["Critical", "Information"])),
    ],
)
async def test_new_stores_classes_times_severities(classes: str, severities: str, chosen: set[tuple[str, str]]) -> None:
    session = make_session()
    await run_dialog(COMMAND, session, ["new", "a@b.test", classes, severities, ""])
    assert alerts(session).recipients["a@b.test"].subscriptions == chosen


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("joe", EMAIL_TEXT),
        ("joe@example", EMAIL_TEXT),
        ("", "The value cannot be blank."),
        ("Joe@example.com", 'The email address "Joe@example.com" is already configured. Use EDIT to change its subscription.'),
    ],
)
async def test_addresses_that_are_refused(answer: str, text: str) -> None:
    session = session_with(JOE)
    screen = await run_dialog(COMMAND, session, ["new", answer, CTRL_C])
    assert f"{ADDRESS_QUESTION}{answer}\n{text}\n\n{ADDRESS_QUESTION}^C\n" in screen
    assert not session.draft.changed


async def test_choices_that_are_refused() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["new", "a@b.test", "12", "1,2", "1-11", "foo", "2", "5", "All,Critical", CTRL_C])
    for answer, text in (
        ("12", "The value must be an integer from 1 to 11."),
        ("1,2", '"All" cannot be combined with other choices.'),
        ("1-11", '"All" cannot be combined with other choices.'),
        ("foo", "The value must be an integer from 1 to 11."),
    ):
        assert f"{CLASS_LIST}[1]> {answer}\n{text}\n\n{CLASS_LIST}" in screen
    assert f"{SEVERITY_LIST}[1]> 5\nThe value must be an integer from 1 to 4.\n\n{SEVERITY_LIST}" in screen
    assert f'[1]> All,Critical\n"All" cannot be combined with other choices.\n\n{SEVERITY_LIST}[1]> ^C\n' in screen
    assert not session.draft.changed


async def test_edit_with_two_empty_answers_changes_nothing() -> None:
    session = session_with(TEAM, JOE)
    screen = await run_dialog(COMMAND, session, ["edit", "2", "", "", ""])
    assert (
        "[]> edit\n\nEnter the number of the email address you wish to edit.\n1. joe@example.com\n2. partner-team@example.com\n[1]> 2\n\n"
        f"{CLASS_LIST}[2,11]> \n\n{SEVERITY_LIST}[2,3]> \n\nSending alerts to:\n"
    ) in screen
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("classes", "severities", "chosen"),
    [
        ("2,11", "", pairs(["System", "Message Delivery"], ["Critical", "Warning"])),
        ("", "2,3", pairs(["System", "Message Delivery"], ["Critical", "Warning"])),
        ("4", "4", {("Updater", "Information")}),
    ],
)
async def test_edit_replaces_the_whole_subscription(classes: str, severities: str, chosen: frozenset[tuple[str, str]]) -> None:
    session = session_with(TEAM)
    await run_dialog(COMMAND, session, ["edit", "", classes, severities, ""])
    assert alerts(session).recipients[TEAM.address].subscriptions == chosen


async def test_delete_and_clear() -> None:
    session = session_with(TEAM, JOE)
    screen = await run_dialog(COMMAND, session, ["delete", "3", "partner-team@EXAMPLE.com", "clear", "", "clear", "y", ""])
    question = "Enter the number of the email address you wish to delete.\n1. joe@example.com\n2. partner-team@example.com\n[1]> "
    assert (
        f"{question}3\nThe value must be an integer from 1 to 2.\n\n{question}partner-team@EXAMPLE.com\n\nSending alerts to:\njoe" in screen
    )
    assert screen.count("\n\nAre you sure you want to clear all alert recipients? [N]> ") == 2
    assert f"[N]> y\n\nNot sending alerts.\n\n{SETTINGS}\n{EMPTY_MENU}\n" in screen
    assert not alerts(session).recipients


async def test_transcript_of_setup() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["setup", "", "", "", ""])
    assert (
        """\
[]> setup

Initial number of seconds to wait before sending a duplicate alert. Enter a value of 0 to
disable duplicate alert summaries.
[300]> 

Maximum number of seconds to wait before sending a duplicate alert.
[3600]> 

Maximum number of alerts to be stored in the system.
[50]> 

Not sending alerts.
"""
    ) in screen
    assert not session.draft.changed


async def test_setup_without_suppression_skips_the_maximum() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["setup", "0", "500", ""])
    assert "Maximum number of seconds to wait before sending a duplicate alert.\n" not in screen
    assert alerts(session) == Alerts(initial_interval=0, stored_max=500)


@pytest.mark.parametrize(("before", "high", "question"), [([], 86400, "Initial"), ([""], 86400, "Maximum"), (["", ""], 500, "Maximum")])
async def test_bounds_of_setup(before: list[str], high: int, question: str) -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["setup", *before, "-1", str(high + 1), CTRL_C])
    assert screen.count(f"The value must be an integer from 0 to {high}.\n\n{question} number of ") == 2
    assert not session.draft.changed


async def test_the_maximum_must_not_be_below_the_initial_interval_even_as_the_default_shown() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["setup", "3601", "", "3600", "3601", "0", ""])
    question = "Maximum number of seconds to wait before sending a duplicate alert.\n[3600]> "
    text = "The maximum interval cannot be less than the initial interval.\n\n"
    assert f"{question}\n{text}{question}3600\n{text}{question}3601\n" in screen
    assert alerts(session) == Alerts(initial_interval=3601, max_interval=3601, stored_max=0)


async def test_from_address() -> None:
    session = make_session()
    screen = await run_dialog(
        COMMAND,
        session,
        ["from", "default", "edit", "", "x", "esa-alerts@example.com", "edit", '"The ESA" <esa@example.com>', "default", "", ""],
    )
    menu = "Choose the operation you want to perform:\n- EDIT - Edit the From Address.\n"
    default_row = "- DEFAULT - Use the system default From Address.\n"
    question = "Please enter the From Address to use for alert emails.\n"
    system = "Alerts will be sent using the system-default From Address (alert@mail.example.com)."
    assert (
        f"[]> from\n\n{system}\n\n{menu}[]> default\n"
        f'Unknown option "default".\n\n{menu}[]> edit\n\n{question}[]> \nThe value cannot be blank.\n\n{question}[]> x\n{EMAIL_TEXT}\n\n'
        f'{question}[]> esa-alerts@example.com\n\nAlerts will be sent using the From Address "esa-alerts@example.com".\n\n{menu}{default_row}[]> edit\n\n'
        f'{question}[esa-alerts@example.com]> "The ESA" <esa@example.com>\n\n'
        f'Alerts will be sent using the From Address ""The ESA" <esa@example.com>".\n\n{menu}{default_row}[]> default\n\n'
        f"{system}\n\n{menu}[]> \n\nNot sending alerts.\n"
    ) in screen
    assert not session.draft.changed


@pytest.mark.parametrize(
    "answer", ['"A" <b>', '"" <a@b.test>', "A <a@b.test>", '"A\\" <a@b.test>', '"A"<a@b.test>', '"A\u2028" <a@b.test>', "<a@b.test>"]
)
async def test_from_addresses_that_are_refused(answer: str) -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["from", "edit", answer, CTRL_C])
    assert f"[]> {answer}\n{EMAIL_TEXT}\n" in screen
    assert not session.draft.changed


async def test_status_with_an_own_from_address() -> None:
    config = session_with(from_address="x@example.com", initial_interval=0, stored_max=7).draft.config
    assert status_text(config) == (
        """\
Not sending alerts.

Initial number of seconds to wait before sending a duplicate alert: 0
Maximum number of seconds to wait before sending a duplicate alert: 3600
Maximum number of alerts stored in the system are: 7

Alerts will be sent using the From Address "x@example.com"."""
    )


async def test_batch() -> None:
    session = make_session()

    async def batch(line: str) -> None:
        assert await run_batch(COMMAND, session, f"alertconfig {line}") == ("", False)

    def subscriptions(address: str) -> frozenset[tuple[str, str]]:
        return alerts(session).recipients[address].subscriptions

    await batch("new joe@example.com")
    assert subscriptions("joe@example.com") == {(ALL, ALL)}
    await batch('new a@b.example --classes="System,message delivery" --severities=Warning')
    assert subscriptions("a@b.example") == {("System", "Warning"), ("Message Delivery", "Warning")}
    await batch("edit A@b.example --severities=critical,warning")
    assert subscriptions("a@b.example") == pairs(["System", "Message Delivery"], ["Critical", "Warning"])
    await batch("edit a@b.example --classes=updater")
    assert subscriptions("a@b.example") == pairs(["Updater"], ["Critical", "Warning"])
    await batch('edit a@b.example --add="Updater:Information,Warning" --remove="Updater:Critical"')
    assert subscriptions("a@b.example") == pairs(["Updater"], ["Warning", "Information"])
    await batch('edit joe@example.com --remove="System:Information"')
    assert subscriptions("joe@example.com") == pairs(CLASSES, SEVERITIES) - {("System", "Information")}
    await batch('edit joe@example.com --add="All:All"')
    assert subscriptions("joe@example.com") == {(ALL, ALL)}
    await batch("setup --initial=5 --maximum=60 --stored=0")
    await batch("setup --initial=6")
    assert (alerts(session).initial_interval, alerts(session).max_interval, alerts(session).stored_max) == (6, 60, 0)
    await batch('from "\\"The ESA\\" <esa@example.com>"')
    assert alerts(session).from_address == '"The ESA" <esa@example.com>'
    await batch("from default")
    await batch("delete JOE@example.com")
    assert list(alerts(session).recipients) == ["a@b.example"]
    await batch("clear")
    assert alerts(session) == Alerts(initial_interval=6, max_interval=60, stored_max=0)


async def test_batch_print() -> None:
    assert await run_batch(COMMAND, session_with(JOE, TEAM), "alertconfig print") == (f"{JOE_AND_TEAM}\n{SETTINGS}", False)


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("new joe@example.com", 'The email address "joe@example.com" is already configured. Use EDIT to change its subscription.'),
        ("new x", EMAIL_TEXT),
        ("new a@b.test --classes=Systems", 'Unknown alert class "Systems".'),
        ("new a@b.test --severities=Info", 'Unknown alert severity "Info".'),
        ("new a@b.test --classes=All,System", '"All" cannot be combined with other choices.'),
        ("new a@b.test --classes=", "That value is not valid."),
        ("edit x@y.test --classes=All", 'The email address "x@y.test" is not configured.'),
        ("edit joe@example.com --add=System", "That value is not valid."),
        ("edit joe@example.com --add=System:Warning,x", 'Unknown alert severity "x".'),
        ("edit joe@example.com --remove=All:All", "At least one subscription is required. Use DELETE to remove the email address."),
        ("delete x@y.test", 'The email address "x@y.test" is not configured.'),
        ("setup --initial=86401", "The value must be an integer from 0 to 86400."),
        ("setup --stored=501", "The value must be an integer from 0 to 500."),
        ("setup --maximum=299", "The maximum interval cannot be less than the initial interval."),
        ("from x", EMAIL_TEXT),
        ("edit", "Invalid arguments when processing alertconfig:\nMissing argument: <address>."),
        ("list", "Invalid arguments when processing alertconfig:\nUnknown operation.\n: 'list'"),
    ],
)
async def test_batch_lines_that_fail_store_nothing(line: str, output: str) -> None:
    session = session_with(JOE)
    assert await run_batch(COMMAND, session, f"alertconfig {line}") == (f"{output}\n", True)
    assert not session.draft.changed


PAIR = st.tuples(st.sampled_from((ALL, *CLASSES[:3])), st.sampled_from((ALL, *SEVERITIES)))
SUBSCRIPTIONS = st.frozensets(PAIR, max_size=5)


def wanted(subscriptions: frozenset[tuple[str, str]]) -> set[tuple[str, str]]:
    recipient = AlertRecipient(address="a@b.test", subscriptions=subscriptions)
    return {(name, severity) for name in CLASSES for severity in SEVERITIES if recipient.wants(name, severity)}


@given(SUBSCRIPTIONS, SUBSCRIPTIONS)
def test_adding_and_removing(before: frozenset[tuple[str, str]], other: frozenset[tuple[str, str]]) -> None:
    assert wanted(tidied(added(before, other))) == wanted(before) | wanted(other)
    assert wanted(removed(before, other)) == wanted(before) - wanted(other)
