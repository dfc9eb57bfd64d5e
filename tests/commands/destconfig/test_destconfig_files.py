"""destconfig: EXPORT and IMPORT (destconfig.md 7)."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.bounces import BounceProfile
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
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
from commands.destconfig.ini import file_text, read_file
from commands.table_files import ImportProblem
from tests.support.appliance import make_session
from tests.support.terminal import run_batch, run_dialog

BASE = Config().with_(
    bounce_profiles=Config().bounce_profiles.put(BounceProfile(name="tls_failed")),
    certificates=Table([CertificateProfile(name="mail.example.com", material=KeyMaterial(certificate=""))]),
)
EXAMPLE = """\
[DEFAULT]
ip_sort_pref = PREFER_V6
max_host_concurrency = 500
max_messages_per_connection = 50
recipient_minutes = 60
recipient_limit = 300
limit_type = host
limit_apply = system
bounce_validation = 0
table_tls = off
dane_option = none
send_tls_req_alert = 0
certificate = mail.example.com

[example1.com]
ip_sort_pref = PREFER_V4
recipient_minutes = 60
recipient_limit = 100
limit_type = host
limit_apply = system
table_tls = require_verify
dane_option = mandatory
bounce_profile = tls_failed

[.example2.com]
table_tls = on
"""
DESTINATIONS = Table(
    [
        evolve(FACTORY_DEFAULT, recipient_limit=300, recipient_minutes=60),
        Destination(
            domain="example1.com",
            ip_sort_pref=IpSortPref.PREFER_V4,
            recipient_limit=100,
            recipient_minutes=60,
            limit_type=LimitType.HOST,
            limit_apply=LimitApply.SYSTEM,
            tls_support=TlsSupport.REQUIRED_VERIFY,
            dane_support=DaneSupport.MANDATORY,
            bounce_profile="tls_failed",
        ),
        Destination(domain=".example2.com", tls_support=TlsSupport.PREFERRED),
    ]
)
DEFAULT_LINES = """\
[DEFAULT]
ip_sort_pref = PREFER_V6
max_host_concurrency = 500
max_messages_per_connection = 50
limit_type = host
limit_apply = system
table_tls = off
"""


def session_with(files: Path, config: Config = BASE) -> Session:
    return make_session(config, files=files)


def read(text: str) -> Table[Destination]:
    return read_file(text, BASE).destinations


async def test_the_file_of_the_specification(tmp_path: Path) -> None:
    (tmp_path / "dest.txt").write_text(EXAMPLE)
    session = session_with(tmp_path)
    screen = await run_dialog(COMMAND, session, ["import", "no.txt", "a b", "dest.txt", "export", "copy.txt", ""])
    assert (
        'Enter the name of the file to import:\n[]> no.txt\nthe file "no.txt" does not exist.\n\n'
        'Enter the name of the file to import:\n[]> a b\nSymbols are not allowed in the file name "a b".\n\n'
        "Enter the name of the file to import:\n[]> dest.txt\n2 entries imported successfully.\n\nThere are currently 2 entries configured.\n"
    ) in screen
    assert "Enter a name for the exported file:\n[]> copy.txt\nExport completed.\n\nThere are" in screen
    assert session.draft.config.destinations == DESTINATIONS
    assert session.draft.config.destination_globals == DestinationGlobals(certificate="mail.example.com")
    assert (tmp_path / "copy.txt").read_text() == EXAMPLE


async def test_an_import_replaces_everything(tmp_path: Path) -> None:
    (tmp_path / "dest.txt").write_text(DEFAULT_LINES)
    before = BASE.with_(
        destinations=DESTINATIONS.put(Destination(domain="old.test")),
        destination_globals=DestinationGlobals(certificate="mail.example.com", tls_alert=True),
    )
    session = session_with(tmp_path, before)
    assert await run_batch(COMMAND, session, "destconfig import dest.txt") == ("", False)
    assert session.draft.config.destinations == Config().destinations
    assert session.draft.config.destination_globals == DestinationGlobals()


async def test_export_clear_import_restores_everything(tmp_path: Path) -> None:
    before = BASE.with_(destinations=DESTINATIONS, destination_globals=DestinationGlobals(tls_alert=True))
    session = session_with(tmp_path, before)
    for line in ("export d.txt", "clear", "setup --tls_alert=no", "default --tls=6", "import d.txt"):
        assert await run_batch(COMMAND, session, f"destconfig {line}") == ("", False)
    assert not session.draft.changed


async def test_vendor_keys_are_tolerated_with_a_warning(tmp_path: Path) -> None:
    text = f"{DEFAULT_LINES}bounce_validation = ON\n[a.test]\nmax_host_concurrency = 1\nlimit_type = 1\nlimit_apply: vg\nbounce_validation = off\n"
    (tmp_path / "dest.txt").write_text(text)
    session = session_with(tmp_path)
    screen = await run_dialog(COMMAND, session, ["import", "dest.txt", ""])
    assert (
        "[]> dest.txt\n"
        "Warning: line 8: bounce_validation is not supported, ignored.\n"
        "Warning: line 12: per virtual gateway limits are not supported, applied system wide.\n"
        "1 entries imported successfully.\n"
    ) in screen
    entry = session.draft.config.destinations["a.test"]
    assert (entry.limit_type, entry.limit_apply) == (LimitType.MXIP, LimitApply.SYSTEM)


def test_spelling() -> None:
    text = (
        "\ufeff; comment\r\n[ default ]\r\n"
        + DEFAULT_LINES.split("\n", 1)[1].upper().replace(" = ", ":")
        + "\n# x\n[A.Test.]\ntable_tls=ON"
    )
    assert read(text.removeprefix("\ufeff")) == Table([FACTORY_DEFAULT, Destination(domain="a.test", tls_support=TlsSupport.PREFERRED)])


@pytest.mark.parametrize(
    ("key", "words", "field", "value"),
    [
        ("ip_sort_pref", ["PREFER_V4", "prefer_v4"], "ip_sort_pref", IpSortPref.PREFER_V4),
        ("ip_sort_pref", ["REQUIRE_V4"], "ip_sort_pref", IpSortPref.REQUIRE_V4),
        ("ip_sort_pref", ["PREFER_V6"], "ip_sort_pref", IpSortPref.PREFER_V6),
        ("ip_sort_pref", ["REQUIRE_V6"], "ip_sort_pref", IpSortPref.REQUIRE_V6),
        ("max_messages_per_connection", ["1"], "max_messages_per_connection", 1),
        ("limit_type", ["0", "host"], "limit_type", LimitType.HOST),
        ("limit_type", ["1", "MXIP", "mxip"], "limit_type", LimitType.MXIP),
        ("limit_apply", ["0", "system", "1", "VG"], "limit_apply", LimitApply.SYSTEM),
        ("table_tls", ["off", "0"], "tls_support", TlsSupport.NO),
        ("table_tls", ["on", "1"], "tls_support", TlsSupport.PREFERRED),
        ("table_tls", ["required", "require", "2"], "tls_support", TlsSupport.REQUIRED),
        ("table_tls", ["on_verify", "3"], "tls_support", TlsSupport.PREFERRED_VERIFY),
        ("table_tls", ["require_verify", "4"], "tls_support", TlsSupport.REQUIRED_VERIFY),
        ("table_tls", ["require_verify_host", "5"], "tls_support", TlsSupport.REQUIRED_VERIFY_HOSTED),
        ("dane_option", ["none", "no", "0"], "dane_support", DaneSupport.NO),
        ("table_tls = on\ndane_option", ["opportunistic", "Opportunistic", "1"], "dane_support", DaneSupport.OPPORTUNISTIC),
        ("table_tls = on\ndane_option", ["mandatory", "2"], "dane_support", DaneSupport.MANDATORY),
        ("bounce_profile", ["tls_failed", "TLS_FAILED"], "bounce_profile", "tls_failed"),
    ],
)
def test_values(key: str, words: list[str], field: str, value: object) -> None:
    for word in words:
        assert getattr(read(f"{DEFAULT_LINES}[a.test]\n{key} = {word}\n")["a.test"], field) == value


def test_global_settings() -> None:
    assert read_file(f"{DEFAULT_LINES}send_tls_req_alert = 1\ncertificate = MAIL.example.com\n", BASE).settings == DestinationGlobals(
        certificate="mail.example.com", tls_alert=True
    )
    assert read_file(f"{DEFAULT_LINES}certificate = demo\n", BASE).settings == DestinationGlobals()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no [DEFAULT] section."),
        ("[a.test]\ntable_tls = on\n", "there is no [DEFAULT] section."),
        ("table_tls = on\n", "there is no [DEFAULT] section."),
        (DEFAULT_LINES.replace("table_tls = off\n", ""), "[DEFAULT]: table_tls is missing."),
        (DEFAULT_LINES.replace("max_host_concurrency = 500\n", ""), "[DEFAULT]: max_host_concurrency is missing."),
        ("[default]\n[a.test]\nx = y\n", "[DEFAULT]: ip_sort_pref is missing."),
        (f"{DEFAULT_LINES}x = 1\n", 'line 8: unknown key "x".'),
        (f"{DEFAULT_LINES}nonsense\n", 'line 8: unknown key "nonsense".'),
        (f"{DEFAULT_LINES}bounce_profile = tls_failed\n", 'line 8: unknown key "bounce_profile".'),
        (f"{DEFAULT_LINES}[a.test]\n\ncertificate = Demo\n", 'line 10: unknown key "certificate".'),
        (f"{DEFAULT_LINES}[a.test]\nsend_tls_req_alert = 1\n", 'line 9: unknown key "send_tls_req_alert".'),
        (f"{DEFAULT_LINES}table_tls = on\n", 'line 8: duplicate key "table_tls".'),
        (f"{DEFAULT_LINES}[a.test]\ntable_tls = strict\n", 'line 9: invalid value for table_tls: "strict".'),
        (f"{DEFAULT_LINES}[a.test]\ntable_tls =\n", 'line 9: invalid value for table_tls: "".'),
        (f"{DEFAULT_LINES}[a.test]\ndane_option = must\n", 'line 9: invalid value for dane_option: "must".'),
        (f"{DEFAULT_LINES}[a.test]\ndane_option = mandatory\n", "[a.test]: DANE needs TLS support."),
        (f"{DEFAULT_LINES}[a.test]\ntable_tls = off\ndane_option = 1\n", "[a.test]: DANE needs TLS support."),
        (f"[a.test]\ndane_option = 1\n{DEFAULT_LINES}", "[a.test]: DANE needs TLS support."),
        (f"{DEFAULT_LINES}dane_option = opportunistic\n", "[DEFAULT]: DANE needs TLS support."),
        (f"{DEFAULT_LINES}[a.test]\nbounce_validation = 2\n", 'line 9: invalid value for bounce_validation: "2".'),
        (f"{DEFAULT_LINES}[a.test]\nmax_host_concurrency = 0\n", 'line 9: invalid value for max_host_concurrency: "0".'),
        (
            f"{DEFAULT_LINES}[a.test]\nmax_messages_per_connection = 1001\n",
            'line 9: invalid value for max_messages_per_connection: "1001".',
        ),
        (f"{DEFAULT_LINES}[a.test]\nrecipient_minutes = 61\n", 'line 9: invalid value for recipient_minutes: "61".'),
        (f"{DEFAULT_LINES}[a.test]\nrecipient_limit = -1\n", 'line 9: invalid value for recipient_limit: "-1".'),
        (
            f"{DEFAULT_LINES}[a.test]\nrecipient_limit = 1\nrecipient_minutes = 1\nlimit_type = host\n",
            "[a.test]: recipient_limit requires recipient_minutes, limit_type and limit_apply.",
        ),
        (f"{DEFAULT_LINES}recipient_limit = 1\n", "[DEFAULT]: recipient_limit requires recipient_minutes, limit_type and limit_apply."),
        (f"{DEFAULT_LINES}[a.test]\nrecipient_minutes = 1\n", "[a.test]: recipient_minutes requires recipient_limit."),
        (f"{DEFAULT_LINES}[a.test]\nmax_host_concurrency = 1\n", "[a.test]: max_host_concurrency requires limit_type and limit_apply."),
        (f"{DEFAULT_LINES}[a.test]\nbounce_profile = x\n", 'there is no bounce profile named "x".'),
        (f"{DEFAULT_LINES}certificate = x\n", 'there is no certificate profile named "x".'),
        (f"{DEFAULT_LINES}[a.test]\n[A.test]\n", "[a.test]: duplicate section."),
        (f"{DEFAULT_LINES}[Default]\n", "[DEFAULT]: duplicate section."),
        (
            f"{DEFAULT_LINES}[a]\n",
            'line 8: The domain must be a fully qualified domain name or a partial domain such as ".example.com".',
        ),
    ],
)
async def test_problems_change_nothing(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "dest.txt").write_text(text)
    session = session_with(tmp_path)
    screen = await run_dialog(COMMAND, session, ["import", "dest.txt", ""])
    assert f"[]> dest.txt\nError: {problem}\nImport failed.\n\nThere are currently 0 entries configured.\n" in screen
    assert await run_batch(COMMAND, session, "destconfig import dest.txt") == (f"Error: {problem}\nImport failed.\n", True)
    assert not session.draft.changed


def test_a_limit_is_written_with_the_type_that_is_in_force() -> None:
    default = evolve(FACTORY_DEFAULT, limit_type=LimitType.MXIP)
    config = BASE.with_(destinations=Table([default, Destination(domain="a.test", max_host_concurrency=1)]))
    assert "[a.test]\nmax_host_concurrency = 1\nlimit_type = MXIP\nlimit_apply = system\n" in file_text(config)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


RECIPIENTS = maybe(st.tuples(st.integers(0, 1000000000), st.integers(1, 60)))


@st.composite
def destinations(draw: st.DrawFn) -> Destination:
    concurrency, recipients = draw(maybe(st.integers(1, 1000))), draw(RECIPIENTS)
    limited = concurrency is not None or recipients is not None
    level = draw(maybe(st.sampled_from(TlsSupport)))
    # What inherits its level may inherit No.
    dane = draw(maybe(st.just(DaneSupport.NO) if level in (None, TlsSupport.NO) else st.sampled_from(DaneSupport)))
    return Destination(
        domain=draw(st.sampled_from([".", ""])) + draw(st.sampled_from("abcdef")) + ".test",
        max_host_concurrency=concurrency,
        max_messages_per_connection=draw(maybe(st.integers(1, 1000))),
        recipient_limit=recipients[0] if recipients else None,
        recipient_minutes=recipients[1] if recipients else None,
        limit_type=draw(st.sampled_from(LimitType)) if limited else None,
        limit_apply=LimitApply.SYSTEM if limited else None,
        tls_support=level,
        dane_support=dane,
        bounce_profile=draw(st.sampled_from([None, "Default", "tls_failed"])),
        ip_sort_pref=draw(maybe(st.sampled_from(IpSortPref))),
    )


@given(
    st.lists(destinations(), max_size=5),
    st.integers(0, 1000),
    RECIPIENTS,
    st.sampled_from(TlsSupport),
    st.booleans(),
    st.sampled_from(["Demo", "mail.example.com"]),
)
def test_what_is_written_is_read_back(
    entries: list[Destination], concurrency: int, recipients: tuple[int, int] | None, level: TlsSupport, alert: bool, certificate: str
) -> None:
    limit, minutes = recipients or (None, None)
    default = evolve(FACTORY_DEFAULT, max_host_concurrency=concurrency, recipient_limit=limit, recipient_minutes=minutes, tls_support=level)
    settings = DestinationGlobals(certificate=certificate, tls_alert=alert)
    config = BASE.with_(destinations=Table([default, *entries]), destination_globals=settings)
    result = read_file(file_text(config), BASE)
    assert (result.destinations, result.settings, result.warnings) == (config.destinations, settings, ())


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    for attempt in (text, DEFAULT_LINES + text):
        try:
            read_file(attempt, BASE)
        except ImportProblem as problem:
            assert str(problem)
