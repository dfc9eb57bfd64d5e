from __future__ import annotations

import pytest
from cryptography import x509

from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import facts_of, read_facts
from appliance_state.certificates.keys import belongs, read_private_key
from appliance_state.certificates.pem import read_certificate
from appliance_state.model.certificates import CertificateProfile
from commands.certconfig import COMMAND, certificate
from tests.support.appliance import make_session
from tests.support.lab_ca import openssl
from tests.support.terminal import CTRL_C, run_batch, run_dialog, type_dialog

NEW = ["new", "1", "mail", "mail.example.com", "y", "Example KK", "Mail", "京都市", "Kyoto", "jp", "365", "2", "n"]
LINE = "certconfig certificate new web --cn=w.test --o=O --ou=U --l=L --st=S --c=JP"
NAME_QUESTION = "Enter a name for this certificate profile:\n> "


def profile(session: Session, name: str = "mail") -> CertificateProfile:
    return session.draft.config.certificates[name]


def answers(**changed: str) -> list[str]:
    """The answers of NEW with other values for some of them."""
    words = ("new", "type", "name", "cn", "fqdn", "o", "ou", "l", "st", "c", "days", "bits", "view")
    return [changed.get(word, answer) for word, answer in zip(words, NEW, strict=True)]


async def test_whole_transcript(session: Session) -> None:
    screen = await run_dialog(certificate.menu, session, [*answers(view="y"), ""])
    request = profile(session).material.signing_request
    assert request is not None
    assert screen == (
        """\
List of Certificates
Name                 Common Name          Issued By            Status  Remaining
-------------------- -------------------- -------------------- ------- ---------
Demo                 Cisco Appliance Demo Cisco Appliance Demo Active  3650 days

Choose the operation you want to perform:
- IMPORT - Import a certificate from a local PKCS#12 file
- PASTE - Paste a certificate into the CLI
- NEW - Create a self-signed certificate and CSR
- PRINT - View certificates assigned to services
[]> new

1. Create a self-signed certificate and CSR
2. Create a self-signed SMIME certificate and CSR
[1]> 1

Enter a name for this certificate profile:
> mail

Enter Common Name:
> mail.example.com

Do you want to check if Common Name is in Fully Qualified Domain Name(FQDN)
format ? [N]> y

Enter Organization:
> Example KK

Enter Organizational Unit:
> Mail

Enter Locality or City:
> 京都市

Enter State or Province:
> Kyoto

Enter Country (2 letter code):
> jp

Duration before expiration (in days):
[3650]> 365

1. 1024
2. 2048
Enter size of private key:
[2]> 2

Do you want to view the CSR? [Y]> y
"""
        + request
        + """
List of Certificates
Name                 Common Name          Issued By            Status  Remaining
-------------------- -------------------- -------------------- ------- ---------
mail                 mail.example.com     mail.example.com     Active  365 days
Demo                 Cisco Appliance Demo Cisco Appliance Demo Active  3650 days

Choose the operation you want to perform:
- IMPORT - Import a certificate from a local PKCS#12 file
- PASTE - Paste a certificate into the CLI
- NEW - Create a self-signed certificate and CSR
- EDIT - Update certificate or view the signing request
- EXPORT - Export a certificate
- DELETE - Remove a certificate
- PRINT - View certificates assigned to services
[]> 
"""
    )


async def test_what_is_stored(session: Session, operate) -> None:
    await operate(*NEW)
    stored = profile(session)
    leaf = read_certificate(stored.material.certificate)
    facts = facts_of(leaf)
    assert facts.subject == facts.issuer == "C=JP,ST=Kyoto,L=京都市,O=Example KK,OU=Mail,CN=mail.example.com"
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == 365 * 86400
    assert leaf.not_valid_before_utc == session.appliance.clock.now()
    assert facts.dns_names == ("mail.example.com",) and facts.key == "RSA 2048 bits"
    assert stored.fqdn_validation and stored.material.intermediates == ()
    assert stored.material.private_key is not None and stored.material.signing_request is not None
    key = read_private_key(session.draft.reveal(stored.material.private_key).decode())
    assert belongs(key, leaf)
    request = x509.load_pem_x509_csr(stored.material.signing_request.encode())
    assert request.public_key() == leaf.public_key()
    assert "verify OK" in openssl("req", "-verify", "-noout", text=stored.material.signing_request)
    assert 'Certificate profile "mail" created' in "\n".join(session.appliance.logs.lines)
    assert "FQDN compliant" not in "\n".join(session.appliance.logs.lines)


