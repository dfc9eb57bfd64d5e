"""The one table of names through the doors of certconfig: NEW and PASTE (certconfig.md 4.6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.certconfig import COMMAND
from tests.support.appliance import make_session
from tests.support.fqdn_names import ALL
from tests.support.lab_ca import issue
from tests.support.terminal import run_batch

TYPED = [(name, good) for name, good in ALL if 0 < len(name) <= 64 and name.isprintable()]
IN_CERTIFICATES = [(name, good) for name, good in ALL if name.isascii() and name]


@pytest.mark.parametrize(("name", "good"), TYPED)
async def test_new(tmp_path: Path, name: str, good: bool) -> None:
    session = make_session(files=tmp_path)
    line = f'certconfig certificate new web "--cn={name}" --o=O --ou=U --l=L --st=S --c=JP --bits=1024 --fqdn='
    assert not (await run_batch(COMMAND, session, f"{line}no"))[1], "without the check every name is accepted"
    output, failed = await run_batch(COMMAND, session, f"{line}yes --overwrite")
    text = f'Common Name "{name}" is not in Fully Qualified Domain Name(FQDN) format.\nA valid domain name is a string'
    assert (failed, output.startswith(text)) == (not good, not good)


@pytest.mark.parametrize(("name", "good"), IN_CERTIFICATES)
async def test_dns_name_of_a_pasted_certificate(tmp_path: Path, name: str, good: bool) -> None:
    session = make_session(files=tmp_path)
    leaf = issue("mail.example.com", dns=["mail.example.com", name])
    (tmp_path / "leaf.pem").write_text(leaf.pem)
    (tmp_path / "leaf.key").write_text(leaf.key_pem)
    line = "certconfig certificate paste web --certificate=leaf.pem --key=leaf.key --fqdn=yes"
    output, failed = await run_batch(COMMAND, session, line)
    assert (failed, 'SAN:dNSName "' in output) == (not good, not good), output
    assert ("web" in session.draft.config.certificates) == good
