from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import read_facts
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from appliance_state.model.destinations import DestinationGlobals
from appliance_state.model.ldap import Ldap
from appliance_state.model.listeners import ListenerType, new_listener
from commands.certconfig import COMMAND
from tests.support.lab_ca import Issued, issue, issuing, mail_leaf, root, rsa_key, signed_request
from tests.support.terminal import run_batch

NEW = ["new", "1", "mail", "mail.example.com", "", "Example KK", "Mail", "京都市", "Kyoto", "JP", "365", "", "n"]
SELECT = "edit\n\n1. mail\nSelect the certificate profile you wish to edit:\n[1]> \n"
UPDATE = "\nWould you like to update the existing public certificate? [N]> "
PUBLIC = "\nPaste public certificate in PEM format (end with '.'):\n"
ADD = "\nDo you want to add an intermediate certificate? [N]> "
REMOVE = "\nDo you want to remove an intermediate certificate? [N]> "
FQDN = "\nDo you want to check if Common Name or SAN:dNSName or both are in Fully\nQualified Domain Name(FQDN) format ? [N]> "
CHAIN_NOTE = "NOTE: The chain of this certificate does not end in a trusted certificate authority.\n"


def block(*pems: str) -> list[str]:
    return [*"".join(pems).splitlines(), "."]


def material(session: Session) -> KeyMaterial:
    return session.draft.config.certificates["mail"].material


def put(session: Session, issued: Issued, *chain: Issued, name: str = "mail") -> None:
    """Store a profile as it is."""
    draft = session.draft
    stored = KeyMaterial(
        certificate=issued.pem, private_key=draft.seal(issued.key_pem.encode()), intermediates=tuple(link.pem for link in chain)
    )
    draft.config = draft.config.with_(certificates=draft.config.certificates.put(CertificateProfile(name=name, material=stored)))


async def test_details(session: Session, operate) -> None:
    put(session, mail_leaf(), issuing())
    config = session.draft.config
    listener = new_listener(name="InboundMail", uid="l", kind=ListenerType.PUBLIC, interface="Management")
    interface = evolve(config.interfaces["Management"], https_certificate="mail")
    session.draft.config = config.with_(
        listeners=config.listeners.put(evolve(listener, tls_certificate="mail")),
        interfaces=config.interfaces.put(interface),
        destination_globals=DestinationGlobals(certificate="mail"),
        ldap=Ldap(certificate="mail"),
    )
    facts = read_facts(mail_leaf().pem)
    assert await operate("edit", "", "", "", "") == (
        f"""\
{SELECT}
Certificate profile "mail"
  Common Name:        mail.example.com
  Subject Alt Names:  mail.example.com, www.example.com
  Issued By:          C=JP,O=Lab,CN=Lab Issuing CA
  Serial Number:      {facts.serial}
  Valid From:         Thu Jan 01 00:00:00 2026 GMT
  Valid Until:        Tue Jan 01 00:00:00 2030 GMT
  Status:             Active (1133 days)
  Key:                RSA 2048 bits
  SHA-256:            {facts.sha256}
  Signing Request:    no
  FQDN Validation:    no
  Used By:            listener "InboundMail", HTTPS on interface "Management", delivery, LDAPS
  Intermediates:      1
    1. C=JP,O=Lab,CN=Lab Issuing CA (valid until Tue Jan 01 00:00:00 2030 GMT)
{UPDATE}
{ADD}
{REMOVE}
"""
    )


async def test_nothing_changed_is_no_change(session: Session, operate) -> None:
    put(session, mail_leaf(), issuing())
    session.appliance.accept(session.draft)
    await operate("edit", "", "", "", "")
    assert not session.draft.changed and session.appliance.logs.lines == []


