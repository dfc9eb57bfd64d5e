"""Nothing that certconfig and logins compute stops the event loop: its delay while 20 keys are made, and the rest (R-070)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from pathlib import Path

import pytest
from attrs import define, field

from appliance_runtime.accounts import hash_passphrase
from appliance_runtime.key_files import KeyFiles
from appliance_state.certificates.keys import private_key_pem
from commands.certconfig import COMMAND
from tests.support.appliance import make_session
from tests.support.lab_ca import mail_leaf, openssl, pkcs12_by_openssl, rsa_key
from tests.support.terminal import run_batch

BEAT = 0.001
SHARE = 0.5
"""of the time that the work takes: a loop that does the work itself stands still for nearly all of it"""
PAUSE = 0.03
"""what another process that wants the processor may take without being counted"""


@define
class Pulse:
    """Beats of the loop while work goes on. `standing`: seconds beyond the pause that no beat could happen."""

    worst: float = 0.0
    standing: float = 0.0
    total: float = 0.0
    _delays: list[float] = field(factory=list)

    async def during(self, work: Iterable[Awaitable[object]]) -> list[object]:
        beating = asyncio.create_task(self._beat())
        began = time.perf_counter()
        try:
            return list(await asyncio.gather(*work))
        finally:
            self.total = time.perf_counter() - began
            beating.cancel()
            await asyncio.wait([beating])
            self.worst = max(self._delays, default=self.total)
            self.standing = sum(max(0.0, delay - PAUSE) for delay in self._delays) if self._delays else self.total

    async def _beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(BEAT)
            now = time.perf_counter()
            self._delays.append(now - last - BEAT)
            last = now

    def check(self) -> None:
        assert self.standing < SHARE * self.total, (
            f"the loop stood still for {self.standing:.3f} of {self.total:.3f} s, at most {self.worst:.3f}"
        )


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
