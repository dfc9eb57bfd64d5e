"""listenerconfig: top menu, NEW, EDIT (name, interface, certificate, limits, setup), SETUP, DELETE (listenerconfig.md 2 to 4, 8, 9)."""

from collections.abc import Callable

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.listeners import (
    CleanSmtp,
    Listener,
    ListenerGlobals,
    ListenerType,
    RatEntry,
    factory_parameters,
    factory_policies,
    factory_sender_groups,
    new_listener,
)
from appliance_state.names import DOMAIN_RULES
from appliance_state.table import Table
from commands.dialog import Refused
from commands.listenerconfig import COMMAND, summary
from commands.listenerconfig.edited import listener_named
from commands.listenerconfig.global_setup import period_text
from tests.support.appliance import make_session
from tests.support.terminal import CTRL_C, run_dialog, type_dialog

MENU = """\
Choose the operation you want to perform:
- NEW - Create a new listener.
- EDIT - Modify a listener.
- DELETE - Remove a listener.
- SETUP - Change global settings.
[]> """
EMPTY = """\
No listeners configured.

Choose the operation you want to perform:
- NEW - Create a new listener.
- SETUP - Change global settings.
[]> """
SUMMARY = """\
Name: InboundMail
Type: Public
Interface: PublicNet (192.168.2.1/24) TCP Port 25
Protocol: SMTP
Default Domain:
Max Concurrency: 1000 (TCP Queue: 50)
Domain map: disabled
TLS: No
Certificate: Demo
Bounce Profile: Default
"""
EDIT_MENU = """\
Choose the operation you want to perform:
- NAME - Change the name of the listener.
- INTERFACE - Change the interface.
- CERTIFICATE - Choose the certificate.
- LIMITS - Change the injection limits.
- SETUP - Configure general options.
- HOSTACCESS - Modify the Host Access Table.
- RCPTACCESS - Modify the Recipient Access Table.
- BOUNCECONFIG - Choose the bounce profile to use for messages injected on this listener.
- MASQUERADE - Configure the Domain Masquerading Table.
- DOMAINMAP - Configure domain mappings.
[]> """


async def test_top_level(session: Session) -> None:
    assert await run_dialog(COMMAND, session, [""]) == (
        f"""\
Currently configured listeners:
1. BlackHole (on Management, 192.168.42.42) SMTP TCP Port 2525 Blackhole
2. InboundMail (on PublicNet, 192.168.2.1) SMTP TCP Port 25 Public
3. OutboundMail (on Management, 192.168.42.42) SMTP TCP Port 25 Private

{MENU}
"""
    )


async def test_words_that_do_not_apply_or_do_not_exist_are_unknown(empty_session: Session, session: Session) -> None:
    assert (
        await run_dialog(COMMAND, empty_session, ["edit", ""]) == f'{EMPTY}edit\nUnknown option "edit".\n\n{EMPTY.split(chr(10), 2)[2]}\n'
    )
    for word in ("bounceconfig", "masquerade"):
        assert f'Unknown option "{word}".' in await run_dialog(COMMAND, session, ["edit", "BlackHole", word, "", ""])
    for word in ("footer", "ldapaccept"):
        assert f'Unknown option "{word}".' in await run_dialog(COMMAND, session, ["edit", "InboundMail", word, "", ""])


NEW_PUBLIC = ["new", "2", "Inboundmail", "2", "", "", "example.com, example.net"]


