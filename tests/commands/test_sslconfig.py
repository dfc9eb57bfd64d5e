"""sslconfig: transcripts, every error text, batch lines (tls-tools.md 1). What the settings do: `test_tls_settings_live.py`."""

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.diff import differences, tree_lines
from appliance_state.model import Config
from appliance_state.model.tls_settings import FACTORY_CIPHERS, METHODS, SslSettings
from commands.sslconfig import COMMAND
from tests.support.appliance import make_session
from tests.support.lab_ca import openssl
from tests.support.terminal import CTRL_C, run_batch, run_dialog, type_dialog

FACTORY_ELEMENTS = "".join(f"        {element}\n" for element in FACTORY_CIPHERS.split(":"))
STATUS = f"""\
sslconfig settings:
  GUI HTTPS method:  tlsv1_2tlsv1_3
  GUI HTTPS ciphers:
{FACTORY_ELEMENTS}  Inbound SMTP method:  tlsv1_2tlsv1_3
  Inbound SMTP ciphers:
{FACTORY_ELEMENTS}  Outbound SMTP method:  tlsv1_2tlsv1_3
  Outbound SMTP ciphers:
{FACTORY_ELEMENTS}  GUI HTTPS TLS Renegotiation: Disabled
  Inbound SMTP TLS Renegotiation: Disabled
  Other TLS Client Services TLS v1.0: Disabled
  Peer Certificate FQDN Validation: Disabled
  Peer Certificate X509 Validation: Disabled
"""
MENU = """\
Choose the operation you want to perform:
- GUI - Edit GUI HTTPS ssl settings.
- INBOUND - Edit Inbound SMTP ssl settings.
- OUTBOUND - Edit Outbound SMTP ssl settings.
- VERIFY - Verify and show ssl cipher list.
- OTHER_CLIENT_TLSV10 - Edit TLS v1.0 for other client services.
- PEER_CERT_FQDN - Validate peer certificate FQDN compliance for Alert Over TLS, Outbound SMTP, updater and LDAP.
- PEER_CERT_X509 - Validate peer certificate X509 compliance for Alert Over TLS, Outbound SMTP, updater and LDAP.
[]> """
NO_GAP = '"TLS v1.0" and "TLS v1.2" can be enabled together only if "TLS v1.1" is enabled too.'
ONE_TO_FOUR = "The value must be an integer from 1 to 4."


def settings_of(session: Session) -> SslSettings:
    return session.draft.config.ssl


def session_with(**settings: object) -> Session:
    return make_session(Config().with_(ssl=SslSettings(**settings)))  # type: ignore[arg-type]


def methods(*names: str) -> frozenset[str]:
    return frozenset(names)


async def test_transcript_of_the_specification() -> None:
    session = make_session()
    assert await run_dialog(COMMAND, session, ["inbound", "1-3", "", "", ""]) == (
        f"""\
{STATUS}
{MENU}inbound

Enter the inbound SMTP ssl method you want to use.
1. TLS v1.0
2. TLS v1.1
3. TLS v1.2
4. TLS v1.3
[3,4]> 1-3

Enter the inbound SMTP ssl cipher you want to use.
[{FACTORY_CIPHERS}]> 

Would you like to enable TLS Renegotiation for inbound SMTP? [N]> 

{STATUS.replace("Inbound SMTP method:  tlsv1_2tlsv1_3", "Inbound SMTP method:  tlsv1tlsv1_1tlsv1_2")}
{MENU}
"""
    )
    assert settings_of(session) == SslSettings(inbound_methods=methods("tlsv1", "tlsv1_1", "tlsv1_2"))


