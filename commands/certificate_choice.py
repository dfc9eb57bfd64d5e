"""The question for a certificate that listenerconfig, destconfig and interfaceconfig share (listenerconfig.md 4.1)."""

from __future__ import annotations

from appliance_runtime.clock import long_date
from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import EXPIRED, FUTURE, read_facts
from appliance_state.certificates.keys import sealed_key_belongs
from appliance_state.certificates.pem import NotReadable, read_certificate
from appliance_state.certificates.profile_names import is_demo
from appliance_state.model.certificates import KeyMaterial
from appliance_state.model.interfaces import DEMO
from appliance_state.secrets import Unsealable
from commands.dialog import Conversation

DEMO_NOTE = 'The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.'


def usable_profiles(session: Session) -> list[str]:
    """Names of the profiles with a private key that belongs to the certificate, sorted. `Demo` is not among them."""
    return [profile.name for profile in session.draft.config.certificates.sorted() if _is_usable(session, profile.material)]


def _is_usable(session: Session, material: KeyMaterial) -> bool:
    if material.private_key is None:
        return False
    try:
        return sealed_key_belongs(session.draft.reveal(material.private_key), read_certificate(material.certificate))
    except (KeyError, NotReadable, Unsealable):
        return False


async def choose_certificate(talk: Conversation, session: Session, *, current: str, key: str = "certificate") -> str:
    """The profile that is chosen, `Demo` being the last one of the list. An expired one is allowed, with a warning."""
    if is_demo(current) and not talk.batch:
        talk.show(DEMO_NOTE)
    names = [*usable_profiles(session), DEMO]
    default = next((name for name in names if name.casefold() == current.casefold()), None)
    chosen = await talk.choose([(name, name) for name in names], key=key, below="Please choose the certificate to apply:", default=default)
    if warning := validity_warning(session, chosen):
        talk.note(warning)
    return chosen


def validity_warning(session: Session, name: str) -> str | None:
    """What is to be said about a profile that has expired or is not valid yet."""
    if is_demo(name):
        return None
    facts = read_facts(session.draft.config.certificates[name].material.certificate)
    timezone = session.draft.config.system.timezone
    match facts.status(session.appliance.clock.now()):
        case status if status == EXPIRED:
            return f'Warning: The certificate "{name}" expired on {long_date(facts.not_after, timezone)}.'
        case status if status == FUTURE:
            return f'Warning: The certificate "{name}" is not valid before {long_date(facts.not_before, timezone)}.'
    return None
