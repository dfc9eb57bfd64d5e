"""certconfig > CERTIFICATE: the menu, and its operations EXPORT, DELETE and PRINT (certconfig.md 3)."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.certificates.keys import octets
from appliance_state.certificates.pem import NotReadable
from appliance_state.certificates.pkcs12 import KeyPair
from appliance_state.model.certificates import CertificateProfile
from commands.certconfig.creating import import_, new, paste
from commands.certconfig.editing import begin, edit, profile_key
from commands.certconfig.files import ask_export_file, write_file
from commands.certconfig.listing import certificate_table
from commands.certconfig.profiles import ask_profile, has_profiles
from commands.certconfig.usage import used_by
from commands.dialog import INVALID, Cancelled, Conversation, Refused
from commands.menu import Menu
from commands.print_sections.certificates import certificates_text

SHORTEST_PASSPHRASE, LONGEST_PASSPHRASE = 6, 128
BAD_LENGTH = f"The passphrase must have {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} characters."
DIFFERENT = "The passphrases do not match."

menu: Menu[Session] = Menu(status=lambda session: f"List of Certificates\n{certificate_table(session)}")
menu.operation("IMPORT", "Import a certificate from a local PKCS#12 file")(import_)
menu.operation("PASTE", "Paste a certificate into the CLI")(paste)
menu.operation("NEW", "Create a self-signed certificate and CSR")(new)
menu.operation("EDIT", "Update certificate or view the signing request", when=has_profiles)(edit)


async def export(talk: Conversation, session: Session, *, legacy: bool = False) -> None:
    """A PKCS#12 file, at once; also of a profile that is only pending."""
    profile = await ask_profile(talk, session, "export")
    name = await ask_export_file(talk, session)
    await _write_profile(session, profile, name, await _ask_new_passphrase(talk), legacy)
    talk.note(f'The certificate "{profile.name}" was exported to the file "{name}".')


menu.operation("EXPORT", "Export a certificate", when=has_profiles)(export)


async def _ask_new_passphrase(talk: Conversation) -> str:
    """A passphrase, typed twice."""
    while True:
        passphrase = await talk.hidden("Enter passphrase:", key="passphrase")
        if not SHORTEST_PASSPHRASE <= len(passphrase) <= LONGEST_PASSPHRASE:
            problem = BAD_LENGTH
        elif not _is_text(passphrase):
            problem = INVALID
        elif await talk.hidden("Re-enter passphrase:", key="passphrase", gap=False) == passphrase:
            return passphrase
        else:
            problem = DIFFERENT
        if talk.batch:
            raise Refused(problem)
        talk.fail(problem)


def _is_text(passphrase: str) -> bool:
    try:
        return bool(octets(passphrase))
    except NotReadable:
        return False


async def _write_profile(session: Session, profile: CertificateProfile, name: str, passphrase: str, legacy: bool) -> None:
    """Errors: Refused."""
    stored = begin(profile)
    pair = KeyPair(certificate=stored.leaf, key=profile_key(session, profile), intermediates=tuple(stored.intermediates))
    try:
        data = await session.appliance.key_files.make_pkcs12(pair, profile.name, passphrase, legacy=legacy)
    except NotReadable:
        raise Refused(f'The certificate "{profile.name}" could not be exported.') from None
    write_file(session, name, data)
    session.appliance.logs.event("cli.profile", profile=profile.name, what=f'exported to file "{name}"')


@menu.operation("DELETE", "Remove a certificate", when=has_profiles)
async def delete(talk: Conversation, session: Session) -> None:
    profile = await ask_profile(talk, session, "delete")
    if users := used_by(session.draft.config, profile.name):
        raise Refused(
            f'The certificate "{profile.name}" is in use by: {", ".join(users)}.\n'
            "Assign another certificate before you delete it, or overwrite it under the same name."
        )
    if not await talk.confirm(f'Are you sure you want to delete "{profile.name}"?', key="sure", default=False, implied=("name",)):
        raise Cancelled
    draft = session.draft
    draft.config = draft.config.with_(certificates=draft.config.certificates.without(profile.name))
    session.appliance.logs.event("cli.profile", profile=profile.name, what="deleted")


@menu.operation("PRINT", "View certificates assigned to services")
async def print_(talk: Conversation, session: Session) -> None:
    await talk.page(certificates_text(session))