async def test_gui_and_outbound() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["gui", "4", "AES256:!SHA1, kECDHE", "y", "outbound", "tlsv1_2", "AES128", ""])
    assert "\nEnter the GUI HTTPS ssl method you want to use.\n1. TLS v1.0\n" in screen
    assert "\nEnter the GUI HTTPS ssl cipher you want to use.\n[AES128:" in screen
    assert "\nWould you like to enable TLS Renegotiation for GUI HTTPS? [N]> y\n" in screen
    assert "\nEnter the outbound SMTP ssl method you want to use.\n1. TLS v1.0\n" in screen
    assert "\nEnter the outbound SMTP ssl cipher you want to use.\n[AES128:" in screen
    assert screen.count("Would you like to enable") == 1, "outbound has no third question"
    # One element per line, whatever separates them.
    assert "GUI HTTPS method:  tlsv1_3\n  GUI HTTPS ciphers:\n        AES256\n        !SHA1\n        kECDHE\n  Inbound" in screen
    assert "  GUI HTTPS TLS Renegotiation: Enabled\n" in screen
    assert settings_of(session) == SslSettings(
        gui_methods=methods("tlsv1_3"),
        gui_ciphers="AES256:!SHA1, kECDHE",
        gui_renegotiation=True,
        outbound_methods=methods("tlsv1_2"),
        outbound_ciphers="AES128",
    )


async def test_present_values_are_offered_again() -> None:
    session = session_with(
        inbound_methods=methods("tlsv1_1", "tlsv1_2"), inbound_ciphers="AES128", inbound_renegotiation=True, other_client_tlsv10=True
    )
    screen = await run_dialog(COMMAND, session, ["inbound", "", "", "", "other_client_tlsv10", "", ""])
    assert "\n[2,3]> \n" in screen and "\n[AES128]> \n" in screen and "for inbound SMTP? [Y]> \n" in screen
    assert "\nDo you want to enable TLS v1.0 for other client services? [Y]> \n" in screen
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ("3", "tlsv1_2"),
        ("4,3", "tlsv1_2 tlsv1_3"),
        ("1 - 4", "tlsv1 tlsv1_1 tlsv1_2 tlsv1_3"),
        ("TLS v1.2, tls V1.1", "tlsv1_1 tlsv1_2"),
        ("tlsv1", "tlsv1"),
        ("3,3,3-4", "tlsv1_2 tlsv1_3"),
    ],
)
async def test_methods(answer: str, names: str) -> None:
    session = make_session()
    await run_dialog(COMMAND, session, ["outbound", answer, "", ""])
    assert settings_of(session).outbound_methods == methods(*names.split())


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("1,3", NO_GAP),
        ("1,4", '"TLS v1.0" and "TLS v1.3" can be enabled together only if "TLS v1.1" and "TLS v1.2" are enabled too.'),
        ("2,4", '"TLS v1.1" and "TLS v1.3" can be enabled together only if "TLS v1.2" is enabled too.'),
        ("1,2,4", '"TLS v1.1" and "TLS v1.3" can be enabled together only if "TLS v1.2" is enabled too.'),
        ("1,3-4", NO_GAP),
        ("5", ONE_TO_FOUR),
        ("6", ONE_TO_FOUR),
        ("0", ONE_TO_FOUR),
        ("3-5", ONE_TO_FOUR),
        ("4-3", ONE_TO_FOUR),
        ("SSL v3", ONE_TO_FOUR),
        (",", ONE_TO_FOUR),
    ],
)
async def test_methods_that_are_refused(answer: str, problem: str) -> None:
    session = make_session()
    screen, failed = await type_dialog(COMMAND.dialog, session, ["gui", answer, CTRL_C])
    assert f"[3,4]> {answer}\n{problem}\n\nEnter the GUI HTTPS ssl method you want to use.\n1. TLS v1.0\n" in screen
    assert failed and not session.draft.changed


@pytest.mark.parametrize(
    "ciphers",
    [
        "AES128",
        "ecdhe-rsa-aes128-gcm-sha256 AES128",
        "NOSUCH:AES128:!NEITHER",
        "AES128,AES256",
        "ALL:@SECLEVEL=0",
        "AES128@SECLEVEL=1",
        "x" * 3990 + ":AES128",
    ],
)
async def test_cipher_strings(ciphers: str) -> None:
    session = make_session()
    await run_dialog(COMMAND, session, ["inbound", "", ciphers, "", ""])
    assert settings_of(session).inbound_ciphers == ciphers


