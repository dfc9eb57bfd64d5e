"""The root of the configuration: one immutable tree (model.md 2)."""

from __future__ import annotations

import attrs
from attrs import frozen

from appliance_state.model.alerts import Alerts
from appliance_state.model.bounces import FACTORY_BOUNCE_PROFILE, BounceProfile
from appliance_state.model.certificates import CertificateAuthorities, CertificateProfile, CrlSettings, CrlSource, SecretRef
from appliance_state.model.delivery import DeliverySettings
from appliance_state.model.destinations import FACTORY_DEFAULT, Destination, DestinationGlobals
from appliance_state.model.dns import Dns
from appliance_state.model.interfaces import FACTORY_INTERFACE, Interface, InterfaceGroup
from appliance_state.model.ldap import Ldap
from appliance_state.model.listeners import Listener, ListenerGlobals
from appliance_state.model.logs import FACTORY_LOGS, LogGlobals, LogSubscription
from appliance_state.model.routes import SmtpRoute
from appliance_state.model.system import System
from appliance_state.model.tls_settings import SslSettings
from appliance_state.model.updates import Updates
from appliance_state.model.users import FACTORY_USER, AdminAccess, User, UserPolicy
from appliance_state.table import Table


@frozen(kw_only=True)
class Config:
    """Order of the fields = order of the sections in `showchanges` and in conflict reports."""

    system: System = System()
    interfaces: Table[Interface] = Table((FACTORY_INTERFACE,))
    interface_groups: Table[InterfaceGroup] = Table()
    dns: Dns = Dns()
    certificates: Table[CertificateProfile] = Table()
    certificate_authorities: CertificateAuthorities = CertificateAuthorities()
    crl: CrlSettings = CrlSettings()
    crl_sources: Table[CrlSource] = Table()
    ssl: SslSettings = SslSettings()
    listeners: Table[Listener] = Table()
    listener_globals: ListenerGlobals = ListenerGlobals()
    delivery: DeliverySettings = DeliverySettings()
    destinations: Table[Destination] = Table((FACTORY_DEFAULT,))
    destination_globals: DestinationGlobals = DestinationGlobals()
    smtp_routes: Table[SmtpRoute] = Table()
    bounce_profiles: Table[BounceProfile] = Table((FACTORY_BOUNCE_PROFILE,))
    ldap: Ldap = Ldap()
    alerts: Alerts = Alerts()
    logs: Table[LogSubscription] = FACTORY_LOGS
    log_globals: LogGlobals = LogGlobals()
    updates: Updates = Updates()
    users: Table[User] = Table((FACTORY_USER,))
    user_policy: UserPolicy = UserPolicy()
    admin_access: AdminAccess = AdminAccess()

    def with_(self, **sections: object) -> Config:
        """This configuration with other sections."""
        return attrs.evolve(self, **sections)  # type: ignore[arg-type]

    def secrets(self) -> frozenset[SecretRef]:
        """Every secret that this configuration refers to."""
        keys = {profile.material.private_key for profile in self.certificates.entries()}
        hashes = {user.passphrase for user in self.users.entries()}
        others = {self.updates.server_url} | {server.bind_passphrase for server in self.ldap.servers.entries()}
        return frozenset(ref for ref in keys | hashes | others if isinstance(ref, SecretRef))
