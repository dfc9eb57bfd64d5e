"""certconfig > CRL (certconfig.md 6, 11)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_runtime.sessions import Session
from appliance_state.model.certificates import CrlSettings, CrlSource, CrlType
from asyncos_shell.lab.authority import Authority
from commands.certconfig import COMMAND, crl
from tests.support.appliance import NOW
from tests.support.terminal import run_batch, run_dialog, type_dialog

ROOT = Authority.root("Lab Root CA", NOW)
PEERS = [ROOT.issue(NOW, common_name=f"mx{n}.d.test").certificate for n in range(3)]
STATUS = "CRL checking for inbound SMTP TLS: Disabled\nCRL checking for outbound SMTP TLS: Disabled\n"
MENU = "\nChoose the operation you want to perform:\n- NEW - Add a CRL source.\n"
LONG_MENU = f"""{MENU}\
- EDIT - Edit a CRL source.
- DELETE - Remove a CRL source.
- UPDATE - Download the CRL files now.
- PRINT - Display the CRL sources.
- SETUP - Configure CRL checking.
"""
NAME, URL = "\nEnter a name for this CRL source:\n[]> ", "\nEnter the URL of the CRL file:\n[]> "
TYPE = "\nChoose the file type:\n1. ASN.1\n2. PEM\n[1]> "
SCHEDULE = "\nDo you want to schedule automatic updates of this source? [Y]> "
FREQUENCY = "\nChoose the frequency of the updates:\n1. Daily\n2. Weekly\n3. Monthly\n[1]> "
TIME = "\nEnter the time of the updates (HH:MM):\n[03:00]> "


def sources(session: Session) -> list[CrlSource]:
    return session.draft.config.crl_sources.sorted()


def commit(session: Session) -> None:
    session.appliance.accept(session.draft)
    session.appliance.trust.configuration_changed()


async def test_whole_transcript(session: Session) -> None:
    screen = await run_dialog(COMMAND, session, ["crl", "new", "lab", "", "http://crl.lab.test/root.crl", "", "", "", "", ""])
    assert "- CERTAUTHORITY - Manage System and Customized Authorities\n- CRL - Manage Certificate Revocation Lists\n[]> crl\n" in screen
    assert (
        f"\n{STATUS}There are currently no CRL sources.\n{MENU}- SETUP - Configure CRL checking.\n[]> new\n"
        f"{NAME}lab\n{TYPE}\n{URL}http://crl.lab.test/root.crl\n{SCHEDULE}\n{FREQUENCY}\n{TIME}\n"
        f"\n{STATUS}CRL sources:\n1. lab - http://crl.lab.test/root.crl (never downloaded)\n{LONG_MENU}[]> \n"
    ) in screen
    assert sources(session) == [CrlSource(name="lab", url="http://crl.lab.test/root.crl")]
    assert sources(session)[0].update == "daily 03:00" and sources(session)[0].type is CrlType.ASN1


async def test_answers_that_are_refused(session: Session) -> None:
    await run_batch(COMMAND, session, "certconfig crl new lab file:lab.crl")
    answers = [
        "new",
        "a b",
        "LAB",
        "other",
        "3",
        "pem",
        "ftp://x",
        "http://",
        "file:../x",
        "https://x/y",
        "",
        "weekly",
        "24:00",
        "1:00",
        "23:59",
        "",
    ]
    screen, failed = await type_dialog(crl.menu.run, session, answers)
    assert failed
    symbols = 'Symbols are not allowed in the name "a b". Use letters, numbers, periods, dashes and underscores.'
    for typed, text in (
        ("a b", symbols),
        ("LAB", 'CRL source "lab" already exists.'),
        ("3", "The value must be an integer from 1 to 2."),
        ("ftp://x", "The URL must begin with http://, https:// or file:."),
        ("http://", "The URL must begin with http://, https:// or file:."),
        ("file:../x", "The URL must begin with http://, https:// or file:."),
        ("24:00", "The time must be in the form HH:MM."),
        ("1:00", "The time must be in the form HH:MM."),
    ):
        assert f"> {typed}\n{text}\n" in screen
    assert sources(session)[1] == CrlSource(name="other", type=CrlType.PEM, url="https://x/y", update="weekly 23:59")


async def test_edit_and_delete(session: Session) -> None:
    await run_batch(COMMAND, session, "certconfig crl new lab http://x/y --type=pem --update=monthly --time=04:30")
    await run_batch(COMMAND, session, "certconfig crl new zero file:zero.crl --update=off")
    screen = await run_dialog(crl.menu, session, ["edit", "1", "", "", "", "", "", "", ""])
    assert (
        "[]> edit\n\n1. lab\n2. zero\nEnter the number of the CRL source you wish to edit.\n[]> 1\n"
        "\nEnter a name for this CRL source:\n[lab]> \n\nChoose the file type:\n1. ASN.1\n2. PEM\n[2]> \n"
        "\nEnter the URL of the CRL file:\n[http://x/y]> \n\nDo you want to schedule automatic updates of this source? [Y]> \n"
        "\nChoose the frequency of the updates:\n1. Daily\n2. Weekly\n3. Monthly\n[3]> \n"
        "\nEnter the time of the updates (HH:MM):\n[04:30]> \n"
    ) in screen
    await run_dialog(crl.menu, session, ["edit", "lab", "renamed", "1", "file:x", "n", ""])
    assert sources(session)[0] == CrlSource(name="renamed", url="file:x", update="off")
    screen = await run_dialog(crl.menu, session, ["edit", "renamed", "", "", "", "", ""])
    assert "Do you want to schedule automatic updates of this source? [N]> \n" in screen and sources(session)[0].update == "off"
    screen = await run_dialog(crl.menu, session, ["delete", "1", "delete", "", ""])
    assert "\n1. renamed\n2. zero\nEnter the number of the CRL source you wish to delete.\n[]> 1\n" in screen
    assert [source.name for source in sources(session)] == ["zero"]


async def test_setup(session: Session) -> None:
    screen = await run_dialog(crl.menu, session, ["setup", "", "y", ""])
    question = "\nDo you want to use CRLs to check certificates of {} SMTP TLS connections? [N]> "
    assert f"{question.format('inbound')}\n{question.format('outbound')}y\n" in screen
    assert "CRL checking for inbound SMTP TLS: Disabled\nCRL checking for outbound SMTP TLS: Enabled\n" in screen
    assert session.draft.config.crl == CrlSettings(check_outbound=True)


async def test_update_and_what_the_rows_say(session: Session) -> None:
    files = session.appliance.files
    (files / "lab.crl").write_bytes(ROOT.revocation_list(NOW, *PEERS).public_bytes(Encoding.DER))
    await run_batch(COMMAND, session, "certconfig crl new lab file:lab.crl")
    await run_batch(COMMAND, session, "certconfig crl new void file:void.crl --update=off")
    pending = 'CRL source "lab" was not updated: it has not been committed.\n'
    screen, failed = await type_dialog(crl.menu.run, session, ["update", ""])
    assert pending in screen and failed
    commit(session)
    screen, failed = await type_dialog(crl.menu.run, session, ["update", "print", ""])
    missing = 'CRL source "void" was not updated: the file "void.crl" does not exist.\n'
    assert f'[]> update\nCRL source "lab" was updated.\n{missing}' in screen and failed
    row = "1. lab - file:lab.crl (3 revoked, next update Wed Nov 25 03:00:00 2026 GMT)\n"
    assert f"CRL sources:\n{row}2. void - file:void.crl (never downloaded)\n" in screen
    details = f"""\
{row}\
     Issuer:       CN=Lab Root CA
     This Update:  Tue Nov 24 09:00:00 2026 GMT
     Next Update:  Tue Dec 01 09:00:00 2026 GMT
