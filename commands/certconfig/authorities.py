"""certconfig > CERTAUTHORITY: the system list and the custom list of trusted authorities (certconfig.md 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.certificates.authorities import custom_enabled_after, exported, import_authorities, without_ca_flag
from appliance_state.certificates.facts import read_facts
from appliance_state.certificates.pem import certificate_pem
from appliance_state.model.certificates import CertificateAuthorities
from commands.certconfig.files import ask_export_file, ask_import_file, write_file
from commands.certconfig.profiles import ask_fqdn, date_of, log_fqdn, refusing
from commands.dialog import Cancelled, Conversation, Refused
from commands.menu import Menu

EMPTY = "The custom certificate authorities list is empty. Import a list first."
NO_CUSTOM = "There are no custom certificates."
BOTH_DISABLED = "NOTE: Both lists are disabled. Certificates of remote hosts will not be verified successfully."
FLAGS_SET = "The CA flag is set in all custom certificates."


def settings(session: Session) -> CertificateAuthorities:
    return session.draft.config.certificate_authorities


def change(session: Session, **fields: object) -> None:
    """Store other values of the lists."""
    draft = session.draft
    changed = evolve(draft.config.certificate_authorities, **fields)  # type: ignore[arg-type]
    draft.config = draft.config.with_(certificate_authorities=changed)


def system_pems(session: Session) -> list[str]:
    return [certificate_pem(certificate) for certificate in session.appliance.trust.updater.bundle.certificates]


def summary(session: Session) -> str:
    lists = settings(session)
    bundle = session.appliance.trust.updater.bundle
    updated = date_of(session)(bundle.updated) if bundle.updated else "never"
    return "\n".join(
        [
            "Certificate Authority Summary",
            f"Custom List: {_word(lists.custom_enabled)}",
            f"System List: {_word(lists.system_enabled)}",
            f"Custom Certificates: {len(lists.custom_list)}",
            f"System Certificates: {len(bundle.certificates)}",
            f"Cisco Trusted Root Certificate Bundle: version {bundle.version}, last updated {updated}",
        ]
    )


def _word(enabled: bool) -> str:
    return "Enabled" if enabled else "Disabled"


def listing(heading: str, pems: Sequence[str]) -> str:
    return "\n".join([heading, *(read_facts(pem).subject for pem in pems)])


def custom_listing(session: Session) -> str:
    pems = settings(session).custom_list
    return listing("Custom certificates:", pems) if pems else NO_CUSTOM


def system_listing(session: Session) -> str:
    return listing("System certificates:", system_pems(session))


def _warn_if_nothing_is_trusted(talk: Conversation, session: Session) -> None:
    if not settings(session).system_enabled and not settings(session).custom_enabled:
        talk.note(BOTH_DISABLED)


def switch(list_name: str, enabled: bool) -> Callable[[Conversation, Session], Awaitable[None]]:
    """The operation that switches a list."""

    async def run(talk: Conversation, session: Session) -> None:
        if list_name == "custom" and enabled and not settings(session).custom_list:
            raise Refused(EMPTY)
        change(session, **{f"{list_name}_enabled": enabled})
        _warn_if_nothing_is_trusted(talk, session)

    return run


async def write_list(talk: Conversation, session: Session, name: str, pems: Sequence[str]) -> None:
    """Write certificates as an editable list, at once."""
    write_file(session, name, exported(pems, date_of(session)).encode("utf-8", "replace"))
    talk.note(f'The list was exported to the file "{name}".')


# -- the menus, in the order of their words


def _has_custom(session: Session) -> bool:
    return bool(settings(session).custom_list)


def _custom_on(session: Session) -> bool:
    return settings(session).custom_enabled


def _system_on(session: Session) -> bool:
    return settings(session).system_enabled


menu: Menu[Session] = Menu(status=summary)
custom: Menu[Session] = Menu()
system: Menu[Session] = Menu()

enable_custom, disable_custom = switch("custom", True), switch("custom", False)
enable_system, disable_system = switch("system", True), switch("system", False)


@menu.operation("CUSTOM", "Manage Custom Certificate Authorities")
async def _custom_menu(talk: Conversation, session: Session) -> None:
    await custom.run(talk, session)


@menu.operation("SYSTEM", "Manage System Certificate Authorities")
async def _system_menu(talk: Conversation, session: Session) -> None:
    await system.run(talk, session)


custom.operation("ENABLE", "Enable the custom certificate authorities list", when=lambda session: not _custom_on(session))(enable_custom)
custom.operation("DISABLE", "Disable the custom certificate authorities list", when=_custom_on)(disable_custom)


async def import_custom(talk: Conversation, session: Session, append: bool = False) -> None:
    """A file of certificates, which replaces the list, or with `append` is added to it: all or nothing."""
    _, data = await ask_import_file(talk, session)
    fqdn = await ask_fqdn(talk)
    lists = settings(session)
    system_list, now = session.appliance.trust.updater.bundle.certificates, session.appliance.clock.now()
    with refusing():
        result = await asyncio.to_thread(import_authorities, data, lists.custom_list, append=append, fqdn=fqdn, now=now, system=system_list)
    enabled = custom_enabled_after(lists, result.custom_list)
    change(session, custom_list=result.custom_list, custom_enabled=enabled)
    for certificate in result.imported:
        log_fqdn(session, certificate)
    talk.note(f"Imported {len(result.imported)} custom certificates successfully")
    if result.removed:
        certificates, verb = ("certificate", "was") if result.removed == 1 else ("certificates", "were")
        talk.note(f"{result.removed} {certificates} of the previous list {verb} removed.")
    if enabled and not lists.custom_enabled:
        talk.note("The custom certificate authorities list is now enabled.")


custom.operation("IMPORT", "Import the list of custom certificates")(import_custom)


@custom.operation("EXPORT", "Export the list of custom certificates", when=_has_custom)
async def export_custom(talk: Conversation, session: Session) -> None:
    pems: Sequence[str] = settings(session).custom_list
    if not await talk.confirm("Do you want to export all the certificates?", key="all", default=True):
        pems = [await _choose(talk, session, "export")]
    await write_list(talk, session, await ask_export_file(talk, session), pems)


@custom.operation("DELETE", "Remove a certificate from the custom certificate list", when=_has_custom)
async def delete_custom(talk: Conversation, session: Session) -> None:
    pem = await _choose(talk, session, "delete")
    question = "Are you sure you want to delete this certificate?"
    if not await talk.confirm(question, key="sure", default=False, implied=("number",)):
        raise Cancelled
    left = tuple(other for other in settings(session).custom_list if other != pem)
    change(session, custom_list=left, custom_enabled=custom_enabled_after(settings(session), left))
    _warn_if_nothing_is_trusted(talk, session)


async def _choose(talk: Conversation, session: Session, verb: str) -> str:
    """A certificate of the custom list, by number."""
    rows = [(pem, read_facts(pem).subject) for pem in settings(session).custom_list]
    return await talk.choose(rows, key="number", below=f"Select the certificate you wish to {verb}:", default=rows[0][0])


@custom.operation("PRINT", "Print the list of custom certificates")
async def print_custom(talk: Conversation, session: Session) -> None:
    await talk.page(custom_listing(session))


@custom.operation("CHECK_CA_FLAG", "Check CA flag in uploaded custom CA certs", when=_has_custom)
async def check_ca_flag(talk: Conversation, session: Session) -> None:
    subjects = without_ca_flag(settings(session).custom_list)
    talk.say("\n".join(f"CA flag is not set: {subject}" for subject in subjects) or FLAGS_SET)


system.operation("ENABLE", "Enable the system certificate authorities list", when=lambda session: not _system_on(session))(enable_system)
system.operation("DISABLE", "Disable the system certificate authorities list", when=_system_on)(disable_system)


@system.operation("EXPORT", "Export the list of system certificates")
async def export_system(talk: Conversation, session: Session) -> None:
    await write_list(talk, session, await ask_export_file(talk, session), system_pems(session))


@system.operation("PRINT", "Print the list of system certificates")
async def print_system(talk: Conversation, session: Session) -> None:
    await talk.page(system_listing(session))


@system.operation("UPDATE", "Update the Cisco Trusted Root Certificate Bundle now")
async def update_system(talk: Conversation, session: Session) -> None:
    """At once, without commit."""
    outcome = await session.appliance.trust.updater.update()
    if outcome.reason is not None:
        raise Refused(outcome.text)
    talk.note(outcome.text)
