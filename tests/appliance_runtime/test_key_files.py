"""Key files in a process of their own: same results and errors as in this one, and no process is left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from appliance_runtime import key_files
from appliance_runtime.key_files import KeyFiles
from appliance_state.certificates.derivation import check_work
from appliance_state.certificates.keys import PassphraseNeeded, belongs
from appliance_state.certificates.pem import NotReadable
from appliance_state.certificates.pkcs12 import KeyPair, read_pkcs12
from appliance_state.certificates.problem import KEY_KIND, NO_KEY, NOT_PKCS12, CertificateProblem
from tests.support.bombs import endless_rsa_key, hidden_iterations
from tests.support.lab_ca import issue, issuing, mail_leaf, openssl, pkcs12_by_openssl, rsa_key

LEAF = mail_leaf()


def children() -> set[str]:
    """Processes that this one has started and not ended."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {number for file in tasks for number in file.read_text().split()}


@pytest.mark.parametrize("legacy", [False, True])
async def test_made_and_opened(legacy: bool) -> None:
    files = KeyFiles()
    pair = KeyPair(certificate=LEAF.certificate, key=rsa_key(), intermediates=(issuing().certificate,))
    data = await files.make_pkcs12(pair, "mail", "pässwörd", legacy=legacy)
    for opened in (await files.open_pkcs12(data, "pässwörd"), read_pkcs12(data, "pässwörd")):
        assert opened.certificate == LEAF.certificate
        assert belongs(opened.key, LEAF.certificate)
        assert opened.intermediates == (issuing().certificate,)


@pytest.mark.parametrize(
    ("options", "passphrase", "problem"),
    [
        ((), "wrong", NOT_PKCS12),
        ((), "\udcff", NOT_PKCS12),
        (("-nokeys",), "secret", NO_KEY),
    ],
)
async def test_files_that_are_refused(tmp_path: Path, options: tuple[str, ...], passphrase: str, problem: str) -> None:
    data = pkcs12_by_openssl(tmp_path, LEAF, "secret", *options)
    with pytest.raises(CertificateProblem, match=problem.split(":")[0]):
        await KeyFiles().open_pkcs12(data, passphrase)


async def test_a_key_of_another_kind(tmp_path: Path) -> None:
    other = issue("mail.example.com", key=ec.generate_private_key(ec.SECP256K1()))
    with pytest.raises(CertificateProblem) as caught:
        await KeyFiles().open_pkcs12(pkcs12_by_openssl(tmp_path, other, "secret"), "secret")
    assert str(caught.value) == KEY_KIND


async def test_private_keys() -> None:
    files = KeyFiles()
    plain = LEAF.key_pem
    sealed = openssl("pkcs8", "-topk8", "-passout", "pass:sesame", text=plain)
    assert belongs(await files.open_private_key(plain), LEAF.certificate)
    assert belongs(await files.open_private_key(sealed, "sesame"), LEAF.certificate)
    with pytest.raises(PassphraseNeeded):
        await files.open_private_key(sealed)
    for text, passphrase in ((sealed, "wrong"), ("nothing", None), (plain.replace("MII", "MIJ"), None)):
        with pytest.raises(NotReadable):
            await files.open_private_key(text, passphrase)


async def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = pkcs12_by_openssl(tmp_path, LEAF, "secret")
    monkeypatch.setattr(key_files, "LIMIT", 0.005)
    before = children()
    with pytest.raises(CertificateProblem, match="corrupt PKCS#12 file"):
        await KeyFiles().open_pkcs12(data, "secret")
    with pytest.raises(NotReadable):
        await KeyFiles().open_private_key(LEAF.key_pem)
    assert children() == before


async def test_who_leaves_takes_the_process_along(tmp_path: Path) -> None:
    data = pkcs12_by_openssl(tmp_path, LEAF, "secret")
    before = children()
    work = asyncio.create_task(KeyFiles().open_pkcs12(data, "secret"))
    async with asyncio.timeout(10):
        while children() == before:
            await asyncio.sleep(0.001)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert children() == before


@pytest.mark.parametrize(("iterations", "ends_by_itself"), [(1000, True), (2_000_000_000, False)])
async def test_iterations_that_show_only_when_decrypted(monkeypatch: pytest.MonkeyPatch, iterations: int, ends_by_itself: bool) -> None:
    data = hidden_iterations("secret", iterations)
    check_work(data)
    monkeypatch.setattr(key_files, "CPU_LIMIT", 1)
    before = children()
    began = monotonic()
    with pytest.raises(CertificateProblem, match=r"corrupt PKCS#12 file|does not contain a private key"):
        await KeyFiles().open_pkcs12(data, "secret")
    assert monotonic() - began < 30 and children() == before
    assert ends_by_itself or monotonic() - began > 0.5, "the bomb did not go off, so this proves nothing"


async def test_a_key_of_absurd_length() -> None:
    began = monotonic()
    with pytest.raises(CertificateProblem) as caught:
        await KeyFiles().open_private_key(endless_rsa_key())
    assert str(caught.value) == KEY_KIND and monotonic() - began < 10


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = pkcs12_by_openssl(tmp_path, LEAF, "secret")
    monkeypatch.setattr(key_files, "MEMORY_LIMIT", 1024 * 1024)
    with pytest.raises(CertificateProblem, match="corrupt PKCS#12 file"):
        await KeyFiles().open_pkcs12(data, "secret")
