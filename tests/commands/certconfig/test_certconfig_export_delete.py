from __future__ import annotations

import stat
from pathlib import Path

import pytest
from attrs import evolve, frozen
from cryptography import x509

from appliance_runtime.sessions import Session
from appliance_state.certificates.pkcs12 import read_pkcs12
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from appliance_state.model.listeners import ListenerType, new_listener
from commands.certconfig import COMMAND, certificate
from commands.certconfig.usage import used_by
from tests.support.appliance import make_session
from tests.support.lab_ca import issue, issuing, mail_leaf, openssl, rsa_key
from tests.support.terminal import run_batch, run_dialog, type_dialog

FILE = 'Enter the name of the file on machine "mail.example.com" to export:\n[]> '
EXPORT = f"export\n\n1. mail\n2. partner.com\nSelect the certificate profile you wish to export:\n[1]> \n\n{FILE}"
PASSPHRASES = "\nEnter passphrase: \nRe-enter passphrase: \n"
SECRET = "sesame open"


@pytest.fixture(autouse=True)
def profiles(session: Session) -> None:
    draft = session.draft
    for name, issued, chain in (("partner.com", issue("partner.com"), ()), ("mail", mail_leaf(), (issuing().pem,))):
        material = KeyMaterial(certificate=issued.pem, private_key=draft.seal(issued.key_pem.encode()), intermediates=chain)
        draft.config = draft.config.with_(certificates=draft.config.certificates.put(CertificateProfile(name=name, material=material)))
    session.appliance.accept(draft)


@frozen
class StoredFile:
    """A file in /configuration."""

    path: Path

    def mode(self) -> int:
        return stat.S_IMODE(self.path.stat().st_mode)

    def read(self) -> bytes:
        return self.path.read_bytes()


async def test_export(session: Session, operate) -> None:
    screen = await operate("export", "", "mail.p12", SECRET, SECRET)
    assert screen == f'{EXPORT}mail.p12\n{PASSPHRASES}The certificate "mail" was exported to the file "mail.p12".\n'
    file = StoredFile(session.appliance.files / "mail.p12")
    assert file.mode() == 0o600
    shown = openssl("pkcs12", "-info", "-nodes", "-in", file.path, "-passin", f"pass:{SECRET}")
    assert "friendlyName: mail" in shown and shown.count("BEGIN CERTIFICATE-----") == 2
    assert "BEGIN CERTIFICATE REQUEST" not in shown
    pair = read_pkcs12(file.read(), SECRET)
    assert (pair.certificate, pair.intermediates) == (mail_leaf().certificate, (issuing().certificate,))
    assert session.appliance.logs.lines[-1].endswith('Certificate profile "mail" exported to file "mail.p12"')
    assert not session.draft.changed


async def test_import_of_an_export(session: Session, operate) -> None:
    await operate("export", "mail", "mail.p12", SECRET, SECRET)
    other = make_session(files=session.appliance.files)
    await run_dialog(certificate.menu, other, ["import", "copy", "mail.p12", "", SECRET, ""])
    copy, original = (s.draft.config.certificates[name].material for s, name in ((other, "copy"), (session, "mail")))
    assert (copy.certificate, copy.intermediates) == (original.certificate, original.intermediates)
    assert other.draft.reveal(copy.private_key) == session.draft.reveal(original.private_key)  # type: ignore[arg-type]


@pytest.mark.parametrize("short", ["", "12345", "x" * 129])
async def test_length_of_the_passphrase(operate, short: str) -> None:
    screen = await operate("export", "", "mail.p12", short, SECRET, SECRET)
    assert f"\nEnter passphrase: \nThe passphrase must have 6 to 128 characters.\n{PASSPHRASES}The certificate" in screen


@pytest.mark.parametrize("odd", ["abc\0defgh", "\udcff\udcfe\udcffabc"])
async def test_passphrases_that_are_no_text(operate, odd: str) -> None:
    screen = await operate("export", "", "mail.p12", odd, SECRET, SECRET)
    assert f"\nEnter passphrase: \nThat value is not valid.\n{PASSPHRASES}The certificate" in screen


