"""What IMPORT, PASTE, NEW and EDIT have in common: name, overwriting, FQDN question, storing, remarks (certconfig.md 3, 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from cryptography import x509

from appliance_runtime.clock import long_date
from appliance_runtime.sessions import Session
from appliance_state.certificates.authorities import trusted_authorities
from appliance_state.certificates.fqdn import fqdn_problems, fqdn_text
from appliance_state.certificates.notes import check_chain, notes
from appliance_state.certificates.pem import certificate_pem
from appliance_state.certificates.problem import CertificateProblem
from appliance_state.certificates.profile_names import check_name
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from commands.dialog import Cancelled, Conversation, Refused, Rejected

FQDN_QUESTION = """\
Do you want to check if Common Name or SAN:dNSName or both are in Fully
Qualified Domain Name(FQDN) format ?"""


@contextmanager
def refusing() -> Iterator[None]:
    """A problem with a certificate ends the operation."""
    try:
        yield
    except CertificateProblem as problem:
        raise Refused(str(problem)) from None


@contextmanager
def rejecting() -> Iterator[None]:
    """A problem with a certificate makes the question be asked again."""
    try:
        yield
    except CertificateProblem as problem:
        raise Rejected(str(problem)) from None


def profile_name(answer: str) -> str:
    with rejecting():
        return check_name(answer)


def date_of(session: Session) -> Callable[[datetime], str]:
    """How the appliance writes a time."""
    timezone = session.draft.config.system.timezone
    return lambda moment: long_date(moment, timezone)


def has_profiles(session: Session) -> bool:
    return bool(session.draft.config.certificates)


async def ask_name(talk: Conversation, session: Session) -> str | None:
    """Name of the profile to make, or of the one to overwrite; None = after the certificate."""
    name = await talk.ask_optional("Enter a name for this certificate profile:", profile_name, key="name", bare=True)
    return None if name is None else await free_name(talk, session, name)


async def free_name(talk: Conversation, session: Session, name: str) -> str:
    """`name`, if there is no such profile or it may be overwritten; spelled as it is stored. Errors: Cancelled, Refused."""
    existing = session.draft.config.certificates.get(name)
    if existing is None:
        return name
    question = f'Certificate profile "{existing.name}" already exists. Do you want to\noverwrite with this new one?'
    if not await talk.confirm(question, key="overwrite", default=False):
        raise Refused(f'Certificate profile "{existing.name}" already exists.') if talk.batch else Cancelled
    return existing.name


async def ask_profile(talk: Conversation, session: Session, verb: str) -> CertificateProfile:
    """An own profile out of the list."""
    table = session.draft.config.certificates
    names = [(profile.name, profile.name) for profile in table.sorted()]
    question = f"Select the certificate profile you wish to {verb}:"
    return table[await talk.choose(names, key="name", below=question, default=names[0][0])]


def named_profile(session: Session, name: str) -> CertificateProfile:
    """The profile that a batch line names. Errors: Refused."""
    table = session.draft.config.certificates
    if name not in table:
        raise Refused(f'There is no certificate profile named "{name}".')
    return table[name]


async def ask_fqdn(talk: Conversation) -> bool:
    """Whether names are to be checked."""
    return await talk.confirm(FQDN_QUESTION, key="fqdn", default=False)


def check_fqdn(certificate: x509.Certificate) -> None:
    """Errors: Refused."""
    if (problems := fqdn_problems(certificate)) is not None:
        raise Refused(fqdn_text(problems))


def trust_anchors(session: Session) -> tuple[bytes, ...]:
    """DER of the authorities of the enabled lists, as the session sees them."""
    return trusted_authorities(session.draft.config.certificate_authorities, session.appliance.trust.updater.bundle)


def check_trust(session: Session, leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> None:
    """The check of the own chain, where it is switched on. Errors: Refused."""
    if session.draft.config.certificate_authorities.check_own_chain:
        with refusing():
            check_chain(leaf, intermediates, trust_anchors(session), session.appliance.clock.now())


def key_material(
    session: Session, leaf: x509.Certificate, key: bytes, intermediates: Sequence[x509.Certificate], request: str | None = None
) -> KeyMaterial:
    """A pair as it is stored; `key` is sealed."""
    return KeyMaterial(
        certificate=certificate_pem(leaf),
        private_key=session.draft.seal(key),
        intermediates=tuple(certificate_pem(certificate) for certificate in intermediates),
        signing_request=request,
    )


def store(session: Session, profile: CertificateProfile, what: str) -> None:
    """Put the profile into the pending copy. `what`: created, imported or updated."""
    draft = session.draft
    draft.config = draft.config.with_(certificates=draft.config.certificates.put(profile))
    session.appliance.logs.event("cli.profile", profile=profile.name, what=what)


def log_fqdn(session: Session, certificate: x509.Certificate) -> None:
    """The line about a certificate that came from outside and is stored."""
    session.appliance.logs.event("cli.fqdn_yes" if fqdn_problems(certificate) is None else "cli.fqdn_no")


def remark(talk: Conversation, session: Session, leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> None:
    """The `NOTE:` lines."""
    for line in notes(leaf, intermediates, trust_anchors(session), session.appliance.clock.now(), date_of(session)):
        talk.note(line)
