from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_runtime.sessions import Session
from commands.certconfig import COMMAND
from tests.support.lab_ca import Issued, issue, issuing, mail_leaf, openssl, root, rsa_key
from tests.support.terminal import run_batch

PUBLIC = "\nPaste public certificate in PEM format (end with '.'):\n"
KEY = "\nPaste private key in PEM format (end with '.'):\n"
INTERMEDIATE = "\nPaste intermediate certificate in PEM format (end with '.'):\n"
ADD = "\nDo you want to add an intermediate certificate? [N]> "
REMOVE = "\nDo you want to remove an intermediate certificate? [N]> "
FQDN = "\nDo you want to check if Common Name or SAN:dNSName or both are in Fully\nQualified Domain Name(FQDN) format ? [N]> "
CHAIN_NOTE = "NOTE: The chain of this certificate does not end in a trusted certificate authority.\n"
NOT_CERTIFICATE = (
    "Invalid certificate...discarding\nCertificates must be in PEM format (openssl x509 -inform der -in cert.der -out cert.pem).\n"
)
LEAF_SUBJECT = "C=JP,O=Lab,CN=mail.example.com\n"
ISSUING_SUBJECT = "C=JP,O=Lab,CN=Lab Issuing CA\n"


def block(*pems: str) -> list[str]:
    """The lines of a paste with its end mark."""
    return [*"".join(pems).splitlines(), "."]


def typed(*pems: str) -> str:
    """The echo of a paste."""
    return "".join(pems) + ".\n"


LEAF, KEY_TEXT = mail_leaf().pem, mail_leaf().key_pem


async def test_transcript(session: Session, operate) -> None:
    screen = await operate("paste", "partner.com", *block(LEAF), *block(KEY_TEXT), "y", *block(issuing().pem), "", "", "")
    assert screen == (
        "paste\n\nEnter a name for this certificate profile:\n> partner.com\n"
        f"{PUBLIC}{typed(LEAF)}{LEAF_SUBJECT}{KEY}{typed(KEY_TEXT)}{ADD}y\n{INTERMEDIATE}{typed(issuing().pem)}{ISSUING_SUBJECT}"
        f"{ADD}\n{REMOVE}\n{FQDN}\n{CHAIN_NOTE}"
    )
    profile = session.draft.config.certificates["partner.com"]
    assert profile.material.certificate == LEAF and profile.material.intermediates == (issuing().pem,)
    assert profile.material.signing_request is None and not profile.fqdn_validation
    assert session.draft.reveal(profile.material.private_key).decode() == KEY_TEXT  # type: ignore[arg-type]
    assert session.appliance.logs.events == [
        ("cli.profile", {"profile": "partner.com", "what": "imported"}),
        ("cli.fqdn_yes", {}),
    ]


async def test_without_intermediate_removing_is_not_asked(operate) -> None:
    screen = await operate("paste", "p", *block(LEAF), *block(KEY_TEXT), "", "")
    assert screen.endswith(f"{KEY}{typed(KEY_TEXT)}{ADD}\n{FQDN}\n{CHAIN_NOTE}")


async def test_several_certificates_in_one_block(session: Session, operate) -> None:
    screen = await operate("paste", "", *block(LEAF, issuing().pem), *block(KEY_TEXT), "", "", "")
    assert f"{typed(LEAF, issuing().pem)}{LEAF_SUBJECT}{ISSUING_SUBJECT}{KEY}" in screen
    assert session.draft.config.certificates["mail.example.com"].material.intermediates == (issuing().pem,)


async def test_key_leaf_and_chain_in_any_order_with_text_around_them(session: Session, operate) -> None:
    above = issue("Lab Middle CA", root(), authority=True)
    below = issue("Lab Lower CA", above, authority=True)
    leaf = issue("deep.example.com", below, key=rsa_key())
    text = "".join(f"subject=whatever\n{pem}\n\n" for pem in (above.pem, KEY_TEXT, leaf.pem, below.pem))
    screen = await operate("paste", "", *block(text), *block(text), "", "", "")
    subjects = "".join(f"C=JP,O=Lab,CN={name}\n" for name in ("deep.example.com", "Lab Lower CA", "Lab Middle CA"))
    assert f".\n{subjects}{KEY}" in screen
    assert session.draft.config.certificates["deep.example.com"].material.intermediates == (below.pem, above.pem)


