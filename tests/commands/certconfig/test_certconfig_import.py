from __future__ import annotations

import os
from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import read_facts
from appliance_state.certificates.keys import belongs, read_private_key
from appliance_state.model.certificates import CertificateAuthorities
from commands.certconfig import COMMAND
from tests.support.lab_ca import END, Issued, issue, issuing, mail_leaf, pkcs12_by_openssl, root, rsa_key
from tests.support.terminal import run_batch

FILE_QUESTION = 'Enter the name of the file on machine "mail.example.com" to import:\n[]> '
FQDN_QUESTION = "Do you want to check if Common Name or SAN:dNSName or both are in Fully\nQualified Domain Name(FQDN) format ? [N]> "
CHAIN_NOTE = "NOTE: The chain of this certificate does not end in a trusted certificate authority.\n"
SECRET = "correct horse battery"


@pytest.fixture
def upload(session: Session, tmp_path_factory: pytest.TempPathFactory):
    """Put a PKCS#12 file into /configuration."""

    def put(issued: Issued, *options: str, name: str = "cert.p12", chain: tuple[Issued, ...] = (issuing(), root())) -> None:
        data = pkcs12_by_openssl(tmp_path_factory.mktemp("openssl"), issued, SECRET, *options, chain=chain)
        (session.appliance.files / name).write_bytes(data)

    return put


def trust(session: Session, *roots: Issued, **fields: bool) -> None:
    draft = session.draft
    lists = CertificateAuthorities(custom_enabled=True, custom_list=tuple(entry.pem for entry in roots), **fields)
    draft.config = draft.config.with_(certificate_authorities=lists)


@pytest.mark.parametrize("options", [(), ("-legacy",)])
async def test_transcript(session: Session, operate, upload, options: tuple[str, ...]) -> None:
    upload(mail_leaf(), *options)
    screen = await operate("import", "mail", "cert.p12", "", SECRET)
    assert screen == (
        "import\n\nEnter a name for this certificate profile:\n> mail\n"
        f"\n{FILE_QUESTION}cert.p12\n\n{FQDN_QUESTION}\n\nEnter pass phrase for PKCS#12 file: \n{CHAIN_NOTE}"
    )
    assert SECRET not in screen
    material = session.draft.config.certificates["mail"].material
    assert (material.certificate, material.intermediates) == (mail_leaf().pem, (issuing().pem,))
    assert material.signing_request is None and material.private_key is not None
    assert belongs(read_private_key(session.draft.reveal(material.private_key).decode()), mail_leaf().certificate)
    assert session.appliance.logs.events == [
        ("cli.profile", {"profile": "mail", "what": "imported"}),
        ("cli.fqdn_yes", {}),
    ]


async def test_a_trusted_chain_has_no_note(session: Session, operate, upload) -> None:
    trust(session, root())
    upload(mail_leaf())
    assert (await operate("import", "mail", "cert.p12", "y", SECRET)).endswith("Enter pass phrase for PKCS#12 file: \n")
    assert session.draft.config.certificates["mail"].fqdn_validation


async def test_named_after_the_certificate_and_overwriting_last(session: Session, operate, upload) -> None:
    upload(mail_leaf())
    await operate("import", "", "cert.p12", "", SECRET)
    assert list(session.draft.config.certificates) == ["mail.example.com"]
    screen = await operate("import", "", "cert.p12", "", SECRET, "n")
    assert screen.endswith(
        "Enter pass phrase for PKCS#12 file: \n\n"
        'Certificate profile "mail.example.com" already exists. Do you want to\noverwrite with this new one? [N]> n\n'
    )


async def test_overwriting_keeps_the_name_and_drops_the_request(session: Session, operate, upload) -> None:
    await operate("new", "1", "mail", "mail.example.com", "", "O", "U", "L", "S", "JP", "", "", "n")
    upload(mail_leaf())
    screen = await operate("import", "mail", "y", "cert.p12", "", SECRET)
    assert screen.startswith(
        "import\n\nEnter a name for this certificate profile:\n> mail\n\n"
        'Certificate profile "mail" already exists. Do you want to\noverwrite with this new one? [N]> y\n\n' + FILE_QUESTION
    )
    material = session.draft.config.certificates["mail"].material
    assert material.certificate == mail_leaf().pem and material.signing_request is None


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("missing.p12", 'the file "missing.p12" does not exist.'),
        ("../etc/passwd", 'Symbols are not allowed in the file name "../etc/passwd".'),
        (".hidden", 'Symbols are not allowed in the file name ".hidden".'),
        ("folder", 'the file "folder" does not exist.'),
        ("link", 'the file "link" does not exist.'),
        ("pipe", 'the file "pipe" does not exist.'),
    ],
)
async def test_file_names(session: Session, operate, upload, answer: str, text: str) -> None:
    files: Path = session.appliance.files
    (files / "folder").mkdir()
    (files / "link").symlink_to("/etc/passwd")
    os.mkfifo(files / "pipe")
    upload(mail_leaf())
    screen = await operate("import", "mail", answer, "cert.p12", "", SECRET)
    assert f"\n{FILE_QUESTION}{answer}\n{text}\n\n{FILE_QUESTION}cert.p12\n" in screen
    assert "mail" in session.draft.config.certificates


async def test_no_file_cancels(session: Session, operate) -> None:
    assert (await operate("import", "mail", "")).endswith(f"\n{FILE_QUESTION}\n")
    assert not session.draft.changed


