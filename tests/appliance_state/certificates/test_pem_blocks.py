from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from appliance_state.certificates.pem import NotReadable, blocks, certificate_blocks, decode, read_certificates
from tests.support.lab_ca import issuing, mail_leaf, openssl, root


def test_text_around_the_blocks_does_not_matter() -> None:
    text = f"Bag Attributes\n{mail_leaf().pem}\nsubject=…\r\n{issuing().pem.replace(chr(10), chr(13) + chr(10))}end"
    assert read_certificates(text) == [mail_leaf().certificate, issuing().certificate]


def test_lines_of_any_length_and_with_blanks() -> None:
    body = "".join(root().pem.split("\n")[1:-2])
    assert read_certificates(f"-----BEGIN CERTIFICATE-----\n\n  {body[:10]}  \n{body[10:]}\n-----END CERTIFICATE-----") == [
        root().certificate
    ]


def test_keys_between_certificates_are_passed_over() -> None:
    assert read_certificates(mail_leaf().key_pem + mail_leaf().pem) == [mail_leaf().certificate]


def test_old_label() -> None:
    assert read_certificates(root().pem.replace("CERTIFICATE", "X509 CERTIFICATE")) == [root().certificate]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a certificate",
        decode(mail_leaf().certificate.public_bytes(Encoding.DER)),
        mail_leaf().key_pem,
        mail_leaf().pem[:-30],
        mail_leaf().pem.replace("M", "\0"),
        mail_leaf().pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n\udcff\n-----END CERTIFICATE-----",
    ],
)
def test_unreadable(text: str) -> None:
    with pytest.raises(NotReadable):
        read_certificates(text)


def test_a_block_that_does_not_end_is_damaged() -> None:
    found = certificate_blocks(f"-----BEGIN CERTIFICATE-----\nMIIB\n{root().pem}")
    assert [block.body is None for block in found] == [True, False]


def test_work_grows_with_the_size_only() -> None:
    text = "-----BEGIN CERTIFICATE-----\n" * 100_000
    began = time.perf_counter()
    assert len(blocks(text)) == 100_000
    assert time.perf_counter() - began < 5


@given(st.binary(max_size=400))
def test_anything_is_read_or_not_readable(data: bytes) -> None:
    text = f"-----BEGIN CERTIFICATE-----\n{decode(data)}\n-----END CERTIFICATE-----"
    with pytest.raises(NotReadable):
        read_certificates(text)


def test_openssl_reads_what_is_written() -> None:
    assert "Lab Root CA" in openssl("x509", "-noout", "-subject", text=root().pem)
