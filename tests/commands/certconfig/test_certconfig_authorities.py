from __future__ import annotations

from pathlib import Path

import certifi
import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.certificates.ca_bundle import packaged_bundle
from appliance_state.certificates.facts import read_facts
from commands.certconfig import COMMAND, authorities
from tests.support.lab_ca import START, issue, issuing, mail_leaf, root
from tests.support.terminal import run_batch, run_dialog, type_dialog

IMPORT = 'Enter the name of the file on machine "mail.example.com" to import:\n[]> '
EXPORT = 'Enter the name of the file on machine "mail.example.com" to export:\n[]> '
FQDN = "Do you want to check if Common Name or SAN:dNSName or both are in Fully\nQualified Domain Name(FQDN) format ? [N]> "
OTHER = issue("Other Root CA", authority=True)
BOTH_DISABLED = "NOTE: Both lists are disabled. Certificates of remote hosts will not be verified successfully.\n"
MENU = "\nChoose the operation you want to perform:\n"


def lists(session: Session):
    return session.draft.config.certificate_authorities


def trust(session: Session, *pems: str, enabled: bool = True) -> None:
    draft = session.draft
    settings = evolve(draft.config.certificate_authorities, custom_list=pems, custom_enabled=enabled)
    draft.config = draft.config.with_(certificate_authorities=settings)


def put(session: Session, text: str, name: str = "roots.txt") -> None:
    (session.appliance.files / name).write_text(text)


async def custom(session: Session, *answers: str) -> str:
    """What one operation of CUSTOM prints, from its word to the menu."""
    screen = await run_dialog(authorities.custom, session, [*answers, ""])
    start = screen.index("[]> ") + 4
    return screen[start : screen.index(MENU, start)]


async def test_whole_transcript(session: Session) -> None:
    put(session, root().pem + OTHER.pem)
    screen = await run_dialog(COMMAND, session, ["certauthority", "custom", "import", "roots.txt", "", "", "", ""])
    summary = f"""\
Certificate Authority Summary
Custom List: Disabled
System List: Enabled
Custom Certificates: 0
System Certificates: {len(packaged_bundle().certificates)}
Cisco Trusted Root Certificate Bundle: version {certifi.__version__}, last updated never
"""
    top = """\
Currently using the demo certificate/key for receiving, delivery, HTTPS
management access, and LDAPS. Cisco recommends using a CA trusted
certificate.

Choose the operation you want to perform:
- CERTIFICATE - Import, Create a request, Edit or Remove Certificate Profiles
- CERTAUTHORITY - Manage System and Customized Authorities
- CRL - Manage Certificate Revocation Lists
"""
    menu = """
Choose the operation you want to perform:
- CUSTOM - Manage Custom Certificate Authorities
- SYSTEM - Manage System Certificate Authorities
"""
    assert screen == (
        f"""\
{top}[]> certauthority

{summary}{menu}[]> custom

Choose the operation you want to perform:
- ENABLE - Enable the custom certificate authorities list
- IMPORT - Import the list of custom certificates
- PRINT - Print the list of custom certificates
[]> import

{IMPORT}roots.txt

{FQDN}
Imported 2 custom certificates successfully
The custom certificate authorities list is now enabled.

Choose the operation you want to perform:
- DISABLE - Disable the custom certificate authorities list
- IMPORT - Import the list of custom certificates
- EXPORT - Export the list of custom certificates
- DELETE - Remove a certificate from the custom certificate list
- PRINT - Print the list of custom certificates
- CHECK_CA_FLAG - Check CA flag in uploaded custom CA certs
[]> 

{summary.replace("Custom List: Disabled", "Custom List: Enabled").replace("Certificates: 0", "Certificates: 2")}{menu}[]> 

{top}[]> 
"""
    )
    assert lists(session).custom_list == (root().pem, OTHER.pem)
    assert [name for name, _ in session.appliance.logs.events] == ["cli.fqdn_no", "cli.fqdn_no"]


async def test_one_certificate_and_a_removed_one(session: Session) -> None:
    trust(session, OTHER.pem, issuing().pem, enabled=False)
    put(session, root().pem)
    assert (await custom(session, "import", "roots.txt", "")).endswith(
        f"{FQDN}\nImported 1 custom certificates successfully\n2 certificates of the previous list were removed.\n"
    )
    assert not lists(session).custom_enabled
    put(session, OTHER.pem)
    assert (await custom(session, "import", "roots.txt", "")).endswith("\n1 certificate of the previous list was removed.\n")