2. void - file:void.crl (never downloaded)
"""
    assert f"[]> print\n\n{details}\n" in screen
    assert await run_batch(COMMAND, session, "certconfig crl print") == (details, False)
    assert await run_batch(COMMAND, session, "certconfig crl update LAB") == ("", False)
    assert await run_batch(COMMAND, session, "certconfig crl update") == (missing, True)
    await run_batch(COMMAND, session, "certconfig crl edit lab --update=off")
    assert "(3 revoked, next update never)" in crl.status(session)


async def test_batch(session: Session) -> None:
    for line in (
        "crl new lab https://crl.lab.test/lab.crl --type=pem --update=weekly --time=05:00",
        "crl edit lab --name=root --url=file:root.crl --time=06:00",
        "crl setup --inbound=yes",
        "crl setup --outbound=y",
    ):
        assert await run_batch(COMMAND, session, f"certconfig {line}") == ("", False)
    assert sources(session) == [CrlSource(name="root", type=CrlType.PEM, url="file:root.crl", update="weekly 06:00")]
    assert session.draft.config.crl == CrlSettings(check_inbound=True, check_outbound=True)
    assert await run_batch(COMMAND, session, "certconfig crl delete ROOT") == ("", False)
    assert await run_batch(COMMAND, session, "certconfig crl print") == ("There are currently no CRL sources.\n", False)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("new x ftp://x", "The URL must begin with http://, https:// or file:."),
        ("new x file:x --time=25:00", "The time must be in the form HH:MM."),
        ("new x file:x --update=hourly", "The value must be an integer from 1 to 3."),
        ("new x", "Invalid arguments when processing certconfig:\nMissing argument: <url>."),
        ("edit x --time=03:00", 'There is no CRL source named "x".'),
        ("delete x", 'There is no CRL source named "x".'),
        ("update x", 'There is no CRL source named "x".'),
        ("setup --inbound=maybe", "Please answer Yes or No."),
        ("list", "Invalid arguments when processing certconfig:\nUnknown operation.\n: 'list'"),
    ],
)
async def test_batch_errors(session: Session, line: str, text: str) -> None:
    assert await run_batch(COMMAND, session, f"certconfig crl {line}") == (f"{text}\n", True)
    assert not session.draft.changed


async def test_an_outdated_list_is_shown_as_it_is(session: Session) -> None:
    old = ROOT.revocation_list(NOW - timedelta(days=30), days=7).public_bytes(Encoding.PEM)
    (session.appliance.files / "old.crl").write_bytes(old)
    await run_batch(COMMAND, session, "certconfig crl new old file:old.crl --type=pem --update=weekly")
    commit(session)
    assert await run_batch(COMMAND, session, "certconfig crl update") == ("", False)
    assert "1. old - file:old.crl (0 revoked, next update Sun Nov 29 03:00:00 2026 GMT)" in crl.details(session)
    assert "Next Update:  Sun Nov 01 09:00:00 2026 GMT" in crl.details(session)
