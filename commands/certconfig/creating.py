"""certconfig > CERTIFICATE > NEW, IMPORT and PASTE (certconfig.md 3.1 to 3.3)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from appliance_runtime.sessions import Session
from appliance_state.certificates.countries import NOT_A_COUNTRY, country_code
from appliance_state.certificates.creation import (
    DEFAULT_DAYS,
    DEFAULT_KEY_SIZE,
    KEY_SIZES,
    MAX_DAYS,
    Subject,
    alternative_names,
    create_certificate,
    create_request,
    random_serial,
)
from appliance_state.certificates.fqdn import common_name_text
from appliance_state.certificates.keys import accepted, belongs, generate_rsa_key, private_key_pem
from appliance_state.certificates.pem import looks_like_pem, request_pem
from appliance_state.certificates.problem import KEY_MISMATCH
from appliance_state.certificates.profile_names import name_after, name_from
from appliance_state.model.certificates import CertificateProfile
from commands.answers import integer, text
from commands.certconfig.files import ask_import_file
from commands.certconfig.pasting import edit_intermediates, paste_key, paste_leaf
from commands.certconfig.profiles import (
    ask_fqdn,
    ask_name,
    check_fqdn,
    check_trust,
    free_name,
    key_material,
    log_fqdn,
    refusing,
    remark,
    store,
)
from commands.dialog import Conversation, Refused, Rejected

SELF_SIGNED, SMIME = 1, 2
NO_SMIME = "S/MIME certificates are not available in this product."
COMMON_NAME_FQDN = "Do you want to check if Common Name is in Fully Qualified Domain Name(FQDN)\nformat ?"


def pem_not_pkcs12(name: str) -> str:
    return (
        f'Cannot import certificate: the file "{name}" is a PEM file, not a PKCS#12 file. '
        "Use EDIT to install a certificate that was signed for an existing profile, or PASTE for PEM text."
    )


def country(answer: str) -> str:
    code = country_code(answer)
    if code is None:
        raise Rejected(NOT_A_COUNTRY)
    return code


async def new(talk: Conversation, session: Session, more_names: Sequence[str] = ()) -> None:
    """A key, its self-signed certificate and its signing request. `more_names`: further DNS names of both."""
    await _self_signed(talk)
    name = await ask_name(talk, session)
    common_name, fqdn = await _common_name(talk)
    if name is None:
        name = await free_name(talk, session, name_from(common_name))
    subject = Subject(
        common_name=common_name,
        organization=await talk.ask("Enter Organization:", text(64), key="o", bare=True),
        organizational_unit=await talk.ask("Enter Organizational Unit:", text(64), key="ou", bare=True),
        locality=await talk.ask("Enter Locality or City:", text(128), key="l", bare=True),
        state=await talk.ask("Enter State or Province:", text(128), key="st", bare=True),
        country=await talk.ask("Enter Country (2 letter code):", country, key="c", bare=True),
    )
    days = await talk.ask("Duration before expiration (in days):", integer(1, MAX_DAYS), key="days", default=DEFAULT_DAYS)
    sizes = [(bits, str(bits)) for bits in KEY_SIZES]
    bits = await talk.choose(sizes, key="bits", below="Enter size of private key:", default=DEFAULT_KEY_SIZE)
    view = await talk.confirm("Do you want to view the CSR?", key="view", default=True)
    key = await asyncio.to_thread(generate_rsa_key, bits)
    names = alternative_names(common_name, more_names)
    certificate = create_certificate(
        subject,
        key,
        now=session.appliance.clock.now(),
        days=days,
        serial=random_serial(secrets.token_bytes),
        dns_names=names,
    )
    request = request_pem(create_request(subject.name(), key, names))
    material = key_material(session, certificate, private_key_pem(key), (), request)
    store(session, CertificateProfile(name=name, material=material, fqdn_validation=fqdn), "created")
    remark(talk, session, certificate, ())
    if view:
        talk.say(request.rstrip("\n"))


async def _self_signed(talk: Conversation) -> None:
    """The first question of NEW, until it is answered with the one type that exists."""
    types = [(SELF_SIGNED, "Create a self-signed certificate and CSR"), (SMIME, "Create a self-signed SMIME certificate and CSR")]
    while await talk.choose(types, key="type", default=SELF_SIGNED) == SMIME:
        talk.fail(NO_SMIME)


async def _common_name(talk: Conversation) -> tuple[str, bool]:
    """The common name, and whether it was to be checked."""
    while True:
        common_name = await talk.ask("Enter Common Name:", text(64), key="cn", bare=True)
        if not await talk.confirm(COMMON_NAME_FQDN, key="fqdn", default=False):
            return common_name, False
        problem = common_name_text(common_name)
        if problem is None:
            return common_name, True
        if talk.batch:
            raise Refused(problem)
        talk.fail(problem)


async def import_(talk: Conversation, session: Session) -> None:
    """A PKCS#12 file."""
    name = await ask_name(talk, session)
    file, data = await ask_import_file(talk, session)
    if looks_like_pem(data):
        raise Refused(pem_not_pkcs12(file))
    fqdn = await ask_fqdn(talk)
    passphrase = await talk.hidden("Enter pass phrase for PKCS#12 file:", key="passphrase")
    with refusing():
        pair = await session.appliance.key_files.open_pkcs12(data, passphrase)
    if fqdn:
        check_fqdn(pair.certificate)
    check_trust(session, pair.certificate, pair.intermediates)
    if name is None:
        name = await free_name(talk, session, name_after(pair.certificate))
    material = key_material(session, pair.certificate, private_key_pem(pair.key), pair.intermediates)
    store(session, CertificateProfile(name=name, material=material, fqdn_validation=fqdn), "imported")
    log_fqdn(session, pair.certificate)
    remark(talk, session, pair.certificate, pair.intermediates)


async def paste(talk: Conversation, session: Session) -> None:
    """Certificate, key and intermediates as PEM texts."""
    name = await ask_name(talk, session)
    leaf, chain = await paste_leaf(talk)
    if name is None:
        name = await free_name(talk, session, name_after(leaf))
    with refusing():
        key = await paste_key(talk, session)
    if not belongs(key, leaf):
        raise Refused(KEY_MISMATCH)
    with refusing():
        usable = accepted(key)
    chain = await edit_intermediates(talk, leaf, chain)
    fqdn = await ask_fqdn(talk)
    if fqdn:
        check_fqdn(leaf)
    check_trust(session, leaf, chain)
    material = key_material(session, leaf, private_key_pem(usable), chain)
    store(session, CertificateProfile(name=name, material=material, fqdn_validation=fqdn), "imported")
    log_fqdn(session, leaf)
    remark(talk, session, leaf, chain)