async def test_smime_asks_for_the_type_again(operate) -> None:
    screen = await operate("new", "2", *NEW[1:])
    assert screen.startswith(
        "new\n"
        "\n1. Create a self-signed certificate and CSR\n2. Create a self-signed SMIME certificate and CSR\n[1]> 2\n"
        "S/MIME certificates are not available in this product.\n"
        "\n1. Create a self-signed certificate and CSR\n2. Create a self-signed SMIME certificate and CSR\n[1]> 1\n"
    )


async def test_fqdn_check_asks_for_the_common_name_again(session: Session, operate) -> None:
    screen = await operate("new", "", "mail", "mailhost", "y", "mail.example.com", "y", *NEW[5:])
    assert (
        """\
Do you want to check if Common Name is in Fully Qualified Domain Name(FQDN)
format ? [N]> y
Common Name "mailhost" is not in Fully Qualified Domain Name(FQDN) format.
A valid domain name is a string that must match the following rules:
- A label is a set of characters, numbers, dashes, and underscores.
- The first and last character of a label must be a letter or a number.
- The domain must have at least 2 labels separated by a period.
- The last label cannot be all numbers.

Enter Common Name:
> mail.example.com

Do you want to check if Common Name is in Fully Qualified Domain Name(FQDN)
format ? [N]> y

Enter Organization:
"""
        in screen
    )
    assert read_facts(profile(session).material.certificate).common_name == "mail.example.com"


async def test_unchecked_common_name_of_one_label(session: Session, operate) -> None:
    await operate(*answers(cn="mailhost", fqdn="n"))
    assert read_facts(profile(session).material.certificate).dns_names == ()
    assert not profile(session).fqdn_validation


@pytest.mark.parametrize(
    ("question", "word", "answer", "text"),
    [
        ("Enter Common Name:\n> ", "cn", "", "The value cannot be blank."),
        ("Enter Common Name:\n> ", "cn", "x" * 65, "The value may not be longer than 64 characters."),
        ("Enter Organization:\n> ", "o", "", "The value cannot be blank."),
        ("Enter Organizational Unit:\n> ", "ou", "x" * 65, "The value may not be longer than 64 characters."),
        ("Enter Locality or City:\n> ", "l", "x" * 129, "The value may not be longer than 128 characters."),
        ("Enter State or Province:\n> ", "st", "", "The value cannot be blank."),
        ("Enter Country (2 letter code):\n> ", "c", "JPN", "Country should be a ISO two character country code"),
        ("Enter Country (2 letter code):\n> ", "c", "J", "Country should be a ISO two character country code"),
        ("Enter Country (2 letter code):\n> ", "c", "XX", "Country should be a ISO two character country code"),
        ("Enter Country (2 letter code):\n> ", "c", "", "The value cannot be blank."),
        ("Duration before expiration (in days):\n[3650]> ", "days", "0", "The value must be an integer from 1 to 9999."),
        ("Duration before expiration (in days):\n[3650]> ", "days", "-1", "The value must be an integer from 1 to 9999."),
        ("Duration before expiration (in days):\n[3650]> ", "days", "10000", "The value must be an integer from 1 to 9999."),
        ("1. 1024\n2. 2048\nEnter size of private key:\n[2]> ", "bits", "4096", "The value must be an integer from 1 to 2."),
        ("1. 1024\n2. 2048\nEnter size of private key:\n[2]> ", "bits", "512", "The value must be an integer from 1 to 2."),
        (NAME_QUESTION, "name", "demo", 'The name "Demo" is reserved for the demo certificate.'),
        (NAME_QUESTION, "name", "x" * 65, "The value may not be longer than 64 characters."),
        (
            NAME_QUESTION,
            "name",
            "a/b",
            'Symbols are not allowed in the name "a/b". Use letters, numbers, periods, dashes and underscores.',
        ),
    ],
)
async def test_wrong_answers_are_asked_again(operate, question: str, word: str, answer: str, text: str) -> None:
    given = answers()
    position = ["new", "type", "name", "cn", "fqdn", "o", "ou", "l", "st", "c", "days", "bits", "view"].index(word)
    screen = await operate(*given[:position], answer, *given[position:])
    assert f"\n{question}{answer}\n{text}\n\n{question}{given[position]}\n" in screen


async def test_1024_bits(session: Session, operate) -> None:
    screen = await operate(*answers(bits="1"))
    assert read_facts(profile(session).material.certificate).key == "RSA 1024 bits"
    assert screen.endswith("[Y]> n\nNOTE: The private key has 1024 bits. Some peers accept only 2048 bits and more.\n")