@pytest.mark.parametrize(
    ("answer", "ciphers"),
    [
        ("", "NOSUCH"),
        ("", "AES128:!AES"),
        ("", "@SECLEVEL=9:AES128"),
        ("", "@secLevel=1:AES128"),
        ("", "AES128:@NOSUCH"),
        ("", "PSK"),  # nobody has a key for it
        ("", "SRP"),
        ("", "aNULL"),  # security level 2 admits no peers without certificate
        ("", "eNULL"),
        ("", "TLS_AES_128_GCM_SHA256"),  # suites of TLS 1.3 are not governed by the string
        ("1,2", "ECDHE-RSA-AES128-GCM-SHA256"),  # is one of TLS 1.2
        ("1-3", "AESGCM:!AESGCM"),
        ("4", "NOSUCH"),
        ("", "münchen"),
    ],
)
async def test_cipher_strings_that_select_nothing(answer: str, ciphers: str) -> None:
    session = make_session()
    screen, failed = await type_dialog(COMMAND.dialog, session, ["inbound", answer, ciphers, CTRL_C])
    assert f'{ciphers}\nThe cipher string "{ciphers}" selects no cipher.\n\nEnter the inbound SMTP ssl cipher you want' in screen
    assert failed and not session.draft.changed


async def test_a_string_that_other_methods_make_useless_is_not_kept_by_an_empty_answer() -> None:
    session = session_with(outbound_ciphers="ECDHE-RSA-AES128-GCM-SHA256")
    screen, failed = await type_dialog(COMMAND.dialog, session, ["outbound", "1-2", "", "AES128", ""])
    assert '[ECDHE-RSA-AES128-GCM-SHA256]> \nThe cipher string "ECDHE-RSA-AES128-GCM-SHA256" selects no cipher.\n' in screen
    assert failed and settings_of(session).outbound_ciphers == "AES128"


async def test_a_string_of_tls_1_2_is_of_no_consequence_where_only_tls_1_3_is_enabled() -> None:
    session = make_session()
    await run_dialog(COMMAND, session, ["outbound", "4", "PSK", ""])
    assert settings_of(session).outbound_ciphers == "PSK"


async def test_the_security_level_decides_what_can_be_used() -> None:
    session = make_session()
    await run_dialog(COMMAND, session, ["inbound", "", "aNULL:@SECLEVEL=0", "", "outbound", "1-3", "eNULL", ""])
    assert settings_of(session).inbound_ciphers == "aNULL:@SECLEVEL=0"
    assert settings_of(session).outbound_ciphers == "eNULL", "TLS 1.0 and 1.1 need security level 0"


async def test_a_long_cipher_string() -> None:
    session = make_session()
    long = "AES128:" + "x" * 3994
    screen, _ = await type_dialog(COMMAND.dialog, session, ["gui", "", long, CTRL_C])
    assert "\nThe value may not be longer than 4000 characters.\n" in screen


async def test_renegotiation_is_a_yes_or_no_question() -> None:
    screen, _ = await type_dialog(COMMAND.dialog, make_session(), ["gui", "", "", "maybe", CTRL_C])
    assert "[N]> maybe\nPlease answer Yes or No.\n" in screen


@pytest.mark.parametrize(
    "ciphers",
    ["ECDHE-RSA-AES256-GCM-SHA384", FACTORY_CIPHERS, "ALL:!aNULL", "AES128 AES256", "PSK+AES256:aNULL", "HIGH:@STRENGTH", "eNULL"],
)
async def test_verify_prints_what_openssl_prints(ciphers: str) -> None:
    lines = openssl("ciphers", "-v", ciphers)
    screen, failed = await type_dialog(COMMAND.dialog, make_session(), ["verify", ciphers, ""])
    assert f"\nEnter the ssl cipher you want to verify.\n[]> {ciphers}\n\n{lines}\n{STATUS}\n{MENU}" in screen
    assert not failed
    assert await run_batch(COMMAND, make_session(), f'sslconfig verify "{ciphers}"') == (lines, False)