async def test_intermediates_of_one_block_in_any_order(session: Session, operate) -> None:
    above = issue("Lab Middle CA", root(), authority=True)
    below = issue("Lab Lower CA", above, authority=True)
    leaf = issue("deep.example.com", below, key=rsa_key())
    both = above.pem + below.pem
    screen = await operate("paste", "p", *block(leaf.pem), *block(KEY_TEXT), "y", *block(above.pem), *block(both), "", "", "")
    refused = "The certificate did not sign this certificate or its chain...discarding\n"
    assert refused in screen and screen.index(refused) < screen.index("C=JP,O=Lab,CN=Lab Lower CA\nC=JP,O=Lab,CN=Lab Middle CA\n")
    assert session.draft.config.certificates["p"].material.intermediates == (below.pem, above.pem)


async def test_a_block_with_a_root_is_refused_as_a_whole(session: Session, operate) -> None:
    screen = await operate("paste", "p", *block(LEAF, issuing().pem, root().pem), *block(LEAF), *block(KEY_TEXT), "", "")
    text = "The certificate is a root certificate. Add it with CERTAUTHORITY...discarding\n"
    assert f"{typed(LEAF, issuing().pem, root().pem)}{text}{PUBLIC}{typed(LEAF)}{LEAF_SUBJECT}" in screen


@pytest.mark.parametrize(
    "lines",
    [
        ["nonsense"],
        mail_leaf().certificate.public_bytes(Encoding.DER).decode("utf-8", "surrogateescape").split("\n"),
        ["-----BEGIN CERTIFICATE-----", "AAAA", "-----END CERTIFICATE-----"],
        KEY_TEXT.splitlines(),
        LEAF.splitlines()[:-3],
    ],
)
async def test_what_is_no_certificate(operate, lines: list[str]) -> None:
    screen = await operate("paste", "p", *lines, ".", *block(LEAF), *block(KEY_TEXT), "", "")
    assert f".\n{NOT_CERTIFICATE}{PUBLIC}" in screen


@pytest.mark.parametrize("lines", [["nonsense"], LEAF.splitlines(), KEY_TEXT.splitlines()[:-5]])
async def test_what_is_no_key(operate, lines: list[str]) -> None:
    screen = await operate("paste", "p", *block(LEAF), *lines, ".", *block(KEY_TEXT), "", "")
    assert f".\nInvalid private key ...discarding\n{KEY}" in screen


async def test_encrypted_key(session: Session, operate, tmp_path: Path) -> None:
    encrypted = openssl("pkcs8", "-topk8", "-passout", "pass:sesame", text=KEY_TEXT)
    screen = await operate("paste", "p", *block(LEAF), *block(encrypted), "wrong", *block(encrypted), "sesame", "", "")
    assert (
        f"{typed(encrypted)}\nEnter passphrase: \nInvalid private key ...discarding\n{KEY}{typed(encrypted)}\nEnter passphrase: \n{ADD}"
    ) in screen
    assert "sesame" not in screen
    assert session.draft.reveal(session.draft.config.certificates["p"].material.private_key).decode() == KEY_TEXT  # type: ignore[arg-type]


async def test_old_style_encrypted_key(session: Session, operate, tmp_path: Path) -> None:
    (tmp_path / "k.pem").write_text(KEY_TEXT)
    openssl("rsa", "-traditional", "-aes256", "-passout", "pass:sesame", "-in", tmp_path / "k.pem", "-out", tmp_path / "e.pem")
    await operate("paste", "p", *block(LEAF), *block((tmp_path / "e.pem").read_text()), "sesame", "", "")
    assert "p" in session.draft.config.certificates


async def test_key_of_another_certificate(session: Session, operate) -> None:
    screen = await operate("paste", "p", *block(LEAF), *block(Issued(mail_leaf().certificate, rsa_key(1)).key_pem))
    assert screen.endswith(".\nkey does not sign certificate\n")
    assert not session.draft.changed and not session.draft.secrets


async def test_kind_of_key(session: Session, operate) -> None:
    made = openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=ed.test", "-keyout", "-")
    certificate = made[made.index("-----BEGIN CERTIFICATE") :]
    screen = await operate("paste", "p", *block(certificate), *block(made))
    assert screen.endswith(
        "Cannot import certificate: the private key must be RSA with 1024 to 8192 bits, or EC on the curve P-256, P-384 or P-521.\n"
    )
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (mail_leaf(), "The certificate is not a certificate authority certificate...discarding"),
        (root(), "The certificate is a root certificate. Add it with CERTAUTHORITY...discarding"),
        (issue("Lab Issuing CA", root(), authority=True), "The certificate did not sign this certificate or its chain...discarding"),
    ],
)
async def test_intermediates_that_are_refused(session: Session, operate, bad: Issued, text: str) -> None:
    screen = await operate(
        "paste", "p", *block(LEAF), *block(KEY_TEXT), "y", *block(bad.pem), *block("rubbish\n"), *block(issuing().pem), "", "", ""
    )
    assert f"{typed(bad.pem)}{text}\n{INTERMEDIATE}rubbish\n.\n{NOT_CERTIFICATE}{INTERMEDIATE}" in screen
    assert session.draft.config.certificates["p"].material.intermediates == (issuing().pem,)