async def test_the_answer_of_an_authority(session: Session, operate) -> None:
    await operate(*NEW)
    before = material(session)
    assert before.signing_request is not None
    answer = signed_request(before.signing_request, issuing())
    screen = await operate("edit", "", "y", *block(answer), "y", *block(issuing().pem), "", "", "")
    assert screen.endswith(
        f"{UPDATE}y\n{PUBLIC}{answer}.\nC=JP,ST=Kyoto,L=京都市,O=Example KK,OU=Mail,CN=mail.example.com\n{ADD}y\n"
        f"\nPaste intermediate certificate in PEM format (end with '.'):\n{issuing().pem}.\nC=JP,O=Lab,CN=Lab Issuing CA\n"
        f"{ADD}\n{REMOVE}\n{FQDN}\n{CHAIN_NOTE}"
    )
    after = material(session)
    assert after.certificate == answer and after.intermediates == (issuing().pem,)
    assert (after.private_key, after.signing_request) == (before.private_key, before.signing_request)
    assert read_facts(after.certificate).issued_by == "Lab Issuing CA"
    assert len(session.draft.config.certificates) == 1
    assert session.appliance.logs.events[-2:] == [("cli.profile", {"profile": "mail", "what": "updated"}), ("cli.fqdn_yes", {})]


async def test_viewing_the_request(session: Session, operate) -> None:
    await operate(*NEW)
    request = material(session).signing_request
    assert (await operate("edit", "", "n", "y", "")).endswith(f"{UPDATE}n\n\nDo you want to view the CSR? [Y]> y\n{request}{ADD}\n")
    assert (await operate("edit", "", "n", "n", "")).endswith(f"\nDo you want to view the CSR? [Y]> n\n{ADD}\n")


async def test_a_certificate_for_another_key(session: Session, operate) -> None:
    put(session, mail_leaf())
    before = session.draft.config
    screen = await operate("edit", "1", "y", *block(issue("mail.example.com", issuing(), key=rsa_key(1)).pem))
    assert screen.endswith(".\nC=JP,O=Lab,CN=mail.example.com\nkey does not sign certificate\n")
    assert session.draft.config == before


async def test_a_profile_without_its_key_is_held_to_its_certificate(session: Session, operate) -> None:
    put(session, mail_leaf())
    profile = session.draft.config.certificates["mail"]
    keyless = evolve(profile, material=evolve(profile.material, private_key=None))
    session.draft.config = session.draft.config.with_(certificates=session.draft.config.certificates.put(keyless))
    assert (await operate("edit", "1", "y", *block(root().pem))).endswith("key does not sign certificate\n")
    renewed = issue("mail.example.com", issuing(), key=rsa_key())
    await operate("edit", "1", "y", *block(renewed.pem), "", "")
    assert material(session).certificate == renewed.pem and material(session).private_key is None


async def test_intermediates_of_the_old_certificate_go(session: Session, operate) -> None:
    other = issue("Other CA", issue("Other Root", authority=True), authority=True)
    put(session, mail_leaf(), issuing())
    renewed = issue("mail.example.com", other, key=rsa_key())
    screen = await operate("edit", "1", "y", *block(renewed.pem, other.pem), "", "", "")
    assert (
        "C=JP,O=Lab,CN=mail.example.com\nC=JP,O=Lab,CN=Other CA\n"
        f"NOTE: 1 intermediate certificate of the old certificate was removed.\n{ADD}"
    ) in screen
    assert material(session).intermediates == (other.pem,)


async def test_intermediates_that_fit_the_new_certificate_stay(session: Session, operate) -> None:
    put(session, mail_leaf(), issuing())
    renewed = issue("mail.example.com", issuing(), key=rsa_key())
    screen = await operate("edit", "1", "y", *block(renewed.pem), "", "", "")
    assert "removed" not in screen
    assert material(session).intermediates == (issuing().pem,)


async def test_stored_intermediates_in_no_good_order_do_not_matter(session: Session, operate) -> None:
    upper = issue("Upper CA", root(), authority=True)
    lower = issue("Lower CA", upper, authority=True)
    put(session, issue("mail.example.com", lower, key=rsa_key()), upper, lower, issuing())
    renewed = issue("mail.example.com", lower, key=rsa_key())
    screen = await operate("edit", "1", "y", *block(renewed.pem), "", "", "")
    assert "\nNOTE: 1 intermediate certificate of the old certificate was removed.\n" in screen
    assert material(session).intermediates == (lower.pem, upper.pem)


async def test_only_intermediates(session: Session, operate) -> None:
    put(session, mail_leaf())
    screen = await operate("edit", "", "", "y", *block(issuing().pem), "", "")
    assert FQDN not in screen and CHAIN_NOTE not in screen
    assert material(session).intermediates == (issuing().pem,)
    await operate("edit", "", "", "", "y", "C=JP,O=Lab,CN=Lab Issuing CA")
    assert material(session).intermediates == ()


