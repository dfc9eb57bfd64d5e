"""certificates, certificate_authorities, crl, crl_sources: profiles, trusted authorities, revocation (model.md 3.4, 3.5)."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from appliance_state.model.fields import Choice, text

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


class CrlType(Choice):
    ASN1 = "asn1", "ASN.1"
    PEM = "pem", "PEM"


NO_UPDATES = "off"
FREQUENCIES = ("daily", "weekly", "monthly")
FACTORY_CRL_TIME = "03:00"
CRL_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
CRL_URL = r"https?://[^\s/][^\s]*|file:[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"


@frozen(kw_only=True)
class CrlSource:
    """Where a list of revoked certificates comes from. `update`: `off`, or frequency and time: `daily 03:00`."""

    KEY: ClassVar[str] = "name"

    name: str = text(PROFILE_NAME)
    type: CrlType = CrlType.ASN1
    url: str = text(CRL_URL)
    update: str = text(rf"{NO_UPDATES}|({'|'.join(FREQUENCIES)}) {CRL_TIME}", default=f"{FREQUENCIES[0]} {FACTORY_CRL_TIME}")

    @property
    def schedule(self) -> tuple[str, str] | None:
        """Frequency and time `HH:MM`; None = off."""
        frequency, _, time = self.update.partition(" ")
        return (frequency, time) if time else None


@frozen(kw_only=True)
class CrlSettings:
    """Whether revocation lists count: for client certificates of listeners, and for peers of outgoing mail."""

    check_inbound: bool = False
    check_outbound: bool = False
