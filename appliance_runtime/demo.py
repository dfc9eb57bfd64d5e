"""The demo certificate of one appliance: made at its first start, never shared, no part of the configuration."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from appliance_runtime.clock import Clock
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.state_directory import write_private
from appliance_runtime.vault import SealedFiles
from appliance_state.model import Config
from appliance_state.validate import demo_users

COMMON_NAME = "Cisco Appliance Demo Certificate"
DAYS = 3650


@frozen(kw_only=True)
class DemoCertificate:
    """PEM texts of certificate and PKCS#8 key."""

    certificate: str
    private_key: bytes = field(repr=False)


def create_demo(now: datetime) -> DemoCertificate:
    """A new RSA 2048 key and its self-signed certificate, valid for 3650 days from `now`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    start = now.replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return DemoCertificate(
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        private_key=key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


async def load_demo(directory: Path, sealed_files: SealedFiles, clock: Clock) -> DemoCertificate:
    """The demo certificate of a state directory, which is made when it is not there. Errors: StartFailed, OSError."""
    certificate, key = directory / "demo.pem", directory / "demo.key"
    private_key = sealed_files.read(key)
    if private_key is None or not certificate.exists():
        demo = await asyncio.to_thread(create_demo, clock.now())
        write_private(certificate, demo.certificate.encode("ascii"))
        sealed_files.write(key, demo.private_key)
        return demo
    return DemoCertificate(certificate=certificate.read_text(), private_key=private_key)


def log_demo_users(logs: EventLog, before: Config | None, after: Config) -> None:
    """A line for each mail service that begins to use the demo certificate; at a start (`before` is None) for all that use it."""
    known = demo_users(before) if before is not None else []
    for user in demo_users(after):
        subject, text = user
        if user not in known and not subject.startswith("HTTPS"):
            logs.event("demo.in_use", text=text)
