"""destconfig: transcripts of NEW, EDIT, DEFAULT, SETUP, DELETE, CLEAR, and what refused answers get (destconfig.md 2 to 5)."""

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.destinations import (
    FACTORY_DEFAULT,
    DaneSupport,
    Destination,
    DestinationGlobals,
    IpSortPref,
    LimitApply,
    LimitType,
    TlsSupport,
)
from appliance_state.table import Table
from commands.destconfig import COMMAND
from tests.support.appliance import demo_certificate, make_appliance, make_session
from tests.support.terminal import CTRL_C, run_dialog

MENU = """\
Choose the operation you want to perform:
- SETUP - Change global settings.
- NEW - Create a new entry.
- EDIT - Modify an entry.
- DELETE - Remove an entry.
- DEFAULT - Change the default.
- LIST - Display a summary list of all entries.
- DETAIL - Display details for one destination or all entries.
- CLEAR - Remove all entries.
- IMPORT - Import tables from a file.
- EXPORT - Export tables to a file.
[]> """
EMPTY_MENU = """\
Choose the operation you want to perform:
- SETUP - Change global settings.
- NEW - Create a new entry.
- DEFAULT - Change the default.
- LIST - Display a summary list of all entries.
- DETAIL - Display details for one destination or all entries.
- IMPORT - Import tables from a file.
- EXPORT - Export tables to a file.
[]> """
DEMO_LINE = 'The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.\n'
TLS_LIST = """\
Do you want to use TLS support?
1. No
2. Preferred
3. Required
4. Preferred - Verify
5. Required - Verify
6. Required - Verify Hosted Domains
"""
NEW_ENTRY = """\
Enter the domain you wish to configure.
[]> example.com

Do you wish to configure a concurrency limit for example.com? [Y]> 

Enter the max concurrency limit for "example.com".
[500]> 

Do you wish to apply a messages-per-connection limit to this domain? [N]> y

Enter the max number of messages per connection for "example.com".
[50]> 

Do you wish to apply a recipient limit to this domain? [N]> y

Enter the number of minutes used to measure the recipient limit.
[60]> 

Enter the max number of recipients per 60 minutes for "example.com".
[]> 1000

Select how you want to apply the limits for example.com:
1. One limit applies to the entire domain example.com
2. Separate limit for each mail exchanger IP address
[1]> 

Select how the limits will be enforced:
1. System Wide
[1]> 

Do you wish to apply a specific TLS setting for this domain? [N]> y

Do you want to use TLS support?
1. No
2. Preferred
3. Required
4. Preferred - Verify
5. Required - Verify
6. Required - Verify Hosted Domains
[1]> 5
You have chosen to enable TLS. Please use the 'certconfig' command to
ensure that there is a valid certificate configured.
The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.

Do you wish to configure DANE Support? [N]> y

Please choose a DANE option:
1. No
2. Opportunistic
3. Mandatory
[1]> 3

Do you wish to apply a specific bounce profile to this domain? [N]> y

Please choose a bounce profile to apply:
1. Default
2. New Profile
[1]> 

Do you wish to apply a specific IP sort preference to this domain? [N]> y

Select how to sort IP addresses within an MX preference level:
1. Prefer IPv4
2. Prefer IPv6
3. Require IPv4
4. Require IPv6
[2]> 

"""
NEW_ANSWERS = ["new", "example.com", "", "", "y", "", "y", "", "1000", "", "", "y", "5", "y", "3", "y", "", "y", ""]
FULL_ENTRY = Destination(
    domain="example.com",
    max_host_concurrency=500,
    max_messages_per_connection=50,
    recipient_limit=1000,
    recipient_minutes=60,
    limit_type=LimitType.HOST,
    limit_apply=LimitApply.SYSTEM,
    tls_support=TlsSupport.REQUIRED_VERIFY,
    dane_support=DaneSupport.MANDATORY,
    bounce_profile="Default",
    ip_sort_pref=IpSortPref.PREFER_V6,
)
NOTHING = ["n"] * 6
"""answers to the gates of an entry that inherits everything"""


def session_with(*entries: Destination, **sections: object) -> Session:
    return make_session(Config().with_(destinations=Config().destinations.put(*entries), **sections))


