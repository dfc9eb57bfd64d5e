"""Rules that the whole configuration must keep (commit.md 4), each violation in the operator's words.

Single fields are valid by construction; here stand the relations between objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from appliance_state.certificates.keys import belongs, read_sealed_key
from appliance_state.certificates.pem import NotReadable, read_certificate
from appliance_state.certificates.profile_names import is_demo
from appliance_state.ciphers import OUTGOING_LEVEL, SERVER_LEVEL, usable
from appliance_state.model import Config
from appliance_state.model.certificates import CertificateProfile, SecretRef
from appliance_state.model.destinations import DEFAULT_DOMAIN, DaneSupport, TlsSupport
from appliance_state.model.interfaces import SERVICES
from appliance_state.model.listeners import ReceivingTls
from appliance_state.model.tls_settings import TLS_SERVICES, gap_problem, service_title
from appliance_state.model.users import Role

Reveal = Callable[[SecretRef], bytes]


def problems(config: Config, reveal: Reveal) -> list[str]:
    """Every violated rule; none = the configuration may be committed. `reveal` opens a secret (errors: KeyError, ValueError)."""
    return [
        *_references(config),
        *_sockets(config),
        *_keys(config, reveal),
        *_destinations(config),
        *_tls(config),
        *_accounts(config),
        *_others(config),
    ]


def _references(config: Config) -> Iterator[str]:
    """Rules 1 to 5."""
    interfaces = config.interfaces
    for listener in config.listeners.sorted():
        if listener.interface not in interfaces:
            yield f'Listener "{listener.name}" uses the interface "{listener.interface}", which does not exist.'
    for user, name in certificate_users(config):
        if not is_demo(name) and name not in config.certificates:
            verb = "use" if user.startswith("The ") else "uses"
            yield f'{user} {verb} the certificate "{name}", which does not exist.'
    for listener in config.listeners.sorted():
        if listener.bounce_profile not in config.bounce_profiles:
            yield f'Listener "{listener.name}" uses the bounce profile "{listener.bounce_profile}", which does not exist.'
    for destination in config.destinations.entries():
        if destination.bounce_profile is not None and destination.bounce_profile not in config.bounce_profiles:
            yield f'Destination "{destination.domain}" uses the bounce profile "{destination.bounce_profile}", which does not exist.'
    for listener in config.listeners.sorted():
        for group in listener.hat_sender_groups:
            if group.policy is not None and listener.policy(group.policy) is None:
                yield f'Listener "{listener.name}": sender group "{group.identity}" uses the policy "{group.policy}", which does not exist.'
    if config.dns.interface != "Auto" and config.dns.interface not in interfaces:
        yield f'The DNS settings use the interface "{config.dns.interface}", which does not exist.'
    source = config.delivery.interface
    if source != "Auto" and source not in interfaces and source not in config.interface_groups:
        yield f'The delivery settings use the interface "{source}", which does not exist.'
    if config.updates.interface != "Auto" and config.updates.interface not in interfaces:
        yield f'The update settings use the interface "{config.updates.interface}", which does not exist.'
    if config.ldap.interface != "Auto" and config.ldap.interface not in interfaces:
        yield f'The LDAP settings use the interface "{config.ldap.interface}", which does not exist.'
    for group_ in config.interface_groups.sorted():
        for member in sorted(group_.members):
            if member not in interfaces:
                yield f'Interface group "{group_.name}" contains the interface "{member}", which does not exist.'


def certificate_users(config: Config) -> Iterator[tuple[str, str]]:
    """(who, name of the certificate) for every reference that is in effect, `who` as the beginning of a sentence."""
    for listener in config.listeners.sorted():
        yield f'Listener "{listener.name}"', listener.tls_certificate
    for interface in config.interfaces.sorted():
        if interface.https_port is not None:
            yield f'Interface "{interface.name}"', interface.https_certificate
    yield "The destination settings", config.destination_globals.certificate
    yield "The LDAP settings", config.ldap.certificate


def _sockets(config: Config) -> Iterator[str]:
    """Rules 7 to 9."""
    taken: dict[tuple[str, int], str] = {}
    owners: dict[str, str] = {}
    for interface in config.interfaces.sorted():
        for address in interface.addresses:
            if address in owners:
                yield f'Interfaces "{owners[address]}" and "{interface.name}" both have the address {address}.'
            owners[address] = interface.name
            for word, label, _ in SERVICES:
                port = interface.service_port(word)
                if port is None:
                    continue
                user = f'the {label} service of interface "{interface.name}"'
                if other := taken.get((address, port)):
                    yield f"{other[0].upper()}{other[1:]} and {user} both use {address} port {port}."
                taken[address, port] = user
    listeners: dict[tuple[str, int], str] = {}
    for listener in config.listeners.sorted():
        if listener.interface not in config.interfaces:
            continue
        for address in config.interfaces[listener.interface].addresses:
            socket = (address, listener.port)
            if socket in listeners:
                yield f'Listeners "{listeners[socket]}" and "{listener.name}" both use {address} port {listener.port}.'
            elif socket in taken:
                yield f'Listener "{listener.name}" and {taken[socket]} both use {address} port {listener.port}.'
            listeners[socket] = listener.name


def _keys(config: Config, reveal: Reveal) -> Iterator[str]:
    """Rule 10, for the profiles that are in use."""
    names = {name.casefold(): name for _, name in certificate_users(config) if name in config.certificates}
    for name in sorted(names):
        if problem := key_problem(config.certificates[name], reveal):
            yield problem


def key_problem(profile: CertificateProfile, reveal: Reveal) -> str | None:
    """Why a profile cannot serve: no key, or one that does not belong to the certificate."""
    material = profile.material
    if material.private_key is None:
        return f'Certificate "{profile.name}" has no private key.'
    try:
        matches = belongs(read_sealed_key(reveal(material.private_key)), read_certificate(material.certificate))
    except (NotReadable, ValueError, KeyError):
        return f'Certificate "{profile.name}" cannot be loaded.'
    return None if matches else f'Certificate "{profile.name}": the private key does not match the certificate.'


def _destinations(config: Config) -> Iterator[str]:
    """Rule 11."""
    default = config.destinations[DEFAULT_DOMAIN]
    for entry in config.destinations.entries():
        if entry.dane_support in (None, DaneSupport.NO):
            continue
        if (entry.tls_support or default.tls_support) is TlsSupport.NO:
            yield f'Destination "{entry.domain}": DANE needs TLS support.'


def dane_in_use(config: Config) -> bool:
    """Some destination asks for DANE."""
    default = config.destinations[DEFAULT_DOMAIN]
    return any(
        (entry.dane_support or default.dane_support) is not DaneSupport.NO
        and (entry.tls_support or default.tls_support) is not TlsSupport.NO
        for entry in config.destinations.entries()
    )


def _tls(config: Config) -> Iterator[str]:
    """Rule 12."""
    for service, name in TLS_SERVICES.items():
        methods = config.ssl.methods(service)
        level = OUTGOING_LEVEL if service == "outbound" else SERVER_LEVEL
        if not methods:
            yield f"{service_title(service)}: no TLS method is enabled."
        elif gap := gap_problem(methods):
            yield f"{service_title(service)}: {gap}"
        elif not usable(config.ssl.ciphers(service), methods, level):
            yield f"The {name} cipher list selects no cipher."


def _accounts(config: Config) -> Iterator[str]:
    """Rule 14."""
    if not any(u.enabled and u.role is Role.ADMIN and (u.passphrase or u.authorized_keys) for u in config.users.entries()):
        yield "At least one enabled account must have the role Administrator."


def _others(config: Config) -> Iterator[str]:
    """Rule 13."""
    alerts = config.alerts
    if alerts.initial_interval and alerts.max_interval < alerts.initial_interval:
        yield "The maximum duplicate alert interval is smaller than the initial interval."


def warnings(config: Config, now: datetime, date: Callable[[datetime], str]) -> list[str]:
    """Conditions that do not stop a commit; each is reported by the commit that introduces it. `date` formats a time."""
    found = [text for _, text in demo_users(config)]
    for name in sorted({name.casefold() for _, name in certificate_users(config)}):
        if name in config.certificates:
            profile = config.certificates[name]
            try:
                certificate = read_certificate(profile.material.certificate)
            except NotReadable:
                continue
            start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            if now > end:
                found.append(f'Certificate "{profile.name}" expired on {date(end)}.')
            elif now < start:
                found.append(f'Certificate "{profile.name}" is not valid before {date(start)}.')
    if not any(interface.ssh_port for interface in config.interfaces.entries()):
        found.append("No interface offers SSH.")
    if not any(interface.https_port for interface in config.interfaces.entries()):
        found.append("No interface offers HTTPS.")
    return found


def demo_users(config: Config) -> list[tuple[str, str]]:
    """Services that are on and use the demo certificate: (subject of the sentence, sentence)."""
    found = []
    for listener in config.listeners.sorted():
        policies = [policy.parameters.tls for policy in listener.hat_policies]
        groups = [group.parameters.tls for group in listener.hat_sender_groups]
        tls_on = any(value not in (None, ReceivingTls.OFF) for value in (listener.hat_default.tls, *policies, *groups))
        if tls_on and is_demo(listener.tls_certificate):
            found.append((f'Listener "{listener.name}"', f'Listener "{listener.name}" uses the demo certificate, which is not secure.'))
    for interface in config.interfaces.sorted():
        if interface.https_port is not None and is_demo(interface.https_certificate):
            subject = f'HTTPS on interface "{interface.name}"'
            found.append((subject, f"{subject} uses the demo certificate, which is not secure."))
    levels = {entry.tls_support for entry in config.destinations.entries()} - {None, TlsSupport.NO}
    if is_demo(config.destination_globals.certificate) and levels:
        found.append(("Outgoing TLS connections", "Outgoing TLS connections use the demo certificate, which is not secure."))
    return found