async def test_transcript_of_new_public(empty_session: Session) -> None:
    assert await run_dialog(COMMAND, empty_session, [*NEW_PUBLIC, "y", "1000", "", ""]) == (
        f"""\
{EMPTY}new

Please select the type of listener you want to create.
1. Private
2. Public
3. Blackhole
[2]> 2

Please create a name for this listener (Ex: "InboundMail"):
[]> Inboundmail

Please choose an IP interface for this Listener.
1. Management (192.168.42.42/24: mail3.example.com)
2. PublicNet (192.168.2.1/24: mail3.example.com)
[1]> 2

Choose a protocol.
1. SMTP
[1]> 

Please enter the TCP port for this listener.
[25]> 

Enter the domain names or specific email addresses you want to accept mail for.

Hostnames such as "example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
Usernames such as "postmaster@" are allowed.
Full email addresses such as "joe@example.com" or "joe@[1.2.3.4]" are allowed.
Separate multiple addresses with commas.
[]> example.com, example.net

Do you want to enable rate limiting for this listener? (Rate limiting defines the maximum
number of recipients per hour you are willing to receive from a remote domain.) [N]> y

Enter the maximum number of recipients per hour to accept from a remote domain.
[]> 1000

Default Policy Parameters
==========================
Maximum Message Size: 10M
Maximum Number Of Connections From A Single IP: 10
Maximum Number Of Messages Per Connection: 10
Maximum Number Of Recipients Per Message: 50
Maximum Number Of Recipients Per Hour: 1,000
Allow TLS Connections: No

Would you like to change the default host access policy? [N]> 

Listener Inboundmail created.
Defaults have been set for a Public listener.
Use the listenerconfig->EDIT command to customize the listener.

Currently configured listeners:
1. Inboundmail (on PublicNet, 192.168.2.1) SMTP TCP Port 25 Public

{MENU}
"""
    )
    made = empty_session.draft.config.listeners["Inboundmail"]
    assert made.uid
    expected = new_listener(
        name="Inboundmail", uid=made.uid, kind=ListenerType.PUBLIC, interface="PublicNet", accept=("example.com", "example.net")
    )
    assert made == evolve(expected, hat_default=evolve(expected.hat_default, max_rcpts_per_hour=1000))


async def test_new_private(empty_session: Session) -> None:
    answers = ["new", "private", "Outbound", "", "", "2525", ".Partner.test, 10.1.1.10-20, 10.2.3.", "", "", ""]
    transcript = await run_dialog(COMMAND, empty_session, answers)
    assert (
        """
Please create a name for this listener (Ex: "OutboundMail"):
[]> Outbound
"""
        in transcript
    )
    assert (
        """
Please specify the systems allowed to relay email through the appliance.
Hostnames such as "example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
IP addresses, IP address ranges, and partial IP addresses are allowed.
Separate multiple entries with commas.
[]> .Partner.test, 10.1.1.10-20, 10.2.3.

Do you want to enable rate limiting for this listener? (Rate"""
        in transcript
    )
    assert "Maximum Message Size: 100M\nMaximum Number Of Connections From A Single IP: 600\n" in transcript
    assert "Maximum Number Of Recipients Per Hour: Disabled\n" in transcript
    assert "Defaults have been set for a Private listener.\n" in transcript
    made = empty_session.draft.config.listeners["Outbound"]
    assert (made.port, made.max_concurrency, made.rat) == (2525, 600, ())
    assert made.hat_sender_groups == factory_sender_groups(ListenerType.PRIVATE, (".partner.test", "10.1.1.10-20", "10.2.3."))
    assert made.hat_policies == factory_policies(ListenerType.PRIVATE)


async def test_new_blackhole_asks_neither_domains_nor_systems(empty_session: Session) -> None:
    transcript = await run_dialog(COMMAND, empty_session, ["new", "3", "Sink", "", "", "", "", "", ""])
    assert 'Please create a name for this listener (Ex: "BlackHole"):\n' in transcript
    assert "accept mail for" not in transcript
    assert "allowed to relay" not in transcript
    made = empty_session.draft.config.listeners["Sink"]
    assert made.hat_default == factory_parameters(ListenerType.BLACKHOLE)
    assert [group.identity for group in made.hat_sender_groups] == ["ALL"]


async def test_the_default_policy_can_be_changed_in_new(empty_session: Session) -> None:
    answers = [*NEW_PUBLIC, "", "y", "512k", "", "", "", "", "", "", "", "", "preferred", "y", ""]
    transcript = await run_dialog(COMMAND, empty_session, answers)
    assert "\n[10M]> 512k\n" in transcript
    assert transcript.count("Default Policy Parameters\n") == 2
    assert "Maximum Message Size: 512k\n" in transcript
    assert "Allow TLS Connections: Preferred\nVerify Client Certificate: Yes\n\nListener Inboundmail created.\n" in transcript
    assert empty_session.draft.config.listeners["Inboundmail"].hat_default.max_message_size == 524288


