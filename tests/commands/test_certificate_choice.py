from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from commands.certificate_choice import choose_certificate, usable_profiles
from commands.dialog import Conversation
from tests.support.appliance import make_session
from tests.support.lab_ca import END, Issued, issue, mail_leaf, rsa_key
from tests.support.terminal import ScriptedTerminal

DEMO_NOTE = 'The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.\n\n'
QUESTION = "Please choose the certificate to apply:\n"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return make_session(files=tmp_path)


def put(session: Session, name: str, issued: Issued) -> None:
    draft = session.draft
    material = KeyMaterial(certificate=issued.pem, private_key=draft.seal(issued.key_pem.encode()))
    draft.config = draft.config.with_(certificates=draft.config.certificates.put(CertificateProfile(name=name, material=material)))


async def choose(session: Session, current: str, *answers: str) -> tuple[str, str]:
    terminal = ScriptedTerminal(answers)
    return await choose_certificate(Conversation(terminal), session, current=current), terminal.screen


async def test_demo_is_last_and_current(session: Session) -> None:
    put(session, "partner.com", issue("partner.com"))
    put(session, "mail.example.com", mail_leaf())
    chosen, screen = await choose(session, "Demo", "2")
    assert chosen == "partner.com"
    assert screen == f"{DEMO_NOTE}1. mail.example.com\n2. partner.com\n3. Demo\n{QUESTION}[3]> 2\n"


async def test_only_demo(session: Session) -> None:
    assert await choose(session, "Demo", "") == ("Demo", f"{DEMO_NOTE}1. Demo\n{QUESTION}[1]> \n")


async def test_the_current_one_is_the_default_and_a_name_answers(session: Session) -> None:
    put(session, "mail", mail_leaf())
    assert await choose(session, "MAIL", "") == ("mail", f"1. mail\n2. Demo\n{QUESTION}[1]> \n")
    chosen, screen = await choose(session, "mail", "9", "demo")
    assert chosen == "Demo"
    question = f"1. mail\n2. Demo\n{QUESTION}[1]> "
    assert screen == f"{question}9\nThe value must be an integer from 1 to 2.\n\n{question}demo\n"


async def test_validity_is_warned_about(session: Session) -> None:
    now = session.appliance.clock.now()
    put(session, "old", issue("old.test", end=now.replace(month=6)))
    put(session, "new", issue("new.test", start=now.replace(year=2027), end=END))
    assert (await choose(session, "Demo", "old"))[1].endswith(
        '[3]> old\nWarning: The certificate "old" expired on Wed Jun 24 09:00:00 2026 GMT.\n'
    )
    assert (await choose(session, "Demo", "new"))[1].endswith(
        '[3]> new\nWarning: The certificate "new" is not valid before Wed Nov 24 09:00:00 2027 GMT.\n'
    )


async def test_what_cannot_be_used_is_not_listed(session: Session) -> None:
    put(session, "mail", mail_leaf())
    put(session, "mismatch", Issued(mail_leaf().certificate, rsa_key(1)))
    put(session, "keyless", mail_leaf())
    put(session, "lost", mail_leaf())
    put(session, "rubbish", mail_leaf())
    draft = session.draft
    profiles = draft.config.certificates
    changes = {
        "keyless": {"private_key": None},
        "lost": {"private_key": SecretRef("nowhere")},
        "rubbish": {"certificate": "rubbish"},
    }
    for name, fields in changes.items():
        profiles = profiles.put(evolve(profiles[name], material=evolve(profiles[name].material, **fields)))
    draft.config = draft.config.with_(certificates=profiles)
    assert usable_profiles(session) == ["mail"]


async def test_batch_prints_nothing(session: Session) -> None:
    put(session, "mail", mail_leaf())
    terminal = ScriptedTerminal()
    talk = Conversation(terminal).answering({"certificate": "mail"})
    assert await choose_certificate(talk, session, current="Demo") == "mail"
    assert await choose_certificate(talk.answering({}), session, current="mail") == "mail"
    assert terminal.screen == ""