def entry(session: Session, domain: str) -> Destination:
    return session.draft.config.destinations[domain]


async def test_transcript_of_new() -> None:
    session = session_with(Destination(domain="a.test"), Destination(domain="b.test"))
    assert await run_dialog(COMMAND, session, [*NEW_ANSWERS, ""]) == (
        f"There are currently 2 entries configured.\n\n{MENU}new\n\n{NEW_ENTRY}There are currently 3 entries configured.\n\n{MENU}\n"
    )
    assert entry(session, "example.com") == FULL_ENTRY


async def test_new_with_no_to_everything_inherits() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["new", ".Example.com.", *NOTHING, ""])
    assert screen.startswith(f"There are currently 0 entries configured.\n\n{EMPTY_MENU}new\n")
    assert screen.endswith(f"There are currently 1 entries configured.\n\n{MENU}\n")
    assert "Select how" not in screen
    assert entry(session, ".example.com") == Destination(domain=".example.com")


@pytest.mark.parametrize(
    ("answers", "asked"), [(["y", "1", "n", "n", "2", ""], True), (["n", "y", "7", "n"], False), (["n", "n", "y", "1", "0", "2", ""], True)]
)
async def test_how_limits_apply_is_asked_with_a_concurrency_or_recipient_limit(answers: list[str], asked: bool) -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["new", "a.test", *answers, "n", "n", "n", ""])
    assert ("Select how you want to apply the limits for a.test:" in screen) is asked
    assert entry(session, "a.test").limit_type is (LimitType.MXIP if asked else None)
    assert entry(session, "a.test").limit_apply is (LimitApply.SYSTEM if asked else None)


@pytest.mark.parametrize("level", list(TlsSupport))
async def test_tls_levels(level: TlsSupport) -> None:
    session = make_session()
    dane = [] if level is TlsSupport.NO else ["n"]
    screen = await run_dialog(COMMAND, session, ["new", "a.test", "n", "n", "n", "y", str(level.level), *dane, "n", "n", ""])
    assert f"{TLS_LIST}[1]> {level.level}\n" in screen
    assert ("You have chosen to enable TLS." in screen) is (level is not TlsSupport.NO)
    assert (DEMO_LINE in screen) is (level is not TlsSupport.NO)
    assert entry(session, "a.test").tls_support is level
    assert ("DANE" in screen) is (level is not TlsSupport.NO)
    assert entry(session, "a.test").dane_support is (DaneSupport.NO if level is TlsSupport.NO else None)


@pytest.mark.parametrize("dane", list(DaneSupport))
@pytest.mark.parametrize("level", list(TlsSupport)[1:])
async def test_dane_with_every_level_that_is_tls(level: TlsSupport, dane: DaneSupport) -> None:
    session = make_session()
    answers = ["new", "a.test", "n", "n", "n", "y", str(level.level), "y", dane.label, "n", "n", ""]
    screen = await run_dialog(COMMAND, session, answers)
    assert f"Please choose a DANE option:\n1. No\n2. Opportunistic\n3. Mandatory\n[1]> {dane.label}\n" in screen
    assert (entry(session, "a.test").tls_support, entry(session, "a.test").dane_support) == (level, dane)


@pytest.mark.parametrize("level", list(TlsSupport)[1:])
async def test_dane_by_default(level: TlsSupport) -> None:
    session = make_session()
    text = "Do you want to use DANE Support?\n1. No\n2. Opportunistic\n3. Mandatory\n"
    screen = await run_dialog(COMMAND, session, ["default", *[""] * 5, str(level.level), "2", "", ""])
    assert f"{text}[1]> 2\n" in screen
    assert entry(session, "DEFAULT").dane_support is DaneSupport.OPPORTUNISTIC
    screen = await run_dialog(COMMAND, session, ["default", *[""] * 8, ""])
    assert f"{text}[2]> \n" in screen
    screen = await run_dialog(COMMAND, session, ["default", *[""] * 5, "1", "", ""])
    assert "DANE" not in screen
    assert entry(session, "DEFAULT").dane_support is DaneSupport.NO