async def test_problems_leave_the_list_as_it_is(session: Session) -> None:
    trust(session, OTHER.pem)
    before = session.draft.config
    expired = issue("Old CA", authority=True, end=START.replace(month=3))
    put(session, root().pem + expired.pem + mail_leaf().pem)
    text = (
        '"C=JP,O=Lab,CN=Old CA": the certificate has expired.\n'
        '"C=JP,O=Lab,CN=mail.example.com": the CA flag is not present or is not set to "True".\n'
        '"C=JP,O=Lab,CN=mail.example.com": its root certificate is not present.\n'
        "No certificate was imported.\n"
    )
    assert await custom(session, "import", "roots.txt", "") == f"import\n\n{IMPORT}roots.txt\n\n{FQDN}\n{text}"
    assert await run_batch(COMMAND, session, "certconfig certauthority custom import roots.txt") == (text, True)
    assert session.draft.config == before


@pytest.mark.parametrize("content", ["", "hello\n", mail_leaf().key_pem])
async def test_a_file_without_certificate(session: Session, content: str) -> None:
    put(session, content)
    screen, failed = await type_dialog(authorities.custom.run, session, ["import", "roots.txt", "", ""])
    assert failed and f"{FQDN}\nCould not read PEM data from file.\n" in screen


async def test_enable_and_disable(session: Session) -> None:
    assert await custom(session, "enable") == "enable\nThe custom certificate authorities list is empty. Import a list first.\n"
    trust(session, root().pem)
    assert await custom(session, "disable") == "disable\n"
    assert not lists(session).custom_enabled
    screen = await run_dialog(authorities.system, session, ["disable", "enable", ""])
    assert screen == (
        "Choose the operation you want to perform:\n"
        "- DISABLE - Disable the system certificate authorities list\n"
        "- EXPORT - Export the list of system certificates\n"
        "- PRINT - Print the list of system certificates\n"
        "- UPDATE - Update the Cisco Trusted Root Certificate Bundle now\n"
        f"[]> disable\n{BOTH_DISABLED}"
        "\nChoose the operation you want to perform:\n"
        "- ENABLE - Enable the system certificate authorities list\n"
        "- EXPORT - Export the list of system certificates\n"
        "- PRINT - Print the list of system certificates\n"
        "- UPDATE - Update the Cisco Trusted Root Certificate Bundle now\n"
        "[]> enable\n"
        "\nChoose the operation you want to perform:\n"
        "- DISABLE - Disable the system certificate authorities list\n"
        "- EXPORT - Export the list of system certificates\n"
        "- PRINT - Print the list of system certificates\n"
        "- UPDATE - Update the Cisco Trusted Root Certificate Bundle now\n"
        "[]> \n"
    )
    assert lists(session).system_enabled


async def test_system_certificates_cannot_be_deleted(session: Session) -> None:
    screen = await run_dialog(authorities.system, session, ["delete", ""])
    assert 'Unknown option "delete".' in screen


async def test_delete(session: Session) -> None:
    trust(session, root().pem, OTHER.pem)
    screen = await custom(session, "delete", "2", "y")
    assert screen == (
        "delete\n\n1. C=JP,O=Lab,CN=Lab Root CA\n2. C=JP,O=Lab,CN=Other Root CA\n"
        "Select the certificate you wish to delete:\n[1]> 2\n"
        "\nAre you sure you want to delete this certificate? [N]> y\n"
    )
    assert lists(session).custom_list == (root().pem,) and lists(session).custom_enabled
    await custom(session, "delete", "", "n")
    assert lists(session).custom_list == (root().pem,)
    await custom(session, "delete", "", "y")
    assert lists(session).custom_list == () and not lists(session).custom_enabled


async def test_print_and_flags(session: Session) -> None:
    assert await custom(session, "print") == "print\n\nThere are no custom certificates.\n"
    trust(session, root().pem, OTHER.pem)
    assert await custom(session, "print") == "print\n\nCustom certificates:\nC=JP,O=Lab,CN=Lab Root CA\nC=JP,O=Lab,CN=Other Root CA\n"
    assert await custom(session, "check_ca_flag") == "check_ca_flag\nThe CA flag is set in all custom certificates.\n"
    trust(session, root().pem, mail_leaf().pem)
    assert await custom(session, "check_ca_flag") == "check_ca_flag\nCA flag is not set: C=JP,O=Lab,CN=mail.example.com\n"


async def test_export_and_import_again(session: Session) -> None:
    third = issue("Third Root CA", authority=True)
    put(session, root().pem + OTHER.pem + third.pem)
    await custom(session, "import", "roots.txt", "")
    screen = await custom(session, "export", "", "out.txt")
    assert screen == (
        f'export\n\nDo you want to export all the certificates? [Y]> \n\n{EXPORT}out.txt\nThe list was exported to the file "out.txt".\n'
    )
    exported = (session.appliance.files / "out.txt").read_text()
    assert exported.startswith(f"# C=JP,O=Lab,CN=Lab Root CA\n# Valid until Tue Jan 01 00:00:00 2030 GMT\n{root().pem}\n# C=JP")
    put(session, exported.replace(OTHER.pem, ""), "out.txt")
    await custom(session, "import", "out.txt", "")
    assert lists(session).custom_list == (root().pem, third.pem)