async def test_an_empty_intermediate_adds_nothing(session: Session, operate) -> None:
    screen = await operate("paste", "p", *block(LEAF), *block(KEY_TEXT), "y", ".", "", "")
    assert f"{ADD}y\n{INTERMEDIATE}.\n{ADD}\n{FQDN}\n" in screen
    assert session.draft.config.certificates["p"].material.intermediates == ()


async def test_removing(session: Session, operate) -> None:
    screen = await operate("paste", "p", *block(LEAF, issuing().pem), *block(KEY_TEXT), "", "y", "1", "")
    assert (
        f"{ADD}\n{REMOVE}y\n\n1. C=JP,O=Lab,CN=Lab Issuing CA\nSelect the intermediate certificate you wish to remove:\n[1]> 1\n{FQDN}"
    ) in screen
    assert session.draft.config.certificates["p"].material.intermediates == ()


@pytest.mark.parametrize("answers", [["."], [*block(LEAF), "."]])
async def test_empty_blocks_cancel(session: Session, operate, answers: list[str]) -> None:
    assert (await operate("paste", "p", *answers)).endswith(":\n.\n")
    assert not session.draft.changed


async def test_fqdn(session: Session, operate) -> None:
    leaf = issue("mailhost", key=rsa_key())
    screen = await operate("paste", "p", *block(leaf.pem), *block(leaf.key_pem), "", "y")
    assert 'pair with invalid FQDN\nCommon Name "mailhost" is not in Fully Qualified' in screen
    assert not session.draft.changed


async def test_hostile_names_reach_the_screen_escaped(operate) -> None:
    leaf = issue("a\x1b[2J\nb.test", key=rsa_key())
    screen = await operate("paste", "p", *block(leaf.pem), *block(leaf.key_pem), "", "")
    assert r"C=JP,O=Lab,CN=a\x1b[2J\x0ab.test" in screen
    assert "\x1b" not in screen


LINE = "certconfig certificate paste mail --certificate=leaf.pem --key=key.pem"


@pytest.fixture
def files(session: Session) -> Path:
    folder: Path = session.appliance.files
    (folder / "leaf.pem").write_text(LEAF)
    (folder / "key.pem").write_text(KEY_TEXT)
    (folder / "ca.pem").write_text(issuing().pem)
    (folder / "leaf.der").write_bytes(mail_leaf().certificate.public_bytes(Encoding.DER))
    return folder


async def test_batch(session: Session, files: Path) -> None:
    assert await run_batch(COMMAND, session, f"{LINE} --intermediate=ca.pem --fqdn=yes") == ("", False)
    profile = session.draft.config.certificates["mail"]
    assert profile.material.intermediates == (issuing().pem,) and profile.fqdn_validation
    assert await run_batch(COMMAND, session, LINE) == ('Certificate profile "mail" already exists.\n', True)
    assert await run_batch(COMMAND, session, f"{LINE} --overwrite") == ("", False)


async def test_batch_with_an_encrypted_key(session: Session, files: Path) -> None:
    (files / "key.pem").write_text(openssl("pkcs8", "-topk8", "-passout", "pass:sesame", text=KEY_TEXT))
    assert await run_batch(COMMAND, session, LINE) == ("Invalid private key ...discarding\n", True)
    assert await run_batch(COMMAND, session, f"{LINE} --passphrase=sesame") == ("", False)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            LINE.replace("leaf.pem", "leaf.der"),
            'The file "leaf.der" is not in PEM format (openssl x509 -inform der -in leaf.der -out leaf.der.pem).',
        ),
        (LINE.replace("leaf.pem", "nofile"), 'the file "nofile" does not exist.'),
        (LINE.replace("leaf.pem", "key.pem"), NOT_CERTIFICATE.rstrip()),
        (LINE.replace("=key.pem", "=leaf.pem"), "Invalid private key ...discarding"),
        (f"{LINE} --intermediate=leaf.pem", "The certificate is not a certificate authority certificate...discarding"),
        (LINE.replace(" --key=key.pem", ""), "Invalid arguments when processing certconfig:\nMissing argument: <key>."),
    ],
)
async def test_batch_errors(session: Session, files: Path, line: str, text: str) -> None:
    assert await run_batch(COMMAND, session, line) == (f"{text}\n", True)
    assert not session.draft.changed
