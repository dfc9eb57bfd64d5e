"""ssl: protocol versions and ciphers of all TLS contexts (model.md 3.6)."""

from __future__ import annotations

from attrs import frozen

METHODS = ("tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3")
FACTORY_METHODS = frozenset({"tlsv1_2", "tlsv1_3"})
FACTORY_CIPHERS = "AES128:AES256:!SRP:!AESGCM+DH+aRSA:!AESGCM+RSA:!aNULL:!kRSA:@STRENGTH:-aNULL:-EXPORT:-IDEA"


@frozen(kw_only=True)
class SslSettings:
    gui_methods: frozenset[str] = FACTORY_METHODS
    gui_ciphers: str = FACTORY_CIPHERS
    inbound_methods: frozenset[str] = FACTORY_METHODS
    inbound_ciphers: str = FACTORY_CIPHERS
    outbound_methods: frozenset[str] = FACTORY_METHODS
    outbound_ciphers: str = FACTORY_CIPHERS
    gui_renegotiation: bool = False
    inbound_renegotiation: bool = False
    other_client_tlsv10: bool = False
    peer_cert_fqdn: bool = False
    peer_cert_x509: bool = False