async def test_dane_is_given_back() -> None:
    session = session_with(FULL_ENTRY)
    gates = [""] * 10  # up to the TLS level
    screen = await run_dialog(COMMAND, session, ["edit", "example.com", *gates, "2", "n", "", "", "", ""])
    assert "Do you wish to configure DANE Support? [Y]> n\n" in screen
    assert entry(session, "example.com") == evolve(FULL_ENTRY, tls_support=TlsSupport.PREFERRED, dane_support=None)


async def test_without_tls_of_its_own_an_entry_has_no_dane_of_its_own() -> None:
    session = session_with(Destination(domain="a.test", tls_support=TlsSupport.REQUIRED, dane_support=DaneSupport.MANDATORY))
    await run_dialog(COMMAND, session, ["edit", "a.test", "n", "n", "n", "n", "n", "n", ""])
    assert entry(session, "a.test") == Destination(domain="a.test")


async def test_the_demo_note_disappears_with_an_own_certificate() -> None:
    session = session_with(destination_globals=DestinationGlobals(certificate="mail"))
    screen = await run_dialog(
        COMMAND, session, ["new", "a.test", "n", "n", "n", "y", "Required", "n", "n", "n", "default", *[""] * 5, "2", "", "", ""]
    )
    assert screen.count("ensure that there is a valid certificate configured.\n\n") == 2
    assert "Demo" not in screen


async def test_edit_shows_what_is_set() -> None:
    session = session_with(evolve(FULL_ENTRY, recipient_minutes=5, limit_type=LimitType.MXIP, max_host_concurrency=7))
    before = entry(session, "example.com")
    screen = await run_dialog(COMMAND, session, ["edit", "x.test", "EXAMPLE.com.", *[""] * 17, ""])
    assert (
        'Enter the domain you wish to edit.\n[]> x.test\nThe domain "x.test" was not found in the destination control table.\n\n'
        "Enter the domain you wish to edit.\n[]> EXAMPLE.com.\n"
    ) in screen
    for text in (
        "concurrency limit for example.com? [Y]> ",
        '"example.com".\n[7]> ',
        "limit to this domain? [Y]> ",
        "[5]> ",
        'Enter the max number of recipients per 5 minutes for "example.com".\n[1000]> ',
        "mail exchanger IP address\n[2]> ",
        "TLS setting for this domain? [Y]> ",
        "6. Required - Verify Hosted Domains\n[5]> ",
        "Do you wish to configure DANE Support? [Y]> ",
        "3. Mandatory\n[3]> ",
        "bounce profile to this domain? [Y]> ",
        "IP sort preference to this domain? [Y]> ",
    ):
        assert text in screen
    assert entry(session, "example.com") == before
    assert not session.draft.changed


async def test_edit_with_no_returns_to_inherit() -> None:
    session = session_with(FULL_ENTRY)
    await run_dialog(COMMAND, session, ["edit", "example.com", *NOTHING, ""])
    assert entry(session, "example.com") == Destination(domain="example.com")


async def test_edit_of_an_inheriting_entry_offers_no() -> None:
    session = session_with(Destination(domain="a.test"))
    screen = await run_dialog(COMMAND, session, ["edit", "a.test", *[""] * 6, ""])
    assert screen.count("? [N]> \n") == 6
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("operation", "answer", "text"),
    [
        ("new", "test", 'The domain must be a fully qualified domain name or a partial domain such as ".example.com".'),
        ("new", "a..test", 'The domain must be a fully qualified domain name or a partial domain such as ".example.com".'),
        ("new", "ä.test", 'The domain must be a fully qualified domain name or a partial domain such as ".example.com".'),
        ("new", ".", 'The domain must be a fully qualified domain name or a partial domain such as ".example.com".'),
        ("new", "", "The value cannot be blank."),
        ("new", "Default", "Use DEFAULT to change the default entry."),
        ("new", "EXAMPLE.com", 'The domain "example.com" is already configured. Use EDIT to modify it.'),
        ("edit", "default", "Use DEFAULT to change the default entry."),
        ("edit", ".example.com", 'The domain ".example.com" was not found in the destination control table.'),
        ("delete", "default", "The default entry cannot be deleted."),
        ("delete", "x", 'The domain "x" was not found in the destination control table.'),
    ],
)
async def test_domains_that_are_refused(operation: str, answer: str, text: str) -> None:
    session = session_with(FULL_ENTRY)
    screen = await run_dialog(COMMAND, session, [operation, answer, CTRL_C])
    question = f"Enter the domain you wish to {'configure' if operation == 'new' else operation}.\n[]> "
    assert f"\n{question}{answer}\n{text}\n\n{question}^C\n" in screen
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("before", "low", "high"),
    [(["y"], 1, 1000), (["n", "y"], 1, 1000), (["n", "n", "y"], 1, 60), (["n", "n", "y", "1"], 0, 1000000000)],
)
async def test_bounds_of_an_entry(before: list[str], low: int, high: int) -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["new", "a.test", *before, str(low - 1), str(high + 1), "x", CTRL_C])
    assert screen.count(f"The value must be an integer from {low} to {high}.\n\nEnter the ") == 3
    for value in (low, high):
        screen = await run_dialog(COMMAND, session, ["new", "a.test", *before, str(value), CTRL_C])
        assert "must be" not in screen
    assert not session.draft.changed