async def test_different_passphrases(operate) -> None:
    screen = await operate("export", "", "mail.p12", SECRET, "something else", SECRET, SECRET)
    assert f"{PASSPHRASES}The passphrases do not match.\n{PASSPHRASES}The certificate" in screen


async def test_existing_file(session: Session, operate) -> None:
    file = StoredFile(session.appliance.files / "mail.p12")
    (session.appliance.files / "mail.p12").write_bytes(b"old")
    question = '\nThe file "mail.p12" already exists. Do you want to overwrite it? [N]> '
    assert await operate("export", "", "mail.p12", "") == f"{EXPORT}mail.p12\n{question}\n"
    assert file.read() == b"old"
    await operate("export", "", "mail.p12", "y", SECRET, SECRET)
    assert read_pkcs12(file.read(), SECRET)


async def test_file_names(operate) -> None:
    screen = await operate("export", "", "a/b", "")
    assert screen == f'{EXPORT}a/b\nSymbols are not allowed in the file name "a/b".\n\n{FILE}\n'


async def test_a_profile_without_key_cannot_be_exported(session: Session, operate) -> None:
    draft = session.draft
    profile = draft.config.certificates["mail"]
    keyless = evolve(profile, material=evolve(profile.material, private_key=None))
    draft.config = draft.config.with_(certificates=draft.config.certificates.put(keyless))
    assert (await operate("export", "mail", "f", SECRET, SECRET)).endswith('Certificate "mail" has no private key.\n')
    assert not (session.appliance.files / "f").exists()


async def test_batch_export(session: Session) -> None:
    line = f'certconfig certificate export mail mail.p12 --passphrase="{SECRET}"'
    assert await run_batch(COMMAND, session, line) == ("", False)
    assert await run_batch(COMMAND, session, line) == ('The file "mail.p12" already exists.\n', True)
    assert await run_batch(COMMAND, session, f"{line} --overwrite --legacy") == ("", False)
    shown = openssl("pkcs12", "-info", "-noout", "-legacy", "-in", session.appliance.files / "mail.p12", "-passin", f"pass:{SECRET}")
    assert "pbeWithSHA1And3-KeyTripleDES-CBC" in shown and "MAC: sha1" in shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("mail f", "The passphrase must have 6 to 128 characters."),
        ("mail f --passphrase=short", "The passphrase must have 6 to 128 characters."),
        ("none f --passphrase=longenough", 'There is no certificate profile named "none".'),
        ("Demo f --passphrase=longenough", 'There is no certificate profile named "Demo".'),
        ("mail a/b --passphrase=longenough", 'Symbols are not allowed in the file name "a/b".'),
        ("mail", "Invalid arguments when processing certconfig:\nMissing argument: <file>."),
    ],
)
async def test_batch_export_errors(session: Session, arguments: str, text: str) -> None:
    assert await run_batch(COMMAND, session, f"certconfig certificate export {arguments}") == (f"{text}\n", True)
    assert list(session.appliance.files.iterdir()) == []


async def test_delete(session: Session, operate) -> None:
    screen = await operate("delete", "2", "y")
    assert screen == (
        "delete\n\n1. mail\n2. partner.com\nSelect the certificate profile you wish to delete:\n[1]> 2\n"
        '\nAre you sure you want to delete "partner.com"? [N]> y\n'
    )
    assert list(session.draft.config.certificates) == ["mail"]
    assert session.appliance.logs.lines[-1].endswith('Certificate profile "partner.com" deleted')


async def test_delete_answered_no(session: Session, operate) -> None:
    await operate("delete", "mail", "")
    assert not session.draft.changed


