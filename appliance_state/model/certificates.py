"""certificates, certificate_authorities: profiles and trusted authorities (model.md 3.4, 3.5)."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from appliance_state.model.fields import text

PROFILE_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
MAX_INTERMEDIATES = 10


@frozen
class SecretRef:
    """Reference to a sealed value of the secret store. The value itself is never part of the configuration."""

    id: str


@frozen(kw_only=True)
class KeyMaterial:
    """Leaf, key and chain of a profile. One value in merges, so that a leaf never meets a foreign key.

    Certificates and the signing request are PEM texts, one block each; intermediates begin with the issuer of the leaf.
    """

    certificate: str
    private_key: SecretRef | None = None
    intermediates: tuple[str, ...] = ()
    signing_request: str | None = None


@frozen(kw_only=True)
class CertificateProfile:
    KEY: ClassVar[str] = "name"

    name: str = text(PROFILE_NAME)
    material: KeyMaterial
    fqdn_validation: bool = False


@frozen(kw_only=True)
class CertificateAuthorities:
    """Trust anchors = the certificates of the enabled lists, and nothing else."""

    system_enabled: bool = True
    custom_enabled: bool = False
    custom_list: tuple[str, ...] = ()
    """PEM texts, one certificate each, unique by SHA-256."""
    check_own_chain: bool = False