async def test_lists_refuse_numbers_that_do_not_exist() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["new", "a.test", "maybe", "n", "n", "n", "y", "7", CTRL_C])
    gate = "Do you wish to configure a concurrency limit for a.test? [Y]> "
    assert f"{gate}maybe\nPlease answer Yes or No.\n\n{gate}n\n" in screen
    assert f"[1]> 7\nThe value must be an integer from 1 to 6.\n\n{TLS_LIST}[1]> ^C\n" in screen


async def test_a_new_bounce_profile_is_stored_together_with_the_entry() -> None:
    new = ["new", "a.test", "n", "n", "n", "n", "y", "New Profile", "tls_failed", "2", *[""] * 8]
    session = session_with()
    screen = await run_dialog(COMMAND, session, [*new, CTRL_C])
    assert (
        "Please choose a bounce profile to apply:\n1. Default\n2. New Profile\n[1]> New Profile\n\n"
        "Please create a name for the profile:\n[]> tls_failed\n\nPlease enter the maximum number of retries.\n[100]> 2\n"
    ) in screen
    assert not session.draft.changed
    await run_dialog(COMMAND, session, [*new, "n", ""])
    assert session.draft.config.bounce_profiles["tls_failed"] == BounceProfile(name="tls_failed", max_retries=2)
    assert entry(session, "a.test") == Destination(domain="a.test", bounce_profile="tls_failed")
    screen = await run_dialog(COMMAND, session, ["edit", "a.test", *[""] * 4, "", CTRL_C])
    assert "1. Default\n2. tls_failed\n3. New Profile\n[2]> ^C\n" in screen


async def test_transcript_of_default() -> None:
    session = make_session()
    answers = ["default", "", "", "y", "", "", "", "", "1", "", ""]
    assert await run_dialog(COMMAND, session, answers) == (
        f"There are currently 0 entries configured.\n\n{EMPTY_MENU}default\n"
        """
Enter the default maximum concurrency limit ("0" for unlimited).
[500]> 

Enter the default maximum number of messages to send per connection.
[50]> 

Do you wish to specify a default recipient limit? [N]> y

Enter the number of minutes used to measure the recipient limit.
[60]> 

Enter the number of recipients per 60 minutes.
[500]> 

Select how you want to apply the limits for each host:
1. One limit applies to the entire domain
2. Separate limit for each mail exchanger IP address
[1]> 

Select how the limits will be enforced:
1. System Wide
[1]> 

Do you want to use TLS support?
1. No
2. Preferred
3. Required
4. Preferred - Verify
5. Required - Verify
6. Required - Verify Hosted Domains
[1]> 1

Select how to sort IP addresses within an MX preference level:
1. Prefer IPv4
2. Prefer IPv6
3. Require IPv4
4. Require IPv6
[2]> 

There are currently 0 entries configured.

"""
        f"{EMPTY_MENU}\n"
    )
    assert entry(session, "DEFAULT") == evolve(FACTORY_DEFAULT, recipient_limit=500, recipient_minutes=60)