async def test_names_of_the_new_certificate_may_differ_and_may_be_checked(session: Session, operate) -> None:
    put(session, mail_leaf())
    renewed = issue("mailhost", issuing(), key=rsa_key())
    screen = await operate("edit", "1", "y", *block(renewed.pem), "", "y")
    assert 'Common Name "mailhost" is not in Fully Qualified Domain Name(FQDN) format.' in screen
    assert material(session).certificate == mail_leaf().pem
    await operate("edit", "1", "y", *block(renewed.pem), "", "n")
    assert material(session).certificate == renewed.pem


async def test_empty_block_cancels(session: Session, operate) -> None:
    put(session, mail_leaf())
    before = session.draft.config
    assert (await operate("edit", "mail", "y", ".")).endswith(f"{PUBLIC}.\n")
    assert session.draft.config == before


async def test_a_stored_certificate_that_cannot_be_read(session: Session, operate) -> None:
    unreadable = CertificateProfile(name="mail", material=KeyMaterial(certificate="rubbish"))
    session.draft.config = session.draft.config.with_(certificates=session.draft.config.certificates.put(unreadable))
    screen = await operate("edit", "mail")
    assert "  Common Name:        (no subject)\n" in screen
    assert screen.endswith('Certificate "mail" cannot be loaded.\n')


@pytest.fixture
def files(session: Session) -> Path:
    put(session, mail_leaf(), issuing())
    session.appliance.accept(session.draft)
    folder: Path = session.appliance.files
    (folder / "new.pem").write_text(issue("new.example.com", issuing(), key=rsa_key()).pem)
    (folder / "bad.pem").write_text(issue("bad", issuing(), key=rsa_key()).pem)
    (folder / "other.pem").write_text(issue("new.example.com", issuing(), key=rsa_key(1)).pem)
    (folder / "ca.pem").write_text(issuing().pem)
    return folder


async def test_batch_update(session: Session, files: Path) -> None:
    line = "certconfig certificate edit mail --certificate=new.pem --fqdn=yes"
    assert await run_batch(COMMAND, session, line) == ("", False)
    assert read_facts(material(session).certificate).common_name == "new.example.com"
    assert material(session).intermediates == (issuing().pem,)
    assert session.draft.config.certificates["mail"].fqdn_validation


async def test_batch_intermediates(session: Session, files: Path) -> None:
    assert await run_batch(COMMAND, session, "certconfig certificate edit MAIL --remove-intermediate=1") == ("", False)
    assert material(session).intermediates == ()
    assert await run_batch(COMMAND, session, "certconfig certificate edit mail --intermediate=ca.pem") == ("", False)
    assert material(session).intermediates == (issuing().pem,)
    line = "certconfig certificate edit mail --remove-intermediate=all --intermediate=ca.pem,ca.pem"
    assert await run_batch(COMMAND, session, line) == ("", False)
    assert material(session).intermediates == (issuing().pem,)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("mail --certificate=other.pem", "key does not sign certificate"),
        ("mail --certificate=nofile", 'the file "nofile" does not exist.'),
        ("mail --intermediate=new.pem", "The certificate is not a certificate authority certificate...discarding"),
        ("mail --remove-intermediate=2", "The value must be an integer from 1 to 1."),
        ("mail --fqdn=perhaps", "Please answer Yes or No."),
        ("nobody --certificate=new.pem", 'There is no certificate profile named "nobody".'),
        ("Demo --certificate=new.pem", 'There is no certificate profile named "Demo".'),
    ],
)
async def test_batch_errors(session: Session, files: Path, options: str, text: str) -> None:
    assert await run_batch(COMMAND, session, f"certconfig certificate edit {options}") == (f"{text}\n", True)
    assert not session.draft.changed


async def test_batch_fqdn(session: Session, files: Path) -> None:
    line = "certconfig certificate edit mail --certificate=bad.pem"
    screen, failed = await run_batch(COMMAND, session, f"{line} --fqdn=yes")
    assert failed and screen.startswith('Certificate import failed due to certificate pair with invalid FQDN\nCommon Name "bad" is not')
    assert not session.draft.changed
    assert await run_batch(COMMAND, session, line) == ("", False)