async def test_export_of_one(session: Session) -> None:
    trust(session, root().pem, OTHER.pem)
    screen = await custom(session, "export", "n", "2", "out.txt")
    assert "\n1. C=JP,O=Lab,CN=Lab Root CA\n2. C=JP,O=Lab,CN=Other Root CA\nSelect the certificate you wish to export:\n[1]> 2\n" in screen
    assert (session.appliance.files / "out.txt").read_text().count("BEGIN") == 1
    screen = await custom(session, "export", "", "out.txt", "")
    assert screen.endswith('\nThe file "out.txt" already exists. Do you want to overwrite it? [N]> \n')


async def test_system_export_can_become_the_custom_list(session: Session) -> None:
    await run_dialog(authorities.system, session, ["export", "system.txt", ""])
    screen = await custom(session, "import", "system.txt", "")
    assert f"Imported {len(packaged_bundle().certificates)} custom certificates successfully\n" in screen


async def test_three_empty_answers_lead_out(session: Session) -> None:
    await run_dialog(COMMAND, session, ["certauthority", "custom", "", "", ""])


@pytest.fixture
def files(session: Session) -> Path:
    put(session, root().pem)
    put(session, OTHER.pem, "other.txt")
    folder: Path = session.appliance.files
    return folder


async def test_batch(session: Session, files: Path) -> None:
    async def run(line: str) -> str:
        screen, failed = await run_batch(COMMAND, session, f"certconfig certauthority {line}")
        assert not failed, screen
        return screen

    assert await run("custom import roots.txt") == ""
    assert await run("custom import other.txt --append") == ""
    assert lists(session).custom_list == (root().pem, OTHER.pem) and lists(session).custom_enabled
    assert await run("custom print") == "Custom certificates:\nC=JP,O=Lab,CN=Lab Root CA\nC=JP,O=Lab,CN=Other Root CA\n"
    assert await run("custom check_ca_flag") == "The CA flag is set in all custom certificates.\n"
    assert await run("custom export all.txt") == await run("custom export one.txt 2") == ""
    assert (files / "all.txt").read_text().count("BEGIN") == 2 and (files / "one.txt").read_text().count("BEGIN") == 1
    assert await run("custom export one.txt --overwrite") == ""
    assert await run("custom delete 1") == ""
    assert lists(session).custom_list == (OTHER.pem,)
    assert await run("custom disable") == await run("custom enable") == ""
    assert await run("system export system.txt") == ""
    assert await run("system disable") == ""
    assert not lists(session).system_enabled
    assert await run("system enable") == ""
    assert (await run("system print")).startswith("System certificates:\n")
    assert (await run("print")).startswith("Certificate Authority Summary\nCustom List: Enabled\n")


async def test_batch_details(session: Session) -> None:
    trust(session, root().pem)
    facts = read_facts(root().pem)
    screen, failed = await run_batch(COMMAND, session, "certconfig certauthority custom detail 1")
    assert not failed
    assert screen == (
        f"""\
Subject:            C=JP,O=Lab,CN=Lab Root CA
Issued By:          C=JP,O=Lab,CN=Lab Root CA
Serial Number:      {facts.serial}
Valid From:         Thu Jan 01 00:00:00 2026 GMT
Valid Until:        Tue Jan 01 00:00:00 2030 GMT
Key:                EC P-256
SHA-256:            {facts.sha256}
{root().pem}"""
    )
    screen, failed = await run_batch(COMMAND, session, f"certconfig certauthority system detail {len(packaged_bundle().certificates)}")
    assert not failed and screen.startswith("Subject:            ")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("custom enable", "The custom certificate authorities list is empty. Import a list first."),
        ("custom delete 1", "There are no custom certificates."),
        ("custom detail 1", "There are no custom certificates."),
        ("custom export x", "There are no custom certificates."),
        ("custom import nofile", 'the file "nofile" does not exist.'),
        ("system detail 100000", f"The value must be an integer from 1 to {len(packaged_bundle().certificates)}."),
        ("system delete 1", "Invalid arguments when processing certconfig:\nUnknown operation.\n: 'delete'"),
        ("crl", "Invalid arguments when processing certconfig:\nUnknown operation.\n: 'crl'"),
    ],
)
async def test_batch_errors(session: Session, line: str, text: str) -> None:
    assert await run_batch(COMMAND, session, f"certconfig certauthority {line}") == (f"{text}\n", True)
    assert not session.draft.changed


async def test_chain_check_switch(session: Session) -> None:
    assert await run_batch(COMMAND, session, "certconfig certificate chaincheck on") == ("", False)
    assert lists(session).check_own_chain
    assert await run_batch(COMMAND, session, "certconfig certificate chaincheck off") == ("", False)
    assert not session.draft.changed