async def test_default_takes_every_value_and_gives_the_limit_back() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["default", "0", "1", "y", "1", "0", "2", "", "6", "3", "4", ""])
    assert (
        f"[1]> 6\nYou have chosen to enable TLS. Please use the 'certconfig' command to\nensure that there is a valid certificate configured.\n{DEMO_LINE}\nDo you want to use DANE Support?"
        in screen
    )
    assert entry(session, "DEFAULT") == evolve(
        FACTORY_DEFAULT,
        max_host_concurrency=0,
        max_messages_per_connection=1,
        recipient_limit=0,
        recipient_minutes=1,
        limit_type=LimitType.MXIP,
        tls_support=TlsSupport.REQUIRED_VERIFY_HOSTED,
        dane_support=DaneSupport.MANDATORY,
        ip_sort_pref=IpSortPref.REQUIRE_V6,
    )
    screen = await run_dialog(COMMAND, session, ["default", "", "", "n", "", "", "", "", "", ""])
    assert "default recipient limit? [Y]> n\n" in screen and "[6]> \n" in screen and "[4]> \n" in screen
    assert entry(session, "DEFAULT").recipient_limit is None and entry(session, "DEFAULT").recipient_minutes is None


@pytest.mark.parametrize(
    ("before", "low", "high"), [([], 0, 1000), ([""], 1, 1000), (["", "", "y"], 1, 60), (["", "", "y", ""], 0, 1000000000)]
)
async def test_bounds_of_default(before: list[str], low: int, high: int) -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["default", *before, str(low - 1), str(high + 1), CTRL_C])
    assert screen.count(f"The value must be an integer from {low} to {high}.\n\nEnter the ") == 2
    assert not session.draft.changed


async def test_delete_and_clear() -> None:
    session = session_with(FULL_ENTRY, Destination(domain=".example.com"), Destination(domain="b.test"))
    screen = await run_dialog(COMMAND, session, ["delete", "", "delete", "Example.com", "clear", "clear", ""])
    assert "[]> Example.com\n\nThere are currently 2 entries configured.\n" in screen
    assert f'{MENU}clear\n\nThere are currently 0 entries configured.\n\n{EMPTY_MENU}clear\nUnknown option "clear".\n' in screen
    assert session.draft.config.destinations == Config().destinations


async def test_transcript_of_setup() -> None:
    demo = demo_certificate()
    material = KeyMaterial(certificate=demo.certificate, private_key=SecretRef("key"))
    profiles = Table(CertificateProfile(name=name, material=material) for name in ("partner.com", "mail.example.com"))
    appliance = make_appliance(Config().with_(certificates=profiles))
    appliance.vault.values[SecretRef("key")] = demo.private_key
    session = make_session(appliance=appliance)
    screen = await run_dialog(COMMAND, session, ["setup", "2", "y", ""])
    assert (
        f"""\
[]> setup

{DEMO_LINE}
1. mail.example.com
2. partner.com
3. Demo
Please choose the certificate to apply:
[3]> 2

Do you want to send an alert when a required TLS connection fails? [N]> y

There are"""
    ) in screen
    assert session.draft.config.destination_globals == DestinationGlobals(certificate="partner.com", tls_alert=True)


async def test_setup_asks_for_certificate_and_alert_and_nothing_else() -> None:
    session = make_session()
    assert await run_dialog(COMMAND, session, ["setup", "", "y", ""]) == (
        f"There are currently 0 entries configured.\n\n{EMPTY_MENU}setup\n"
        f"""
{DEMO_LINE}
1. Demo
Please choose the certificate to apply:
[1]> 

Do you want to send an alert when a required TLS connection fails? [N]> y

There are currently 0 entries configured.

{EMPTY_MENU}
"""
    )
    assert session.draft.config.destination_globals == DestinationGlobals(tls_alert=True)


async def test_ctrl_c_and_the_end_of_input_store_nothing() -> None:
    session = make_session()
    for end in ([CTRL_C], []):
        for count in range(1, len(NEW_ANSWERS)):
            await run_dialog(COMMAND, session, [*NEW_ANSWERS[:count], *end])
        await run_dialog(COMMAND, session, ["default", "1", "1", "n", "2", "1", "3", *end])
        await run_dialog(COMMAND, session, ["setup", "", *end])
        assert not session.draft.changed


async def test_words_of_the_menu() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["edit", "Print", "foo", ""])
    assert 'edit\nUnknown option "edit".\n' in screen and 'foo\nUnknown option "foo".\n' in screen
    assert "(Default)" in screen