async def test_delete_of_a_used_profile(session: Session) -> None:
    config = session.draft.config
    listener = evolve(new_listener(name="InboundMail", uid="l", kind=ListenerType.PUBLIC, interface="Management"), tls_certificate="mail")
    interface = evolve(config.interfaces["Management"], https_certificate="mail")
    session.draft.config = used = config.with_(listeners=config.listeners.put(listener), interfaces=config.interfaces.put(interface))
    text = (
        'The certificate "mail" is in use by: listener "InboundMail", HTTPS on interface "Management".\n'
        "Assign another certificate before you delete it, or overwrite it under the same name.\n"
    )
    screen, failed = await type_dialog(certificate.menu.run, session, ["delete", "mail", ""])
    assert failed and f"[1]> mail\n{text}\nList of Certificates\n" in screen
    assert await run_batch(COMMAND, session, "certconfig certificate delete mail") == (text, True)
    assert session.draft.config == used
    assert used_by(used, "MAIL") == ['listener "InboundMail"', 'HTTPS on interface "Management"']


async def test_batch_delete(session: Session) -> None:
    assert await run_batch(COMMAND, session, "certconfig certificate delete MAIL") == ("", False)
    assert list(session.draft.config.certificates) == ["partner.com"]
    assert await run_batch(COMMAND, session, "certconfig certificate delete mail") == (
        'There is no certificate profile named "mail".\n',
        True,
    )


async def test_words_that_need_a_profile(tmp_path: Path) -> None:
    for word in ("edit", "export", "delete"):
        screen = await run_dialog(certificate.menu, make_session(files=tmp_path), [word, ""])
        assert f'[]> {word}\nUnknown option "{word}".\n' in screen
        assert f"- {word.upper()} - " not in screen


async def test_batch_list(session: Session) -> None:
    assert await run_batch(COMMAND, session, "certconfig certificate list") == (
        """\
Name                 Common Name          Issued By            Status  Remaining
-------------------- -------------------- -------------------- ------- ---------
mail                 mail.example.com     Lab Issuing CA       Active  1133 days
partner.com          partner.com          partner.com          Active  1133 days
Demo                 Cisco Appliance Demo Cisco Appliance Demo Active  3650 days
""",
        False,
    )


async def test_long_names_are_cut_in_the_list(session: Session) -> None:
    draft = session.draft
    now = session.appliance.clock.now()
    old = issue("very.long.name.example.com", end=now.replace(month=5), key=rsa_key())
    profile = CertificateProfile(name="n" * 64, material=KeyMaterial(certificate=old.pem))
    draft.config = draft.config.with_(certificates=draft.config.certificates.put(profile))
    screen, _ = await run_batch(COMMAND, session, "certconfig certificate list")
    assert f"{'n' * 20} very.long.name.examp very.long.name.examp Expired 0 days\n" in screen


async def test_batch_request(session: Session) -> None:
    screen, failed = await run_batch(COMMAND, session, "certconfig certificate csr mail")
    assert not failed and screen.startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    request = x509.load_pem_x509_csr(screen.encode())
    assert request.is_signature_valid and request.subject == mail_leaf().certificate.subject
    assert "DNS:mail.example.com, DNS:www.example.com" in openssl("req", "-noout", "-text", text=screen)
    assert await run_batch(COMMAND, session, "certconfig certificate csr mail mail.csr") == ("", False)
    assert (session.appliance.files / "mail.csr").read_text() == screen
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("arguments", "text"),
    [("none", 'There is no certificate profile named "none".'), ("mail a/b", 'Symbols are not allowed in the file name "a/b".')],
)
async def test_batch_request_errors(session: Session, arguments: str, text: str) -> None:
    assert await run_batch(COMMAND, session, f"certconfig certificate csr {arguments}") == (f"{text}\n", True)


async def test_stored_request_is_printed_as_it_is(session: Session) -> None:
    line = "certconfig certificate new web --cn=w.test --o=O --ou=U --l=L --st=S --c=JP"
    assert await run_batch(COMMAND, session, line) == ("", False)
    request = session.draft.config.certificates["web"].material.signing_request
    assert await run_batch(COMMAND, session, "certconfig certificate csr web") == (request, False)


async def test_print_is_the_block_of_print(session: Session, operate) -> None:
    screen = await operate("print")
    batch, _ = await run_batch(COMMAND, session, "certconfig certificate print")
    assert screen == f"print\n\n{batch}"
    assert batch.startswith("Certificate Profiles (3)\n\nName:         mail\n")
