"""ldap: settings that all LDAP servers share (model.md 3.13)."""

from __future__ import annotations

from attrs import frozen

from appliance_state.model.interfaces import DEMO


@frozen(kw_only=True)
class Ldap:
    certificate: str = DEMO
    """client certificate of LDAPS connections"""