ADDRESS_RULE = """\
A Recipient Access Table address can be one of the following:
Hostnames such as "example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
Usernames such as "postmaster@" are allowed.
Full email addresses such as "joe@example.com" or "joe@[1.2.3.4]" are allowed."""
HOST_RULE = """\
"x" is not a valid host.
IP addresses, IP address ranges, CIDR addresses, and partial IP addresses are allowed.
Hostnames such as "example.com" and partial hostnames such as ".example.com" are allowed."""
NAME_RULE = "The listener name must start with a letter or underscore and may contain letters, numbers, underscores, hyphens and periods."
TYPE = "Please select the type of listener you want to create.\n1. Private\n2. Public\n3. Blackhole\n[2]> "
NAME = 'Please create a name for this listener (Ex: "InboundMail"):\n[]> '
PORT = "Please enter the TCP port for this listener.\n[25]> "
PORT_RANGE = "The value must be an integer from 1 to 65535."
HOURLY = "Enter the maximum number of recipients per hour to accept from a remote domain.\n[]> "
HOURLY_RANGE = "The value must be an integer from 1 to 1000000000."


@pytest.mark.parametrize(
    ("before", "question", "wrong", "text"),
    [
        ([], TYPE, "4", "The value must be an integer from 1 to 3."),
        (["2"], NAME, "", "The value cannot be blank."),
        (["2"], NAME, "1st", NAME_RULE),
        (["2"], NAME, "a" * 64, NAME_RULE),
        (["2"], NAME, "inboundMAIL", 'A listener named "InboundMail" already exists.'),
        (["2", "New"], None, "3", "The value must be an integer from 1 to 2."),
        (["2", "New", ""], "Choose a protocol.\n1. SMTP\n[1]> ", "2", "The value must be an integer from 1 to 1."),
        (["2", "New", "", ""], PORT, "0", PORT_RANGE),
        (["2", "New", "", ""], PORT, "65536", PORT_RANGE),
        (["2", "New", "2", ""], PORT, "", 'Port 25 is already used by listener "InboundMail" on this interface.'),
        (["2", "New", "", ""], PORT, "443", "Port 443 is already used by HTTPS on this interface."),
        (["2", "New", "", "", "26"], None, "x", ADDRESS_RULE),
        (["2", "New", "", "", "26"], None, "example.com,,example.net", ADDRESS_RULE),
        (["2", "New", "", "", "26"], None, "ALL", ADDRESS_RULE),
        (["1", "New", "", "", "26"], None, "x", HOST_RULE),
        (
            ["1", "New", "", "", "26"],
            None,
            "sbrs[-10.0:-3.0]",
            "Reputation, geolocation, DNS list and threat feed sources are not supported.",
        ),
        (["2", "New", "", "", "26", "a.test", "y"], HOURLY, "0", HOURLY_RANGE),
        (["2", "New", "", "", "26", "a.test", "y"], HOURLY, "1000000001", HOURLY_RANGE),
        (["2", "New", "", "", "26", "a.test", "y"], HOURLY, "", "The value cannot be blank."),
    ],
)
async def test_a_refused_answer_prints_its_text_and_the_question_again(
    session: Session, before: list[str], question: str | None, wrong: str, text: str
) -> None:
    transcript, failed = await type_dialog(COMMAND.dialog, session, ["new", *before, wrong, CTRL_C])
    asked, again = transcript.split(f"{wrong}\n{text}\n\n")
    assert again.endswith("[]> ^C\n" if question is None and before[0] == "2" and len(before) == 5 else "> ^C\n")
    assert asked.endswith(f"\n\n{again.removesuffix('^C' + chr(10))}")
    assert question in (None, again.removesuffix("^C\n"))
    assert failed
    assert not session.draft.changed


async def test_bounds_that_are_accepted(empty_session: Session) -> None:
    answers = ["new", "2", "a" * 63, "", "", "65535", "a.test", "y", "1000000000", "", ""]
    await run_dialog(COMMAND, empty_session, answers)
    assert empty_session.draft.config.listeners["a" * 63].port == 65535


