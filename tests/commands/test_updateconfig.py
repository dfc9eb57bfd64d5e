"""updateconfig: the dialog of tls-tools.md 5, its answers, its command lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model.certificates import SecretRef
from appliance_state.model.updates import Updates, UpdateSource
from commands.interfaces import users_of, with_interface
from commands.registry import without_secrets
from commands.updateconfig import COMMAND, duration, menu, shown_url, trusted
from tests.support.appliance import make_session
from tests.support.lab_ca import mail_leaf, root
from tests.support.terminal import CTRL_C, run_batch, run_dialog, type_dialog

STATUS = """\
Service (images):                                Update URL:
------------------------------------------------------------------------------
Cisco Trusted Root Certificate Bundle            {place}

Update interval: {interval}
Update interface: {interface}
Validate server certificates: {validate}
"""
MENU = """\

Choose the operation you want to perform:
- SETUP - Edit update configuration.
- VALIDATE_CERTIFICATES - Validate update server certificates
- TRUSTED_CERTIFICATES - Manage trusted certificates for updates
[]> """
TRUSTED = "\nChoose the operation you want to perform:\n- ADD - Upload a new trusted certificate for updates.\n"
MORE = "- LIST - List trusted certificates for updates.\n- DELETE - Delete a trusted certificate for updates.\n"
PASTE = "Trusted Certificate for Updater:\nPaste cert in PEM format (end with '.'):\n"
FACTORY = STATUS.format(place="Packaged with this product", interval="5m", interface="Auto", validate="Yes")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return make_session(files=tmp_path)


def updates(session: Session) -> Updates:
    return session.draft.config.updates


async def test_whole_transcript(session: Session) -> None:
    answers = ["setup", "2", "https://updates.lab.test:8443/asyncos/", "1h", "", ""]
    assert (
        await run_dialog(COMMAND, session, answers)
        == f"""\
{FACTORY}{MENU}setup

For the following services, please select where the system will download updates from:
Service (images):                                Update URL:
------------------------------------------------------------------------------
Cisco Trusted Root Certificate Bundle            Packaged with this product

1. Use the data packaged with this product
2. Use own server
[1]> 2

