"""Real peers: a certificate authority made with openssl, and a Postfix that trusts nobody and is trusted by it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.support.postfix import Postfix, postfix

DOMAIN = "partner.test"


@frozen
class Authority:
    root: Path
    """PEM file of the root"""
    key: Path

    def issue(self, folder: Path, name: str) -> tuple[Path, Path]:
        """A leaf for `name`: (certificate, key)."""
        key, request, certificate = (folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            request,
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName=DNS:{name}",
        )
        self.sign(request, certificate)
        return certificate, key

    def sign(self, request: Path, certificate: Path) -> None:
        """Answer a signing request."""
        openssl(
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            self.root,
            "-CAkey",
            self.key,
            "-days",
            "30",
            "-copy_extensions",
            "copy",
            "-out",
            certificate,
        )


def openssl(*words: object) -> str:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    root, key = folder / "root.pem", folder / "root.key"
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", root, "-days", "60", "-subj", "/C=JP/O=Lab/CN=Lab Root CA",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    return Authority(root, key)


@pytest.fixture(scope="session")
def partner(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
    """Postfix for partner.test with a certificate of the authority."""
    certificate, key = authority.issue(tmp_path_factory.mktemp("partner"), DOMAIN)
    with postfix(DOMAIN, certificate, key) as server:
        yield server
