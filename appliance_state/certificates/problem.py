"""Why a certificate, a key or a file is not accepted, in the operator's words (certconfig.md 4)."""

from __future__ import annotations

DISCARDED = "Invalid certificate...discarding"
NOT_CERTIFICATE = f"{DISCARDED}\nCertificates must be in PEM format (openssl x509 -inform der -in cert.der -out cert.pem)."
NOT_KEY = "Invalid private key ...discarding"
KEY_MISMATCH = "key does not sign certificate"
KEY_KIND = "Cannot import certificate: the private key must be RSA with 1024 to 8192 bits, or EC on the curve P-256, P-384 or P-521."
NOT_PKCS12 = "Invalid passphrase or corrupt PKCS#12 file."
NO_KEY = (
    "Cannot import certificate: the PKCS#12 file does not contain a private key. "
    "Use EDIT to install a certificate that was signed for an existing profile."
)
NO_CERTIFICATE = "Cannot import certificate: the PKCS#12 file does not contain a certificate."
PKCS12_MISMATCH = f"Cannot import certificate: {KEY_MISMATCH}"
NOT_AUTHORITY = "The certificate is not a certificate authority certificate...discarding"
ROOT = "The certificate is a root certificate. Add it with CERTAUTHORITY...discarding"
UNRELATED = "The certificate did not sign this certificate or its chain...discarding"
TOO_MANY_INTERMEDIATES = "There is a maximum of 10 intermediate certificates."


class CertificateProblem(Exception):
    """Nothing is stored. The message is the text for the operator; it may have several lines."""
