"""destconfig: batch lines (destconfig.md 10)."""

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.bounces import BounceProfile
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
from commands.destconfig import COMMAND
from tests.support.appliance import make_session
from tests.support.terminal import run_batch

FULL = Destination(
    domain="a.test",
    max_host_concurrency=5,
    max_messages_per_connection=6,
    recipient_limit=7,
    recipient_minutes=8,
    limit_type=LimitType.MXIP,
    limit_apply=LimitApply.SYSTEM,
    tls_support=TlsSupport.REQUIRED,
    dane_support=DaneSupport.OPPORTUNISTIC,
    bounce_profile="tls_failed",
    ip_sort_pref=IpSortPref.REQUIRE_V4,
)
LEVELS = "no, preferred, required, preferred_verify, required_verify, required_verify_hosted"
INVALID = "Invalid arguments when processing destconfig:\n"


def session_with(*entries: Destination) -> Session:
    profiles = Config().bounce_profiles.put(BounceProfile(name="tls_failed"))
    return make_session(Config().with_(destinations=Config().destinations.put(*entries), bounce_profiles=profiles))


async def run(session: Session, line: str) -> Destination:
    """The entry a.test (or `DEFAULT`) after a line that prints nothing."""
    assert await run_batch(COMMAND, session, line) == ("", False)
    return session.draft.config.destinations["DEFAULT" if "default" in line.split()[1] else "a.test"]


async def test_new_inherits_what_is_not_given() -> None:
    assert await run(session_with(), "destconfig new A.test") == Destination(domain="a.test")
    line = (
        "destconfig new a.test --max_host_concurrency=5 --max-messages-per-connection=6 --recipient_limit=7 --recipient_minutes=8 "
        "--limit_type=mxip --tls=required --dane=Opportunistic --bounce_profile=TLS_failed --ip_sort_pref=require_v4"
    )
    assert await run(session_with(), line) == FULL


async def test_edit_keeps_what_is_not_given() -> None:
    assert await run(session_with(FULL), "destconfig edit a.test") == FULL
    assert await run(session_with(FULL), "destconfig edit A.test. --tls=default") == evolve(FULL, tls_support=None, dane_support=None)
    assert await run(session_with(FULL), "destconfig edit a.test --recipient_limit=0") == evolve(FULL, recipient_limit=0)
    assert await run(session_with(FULL), "destconfig edit a.test --recipient_minutes=60") == evolve(FULL, recipient_minutes=60)
    assert await run(session_with(FULL), "destconfig edit a.test --limit_type=host") == evolve(FULL, limit_type=LimitType.HOST)


async def test_default_returns_to_inherit() -> None:
    line = (
        "destconfig edit a.test --max_host_concurrency=default --max_messages_per_connection=Default --recipient_limit=DEFAULT "
        "--tls=default --bounce_profile=default --ip_sort_pref=default"
    )
    assert await run(session_with(FULL), line) == Destination(domain="a.test")


async def test_a_limit_brings_what_the_dialog_would_take() -> None:
    expected = evolve(Destination(domain="a.test"), limit_type=LimitType.HOST, limit_apply=LimitApply.SYSTEM)
    assert await run(session_with(), "destconfig new a.test --recipient_limit=5") == evolve(
        expected, recipient_limit=5, recipient_minutes=60
    )
    assert await run(session_with(), "destconfig new a.test --max_host_concurrency=1000") == evolve(expected, max_host_concurrency=1000)


@pytest.mark.parametrize(
    ("words", "level"),
    [
        (["1", "No", "no", "off"], TlsSupport.NO),
        (["2", "Preferred", "ON"], TlsSupport.PREFERRED),
        (["3", "REQUIRED", "required", "require"], TlsSupport.REQUIRED),
        (["4", "Preferred - Verify", "preferred_verify", "on_verify"], TlsSupport.PREFERRED_VERIFY),
        (["5", "Required - Verify", "required_verify", "require_verify"], TlsSupport.REQUIRED_VERIFY),
        (["6", "Required - Verify Hosted Domains", "required_verify_hosted", "require_verify_host"], TlsSupport.REQUIRED_VERIFY_HOSTED),
    ],
)
async def test_tls_words(words: list[str], level: TlsSupport) -> None:
    for word in words:
        entry = await run(session_with(), f'destconfig new a.test --tls="{word}"')
        assert entry.tls_support is level
        assert entry.dane_support is (DaneSupport.NO if level is TlsSupport.NO else None)
        assert (await run(session_with(), f'destconfig default --tls="{word}"')).tls_support is level


