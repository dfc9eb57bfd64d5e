"""certconfig > CERTIFICATE > EDIT: the answer of an authority, intermediates, the signing request (certconfig.md 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, evolve
from cryptography import x509

from appliance_runtime.sessions import Session
from appliance_state.certificates.chain import in_issuer_order
from appliance_state.certificates.creation import request_for
from appliance_state.certificates.keys import PrivateKey, accepted, belongs, public_octets, read_sealed_key
from appliance_state.certificates.pem import NotReadable, certificate_pem, read_certificate, request_pem
from appliance_state.certificates.problem import KEY_MISMATCH, CertificateProblem
from appliance_state.model.certificates import MAX_INTERMEDIATES, CertificateProfile
from appliance_state.secrets import Unsealable
from commands.certconfig.listing import profile_details
from commands.certconfig.pasting import edit_intermediates, paste_leaf
from commands.certconfig.profiles import ask_fqdn, ask_profile, check_fqdn, check_trust, log_fqdn, remark, store
from commands.dialog import Conversation, Refused


@define
class Edited:
    """A profile that is being edited. `replaced`: its leaf is a new one."""

    profile: CertificateProfile
    leaf: x509.Certificate
    intermediates: list[x509.Certificate]
    replaced: bool = False

    def replace(self, session: Session, leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> int:
        """Take a new leaf for the same key; returns how many of the old intermediates do not belong to it and went.

        Errors: Refused when it certifies another key.
        """
        if not certifies_key(session, self.profile, self.leaf, leaf):
            raise Refused(KEY_MISMATCH)
        # The new chain may be what ties an old intermediate to the new leaf.
        kept = [certificate for certificate in in_issuer_order(leaf, [*chain, *self.intermediates]) if certificate not in chain]
        edited = [*chain, *kept][:MAX_INTERMEDIATES]
        dropped = sum(certificate not in edited for certificate in self.intermediates)
        self.leaf, self.intermediates, self.replaced = leaf, edited, True
        return dropped

    def store(self, session: Session, *, fqdn: bool) -> None:
        """Check and store; without a change nothing is stored. Errors: Refused."""
        if self.replaced:
            check_trust(session, self.leaf, self.intermediates)
        material = evolve(
            self.profile.material,
            certificate=certificate_pem(self.leaf) if self.replaced else self.profile.material.certificate,
            intermediates=tuple(certificate_pem(certificate) for certificate in self.intermediates),
        )
        profile = evolve(self.profile, material=material, fqdn_validation=fqdn)
        if profile == self.profile:
            return
        store(session, profile, "updated")
        if self.replaced:
            log_fqdn(session, self.leaf)


def begin(profile: CertificateProfile) -> Edited:
    """Errors: Refused when what is stored cannot be read."""
    try:
        leaf = read_certificate(profile.material.certificate)
        return Edited(profile, leaf, [read_certificate(pem) for pem in profile.material.intermediates])
    except NotReadable:
        raise Refused(f'Certificate "{profile.name}" cannot be loaded.') from None


def certifies_key(session: Session, profile: CertificateProfile, old: x509.Certificate, new: x509.Certificate) -> bool:
    """Whether `new` certifies the key of the profile; without a readable key, that of its present certificate."""
    try:
        return belongs(profile_key(session, profile), new)
    except Refused:
        return public_octets(new) is not None and public_octets(new) == public_octets(old)


def profile_key(session: Session, profile: CertificateProfile) -> PrivateKey:
    """The private key of a profile. Errors: Refused."""
    ref = profile.material.private_key
    if ref is None:
        raise Refused(f'Certificate "{profile.name}" has no private key.')
    try:
        return accepted(read_sealed_key(session.draft.reveal(ref)))
    except (KeyError, ValueError, NotReadable, Unsealable, CertificateProblem):
        raise Refused(f'Certificate "{profile.name}" cannot be loaded.') from None


def signing_request(session: Session, profile: CertificateProfile) -> str:
    """The request of a profile; without one it is made of key, subject and DNS names. Errors: Refused."""
    if profile.material.signing_request is not None:
        return profile.material.signing_request
    key = profile_key(session, profile)
    try:
        return request_pem(request_for(read_certificate(profile.material.certificate), key))
    except (NotReadable, ValueError):
        raise Refused(f'Certificate "{profile.name}" cannot be loaded.') from None


def dropped_note(count: int) -> str:
    certificates, verb = ("certificate", "was") if count == 1 else ("certificates", "were")
    return f"NOTE: {count} intermediate {certificates} of the old certificate {verb} removed."


async def edit(talk: Conversation, session: Session) -> None:
    profile = await ask_profile(talk, session, "edit")
    talk.show(profile_details(session, profile))
    edited = begin(profile)
    if await talk.confirm("Would you like to update the existing public certificate?", key="update", default=False):
        leaf, chain = await paste_leaf(talk)
        if dropped := edited.replace(session, leaf, chain):
            talk.note(dropped_note(dropped))
    elif profile.material.signing_request is not None and await talk.confirm("Do you want to view the CSR?", key="view", default=True):
        talk.say(profile.material.signing_request.rstrip("\n"))
    edited.intermediates = await edit_intermediates(talk, edited.leaf, edited.intermediates)
    fqdn = profile.fqdn_validation
    if edited.replaced:
        fqdn = await ask_fqdn(talk)
        if fqdn:
            check_fqdn(edited.leaf)
    edited.store(session, fqdn=fqdn)
    if edited.replaced:
        remark(talk, session, edited.leaf, edited.intermediates)
