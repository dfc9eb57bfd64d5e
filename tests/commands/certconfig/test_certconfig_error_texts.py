"""Every error text of certconfig.md, each with a case that reaches it from outside.

A new text in one of the modules of `TEXTS_IN` fails `test_no_text_is_without_a_case` until it has its row here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from attrs import evolve, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, pkcs12

from appliance_runtime.sessions import Session
from appliance_state.certificates import authorities as authority_lists
from appliance_state.certificates import fqdn, problem
from appliance_state.certificates.pem import certificate_pem
from appliance_state.model.updates import Updates, UpdateSource
from appliance_state.names import DOMAIN_RULES
from commands.certconfig import COMMAND, authorities, certificate, creating, crl
from commands.dialog import INVALID, Conversation, EndOfInput, Interrupted
from tests.support.appliance import make_session
from tests.support.lab_ca import issue, issuing, lab_name, mail_leaf, root, rsa_key
from tests.support.terminal import CTRL_C, ScriptedTerminal, run_batch

TEXTS_IN: tuple[ModuleType, ...] = (problem, authority_lists, fqdn, authorities, certificate, creating, crl)
QUESTIONS = {creating.COMMON_NAME_FQDN, INVALID}
"""texts of those modules that are no answers to a mistake, or not theirs"""

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
EXPIRED = issue("Old CA", authority=True, end=datetime(2026, 6, 1, tzinfo=UTC))
OTHER = issue("other.example.com", issuing(), key=rsa_key(1))
ROOTLESS = issue("Rootless CA", issue("Unknown Root", authority=True), authority=True)
FALSE = issue("No CA", authority=False)
BAD_NAMES = issue("mailhost", issuing(), dns=["localhost"], key=rsa_key())
NAMELESS = issue(None, authority=True)
UNDER_UNKNOWN = issue("lost.example.com", issue("Unknown CA", issue("Unknown Root", authority=True), authority=True), key=rsa_key())
PASS, WRONG = "corpus-pass", "wrong"


def p12(*others: object, key: object = rsa_key(), cert: object = mail_leaf().certificate) -> bytes:
    return pkcs12.serialize_key_and_certificates(b"x", key, cert, others or None, BestAvailableEncryption(PASS.encode()))  # type: ignore[arg-type]


FILES: dict[str, bytes] = {
    "mail.p12": p12(),
    "mismatch.p12": p12(OTHER.certificate, cert=None),
    "keyless.p12": p12(mail_leaf().certificate, key=None, cert=None),
    "certless.p12": p12(cert=None),
    "lost.p12": p12(cert=UNDER_UNKNOWN.certificate),
    "names.p12": p12(cert=BAD_NAMES.certificate),
    "mail.pem": mail_leaf().pem.encode(),
    "mail.key": mail_leaf().key_pem.encode(),
    "mail.der": mail_leaf().certificate.public_bytes(Encoding.DER),
    "root.pem": root().pem.encode(),
    "twice.pem": (root().pem + root().pem).encode(),
    "expired.pem": (root().pem + EXPIRED.pem).encode(),
    "false.pem": (root().pem + FALSE.pem).encode(),
    "rootless.pem": (root().pem + ROOTLESS.pem).encode(),
    "nameless.pem": NAMELESS.pem.encode(),
    "broken.pem": (root().pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").encode(),
}


@frozen
class Case:
    """`answers`: of a dialog from the top of certconfig, or one command line; `note`: it is a remark, and the run no failure."""

    text: str
    answers: tuple[str, ...] | str
    prepare: Callable[[Session], object] | None = None
    note: bool = False
    stored: bool = False


def lines(text: str) -> tuple[str, ...]:
    return (*text.rstrip("\n").split("\n"), ".")


def with_profile(session: Session) -> Awaitable[object]:
    return run_batch(COMMAND, session, f"certconfig certificate import mail mail.p12 --passphrase={PASS}")


def trusting(session: Session, **fields: object) -> None:
    changed = evolve(session.draft.config.certificate_authorities, **{"custom_list": (root().pem,), "custom_enabled": True, **fields})
    session.draft.config = session.draft.config.with_(certificate_authorities=changed)


def bound(session: Session) -> object:
    async def run() -> None:
        await with_profile(session)
        used = evolve(session.draft.config.destination_globals, certificate="mail")
        session.draft.config = session.draft.config.with_(destination_globals=used)

    return run()


def with_server(session: Session) -> None:
    session.appliance.config = session.appliance.config.with_(updates=Updates(source=UpdateSource.SERVER))  # type: ignore[attr-defined]


def later(session: Session) -> None:
    session.appliance.clock._now = datetime(2031, 1, 1, tzinfo=UTC)  # type: ignore[attr-defined]


def earlier(session: Session) -> None:
    session.appliance.clock._now = datetime(2025, 1, 1, tzinfo=UTC)  # type: ignore[attr-defined]


CERT = ("certificate",)
IMPORT = (*CERT, "import", "mail")
PASTE = (*CERT, "paste", "mail")
LEAF = (*PASTE, *lines(mail_leaf().pem))
KEY = (*LEAF, *lines(mail_leaf().key_pem))
NEW = (*CERT, "new", "1", "web", "web.test", "n", "O", "OU", "L", "ST")
CUSTOM = ("certauthority", "custom")
IMPORT_LIST = (*CUSTOM, "import")
CRL = ("crl", "new", "lab", "1")
BATCH = "certconfig certificate"
IMPORT_BATCH = f"{BATCH} import mail"
NOT_FQDN = " is not in Fully Qualified Domain Name(FQDN) format."

CASES = [
    # 3.1, 3.2
    Case('the file "no.p12" does not exist.', (*IMPORT, "no.p12", "")),
    Case('Symbols are not allowed in the file name "../x".', f"{BATCH} export mail ../x --passphrase=sesame", with_profile, stored=True),
    Case(creating.pem_not_pkcs12("mail.pem"), (*IMPORT, "mail.pem")),
    Case(problem.DISCARDED, (*PASTE, *lines("nonsense"), ".")),
    Case(problem.NOT_CERTIFICATE, (*PASTE, *lines("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), ".")),
    Case(problem.NOT_KEY, (*LEAF, *lines("nonsense"), ".")),
    Case(problem.KEY_MISMATCH, (*LEAF, *lines(OTHER.key_pem))),
    # 3.3
    Case(creating.NO_SMIME, (*CERT, "new", "2", CTRL_C)),
    Case("The value cannot be blank.", (*NEW[:4], "", CTRL_C)),
    Case("The value may not be longer than 64 characters.", (*NEW[:4], "x" * 65, CTRL_C)),
    Case("The value may not be longer than 128 characters.", (*NEW[:8], "x" * 129, CTRL_C)),
    Case("Country should be a ISO two character country code", (*NEW, "JPN", CTRL_C)),
    Case("The value must be an integer from 1 to 9999.", (*NEW, "JP", "10000", CTRL_C)),
    Case("The value must be an integer from 1 to 2.", (*NEW, "JP", "1", "4096", CTRL_C)),
    Case(f'Common Name "web"{NOT_FQDN}\n{DOMAIN_RULES}', (*NEW[:4], "web", "y", CTRL_C)),
    # 3.5, 3.6
    Case(certificate.BAD_LENGTH, (*CERT, "export", "1", "x", "short", CTRL_C), with_profile, stored=True),
    Case(certificate.DIFFERENT, (*CERT, "export", "1", "x", "sesame", "sesamo", CTRL_C), with_profile, stored=True),
    Case('The file "mail.p12" already exists.', f"{BATCH} export mail mail.p12 --passphrase=sesame", with_profile, stored=True),
    Case(
        'The certificate "mail" is in use by: delivery.\n'
        "Assign another certificate before you delete it, or overwrite it under the same name.",
        (*CERT, "delete", "1"),
        bound,
        stored=True,
    ),
    # 4.1
    Case(
        'Symbols are not allowed in the name "a b". Use letters, numbers, periods, dashes and underscores.',
        (*CERT, "import", "a b", "mail", ""),
    ),
    Case("The value may not be longer than 64 characters.", (*CERT, "import", "x" * 65, "mail", "")),
    Case('The name "Demo" is reserved for the demo certificate.', (*CERT, "import", "demo", "mail", "")),
    # 4.3
    Case(problem.NOT_PKCS12, (*IMPORT, "mail.p12", "", WRONG)),
    Case(problem.NO_KEY, (*IMPORT, "keyless.p12", "", PASS)),
    Case(problem.NO_CERTIFICATE, (*IMPORT, "certless.p12", "", PASS)),
    Case(problem.PKCS12_MISMATCH, (*IMPORT, "mismatch.p12", "", PASS)),
    # 4.4
    Case(problem.KEY_KIND, (*PASTE, *lines(issue("x").pem), "KEY")),
    Case(problem.NOT_AUTHORITY, (*KEY, "y", *lines(OTHER.pem), ".", "n", CTRL_C)),
    Case(problem.ROOT, (*KEY, "y", *lines(root().pem), ".", "n", CTRL_C)),
    Case(problem.UNRELATED, (*KEY, "y", *lines(ROOTLESS.pem), ".", "n", CTRL_C)),
    Case(problem.TOO_MANY_INTERMEDIATES, "LONG"),
    # 4.5
    Case("NOTE: This certificate expired on Tue Jan 01 00:00:00 2030 GMT.", (*IMPORT, "mail.p12", "", PASS), later, note=True, stored=True),
    Case("NOTE: This certificate is not valid before Thu Jan 01 00:00:00 2026 GMT.", (*IMPORT, "mail.p12", "", PASS), earlier, note=True, stored=True),
    Case("NOTE: The chain of this certificate does not end in a trusted certificate authority.", (*IMPORT, "mail.p12", "", PASS), note=True, stored=True),
    Case("NOTE: The private key has 1024 bits. Some peers accept only 2048 bits and more.", (*NEW, "JP", "1", "1", "n"), note=True, stored=True),
    Case(
        "Cannot import certificate: The certificate authority validation could not be\n"
        "trusted for certificate because unable to get local issuer certificate",
        (*IMPORT, "lost.p12", "", PASS),
        lambda session: trusting(session, check_own_chain=True),
        stored=True,
    ),
    # 4.6
    Case(
        f'{fqdn.FAILED}\nCommon Name "mailhost"{NOT_FQDN}\nSAN:dNSName "localhost"{NOT_FQDN}\n{DOMAIN_RULES}',
        (*IMPORT, "names.p12", "y", PASS),
    ),
    # 5.1
    Case(authority_lists.NO_PEM, (*IMPORT_LIST, "mail.der", "", "")),
    Case(f'"C=JP,O=Lab,CN=Old CA": {authority_lists.EXPIRED}\n{authority_lists.NOTHING_IMPORTED}', (*IMPORT_LIST, "expired.pem", "", "")),
    Case(f'"C=JP,O=Lab,CN=Lab Root CA": {authority_lists.TWICE}\n{authority_lists.NOTHING_IMPORTED}', (*IMPORT_LIST, "twice.pem", "", "")),
    Case(f'"C=JP,O=Lab,CN=No CA": {authority_lists.NO_CA_FLAG}\n{authority_lists.NOTHING_IMPORTED}', (*IMPORT_LIST, "false.pem", "", "")),
    Case(f'"C=JP,O=Lab,CN=Rootless CA": {authority_lists.NO_ROOT}\n{authority_lists.NOTHING_IMPORTED}', (*IMPORT_LIST, "rootless.pem", "", "")),
    Case(f'"C=JP,O=Lab,CN=Lab Root CA": Common Name "Lab Root CA"{NOT_FQDN}\n{DOMAIN_RULES}', (*IMPORT_LIST, "root.pem", "y", "")),
    Case(f'"C=JP,O=Lab": {authority_lists.NAMELESS}\n{DOMAIN_RULES}', (*IMPORT_LIST, "nameless.pem", "y", "")),
    Case(f"Block 2 is not a certificate.\n{authority_lists.NOTHING_IMPORTED}", (*IMPORT_LIST, "broken.pem", "", "")),
    Case(authorities.EMPTY, (*CUSTOM, "enable", "")),
    Case(authorities.BOTH_DISABLED, ("certauthority", "system", "disable", ""), note=True, stored=True),
    # 5.2, 5.4
    Case(authorities.NO_CUSTOM, (*CUSTOM, "print", ""), note=True),
    Case(authorities.NO_CUSTOM, "certconfig certauthority custom delete 1"),
    Case(authorities.FLAGS_SET, (*CUSTOM, "check_ca_flag", ""), trusting, note=True, stored=True),
    Case("CA flag is not set: C=JP,O=Lab,CN=No CA", (*CUSTOM, "check_ca_flag", ""), lambda s: trusting(s, custom_list=(FALSE.pem,)), note=True, stored=True),
    Case(
        "The Cisco Trusted Root Certificate Bundle was not updated: no update server is configured.",
        ("certauthority", "system", "update", ""),
        with_server,
    ),
    # 6
    Case(crl.BAD_URL, (*CRL, "ftp://x", CTRL_C)),
    Case(crl.BAD_TIME, (*CRL, "file:x", "", "", "3:00", CTRL_C)),
    Case(crl.NO_SOURCES, ("crl",), note=True),
    Case('CRL source "lab" was not updated: it has not been committed.', "certconfig crl update", lambda s: run_batch(COMMAND, s, "certconfig crl new lab file:x"), stored=True),
    Case('CRL source "lab" already exists.', "certconfig crl new LAB file:x", lambda s: run_batch(COMMAND, s, "certconfig crl new lab file:x"), stored=True),
    Case('There is no CRL source named "x".', "certconfig crl delete x"),
    # 11
    Case('Certificate profile "mail" already exists.', f"{IMPORT_BATCH} mail.p12 --passphrase={PASS}", with_profile, stored=True),
    Case(
        'The file "mail.der" is not in PEM format (openssl x509 -inform der -in mail.der -out mail.der.pem).',
        f"{BATCH} paste mail --certificate=mail.der --key=mail.key",
    ),
    Case('There is no certificate profile named "x".', f"{BATCH} delete x"),
    Case("There are no intermediate certificates.", f"{BATCH} edit mail --remove-intermediate=1", with_profile, stored=True),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.text[:50]}" for number, case in enumerate(CASES)])
async def test_the_text_is_reached(tmp_path: Path, case: Case) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    session = make_session(files=tmp_path)
    if case.prepare and isinstance(prepared := case.prepare(session), Awaitable):
        await prepared
    before = session.draft.config
    screen, failed = await run(session, case)
    assert f"{case.text}\n" in screen
    assert failed is not case.note
    assert session.draft.changed is case.stored and (case.note or session.draft.config == before)


class Leaving(ScriptedTerminal):
    """After the last answer it leaves level by level."""

    levels = 4

    async def read_line(self, prompt: str, *, hidden: bool = False, words: Sequence[str] = (), history: bool = False) -> str:
        if not self.answers and self.levels:
            self.levels -= 1
            self.answers = [""]
        return await super().read_line(prompt, hidden=hidden, words=words, history=history)


async def run(session: Session, case: Case) -> tuple[str, bool]:
    if case.text == problem.TOO_MANY_INTERMEDIATES:
        return await too_many(session)
    if isinstance(case.answers, str):
        return await run_batch(COMMAND, session, case.answers)
    answers = [answer for word in case.answers for answer in (odd_key() if word == "KEY" else (word,))]
    if case.text == problem.KEY_KIND:
        answers[3 : answers.index(".") + 1] = lines(odd_pair()[0])
    talk = Conversation(Leaving(answers))
    try:
        await COMMAND.dialog(talk, session)
    except (EndOfInput, Interrupted):
        talk.failed = True
    return talk.terminal.screen, talk.failed  # type: ignore[attr-defined]


def odd_pair() -> tuple[str, str]:
    """A certificate and its Ed25519 key."""
    made = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    name = lab_name("ed.test")
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(made.public_key()).serial_number(7)
    certificate_ = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(made, None)
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return certificate_pem(certificate_), pem


def odd_key() -> tuple[str, ...]:
    return lines(odd_pair()[1])


async def too_many(session: Session) -> tuple[str, bool]:
    """Eleven intermediates in one file."""
    chain = [issue("Top", authority=True)]
    for number in range(11):
        chain.insert(0, issue(f"Level {number}", chain[0], authority=True))
    leaf = issue("deep.test", chain[0], key=rsa_key())
    (session.appliance.files / "deep.pem").write_text(leaf.pem + "".join(link.pem for link in chain[:-1]))
    return await run_batch(COMMAND, session, f"{BATCH} paste deep --certificate=deep.pem --key=mail.key")


def test_no_text_is_without_a_case() -> None:
    reached = "\n".join(case.text for case in CASES)
    texts = {
        (module.__name__, name): value
        for module in TEXTS_IN
        for name, value in vars(module).items()
        if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Z0-9_]+", name) and " " in value and value not in QUESTIONS
    }
    assert len(texts) > 25
    assert {where: text for where, text in texts.items() if text not in reached} == {}