async def test_new_without_an_interface() -> None:
    session = make_session(Config().with_(interfaces=Table()))
    transcript = await run_dialog(COMMAND, session, ["new", ""])
    assert transcript == f"{EMPTY}new\nThere are no IP interfaces. Use interfaceconfig to create one.\n\n{EMPTY}\n"


async def test_end_of_input_in_new_creates_nothing(empty_session: Session) -> None:
    _, failed = await type_dialog(COMMAND.dialog, empty_session, [*NEW_PUBLIC, "", "n"][:-1])
    assert failed
    assert not empty_session.draft.changed


# -- EDIT -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", ["2", "inboundmail"])
async def test_transcript_of_edit(session: Session, chosen: str) -> None:
    transcript = await run_dialog(COMMAND, session, ["edit", chosen, "", ""])
    question = "Enter the name or number of the listener you wish to edit."
    assert f"[]> edit\n\n{question}\n[]> {chosen}\n\n{SUMMARY}\n{EDIT_MENU}\n\nCurrently configured listeners:\n" in transcript
    assert not session.draft.changed


@pytest.mark.parametrize("unknown", ["Nowhere", "0", "4"])
async def test_an_unknown_listener(session: Session, unknown: str) -> None:
    for operation, verb in (("edit", "edit"), ("delete", "remove")):
        question = f"Enter the name or number of the listener you wish to {verb}.\n[]> "
        transcript = await run_dialog(COMMAND, session, [operation, unknown, "", ""])
        assert f'{question}{unknown}\nThere is no listener "{unknown}".\n\n{question}\n\n' in transcript
    assert not session.draft.changed


def test_summary_with_values_of_its_own(session: Session) -> None:
    listener = session.draft.config.listeners["InboundMail"]
    changed = evolve(listener, interface="Nowhere", default_domain="example.com")
    assert summary(session.draft.config, changed)[2:5] == [
        "Interface: Nowhere (missing) TCP Port 25",
        "Protocol: SMTP",
        "Default Domain: example.com",
    ]


@pytest.mark.parametrize(
    ("listener", "absent"),
    [
        ("InboundMail", set()),
        ("OutboundMail", {"RCPTACCESS"}),
        ("BlackHole", {"RCPTACCESS", "MASQUERADE", "DOMAINMAP", "BOUNCECONFIG"}),
    ],
)
async def test_words_by_type_of_listener(session: Session, listener: str, absent: set[str]) -> None:
    transcript = await run_dialog(COMMAND, session, ["edit", listener, "", ""])
    words = ("RCPTACCESS", "MASQUERADE", "DOMAINMAP", "BOUNCECONFIG", "HOSTACCESS")
    assert {word for word in words if f"- {word} - " not in transcript} == absent


async def test_the_bounce_profile_is_chosen_or_made(session: Session) -> None:
    draft = session.draft
    draft.config = draft.config.with_(bounce_profiles=draft.config.bounce_profiles.put(BounceProfile(name="Patient")))
    transcript = await run_dialog(COMMAND, session, ["edit", "InboundMail", "bounceconfig", "2", "", ""])
    assert (
        "[]> bounceconfig\n\nPlease choose a bounce profile to apply:\n1. Default\n2. Patient\n3. New Profile\n[1]> 2\n\nName: InboundMail\n"
        in transcript
    )
    assert transcript.count("Bounce Profile: Patient\n") == 1
    made = ["edit", "InboundMail", "bounceconfig", "new profile", "Quick", "3", *[""] * 8, "", ""]
    transcript = await run_dialog(COMMAND, session, made)
    assert "Please choose a bounce profile to apply:\n1. Default\n2. Patient\n3. New Profile\n[2]> new profile\n\n" in transcript
    assert draft.config.bounce_profiles["Quick"].max_retries == 3
    assert draft.config.listeners["InboundMail"].bounce_profile == "Quick"
    before = draft.config
    await run_dialog(COMMAND, session, ["edit", "InboundMail", "bounceconfig", "New Profile", "Other", CTRL_C])
    assert draft.config == before