async def test_pem_file(session: Session, operate) -> None:
    (session.appliance.files / "cert.pem").write_text(mail_leaf().pem)
    assert (await operate("import", "mail", "cert.pem")).endswith(
        f"\n{FILE_QUESTION}cert.pem\n"
        'Cannot import certificate: the file "cert.pem" is a PEM file, not a PKCS#12 file. Use EDIT to install a certificate that '
        "was signed for an existing profile, or PASTE for PEM text.\n"
    )


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\x30\x80" * 1000, b"\0" * (5 * 1024 * 1024)])
async def test_wrong_passphrase_and_damaged_files(session: Session, operate, upload, content: bytes | None) -> None:
    if content is None:
        upload(mail_leaf())
    else:
        (session.appliance.files / "cert.p12").write_bytes(content)
    for passphrase in ("wrong", "", "\0", "\udcff"):
        screen = await operate("import", "mail", "cert.p12", "", passphrase)
        assert screen.endswith("\nEnter pass phrase for PKCS#12 file: \nInvalid passphrase or corrupt PKCS#12 file.\n")
    assert not session.draft.changed and not session.draft.secrets


async def test_fqdn_check(session: Session, operate, upload) -> None:
    upload(issue("mail.example.com", dns=["localhost"]), chain=())
    screen = await operate("import", "mail", "cert.p12", "y", SECRET)
    assert screen.endswith(
        """\
Certificate import failed due to certificate pair with invalid FQDN
SAN:dNSName "localhost" is not in Fully Qualified Domain Name(FQDN) format.
A valid domain name is a string that must match the following rules:
- A label is a set of characters, numbers, dashes, and underscores.
- The first and last character of a label must be a letter or a number.
- The domain must have at least 2 labels separated by a period.
- The last label cannot be all numbers.
"""
    )
    assert not session.draft.changed
    await operate("import", "mail", "cert.p12", "n", SECRET)
    assert "mail" in session.draft.config.certificates
    assert "cli.fqdn_no" in [name for name, _ in session.appliance.logs.events]


async def test_own_chain_check(session: Session, operate, upload) -> None:
    trust(session, check_own_chain=True)
    upload(mail_leaf(), chain=())
    screen = await operate("import", "mail", "cert.p12", "", SECRET)
    assert screen.endswith(
        "Cannot import certificate: The certificate authority validation could not be\n"
        "trusted for certificate because unable to get local issuer certificate\n"
    )
    assert "mail" not in session.draft.config.certificates
    trust(session, root(), issuing(), check_own_chain=True)
    await operate("import", "mail", "cert.p12", "", SECRET)
    assert "mail" in session.draft.config.certificates
    upload(issue("self.test"), chain=())
    await operate("import", "own", "cert.p12", "", SECRET)
    assert "own" in session.draft.config.certificates


async def test_notes_about_validity(session: Session, operate, upload) -> None:
    now = session.appliance.clock.now()
    upload(issue("old.test", end=now.replace(month=6)), chain=())
    assert (await operate("import", "old", "cert.p12", "", SECRET)).endswith(
        "\nNOTE: This certificate expired on Wed Jun 24 09:00:00 2026 GMT.\n"
    )
    upload(issue("new.test", start=now.replace(year=2027), end=END), chain=())
    assert (await operate("import", "new", "cert.p12", "", SECRET)).endswith(
        "\nNOTE: This certificate is not valid before Wed Nov 24 09:00:00 2027 GMT.\n"
    )
    assert read_facts(session.draft.config.certificates["new"].material.certificate).status(now) == "Future"


async def test_batch(session: Session, upload) -> None:
    upload(mail_leaf())
    line = f'certconfig certificate import mail cert.p12 --passphrase="{SECRET}" --fqdn=yes'
    assert await run_batch(COMMAND, session, line) == ("", False)
    assert session.draft.config.certificates["mail"].fqdn_validation
    assert await run_batch(COMMAND, session, line) == ('Certificate profile "mail" already exists.\n', True)
    assert await run_batch(COMMAND, session, f"{line} --overwrite") == ("", False)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("certconfig certificate import mail cert.p12", "Invalid passphrase or corrupt PKCS#12 file."),
        ("certconfig certificate import mail nofile", 'the file "nofile" does not exist.'),
        (
            "certconfig certificate import a/b cert.p12",
            'Symbols are not allowed in the name "a/b". Use letters, numbers, periods, dashes and underscores.',
        ),
        ("certconfig certificate import mail", "Invalid arguments when processing certconfig:\nMissing argument: <file>."),
        ("certconfig importt x", "Invalid arguments when processing certconfig:\nUnknown operation.\n: 'importt'"),
    ],
)
async def test_batch_errors(session: Session, upload, line: str, text: str) -> None:
    upload(mail_leaf())
    assert await run_batch(COMMAND, session, line) == (f"{text}\n", True)
    assert not session.draft.changed


async def test_a_stored_key_is_not_the_one_of_another_session(session: Session, operate, upload) -> None:
    upload(issue("x.test", key=rsa_key(1)), chain=())
    await operate("import", "x", "cert.p12", "", SECRET)
    profile = session.draft.config.certificates["x"]
    assert evolve(profile).material.private_key in session.draft.secrets
    assert b"PRIVATE KEY" not in repr(session.draft.config).encode()