async def test_tls_that_is_switched_on_again_inherits_dane() -> None:
    session = session_with(Destination(domain="a.test", tls_support=TlsSupport.NO, dane_support=DaneSupport.NO))
    assert (await run(session, "destconfig edit a.test --tls=2")).dane_support is None


async def test_dane_stays_with_another_level() -> None:
    assert (await run(session_with(FULL), "destconfig edit a.test --tls=5")).dane_support is DaneSupport.OPPORTUNISTIC
    assert (await run(session_with(FULL), "destconfig edit a.test --tls=no")).dane_support is DaneSupport.NO
    assert (await run(session_with(FULL), "destconfig edit a.test --dane=default")).dane_support is None
    assert (await run(session_with(FULL), "destconfig edit a.test --dane=mandatory")).dane_support is DaneSupport.MANDATORY
    assert (await run(session_with(FULL), "destconfig edit a.test --tls=no --dane=no")).dane_support is DaneSupport.NO


async def test_dane_with_the_level_of_default() -> None:
    session = session_with()
    assert (await run(session, "destconfig default --tls=2 --dane=opportunistic")).dane_support is DaneSupport.OPPORTUNISTIC
    assert (await run(session, "destconfig new a.test --dane=mandatory")).dane_support is DaneSupport.MANDATORY
    assert (await run(session, "destconfig default --tls=3")).dane_support is DaneSupport.OPPORTUNISTIC
    assert (await run(session, "destconfig default --tls=1")).dane_support is DaneSupport.NO


async def test_default() -> None:
    line = (
        "destconfig default --max_host_concurrency=0 --max_messages_per_connection=1 --recipient_limit=300 --recipient_minutes=5 "
        "--limit_type=MXIP --tls=5 --ip_sort_pref=PREFER_V4"
    )
    session = session_with()
    assert await run(session, line) == evolve(
        FACTORY_DEFAULT,
        max_host_concurrency=0,
        max_messages_per_connection=1,
        recipient_limit=300,
        recipient_minutes=5,
        limit_type=LimitType.MXIP,
        tls_support=TlsSupport.REQUIRED_VERIFY,
        ip_sort_pref=IpSortPref.PREFER_V4,
    )
    assert (await run(session, "destconfig default --recipient_limit=none")).recipient_minutes is None
    assert await run(session_with(), "destconfig default") == FACTORY_DEFAULT


async def test_bounce_profiles() -> None:
    assert (await run(session_with(FULL), "destconfig edit a.test --bounce_profile=Default")).bounce_profile == "Default"
    assert (await run(session_with(FULL), "destconfig edit a.test --bounce_profile=default")).bounce_profile is None