Enter the HTTP base URL of the update server using the format
(http://optionalname:password@local.server:port/directory/). The default HTTP port is 80;
you do not need to specify the port unless you wish to use a non-standard port.
[]> https://updates.lab.test:8443/asyncos/

Enter the time interval between checks for new updates. Use a trailing 'm' for minutes, 'h' for
hours or 'd' for days. Enter 0 to disable automatic checks.
[5m]> 1h

Please select the interface for connections to the update server:
1. Auto
2. Management (192.168.42.42/24: mail.example.com)
[1]> 

{STATUS.format(place="https://updates.lab.test:8443/asyncos/", interval="1h", interface="Auto", validate="Yes")}{MENU}
"""
    )
    assert updates(session) == Updates(source=UpdateSource.SERVER, server_url="https://updates.lab.test:8443/asyncos/", interval=3600)


async def test_packaged_data_asks_for_the_interval_only_and_forgets_nothing(session: Session) -> None:
    await run_dialog(menu, session, ["setup", "2", "http://u.test", "0", "2", "setup", "1", "30", ""])
    assert updates(session) == Updates(server_url="http://u.test/", interval=30, interface="Management")


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        (["ftp://x/", "http://x/"], "The URL must begin with http:// or https://."),
        (["http://", "http://x/"], "The URL must begin with http:// or https://."),
        (["x.test", "http://x/"], "The URL must begin with http:// or https://."),
        (["http://x/?a=b", "http://x/"], "The URL must begin with http:// or https://."),
        (["http://x:70000/", "http://x/"], "The URL must begin with http:// or https://."),
        (["http://a b/", "http://x/"], "The URL must begin with http:// or https://."),
        (["", "http://x/"], "The value cannot be blank."),
        (["http://x/", "29"], "The interval must be 0 or from 30s to 30d."),
        (["http://x/", "31d"], "The interval must be 0 or from 30s to 30d."),
        (["http://x/", "5w"], "The interval must be 0 or from 30s to 30d."),
        (["http://x/", "m"], "The interval must be 0 or from 30s to 30d."),
        (["http://x/", "-5m"], "The interval must be 0 or from 30s to 30d."),
    ],
)
async def test_answers_that_are_refused(session: Session, answers: list[str], text: str) -> None:
    screen, failed = await type_dialog(menu.run, session, ["setup", "2", *answers, CTRL_C])
    assert f"\n{text}\n" in screen and failed and not session.draft.changed


@pytest.mark.parametrize(
    ("typed", "seconds", "shown"),
    [
        ("30", 30, "30s"),
        ("90s", 90, "90s"),
        ("5m", 300, "5m"),
        ("120M", 7200, "2h"),
        ("1d", 86400, "1d"),
        ("30d", 2592000, "30d"),
        ("0", 0, "0"),
        ("0h", 0, "0"),
    ],
)
async def test_intervals(session: Session, typed: str, seconds: int, shown: str) -> None:
    assert await run_batch(COMMAND, session, f"updateconfig setup --interval={typed}") == ("", False)
    assert updates(session).interval == seconds and duration(seconds) == shown


async def test_a_passphrase_in_the_url_is_a_secret(session: Session) -> None:
    await run_dialog(menu, session, ["setup", "2", "http://op:s%40cret@u.test:81/x", "", "", ""])
    ref = updates(session).server_url
    assert isinstance(ref, SecretRef) and session.draft.reveal(ref) == b"http://op:s%40cret@u.test:81/x/"
    assert ref in session.draft.config.secrets()
    assert shown_url(session) == "http://op:*****@u.test:81/x/"
    screen = await run_dialog(menu, session, ["setup", "", "", "1d", "", ""])
    assert "[http://op:*****@u.test:81/x/]> \n" in screen and "cret" not in screen
    assert updates(session).server_url == ref and updates(session).interval == 86400
    line = "updateconfig setup --url=http://op:s3cret@u.test/ --interval=1h"
    assert without_secrets(line) == "updateconfig setup --url=http://op:****@u.test/ --interval=1h"


async def test_validation(session: Session) -> None:
    screen = await run_dialog(menu, session, ["validate_certificates", "n", "validate_certificates", "", ""])
    question = "\nShould server certificates from Cisco update servers be validated? "
    assert f"{question}[Y]> n\n" in screen and f"{question}[N]> \n" in screen
    assert not updates(session).validate_certificates
    assert "Validate server certificates: No\n" in screen


async def test_trusted_certificates(session: Session) -> None:
    lines = [*root().pem.split("\n"), ".", "nonsense", ".", *mail_leaf().pem.split("\n"), *root().pem.split("\n"), ".", ""]
    screen, failed = await type_dialog(trusted.run, session, ["add", *lines, "list", "delete", "2", "add", ".", "delete", "1", ""])
    head = "Paste certificates to be trusted for secure updater connections, blank to quit\n"
    assert screen.startswith(f"{TRUSTED[1:]}[]> add\n\n{head}{PASTE}")
    assert f"\nInvalid certificate...discarding\n\n{PASTE}" in screen and failed
    assert screen.count(PASTE) == 5 and screen.count(head) == 2
    rows = "1. C=JP,O=Lab,CN=Lab Root CA\n2. C=JP,O=Lab,CN=mail.example.com\n"
    assert f"{TRUSTED}{MORE}[]> list\n\n{rows}" in screen
    assert f"[]> delete\n\n{rows}Enter the number of the certificate you wish to delete.\n[]> 2\n" in screen
    assert updates(session).trusted_certificates == () and screen.endswith(f"{TRUSTED}[]> \n")


async def test_what_is_not_finished_is_not_stored(session: Session) -> None:
    await type_dialog(trusted.run, session, ["add", *root().pem.split("\n"), ".", CTRL_C])
    assert not session.draft.changed


async def test_batch(session: Session) -> None:
    (session.appliance.files / "root.pem").write_text(root().pem)
    for line in (
        "setup --url=http://u.test --interval=2h --interface=management",
        "validate_certificates no",
        "trusted_certificates add root.pem",
        "trusted_certificates add root.pem",
    ):
        assert await run_batch(COMMAND, session, f"updateconfig {line}") == ("", False)
    expected = Updates(
        source=UpdateSource.SERVER,
        server_url="http://u.test/",
        interval=7200,
        interface="Management",
        validate_certificates=False,
        trusted_certificates=(root().pem,),
    )
    assert updates(session) == expected
    assert await run_batch(COMMAND, session, "updateconfig trusted_certificates list") == ("1. C=JP,O=Lab,CN=Lab Root CA\n", False)
    shown = STATUS.format(place="http://u.test/", interval="2h", interface="Management", validate="No")
    assert await run_batch(COMMAND, session, "updateconfig print") == (shown, False)
    assert await run_batch(COMMAND, session, "updateconfig trusted_certificates delete 1") == ("", False)
    assert await run_batch(COMMAND, session, "updateconfig setup --source=packaged") == ("", False)
    assert updates(session).source is UpdateSource.PACKAGED and updates(session).server_url == "http://u.test/"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("setup --source=server", "Invalid arguments when processing updateconfig:\nMissing argument: <url>."),
        ("setup --source=cloud", "The value must be an integer from 1 to 2."),
        ("setup --url=x", "The URL must begin with http:// or https://."),
        ("setup --interface=Nowhere", "The value must be an integer from 1 to 2."),
        ("setup --color=red", "Invalid arguments when processing updateconfig:\nUnknown option.\n: '--color=red'"),
        ("validate_certificates maybe", "Please answer Yes or No."),
        ("trusted_certificates add no.pem", 'the file "no.pem" does not exist.'),
        ("trusted_certificates add key.pem", "Invalid certificate...discarding"),
        ("trusted_certificates delete 1", "There are no trusted certificates for updates."),
        ("updatenow", "Invalid arguments when processing updateconfig:\nUnknown operation.\n: 'updatenow'"),
    ],
)
async def test_batch_errors(session: Session, line: str, text: str) -> None:
    (session.appliance.files / "key.pem").write_text(root().key_pem)
    assert await run_batch(COMMAND, session, f"updateconfig {line}") == (f"{text}\n", True)
    assert not session.draft.changed


async def test_an_interface_that_is_used_here_cannot_silently_go(session: Session) -> None:
    await run_batch(COMMAND, session, "updateconfig setup --interface=Management")
    config = session.draft.config
    assert users_of(config, "management") == ["updateconfig"]
    renamed = evolve(config.interfaces["Management"], name="Admin")
    assert with_interface(config, "Management", renamed).updates.interface == "Admin"