async def test_name(session: Session) -> None:
    transcript = await run_dialog(COMMAND, session, ["edit", "1", "name", "InboundMail", "1x", "Blackhole.test", "", ""])
    question = 'Please create a name for this listener (Ex: "InboundMail"):\n[BlackHole]> '
    assert f'{question}InboundMail\nA listener named "InboundMail" already exists.\n\n{question}1x\n{NAME_RULE}\n\n{question}' in transcript
    assert "Name: Blackhole.test\n" in transcript
    assert session.draft.config.listeners["Blackhole.test"].uid == "l-3"
    await run_dialog(COMMAND, session, ["edit", "InboundMail", "name", "INBOUNDMAIL", "", ""])
    assert session.draft.config.listeners["InboundMail"].name == "INBOUNDMAIL"


async def test_interface(session: Session) -> None:
    transcript = await run_dialog(COMMAND, session, ["edit", "2", "interface", "management", "", "", "2526", "", ""])
    assert "2. PublicNet (192.168.2.1/24: mail3.example.com)\n[2]> management\n" in transcript
    assert '[25]> \nPort 25 is already used by listener "OutboundMail" on this interface.\n' in transcript
    assert "Interface: Management (192.168.42.42/24) TCP Port 2526\n" in transcript
    unchanged = await run_dialog(COMMAND, make_session(session.appliance.running()[1]), ["edit", "2", "interface", "", "", "", "", ""])
    assert "already used" not in unchanged


async def test_certificate(session: Session, inbound: Callable[[], Listener]) -> None:
    transcript = await run_dialog(COMMAND, session, ["edit", "InboundMail", "certificate", "4", "2", "", ""])
    question = "1. mail.example.com\n2. partner.com\n3. Demo\nPlease choose the certificate to apply:\n[3]> "
    note = 'The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.'
    assert f"[]> certificate\n\n{note}\n\n{question}4\nThe value must be an integer from 1 to 3.\n\n{question}2\n" in transcript
    assert "\nCertificate: partner.com\n" in transcript
    assert inbound().tls_certificate == "partner.com"
    transcript = await run_dialog(COMMAND, session, ["edit", "InboundMail", "certificate", "MAIL.example.com", "", ""])
    assert "[]> certificate\n\n1. mail.example.com\n" in transcript
    assert "[2]> MAIL.example.com\n" in transcript
    assert inbound().tls_certificate == "mail.example.com"


async def test_limits(session: Session, inbound: Callable[[], Listener]) -> None:
    answers = ["0", "10001", "10000", "0", "1025", "1024"]
    transcript = await run_dialog(COMMAND, session, ["edit", "InboundMail", "limits", *answers, "", ""])
    connections = "Please enter the maximum number of concurrent connections allowed for this listener.\n[1000]> "
    queue = "Please enter the TCP listen queue size.\n[50]> "
    range_ = "The value must be an integer from 1 to {}.\n\n"
    assert (
        f"{connections}0\n{range_.format(10000)}{connections}10001\n{range_.format(10000)}{connections}10000\n\n"
        f"{queue}0\n{range_.format(1024)}{queue}1025\n{range_.format(1024)}{queue}1024\n"
    ) in transcript
    assert "Max Concurrency: 10000 (TCP Queue: 1024)\n" in transcript
    await run_dialog(COMMAND, session, ["edit", "InboundMail", "limits", "1", "1", "", ""])
    assert (inbound().max_concurrency, inbound().listen_queue_size) == (1, 1)


async def test_ctrl_c_in_the_middle_of_limits_stores_nothing(session: Session) -> None:
    await type_dialog(COMMAND.dialog, session, ["edit", "InboundMail", "limits", "5", CTRL_C])
    assert not session.draft.changed


SETUP_MENU = """\
Choose the operation you want to perform:
- DEFAULTDOMAIN - Configure a default domain name.
- RECEIVED - Set whether or not a Received: header is added.
- CLEANSMTP - Set whether or not to repair bare CR and LF in messages.
[]> """


