"""TLS contexts: what cannot be built says why; what is weak, and the texts of errors."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from OpenSSL import SSL

from appliance_runtime.tls import Credentials, UnusableContext, client_context, server_context, tls_error_text
from appliance_state.ciphers import selected, usable
from appliance_state.model.tls_settings import FACTORY_CIPHERS, FACTORY_METHODS
from tests.support.lab_ca import Issued, issue, openssl, rsa_key

GOOD = issue("mail.example.com")


def credentials(issued: Issued, *, key: bytes | None = None, chain: tuple[str, ...] = ()) -> Credentials:
    return Credentials(certificate=issued.pem, private_key=issued.key_pem.encode() if key is None else key, intermediates=chain)


def server(made_of: Credentials, ciphers: str = FACTORY_CIPHERS, methods: frozenset[str] = FACTORY_METHODS) -> ssl.SSLContext:
    return server_context(made_of, methods=methods, ciphers=ciphers, renegotiation=False)


@pytest.mark.parametrize(
    ("made_of", "text"),
    [
        (credentials(GOOD, key=issue("other").key_pem.encode()), "the private key does not match"),
        (credentials(GOOD, key=issue("other", key=rsa_key()).key_pem.encode()), "the private key does not match"),
        (credentials(GOOD, key=b"nothing"), "the private key cannot be read"),
        (credentials(GOOD, key=b""), "the private key cannot be read"),
        (Credentials(certificate="nothing", private_key=GOOD.key_pem.encode()), "the certificate cannot be read"),
        (Credentials(certificate="", private_key=GOOD.key_pem.encode()), "the certificate cannot be read"),
    ],
)
def test_credentials_that_cannot_be_used(made_of: Credentials, text: str) -> None:
    with pytest.raises(UnusableContext, match=f"^{text}$"):
        server(made_of)


def test_a_certificate_of_a_version_that_does_not_exist() -> None:
    der = ssl.PEM_cert_to_DER_cert(GOOD.pem).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x63", 1)
    with pytest.raises(UnusableContext, match=r"^the certificate cannot be read$"):
        server(Credentials(certificate=ssl.DER_cert_to_PEM_cert(der), private_key=GOOD.key_pem.encode()))


@pytest.mark.parametrize(("bits", "weak"), [(1024, True), (2048, False)])
def test_weak_keys_have_their_own_level(bits: int, weak: bool) -> None:
    made_of = credentials(issue("mail.example.com", key=rsa_key(bits=bits)))
    assert made_of.weak is weak
    assert server(made_of)
    if weak:
        with pytest.raises(UnusableContext, match=r"^ee key too small$"):
            server(made_of, ciphers=f"{FACTORY_CIPHERS}:@SECLEVEL=2")


def test_an_elliptic_curve_is_not_weak() -> None:
    assert not credentials(GOOD).weak


def test_a_weak_client_certificate_works() -> None:
    made_of = credentials(issue("mail.example.com", key=rsa_key(bits=1024)))
    assert client_context(made_of, methods=FACTORY_METHODS, ciphers=FACTORY_CIPHERS)


def test_a_certificate_that_was_signed_with_sha1(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Security level 1 and 2 refuse such a chain; with TLS 1.0 the level is 0."""
    folder = tmp_path_factory.mktemp("sha1")
    root = issue("Lab Root CA", authority=True, key=rsa_key(1))
    (folder / "root.pem").write_text(root.pem)
    (folder / "root.key").write_text(root.key_pem)
    (folder / "leaf.key").write_text(issue("x", key=rsa_key()).key_pem)
    openssl("req", "-new", "-key", folder / "leaf.key", "-subj", "/CN=mail.example.com", "-out", folder / "leaf.csr")
    openssl(
        "x509", "-req", "-sha1", "-in", folder / "leaf.csr", "-CA", folder / "root.pem", "-CAkey", folder / "root.key", "-out", folder / "leaf.pem"
    )  # fmt: skip
    made_of = Credentials(certificate=(folder / "leaf.pem").read_text(), private_key=(folder / "leaf.key").read_bytes())
    with pytest.raises(UnusableContext, match=r"^ca md too weak$"):
        server(made_of)
    assert server(made_of, methods=frozenset({"tlsv1", "tlsv1_1", "tlsv1_2"}))


@pytest.mark.parametrize("ciphers", ["NOSUCH", "@SECLEVEL=7", "AES128:\0"])
def test_ciphers_that_select_nothing(ciphers: str) -> None:
    with pytest.raises(UnusableContext):
        server(credentials(GOOD), ciphers=ciphers)
    assert selected(ciphers) == []
    assert not usable(ciphers, FACTORY_METHODS, 1)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ssl.SSLError("No cipher can be selected."), "unknown TLS error"),
        (ssl.SSLEOFError(8, "x"), "EOF"),
        (ssl.SSLZeroReturnError(6, "x"), "EOF"),
        (EOFError(), "EOF"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(111, "x"), "[Errno 111] Connection refused"),
        (OSError("said so"), "said so"),
        (OSError(), "OSError"),
    ],
)
def test_texts_of_errors(error: BaseException, text: str) -> None:
    assert tls_error_text(error) == text


def test_no_file_is_left_behind(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("files")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    server(credentials(GOOD))
    with pytest.raises(UnusableContext):
        server(credentials(GOOD, key=issue("other").key_pem.encode()))
    assert not list(folder.iterdir())


def test_what_openssl_cannot_read_is_no_anchor() -> None:
    root = issue("Lab Root CA", authority=True)
    der = ssl.PEM_cert_to_DER_cert(root.pem)
    for anchors in ([der], [b"0\x03\x02\x01\x05", der, der[:-20], b""], [der, der]):
        context = server_context(
            credentials(GOOD),
            methods=FACTORY_METHODS,
            ciphers=FACTORY_CIPHERS,
            renegotiation=False,
            verify=ssl.CERT_OPTIONAL,
            anchors=anchors,
        )
        assert context.get_ca_certs(binary_form=True) == [der]
    none = server_context(
        credentials(GOOD), methods=FACTORY_METHODS, ciphers=FACTORY_CIPHERS, renegotiation=False, verify=ssl.CERT_REQUIRED, anchors=[]
    )
    assert none.get_ca_certs() == []


def test_an_outgoing_connection_does_not_renegotiate() -> None:
    """A server may ask for it (RFC 5246 7.4.1.1); it is told no, and mail goes on."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate(GOOD.certificate)
    context.use_privatekey(GOOD.key)  # type: ignore[arg-type]
    peer = SSL.Connection(context)
    peer.set_accept_state()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(None, methods=FACTORY_METHODS, ciphers="ECDHE+AESGCM").wrap_bio(incoming, outgoing)

    def carry() -> None:
        for work in (client.do_handshake, peer.do_handshake):
            with contextlib.suppress(ssl.SSLWantReadError, SSL.WantReadError):
                work()
            if octets := outgoing.read():
                peer.bio_write(octets)
            with contextlib.suppress(SSL.WantReadError):
                incoming.write(peer.bio_read(65536))

    for _ in range(4):
        carry()
    assert client.version() == "TLSv1.2"
    peer.renegotiate()
    with contextlib.suppress(SSL.WantReadError):
        peer.do_handshake()
    incoming.write(peer.bio_read(65536))
    with pytest.raises(ssl.SSLWantReadError):
        client.read(100)
    assert client.write(b"NOOP\r\n") == 6
    peer.bio_write(outgoing.read())
    with pytest.raises(SSL.Error, match="no renegotiation"):
        peer.recv(100)
    assert peer.total_renegotiations() <= 1
