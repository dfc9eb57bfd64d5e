"""Pasted certificates and keys, and the questions about intermediates (certconfig.md 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from appliance_runtime.key_files import KeyFiles
from appliance_runtime.sessions import Session
from appliance_state.certificates.chain import add_intermediates, from_below, leaf_first
from appliance_state.certificates.facts import facts_of
from appliance_state.certificates.keys import PassphraseNeeded
from appliance_state.certificates.pem import NotReadable, read_certificates
from appliance_state.certificates.problem import NOT_CERTIFICATE, NOT_KEY
from appliance_state.model.certificates import MAX_INTERMEDIATES
from commands.certconfig.profiles import rejecting
from commands.dialog import Cancelled, Conversation, Rejected, SyntaxProblem

T = TypeVar("T")


def certificates_in(text: str) -> list[x509.Certificate]:
    """Errors: Rejected."""
    try:
        return read_certificates(text)
    except NotReadable:
        raise Rejected(NOT_CERTIFICATE) from None


def leaf_and_chain(text: str) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """The leaf of a text, and the others as its intermediates, in whatever order they stand there. Errors: Rejected."""
    leaf, *others = leaf_first(certificates_in(text))
    with rejecting():
        return leaf, add_intermediates(leaf, (), others)


async def pasted(talk: Conversation, question: str, read: Callable[[str], T], *, key: str) -> T:
    """Ask for a block until `read` accepts it. An empty one cancels."""
    while True:
        text = await talk.paste(question, key=key)
        if not text.strip():
            raise Cancelled
        try:
            return read(text)
        except Rejected as rejection:
            if talk.batch:
                raise
            talk.fail(str(rejection))


def echo(talk: Conversation, certificates: Sequence[x509.Certificate]) -> None:
    """The subjects of what was pasted."""
    for certificate in certificates:
        talk.note(facts_of(certificate).subject)


async def paste_leaf(talk: Conversation) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """A public certificate and the intermediates that came with it."""
    question = "Paste public certificate in PEM format (end with '.'):"
    leaf, chain = await pasted(talk, question, leaf_and_chain, key="certificate")
    echo(talk, [leaf, *chain])
    return leaf, chain


async def paste_key(talk: Conversation, session: Session) -> PrivateKeyTypes:
    """A private key; an encrypted one asks for its passphrase. Errors: CertificateProblem for one that nobody can use."""
    while True:
        text = await talk.paste("Paste private key in PEM format (end with '.'):", key="key")
        if not text.strip():
            raise SyntaxProblem("Missing argument: <key>.") if talk.batch else Cancelled
        try:
            return await _read_key(talk, session.appliance.key_files, text)
        except NotReadable:
            if talk.batch:
                raise Rejected(NOT_KEY) from None
            talk.fail(NOT_KEY)


async def _read_key(talk: Conversation, key_files: KeyFiles, text: str) -> PrivateKeyTypes:
    try:
        return await key_files.open_private_key(text)
    except PassphraseNeeded:
        passphrase = await talk.hidden("Enter passphrase:", key="passphrase")
        return await key_files.open_private_key(text, passphrase)


async def edit_intermediates(talk: Conversation, leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The intermediates after both questions, which repeat until No."""
    edited = list(chain)
    question = "Do you want to add an intermediate certificate?"
    while len(edited) < MAX_INTERMEDIATES and await talk.confirm(question, key="add", default=False, implied=("intermediate",)):
        edited = await _add(talk, leaf, edited)
        if talk.batch:
            break
    question = "Do you want to remove an intermediate certificate?"
    while edited and await talk.confirm(question, key="remove", default=False):
        rows = [(n, facts_of(certificate).subject) for n, certificate in enumerate(edited)]
        below = "Select the intermediate certificate you wish to remove:"
        del edited[await talk.choose(rows, key="number", below=below, default=0)]
    return edited


async def _add(talk: Conversation, leaf: x509.Certificate, chain: list[x509.Certificate]) -> list[x509.Certificate]:
    def read(text: str) -> list[x509.Certificate]:
        with rejecting():
            return add_intermediates(leaf, chain, from_below([leaf, *chain], certificates_in(text)))

    try:
        longer = await pasted(talk, "Paste intermediate certificate in PEM format (end with '.'):", read, key="intermediate")
    except Cancelled:
        return chain
    echo(talk, longer[len(chain) :])
    return longer