async def test_the_line_of_a_cipher() -> None:
    (*_, line) = (await run_batch(COMMAND, make_session(), "sslconfig verify ECDHE-RSA-AES256-GCM-SHA384"))[0].splitlines()
    assert line == "ECDHE-RSA-AES256-GCM-SHA384    TLSv1.2 Kx=ECDH     Au=RSA   Enc=AESGCM(256)            Mac=AEAD"


async def test_verify_of_nothing() -> None:
    screen, failed = await type_dialog(COMMAND.dialog, make_session(), ["verify", "EXPORT", "verify", "", "AES128:!AES", ""])
    assert f'[]> EXPORT\nThe cipher string "EXPORT" selects no cipher.\n\n{STATUS}\n{MENU}verify\n' in screen
    assert "[]> \nThe value cannot be blank.\n\nEnter the ssl cipher you want to verify.\n[]> AES128:!AES\n" in screen
    assert failed


@pytest.mark.parametrize(
    ("word", "field", "name"), [("PEER_CERT_FQDN", "peer_cert_fqdn", "FQDN"), ("peer_cert_x509", "peer_cert_x509", "X509")]
)
async def test_the_word_of_a_check_acts_at_once(word: str, field: str, name: str) -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, [word, "enable", "disable", "enable", "", ""])
    enable = f"Choose the operation you want to perform:\n- ENABLE - Enable peer certificate {name} validation\n[]> "
    disable = f"Choose the operation you want to perform:\n- DISABLE - Disable peer certificate {name} validation\n[]> "
    assert f"[]> {word}\n\n{enable}enable\n\n{disable}disable\n\n{enable}enable\n\n{disable}\n\nsslconfig settings:\n" in screen
    assert f"  Peer Certificate {name} Validation: Enabled\n" in screen
    assert settings_of(session) == evolve(SslSettings(), **{field: True})


async def test_the_other_word_of_a_check_is_unknown() -> None:
    screen, failed = await type_dialog(COMMAND.dialog, make_session(), ["peer_cert_fqdn", "disable", "", ""])
    assert '[]> disable\nUnknown option "disable".\n\nChoose the operation' in screen and failed


async def test_other_client_services() -> None:
    session = make_session()
    screen, failed = await type_dialog(COMMAND.dialog, session, ["other_client_tlsv10", "on", "y", ""])
    question = "\nDo you want to enable TLS v1.0 for other client services? [N]> "
    assert f"{question}on\nPlease answer Yes or No.\n{question}y\n\nsslconfig settings:\n" in screen
    assert "  Other TLS Client Services TLS v1.0: Enabled\n" in screen
    assert settings_of(session) == SslSettings(other_client_tlsv10=True) and failed


@pytest.mark.parametrize("answers", [["gui"], ["gui", "4"], ["gui", "4", "AES128"]])
async def test_ctrl_c_stores_nothing_of_the_operation(answers: list[str]) -> None:
    session = make_session()
    await run_dialog(COMMAND, session, ["other_client_tlsv10", "y", *answers, CTRL_C])
    assert settings_of(session) == SslSettings(other_client_tlsv10=True), "the operation before it stays"


async def test_showchanges() -> None:
    session = make_session()
    for line in (
        "sslconfig inbound --methods=tlsv1_1,tlsv1_2 --ciphers=AES128 --renegotiation=yes",
        "sslconfig peer_cert_fqdn enable",
        "sslconfig other_client_tlsv10 enable",
    ):
        assert await run_batch(COMMAND, session, line) == ("", False)
    assert tree_lines(differences(Config(), session.draft.config)) == [
        "ssl",
        '  inbound_methods: added "tlsv1_1"',
        '  inbound_methods: removed "tlsv1_3"',
        f'  inbound_ciphers: "{FACTORY_CIPHERS}" -> "AES128"',
        '  inbound_renegotiation: "No" -> "Yes"',
        '  other_client_tlsv10: "No" -> "Yes"',
        '  peer_cert_fqdn: "No" -> "Yes"',
    ]


# -- batch ----------------------------------------------------------------------------------------------------------------


