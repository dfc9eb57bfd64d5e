"""Trust from outside: lists, their update from a server, revocation, and chains that openssl verifies."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests.e2e.conftest import DOMAIN, Authority, openssl
from tests.support.postfix import Postfix
from tests.support.served import Program, command, serving

pytestmark = pytest.mark.e2e
PARTNER = "192.0.2.25"
VERIFIED, FAILED = "TLS certificate verified.", "TLS certificate not verified."


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def program(tmp_path: Path, partner: Postfix) -> Iterator[Program]:
    with serving(tmp_path / "state", "--map", "auto", "--map", f"{PARTNER}:25=127.0.0.1:{partner.port}", "--dns", "127.0.0.1:1") as running:
        yield running


def verified(program: Program) -> bool:
    shown = program.batch(f"tlsverify {DOMAIN} {PARTNER}").stdout
    assert (VERIFIED in shown) != (FAILED in shown), shown
    return VERIFIED in shown


def silent(program: Program, line: str) -> None:
    done = program.batch(line)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def put(program: Program, name: str, text: str) -> None:
    (program.state / "configuration" / name).write_text(text)


def test_a_bundle_from_a_server_is_trusted_at_once(tmp_path: Path, program: Program, authority: Authority) -> None:
    folder = tmp_path / "www" / "ca_bundle"
    folder.mkdir(parents=True)
    data = authority.root.read_bytes()
    (folder / "ca.pem").write_bytes(data)
    manifest = {"version": "2099.1.1", "file": "ca.pem", "sha256": hashlib.sha256(data).hexdigest(), "count": 1}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "sha256": "0" * 64}))
    assert not verified(program)
    with web_server(tmp_path / "www") as url:
        silent(program, f'updateconfig setup --url={url} --interval=0; commit "updates" Y')
        old = program.batch("certconfig certauthority print").stdout
        refused = program.batch("updatenow --wait")
        assert (refused.returncode, refused.stdout) == (
            1,
            "The Cisco Trusted Root Certificate Bundle was not updated: the checksum does not match.\n",
        )
        assert program.batch("certconfig certauthority print").stdout == old and not verified(program)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        silent(program, "certconfig certauthority system update")
    summary = program.batch("certconfig certauthority print; showchanges").stdout
    assert "System Certificates: 1\n" in summary and "version 2099.1.1, last updated " in summary and "never" not in summary
    assert verified(program)
    assert "the checksum does not match" in program.log("system_logs")
    assert "The update of Cisco Trusted Root Certificate Bundle was rejected" in program.batch("displayalerts").stdout
    silent(program, 'certconfig certauthority system disable; commit "off" Y')
    assert not verified(program)
    program.process.terminate()
    program.process.wait(40)
    with serving(program.state, *program.arguments) as again:
        assert not verified(again)
        silent(again, 'certconfig certauthority system enable; commit "on" Y')
        assert verified(again), "the bundle survives a restart"


def test_a_custom_authority_and_its_revocation_list(tmp_path: Path, program: Program, authority: Authority, partner: Postfix) -> None:
    put(program, "roots.txt", f"any text\n{authority.root.read_text()}")
    silent(program, "certconfig certauthority custom import roots.txt")
    assert not verified(program), "without commit nothing has changed"
    silent(program, 'certconfig certauthority custom import roots.txt; commit "root" Y')
    assert verified(program)
    shown = program.batch(f"tlsverify {DOMAIN} {PARTNER} --chain").stdout
    assert f"Certificate 1: CN={DOMAIN}\n" in shown
    put(program, "lab.crl", revocation_list(authority, partner))
    silent(
        program,
        'certconfig crl new lab file:lab.crl --type=pem; certconfig crl setup --outbound=yes; commit "crl" Y; certconfig crl update',
    )
    assert "(1 revoked, next update " in program.batch("certconfig crl print").stdout
    refused = program.batch(f"tlsverify {DOMAIN} {PARTNER}")
    assert refused.returncode == 1 and f"Certificate verification error: certificate revoked (CN={DOMAIN}).\n" in refused.stdout
    silent(program, 'certconfig crl setup --outbound=no; commit "no crl" Y')
    assert verified(program)
    silent(program, 'certconfig certauthority custom delete 1; commit "no root" Y')
    assert not verified(program)


def revocation_list(authority: Authority, partner: Postfix) -> str:
    """A CRL of the authority with the certificate that Postfix serves."""
    host, port = "127.0.0.1", partner.port
    shown = command("openssl", "s_client", "-starttls", "smtp", "-connect", f"{host}:{port}", stdin="QUIT\n").stdout
    served = x509.load_pem_x509_certificate(shown[shown.index("-----BEGIN") : shown.index("-----END") + 25].encode())
    root = x509.load_pem_x509_certificate(authority.root.read_bytes())
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.subject).last_update(now).next_update(now + timedelta(days=1))
    entry = x509.RevokedCertificateBuilder().serial_number(served.serial_number).revocation_date(now).build()
    signed = builder.add_revoked_certificate(entry).sign(load_pem_private_key(authority.key.read_bytes(), None), hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(Encoding.PEM).decode()


def test_a_request_is_signed_and_served_with_its_intermediate(tmp_path: Path, program: Program, authority: Authority) -> None:
    issuing, key = tmp_path / "issuing.pem", tmp_path / "issuing.key"
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", tmp_path / "i.csr", "-subj", "/C=JP/O=Lab/CN=Lab Issuing CA")
    (tmp_path / "ca.ext").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n")
    signing = ("-CA", authority.root, "-CAkey", authority.key, "-days", "50", "-extfile", tmp_path / "ca.ext")
    openssl("x509", "-req", "-in", tmp_path / "i.csr", *signing, "-out", issuing)
    names = "--cn=mail.example.com --o=Lab --ou=Mail --l=京都市 --st=Kyoto --c=JP"
    silent(program, f'certconfig certificate new web {names}; certconfig certificate csr web web.csr; commit "new" Y')
    request = program.state / "configuration" / "web.csr"
    assert "self-signature verify OK" in command("openssl", "req", "-verify", "-noout", "-in", str(request)).stderr
    openssl(
        "x509",
        "-req",
        "-in",
        request,
        "-CA",
        issuing,
        "-CAkey",
        key,
        "-days",
        "40",
        "-copy_extensions",
        "copy",
        "-out",
        tmp_path / "web.pem",
    )
    text = command("openssl", "x509", "-text", "-in", str(tmp_path / "web.pem")).stdout
    put(program, "answer.pem", f"{authority.root.read_text()}{issuing.read_text()}Subject: whatever\n{text}")
    refused = program.batch("certconfig certificate edit web --certificate=answer.pem")
    assert refused.stdout == "The certificate is a root certificate. Add it with CERTAUTHORITY...discarding\n"
    put(program, "answer.pem", f"{issuing.read_text()}Subject: whatever\n{text}")
    silent(
        program,
        "certconfig certificate edit web --certificate=answer.pem; certconfig certificate export web web.p12 --passphrase=sesame;"
        ' interfaceconfig edit Management --certificate=web; commit "signed" Y',
    )
    host, port = program.socket("https", "Management")
    shown = command("openssl", "s_client", "-showcerts", "-connect", f"{host}:{port}", "-CAfile", str(authority.root), stdin="").stdout
    assert shown.count("-----BEGIN CERTIFICATE-----") == 2 and "Verify return code: 0 (ok)" in shown
    file = program.state / "configuration" / "web.p12"
    exported = command("openssl", "pkcs12", "-in", str(file), "-passin", "pass:sesame", "-nodes").stdout
    (tmp_path / "leaf.pem").write_text(exported)
    assert exported.count("-----BEGIN CERTIFICATE-----") == 2 and "friendlyName: web" in exported
    verdict = command(
        "openssl", "verify", "-CAfile", str(authority.root), "-untrusted", str(tmp_path / "leaf.pem"), str(tmp_path / "leaf.pem")
    )
    assert verdict.stdout.endswith("OK\n")
    listing = program.batch("print certificates").stdout
    assert "Issued By:    Lab Issuing CA\n" in listing and listing.count("Name:  ") == 2 + 2, "profiles and their common names"