async def test_setup_delete_clear() -> None:
    session = session_with(FULL, Destination(domain="b.test"))
    assert await run_batch(COMMAND, session, "destconfig setup --tls_alert=yes") == ("", False)
    assert session.draft.config.destination_globals == DestinationGlobals(tls_alert=True)
    assert await run_batch(COMMAND, session, "destconfig setup --certificate=demo --tls_alert=no") == ("", False)
    assert session.draft.config.destination_globals == DestinationGlobals()
    assert await run_batch(COMMAND, session, "destconfig delete A.test") == ("", False)
    assert sorted(session.draft.config.destinations) == ["DEFAULT", "b.test"]
    assert await run_batch(COMMAND, session, "destconfig clear") == ("", False)
    assert sorted(session.draft.config.destinations) == ["DEFAULT"]


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("new x.test --tls=strict", f'Invalid value for --tls: "strict". Use one of: {LEVELS}, default.'),
        ("new x.test --tls=0", f'Invalid value for --tls: "0". Use one of: {LEVELS}, default.'),
        ("default --tls=default", f'Invalid value for --tls: "default". Use one of: {LEVELS}.'),
        ("new x.test --max_host_concurrency=0", "The value must be an integer from 1 to 1000."),
        ("new x.test --max_host_concurrency=1001", "The value must be an integer from 1 to 1000."),
        ("default --max_host_concurrency=1001", "The value must be an integer from 0 to 1000."),
        ("default --max_host_concurrency=default", "The value must be an integer from 0 to 1000."),
        ("new x.test --max_messages_per_connection=0", "The value must be an integer from 1 to 1000."),
        ("new x.test --recipient_limit=1000000001", "The value must be an integer from 0 to 1000000000."),
        ("new x.test --recipient_limit=none", "The value must be an integer from 0 to 1000000000."),
        ("default --recipient_limit=default", "The value must be an integer from 0 to 1000000000."),
        ("new x.test --recipient_limit=1 --recipient_minutes=61", "The value must be an integer from 1 to 60."),
        ("new x.test --recipient_minutes=5", f"{INVALID}Missing argument: <recipient_limit>."),
        ("edit a.test --recipient_limit=default --recipient_minutes=5", f"{INVALID}Missing argument: <recipient_limit>."),
        ("new x.test --limit_type=host", "limit_type needs max_host_concurrency or recipient_limit."),
        ("edit a.test --limit_type=vg", 'Invalid value for --limit_type: "vg". Use one of: host, mxip.'),
        (
            "new x.test --ip_sort_pref=v4",
            'Invalid value for --ip_sort_pref: "v4". Use one of: prefer_v4, prefer_v6, require_v4, require_v6, default.',
        ),
        ("new x.test --bounce_profile=nosuch", 'There is no bounce profile named "nosuch".'),
        ("default --bounce_profile=Default", f"{INVALID}Unknown option.\n: '--bounce_profile=Default'"),
        ("new x.test --dane=mandatory", "DANE needs TLS support."),
        ("new x.test --tls=no --dane=mandatory", "DANE needs TLS support."),
        ("edit a.test --tls=1 --dane=opportunistic", "DANE needs TLS support."),
        ("edit a.test --tls=default --dane=opportunistic", "DANE needs TLS support."),
        ("default --dane=opportunistic", "DANE needs TLS support."),
        ("default --dane=default", 'Invalid value for --dane: "default". Use one of: no, opportunistic, mandatory.'),
        ("new x.test --dane=maybe", 'Invalid value for --dane: "maybe". Use one of: no, opportunistic, mandatory, default.'),
        ("new a.test", 'The domain "a.test" is already configured. Use EDIT to modify it.'),
        ("new default", "Use DEFAULT to change the default entry."),
        ("new x", 'The domain must be a fully qualified domain name or a partial domain such as ".example.com".'),
        ("new", f"{INVALID}Missing argument: <domain>."),
        ("new x.test y.test", f"{INVALID}Too many arguments.\n: 'y.test'"),
        ("edit x.test --tls=1", 'The domain "x.test" was not found in the destination control table.'),
        ("edit DEFAULT --tls=1", "Use DEFAULT to change the default entry."),
        ("delete x.test", 'The domain "x.test" was not found in the destination control table.'),
        ("delete DEFAULT", "The default entry cannot be deleted."),
        ("setup --tls_alert=maybe", "Please answer Yes or No."),
        ("import no.txt", 'the file "no.txt" does not exist.'),
        ("export a/b", 'Symbols are not allowed in the file name "a/b".'),
        ("print", f"{INVALID}Unknown operation.\n: 'print'"),
    ],
)
async def test_lines_that_fail_store_nothing(line: str, output: str) -> None:
    session = session_with(FULL)
    assert await run_batch(COMMAND, session, f"destconfig {line}") == (f"{output}\n", True)
    assert not session.draft.changed
