"""The live snapshot: one generation with everything that is made from it. A connection takes it once and keeps it.

Parts whose ingredients did not change are taken over from the snapshot before, so a commit of one setting builds
nothing else anew, and TLS sessions of an unchanged certificate stay valid.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from appliance_runtime.demo import DemoCertificate
from appliance_runtime.smtp.access import CompiledListener, compile_listener
from appliance_runtime.tls import Credentials, ServerTls, UnusableContext, client_context
from appliance_state.certificates.authorities import trusted_authorities
from appliance_state.certificates.ca_bundle import SystemBundle
from appliance_state.model import Config
from appliance_state.model.certificates import KeyMaterial, SecretRef
from appliance_state.model.interfaces import DEMO
from appliance_state.model.listeners import Listener, ReceivingTls
from appliance_state.table import fold

Reveal = Callable[[SecretRef], bytes]
VERIFY, REQUIRE = "?verify", "?require"
"""Suffixes of inbound contexts that ask for a client certificate and accept none, or do not."""


@frozen(kw_only=True)
class ServerIngredients:
    """What a server context is made from, with its key sealed. `tickets`: see `ServerTls`."""

    material: DemoCertificate | KeyMaterial
    methods: frozenset[str]
    ciphers: str
    renegotiation: bool
    verify: ssl.VerifyMode
    anchors: tuple[bytes, ...]
    tickets: bool

    def revealed(self, reveal: Reveal) -> ServerTls:
        """Errors: UnusableContext."""
        return ServerTls(
            credentials=_credentials(self.material, reveal),
            methods=self.methods,
            ciphers=self.ciphers,
            renegotiation=self.renegotiation,
            verify=self.verify,
            anchors=self.anchors,
            tickets=self.tickets,
        )


@frozen(kw_only=True)
class Snapshot:
    generation: int
    config: Config
    receiving: Mapping[str, CompiledListener]
    """by listener uid"""
    inbound_contexts: Mapping[str, ssl.SSLContext]
    """by profile name in lower case, and with the suffixes VERIFY and REQUIRE"""
    gui_contexts: Mapping[str, ssl.SSLContext]
    outbound_context: ssl.SSLContext
    anchors: tuple[bytes, ...]
    """DER of the trusted authorities of the enabled lists"""
    ldap_credentials: Credentials | None = None
    """what LDAPS servers are shown that ask for a certificate; None only where no Builder was"""
    other_client_context: ssl.SSLContext = field()
    """of LDAPS, alert mail and updates, which may be allowed older versions than delivery"""
    ingredients: Mapping[str, Any] = field(factory=dict, repr=False)
    """what each context was made from"""

    @other_client_context.default
    def _as_delivery(self) -> ssl.SSLContext:
        return self.outbound_context

    @property
    def plain_inbound_ingredients(self) -> dict[str, ServerIngredients]:
        """What the contexts are made from that ask for no client certificate, by the name of the profile."""
        return {name: self.ingredients[f"inbound:{name}"] for name in self.inbound_contexts if not name.endswith((VERIFY, REQUIRE))}


class Builder:
    """Makes snapshots; `problems` collects what keeps one from being made."""

    def __init__(self, demo: DemoCertificate, reveal: Reveal, previous: Snapshot | None, system: SystemBundle) -> None:
        """`system`: the list of authorities that is installed."""
        self.demo = demo
        self.system = system
        self.reveal = reveal
        self.previous = previous
        self.problems: list[str] = []
        self._ingredients: dict[str, Any] = {}

    def build(self, generation: int, config: Config) -> Snapshot | None:
        """None when there are problems."""
        anchors = self._anchors(config)
        inbound: dict[str, ssl.SSLContext] = {}
        gui: dict[str, ssl.SSLContext] = {}
        for listener in config.listeners.sorted():
            profile = fold(listener.tls_certificate)
            for suffix, mode in _verification(listener).items():
                self._context(inbound, f'Listener "{listener.name}"', "inbound", profile, config, suffix, mode, anchors)
        for interface in config.interfaces.sorted():
            if interface.https_port is not None:
                self._context(gui, f'Interface "{interface.name}"', "gui", fold(interface.https_certificate), config)
        outbound = self._outgoing(config, "outbound", config.ssl.outbound_methods)
        other = outbound
        if outbound is not None and config.ssl.other_client_tlsv10:
            other = self._outgoing(config, "other client", config.ssl.other_client_methods)
        ldap_credentials = self._ldap_credentials(config)
        receiving = self._receiving(config)
        if self.problems or outbound is None or other is None:
            return None
        return Snapshot(
            generation=generation,
            config=config,
            receiving=receiving,
            inbound_contexts=inbound,
            gui_contexts=gui,
            outbound_context=outbound,
            other_client_context=other,
            anchors=anchors,
            ldap_credentials=ldap_credentials,
            ingredients=self._ingredients,
        )

    def _anchors(self, config: Config) -> tuple[bytes, ...]:
        self._ingredients["anchors"] = made_from = (config.certificate_authorities, self.system)
        if self.previous and self.previous.ingredients.get("anchors") == made_from:
            return self.previous.anchors
        return trusted_authorities(config.certificate_authorities, self.system)

    def _receiving(self, config: Config) -> dict[str, CompiledListener]:
        compiled: dict[str, CompiledListener] = {}
        old = self.previous
        same_surroundings = old is not None and (
            old.config.interfaces is config.interfaces
            and old.config.listener_globals is config.listener_globals
            and old.config.system.hostname == config.system.hostname
        )
        for listener in config.listeners.entries():
            if same_surroundings and old and old.config.listeners.get(listener.name) is listener:
                compiled[listener.uid] = old.receiving[listener.uid]
            else:
                try:
                    compiled[listener.uid] = compile_listener(config, listener)
                except ValueError as error:
                    self.problems.append(f'Listener "{listener.name}": the host access table cannot be used: {error}')
        return compiled

    def _ldap_credentials(self, config: Config) -> Credentials | None:
        """The context waits until a server is tested, which is seldom."""
        try:
            return _credentials(self._material(config, fold(config.ldap.certificate)), self.reveal)
        except (UnusableContext, KeyError, ValueError) as error:
            self.problems.append(f'LDAP: certificate "{config.ldap.certificate}" cannot be loaded: {error}')
            return None

    def _material(self, config: Config, profile: str) -> DemoCertificate | KeyMaterial:
        return self.demo if profile == fold(DEMO) else config.certificates[profile].material

    def _context(
        self,
        found: dict[str, ssl.SSLContext],
        user: str,
        purpose: str,
        profile: str,
        config: Config,
        suffix: str = "",
        mode: ssl.VerifyMode = ssl.CERT_NONE,
        anchors: tuple[bytes, ...] = (),
    ) -> None:
        name = profile + suffix
        if name in found:
            return
        settings = config.ssl
        made_from = ServerIngredients(
            material=self._material(config, profile),
            methods=getattr(settings, f"{purpose}_methods"),
            ciphers=getattr(settings, f"{purpose}_ciphers"),
            renegotiation=getattr(settings, f"{purpose}_renegotiation"),
            verify=mode,
            anchors=anchors if suffix else (),
            # Tickets hold no intermediates, and a client whose session is taken up again is looked at once more.
            tickets=not (suffix and config.crl.check_inbound),
        )
        key = f"{purpose}:{name}"
        self._ingredients[key] = made_from
        if self.previous and self.previous.ingredients.get(key) == made_from:
            contexts = self.previous.inbound_contexts if purpose == "inbound" else self.previous.gui_contexts
            found[name] = contexts[name]
            return
        try:
            found[name] = made_from.revealed(self.reveal).context()
        except (UnusableContext, KeyError, ValueError) as error:
            title = DEMO if profile == fold(DEMO) else config.certificates[profile].name
            self.problems.append(f'{user}: certificate "{title}" cannot be loaded: {error}')

    def _outgoing(self, config: Config, purpose: str, methods: frozenset[str]) -> ssl.SSLContext | None:
        material, ciphers = self._material(config, fold(config.destination_globals.certificate)), config.ssl.outbound_ciphers
        made_from = (material, methods, ciphers)
        self._ingredients[purpose] = made_from
        if self.previous and self.previous.ingredients.get(purpose) == made_from:
            return self.previous.outbound_context if purpose == "outbound" else self.previous.other_client_context
        try:
            return client_context(_credentials(material, self.reveal), methods=methods, ciphers=ciphers)
        except (UnusableContext, KeyError, ValueError) as error:
            self.problems.append(f'Outgoing TLS: certificate "{config.destination_globals.certificate}" cannot be loaded: {error}')
            return None


def _credentials(material: DemoCertificate | KeyMaterial, reveal: Reveal) -> Credentials:
    """Errors: UnusableContext."""
    if isinstance(material, DemoCertificate):
        return Credentials(certificate=material.certificate, private_key=material.private_key)
    if material.private_key is None:
        raise UnusableContext("it has no private key")
    return Credentials(certificate=material.certificate, private_key=reveal(material.private_key), intermediates=material.intermediates)


def _verification(listener: Listener) -> dict[str, ssl.VerifyMode]:
    """The kinds of contexts that the policies of a listener need, by suffix."""
    kinds = {"": ssl.CERT_NONE}
    parameters = [policy.parameters for policy in listener.hat_policies] + [group.parameters for group in listener.hat_sender_groups]
    for own in (listener.hat_default, *parameters):
        effective = own.over(listener.hat_default)
        if effective.tls_verify and effective.tls is ReceivingTls.ON:
            kinds[VERIFY] = ssl.CERT_OPTIONAL
        elif effective.tls_verify and effective.tls is ReceivingTls.REQUIRE:
            kinds[REQUIRE] = ssl.CERT_REQUIRED
    return kinds