async def test_default_domain(session: Session, inbound: Callable[[], Listener]) -> None:
    question = "Enter the default domain to use, or NONE to disable it:\n"
    answers = ["defaultdomain", "", "defaultdomain", "x", "Example.com", "defaultdomain", "", ""]
    transcript = await run_dialog(COMMAND, session, ["edit", "InboundMail", "setup", *answers, "", ""])
    assert f"[]> setup\n\n{SETUP_MENU}defaultdomain\n\n{question}[]> \n\n{SETUP_MENU}defaultdomain\n\n" in transcript
    assert f"{question}[]> x\n{DOMAIN_RULES}\n\n{question}[]> Example.com\n" in transcript
    assert f"{question}[example.com]> \n" in transcript
    assert "Default Domain: example.com\n" in transcript
    assert inbound().default_domain == "example.com"
    await run_dialog(COMMAND, session, ["edit", "InboundMail", "setup", "defaultdomain", "none", "", "", ""])
    assert inbound().default_domain is None


async def test_received(session: Session, inbound: Callable[[], Listener]) -> None:
    question = "Would you like to add a Received: header to messages received by this listener? "
    transcript = await run_dialog(COMMAND, session, ["edit", "InboundMail", "setup", "received", "n", "received", "", "", "", ""])
    assert f"{question}[Y]> n\n" in transcript
    assert f"{question}[N]> \n" in transcript
    assert inbound().add_received_header is False


async def test_clean_smtp(session: Session, inbound: Callable[[], Listener]) -> None:
    question = (
        "How should bare CR and LF characters in messages be handled?\n1. Convert them to CRLF\n2. Reject the message\n3. Allow them\n"
    )
    sure = "Are you sure you want to allow unclean messages? [N]> "
    setup = ["edit", "InboundMail", "setup", "cleansmtp"]
    assert f"{question}[1]> 3\n\n{sure}\n\n{SETUP_MENU}" in await run_dialog(COMMAND, session, [*setup, "3", "", "", "", ""])
    assert not session.draft.changed
    await run_dialog(COMMAND, session, [*setup, "3", "y", "", "", ""])
    assert inbound().clean_smtp is CleanSmtp.ALLOW
    assert f"{question}[3]> 2\n" in await run_dialog(COMMAND, session, [*setup, "2", "", "", ""])
    assert inbound().clean_smtp is CleanSmtp.REJECT


async def test_a_listener_that_is_removed_meanwhile(session: Session) -> None:
    edited = listener_named(session, "inboundmail")
    config = session.draft.config
    session.draft.config = config.with_(listeners=config.listeners.without("InboundMail"))
    with pytest.raises(Refused, match=r'^There is no listener "InboundMail"\.$'):
        edited.change(port=26)


# -- DELETE and SETUP -----------------------------------------------------------------------------------------------


async def test_delete(session: Session) -> None:
    transcript = await run_dialog(COMMAND, session, ["delete", "3", "delete", "INBOUNDMAIL", ""])
    assert transcript.count("Enter the name or number of the listener you wish to remove.\n[]> ") == 2
    assert list(session.draft.config.listeners) == ["BlackHole"]
    assert session.draft.config.listeners["BlackHole"].rat == ()


SETUP = """\
Enter the global limit for concurrent connections to be allowed across all listeners.
[300]> 

Enter the global limit for concurrent TLS connections to be allowed across all listeners.
[100]> 

Enter the maximum number of message header lines. 0 indicates no limit.
[1000]> 

Enter the rate at which injection control counters are reset.
[1h]> 

Enter the timeout for unsuccessful inbound connections.
[5m]> 

Enter the maximum connection time for inbound connections.
[15m]> 

The system will always add a Message-ID header to outgoing messages that don't already have one. Would you like to do the same for \
incoming messages? (Not recommended.) [N]> 

By default connections with a HAT REJECT policy will be closed with a banner message at the start of the SMTP conversation. Would you \
like to do the rejection at the message recipient level instead for more detailed logging of rejected mail? [N]> """
REPLY = """\
Do you want to modify the SMTP RCPT TO reject response in this case? [N]> y

Enter the SMTP code to use in the response. 550 is the standard code.
[550]> 

Enter your custom SMTP response.  Press Enter on a blank line to finish.
Sender rejected due to local mail policy.
Contact your mail admin for assistance.

"""


