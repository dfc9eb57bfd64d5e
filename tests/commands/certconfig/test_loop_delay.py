"""Nothing that certconfig and logins compute stops the event loop: its delay while 20 keys are made, and the rest (R-070)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from appliance_runtime.accounts import hash_passphrase
from appliance_runtime.key_files import KeyFiles
from appliance_state.certificates.keys import private_key_pem
from commands.certconfig import COMMAND
from tests.support.appliance import make_session
from tests.support.lab_ca import mail_leaf, openssl, pkcs12_by_openssl, rsa_key
from tests.support.pulse import Pulse
from tests.support.terminal import run_batch


async def test_the_measure_sees_a_loop_that_stands_still() -> None:
    def compute() -> None:
        end = time.perf_counter() + 0.15
        while time.perf_counter() < end:
            pass

    async def stop() -> None:
        for _ in range(3):
            compute()
            await asyncio.sleep(0)

    pulse = Pulse()
    await pulse.during([stop()])
    with pytest.raises(AssertionError, match="stood still"):
        pulse.check()


async def test_twenty_keys(tmp_path: Path) -> None:
    session = make_session(files=tmp_path)
    line = "certconfig certificate new web{} --cn=w.test --o=O --ou=U --l=L --st=S --c=JP"
    pulse = Pulse()
    results = await pulse.during(run_batch(COMMAND, session, line.format(number)) for number in range(20))
    assert results == [("", False)] * 20
    assert len(session.draft.config.certificates) == 20
    pulse.check()


async def test_twenty_passphrases() -> None:
    pulse = Pulse()
    await pulse.during(asyncio.to_thread(hash_passphrase, "correct horse battery") for _ in range(20))
    pulse.check()


async def test_pkcs12_files_and_encrypted_keys(tmp_path: Path) -> None:
    costly = ("-iter", "1000000", "-maciter")
    (tmp_path / "mail.p12").write_bytes(pkcs12_by_openssl(tmp_path, mail_leaf(), "secret", *costly))
    (tmp_path / "leaf.pem").write_text(mail_leaf().pem)
    (tmp_path / "leaf.key").write_text(openssl("pkcs8", "-topk8", "-passout", "pass:secret", "-iter", "1000000", text=mail_leaf().key_pem))
    session = make_session(files=tmp_path)
    for lines in (
        ["import one mail.p12", "import two mail.p12"],
        ["paste three --certificate=leaf.pem --key=leaf.key"],
        ["export one one.p12", "export two two.p12"],
    ):
        pulse = Pulse()
        work = (run_batch(COMMAND, session, f"certconfig certificate {line} --passphrase=secret") for line in lines)
        assert await pulse.during(work) == [("", False)] * len(lines)
        pulse.check()


async def test_long_keys() -> None:
    """Their check takes a fifth of a second at 4096 bits, seconds at 8192."""
    long = private_key_pem(rsa_key(bits=4096)).decode()
    pulse = Pulse()
    await pulse.during(KeyFiles().open_private_key(long) for _ in range(3))
    pulse.check()