async def test_batch() -> None:
    session = make_session()
    for line in (
        "sslconfig gui --methods=tlsv1_3",
        'sslconfig INBOUND --Methods tlsv1_2 --ciphers="AES128:!SHA1" --renegotiation=yes',
        "sslconfig outbound --methods=TLSv1_2,tlsv1_3,tlsv1_1",
        "sslconfig outbound --ciphers=AES256",
        "sslconfig other_client_tlsv10 enable",
        "sslconfig peer_cert_fqdn enable",
        "sslconfig peer_cert_x509 enable",
        "sslconfig peer_cert_x509 ENABLE",
    ):
        assert await run_batch(COMMAND, session, line) == ("", False), line
    assert settings_of(session) == SslSettings(
        gui_methods=methods("tlsv1_3"),
        inbound_methods=methods("tlsv1_2"),
        inbound_ciphers="AES128:!SHA1",
        inbound_renegotiation=True,
        outbound_methods=methods("tlsv1_1", "tlsv1_2", "tlsv1_3"),
        outbound_ciphers="AES256",
        other_client_tlsv10=True,
        peer_cert_fqdn=True,
        peer_cert_x509=True,
    )
    await run_batch(COMMAND, session, "sslconfig peer_cert_fqdn disable")
    assert not settings_of(session).peer_cert_fqdn


async def test_batch_without_options_changes_nothing() -> None:
    session = session_with(inbound_methods=methods("tlsv1_2"))
    assert await run_batch(COMMAND, session, "sslconfig inbound") == ("", False)
    assert not session.draft.changed


async def test_batch_print() -> None:
    assert await run_batch(COMMAND, make_session(), "sslconfig print") == (STATUS, False)


HEAD = "Invalid arguments when processing sslconfig:\n"


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("gui --methods=tlsv1,tlsv1_2", NO_GAP),
        ("gui --methods=sslv3", '"sslv3" is not a TLS method.'),
        ("gui --methods=3", '"3" is not a TLS method.'),
        ("gui --methods=tlsv1_2,", '"" is not a TLS method.'),
        ("inbound --ciphers=NOSUCH", 'The cipher string "NOSUCH" selects no cipher.'),
        ("inbound --methods=tlsv1_1 --ciphers=AESGCM", 'The cipher string "AESGCM" selects no cipher.'),
        ("inbound --renegotiation=perhaps", "Please answer Yes or No."),
        ("outbound --renegotiation=yes", f"{HEAD}Unknown option.\n: '--renegotiation=yes'"),
        ("verify NOSUCH", 'The cipher string "NOSUCH" selects no cipher.'),
        ("verify", f"{HEAD}Missing argument: <string>."),
        ("peer_cert_fqdn", f"{HEAD}Missing argument: <operation>."),
        ("peer_cert_fqdn on", f"{HEAD}Unknown operation.\n: 'on'"),
        ("other_client_tlsv10 enable x", f"{HEAD}Too many arguments.\n: 'x'"),
        ("print x", f"{HEAD}Too many arguments.\n: 'x'"),
        ("clusterset", f"{HEAD}Unknown operation.\n: 'clusterset'"),
    ],
)
async def test_batch_lines_that_fail_store_nothing(line: str, output: str) -> None:
    session = make_session()
    assert await run_batch(COMMAND, session, f"sslconfig {line}") == (f"{output}\n", True)
    assert not session.draft.changed


# -- model ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outbound", "other"),
    [
        ("tlsv1_2 tlsv1_3", "tlsv1 tlsv1_1 tlsv1_2 tlsv1_3"),
        ("tlsv1_2", "tlsv1 tlsv1_1 tlsv1_2"),
        ("tlsv1_3", "tlsv1 tlsv1_1 tlsv1_2 tlsv1_3"),
        ("tlsv1", "tlsv1 tlsv1_1"),
    ],
)
def test_methods_of_other_client_services(outbound: str, other: str) -> None:
    settings = SslSettings(outbound_methods=methods(*outbound.split()))
    assert settings.other_client_methods == settings.outbound_methods
    assert evolve(settings, other_client_tlsv10=True).other_client_methods == methods(*other.split())


def test_method_names() -> None:
    assert list(METHODS) == ["tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"]