async def test_named_after_the_common_name(session: Session, operate) -> None:
    await operate(*answers(name="", cn="*.example.com"))
    assert [entry.name for entry in session.draft.config.certificates.entries()] == ["example.com"]


async def test_overwriting(session: Session, operate) -> None:
    await operate(*NEW)
    first = profile(session).material
    question = 'Certificate profile "mail" already exists. Do you want to\noverwrite with this new one? [N]> '
    screen = await operate("new", "1", "MAIL", "")
    assert screen == (
        "new\n\n1. Create a self-signed certificate and CSR\n2. Create a self-signed SMIME certificate and CSR\n[1]> 1\n"
        f"\n{NAME_QUESTION}MAIL\n\n{question}\n"
    )
    assert profile(session).material == first
    assert question in await operate("new", "1", "mail", "y", *NEW[3:])
    assert profile(session).material != first
    assert len(session.draft.config.certificates) == 1


async def test_overwriting_what_is_named_after_the_common_name(session: Session, operate) -> None:
    await operate(*answers(name="mail.example.com"))
    screen = await operate("new", "1", "", "mail.example.com", "y", "n")
    assert screen.endswith(
        'format ? [N]> y\n\nCertificate profile "mail.example.com" already exists. Do you want to\noverwrite with this new one? [N]> n\n'
    )


async def test_interrupted_in_the_middle_nothing_is_stored(session: Session) -> None:
    screen, failed = await type_dialog(COMMAND.dialog, session, ["certificate", *NEW[:8], CTRL_C])
    assert failed and screen.endswith("^C\n")
    assert not session.draft.changed and not session.draft.secrets


async def test_batch_prints_nothing() -> None:
    session = make_session()
    assert await run_batch(COMMAND, session, f"{LINE} --san=www.w.test,x.w.test --days=10 --bits=1024") == ("", False)
    facts = read_facts(profile(session, "web").material.certificate)
    assert facts.dns_names == ("w.test", "www.w.test", "x.w.test")
    assert facts.subject == "C=JP,ST=S,L=L,O=O,OU=U,CN=w.test" and facts.key == "RSA 1024 bits"
    assert (facts.not_after - facts.not_before).days == 10


async def test_batch_defaults_and_name_after_the_common_name() -> None:
    session = make_session()
    assert await run_batch(COMMAND, session, LINE.replace("new web", 'new ""')) == ("", False)
    facts = read_facts(profile(session, "w.test").material.certificate)
    assert (facts.not_after - facts.not_before).days == 3650 and facts.key == "RSA 2048 bits"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (LINE.replace(" --ou=U", ""), "Invalid arguments when processing certconfig:\nMissing argument: <ou>."),
        (LINE.replace("new web", "new demo"), 'The name "Demo" is reserved for the demo certificate.'),
        (LINE.replace("JP", "JPN"), "Country should be a ISO two character country code"),
        (f"{LINE} --days=0", "The value must be an integer from 1 to 9999."),
        (f"{LINE} --bits=4096", "The value must be an integer from 1 to 2."),
        (f"{LINE} --force", "Invalid arguments when processing certconfig:\nUnknown option.\n: '--force'"),
        (f"{LINE} --fqdn=maybe", "Please answer Yes or No."),
        (f"{LINE} x", "Invalid arguments when processing certconfig:\nToo many arguments.\n: 'x'"),
    ],
)
async def test_batch_errors(line: str, text: str) -> None:
    session = make_session()
    assert await run_batch(COMMAND, session, line) == (f"{text}\n", True)
    assert not session.draft.changed


async def test_batch_fqdn_and_alternative_names() -> None:
    session = make_session()
    screen, failed = await run_batch(COMMAND, session, LINE.replace("w.test", "w") + " --fqdn=yes")
    assert failed and screen.startswith('Common Name "w" is not in Fully Qualified Domain Name(FQDN) format.\nA valid domain name')
    screen, failed = await run_batch(COMMAND, session, f"{LINE} --san=bad")
    assert failed and screen.startswith("A valid domain name is a string that must match the following rules:\n")
    assert not session.draft.changed


async def test_batch_existing_name() -> None:
    session = make_session()
    await run_batch(COMMAND, session, LINE)
    before = session.draft.config
    assert await run_batch(COMMAND, session, LINE) == ('Certificate profile "web" already exists.\n', True)
    assert session.draft.config == before
    assert await run_batch(COMMAND, session, f"{LINE} --overwrite") == ("", False)
    assert session.draft.config != before
