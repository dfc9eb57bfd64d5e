"""Self-signed certificates for both servers: RSA-2048 and P-256."""

from __future__ import annotations

import subprocess
from pathlib import Path

KEYS = {"rsa": ("rsa:2048",), "p256": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")}


def make_certificates(folder: Path) -> None:
    """`<name>.pem` and `<name>.key` for each name of `KEYS`."""
    for name, key in KEYS.items():
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=mail.bench.test", "-newkey", *key),
                *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")),
            ],
            check=True,
            capture_output=True,
        )