async def test_transcript_of_global_setup(empty_session: Session) -> None:
    answers = ["setup", "", "", "", "", "", "", "", "y", "y", "", "Sender rejected due to local mail policy."]
    transcript = await run_dialog(COMMAND, empty_session, [*answers, "Contact your mail admin for assistance.", "", ""])
    assert transcript == f"{EMPTY}setup\n\n{SETUP}y\n\n{REPLY}{EMPTY}\n"
    assert empty_session.draft.config.listener_globals == ListenerGlobals(
        hat_delayed_reject=True,
        hat_delayed_reject_text="Sender rejected due to local mail policy.\nContact your mail admin for assistance.",
    )


async def test_global_setup_with_enter_at_every_question_changes_nothing(empty_session: Session) -> None:
    await run_dialog(COMMAND, empty_session, ["setup", *[""] * 9])
    assert not empty_session.draft.changed
    text = ListenerGlobals(hat_delayed_reject=True, hat_delayed_reject_code=551, hat_delayed_reject_text="Go away.")
    session = make_session(Config().with_(listener_globals=text))
    transcript = await run_dialog(COMMAND, session, ["setup", *[""] * 12])
    assert "in this case? [Y]> \n" in transcript
    assert "\n[551]> \n" in transcript
    assert not session.draft.changed
    await run_dialog(COMMAND, session, ["setup", *[""] * 8, "n", ""])
    assert session.draft.config.listener_globals == ListenerGlobals(hat_delayed_reject=True)


@pytest.mark.parametrize(
    ("position", "low", "high", "below", "above", "text"),
    [
        (0, "1", "10000", "0", "10001", "The value must be an integer from 1 to 10000."),
        (1, "1", "10000", "0", "10001", "The value must be an integer from 1 to 10000."),
        (2, "0", "10000", "-1", "10001", "The value must be an integer from 0 to 10000."),
        (3, "15m", "4h", "14m59s", "4h1s", 'Enter a time such as "30s", "15m" or "1h", from 15m to 4h.'),
        (4, "10s", "1h", "9", "3601", 'Enter a time such as "30s", "15m" or "1h", from 10s to 1h.'),
        (5, "60", "24h", "59s", "24h1", 'Enter a time such as "30s", "15m" or "1h", from 1m to 24h.'),
    ],
)
async def test_bounds_of_global_setup(
    empty_session: Session, position: int, low: str, high: str, below: str, above: str, text: str
) -> None:
    for wrong in (below, above, "x", "1d"):
        answers = ["setup", *[""] * position, wrong, CTRL_C]
        transcript, failed = await type_dialog(COMMAND.dialog, empty_session, answers)
        assert f"]> {wrong}\n{text}\n\n" in transcript
        assert failed
        assert not empty_session.draft.changed
    for right in (low, high):
        answers = ["setup", *[""] * position, right, *[""] * (8 - position)]
        assert text not in await run_dialog(COMMAND, empty_session, answers)
        assert empty_session.draft.changed


async def test_code_of_the_delayed_rejection(empty_session: Session) -> None:
    for wrong in ("399", "600"):
        transcript, _ = await type_dialog(COMMAND.dialog, empty_session, ["setup", *[""] * 7, "y", "y", wrong, CTRL_C])
        assert f"[550]> {wrong}\nThe value must be an integer from 400 to 599.\n\n" in transcript
        assert not empty_session.draft.changed


async def test_an_empty_reply_is_refused(empty_session: Session) -> None:
    answers = ["setup", *[""] * 7, "y", "y", "", "", "Go away.", "", ""]
    question = "Enter your custom SMTP response.  Press Enter on a blank line to finish.\n"
    assert f"{question}\nThe value cannot be blank.\n\n{question}Go away.\n\n" in await run_dialog(COMMAND, empty_session, answers)


@pytest.mark.parametrize(("seconds", "text"), [(1, "1s"), (90, "1m30s"), (300, "5m"), (3600, "1h"), (5400, "1h30m"), (86400, "24h")])
def test_times(seconds: int, text: str) -> None:
    assert period_text(seconds) == text


def test_new_public_listener_accepts_for_its_domains_only(inbound: Callable[[], Listener]) -> None:
    assert [entry.address for entry in inbound().rat] == ["example.com", "example.net", "ALL"]
    assert inbound().rat[0] == RatEntry(address="example.com")
