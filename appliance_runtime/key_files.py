"""PKCS#12 files and private keys that come from outside, read and made in a process of their own (certconfig.md 4.3, 4.4).

What a passphrase is stretched with, and the check of a long RSA key, takes seconds during which the library does not let
go of the interpreter: in a thread it would stop the event loop. What a file costs may show only when it is decrypted: a bag
inside a bag may ask for any number of iterations, a key may have a modulus of 100,000 bits. So the process has limits of time
and memory. It gets its request on standard input; whatever becomes of it, the file counts as unreadable and the appliance goes on.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from appliance_runtime.child import child
from appliance_state.certificates.keys import PassphraseNeeded, accepted, private_key_pem, read_private_key, read_sealed_key
from appliance_state.certificates.pem import NotReadable, certificate_pem, read_certificate
from appliance_state.certificates.pkcs12 import KeyPair, read_pkcs12, write_pkcs12
from appliance_state.certificates.problem import NOT_PKCS12, CertificateProblem

AT_ONCE = 2
LIMIT = 60.0
"""seconds of real time; the most work that is accepted takes about a tenth of it"""
CPU_LIMIT = 20
"""seconds of computing"""
MEMORY_LIMIT = 2 * 1024 * 1024 * 1024

Message = dict[str, Any]


class KeyFiles:
    """Reads and makes key files, at most AT_ONCE at a time."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def open_pkcs12(self, data: bytes, passphrase: str) -> KeyPair:
        """As `read_pkcs12`. Errors: CertificateProblem."""
        try:
            return _pair_in(await self._ask({"work": "open", "data": _text(data), "passphrase": passphrase}))
        except NotReadable:
            raise CertificateProblem(NOT_PKCS12) from None

    async def make_pkcs12(self, pair: KeyPair, name: str, passphrase: str, *, legacy: bool = False) -> bytes:
        """As `write_pkcs12`. Errors: NotReadable when the process ended without a result."""
        request = {"work": "make", **_pair_out(pair), "name": name, "passphrase": passphrase, "legacy": legacy}
        return base64.b64decode((await self._ask(request))["data"])

    async def open_private_key(self, text: str, passphrase: str | None = None) -> PrivateKeyTypes:
        """As `read_private_key`. Errors: NotReadable, PassphraseNeeded, CertificateProblem."""
        answer = await self._ask({"work": "key", "text": text, "passphrase": passphrase})
        if answer.get("passphrase_needed"):
            raise PassphraseNeeded
        return read_sealed_key(answer["key"].encode())

    async def _ask(self, request: Message) -> Message:
        """The answer of a process. Errors: CertificateProblem, NotReadable."""
        async with self._slots, child(__name__, cpu_seconds=CPU_LIMIT, memory=MEMORY_LIMIT) as process:
            try:
                async with asyncio.timeout(LIMIT):
                    output, _ = await process.communicate(json.dumps(request).encode())
            except TimeoutError:
                raise NotReadable from None
        try:
            answer: Message = json.loads(output)
        except ValueError:
            raise NotReadable from None
        if "problem" in answer:
            raise CertificateProblem(answer["problem"])
        if "unreadable" in answer:
            raise NotReadable
        return answer


def main() -> None:
    """The process: one request, one answer."""
    json.dump(answer_to(json.load(sys.stdin)), sys.stdout)


def answer_to(request: Message) -> Message:
    try:
        match request["work"]:
            case "open":
                return _pair_out(read_pkcs12(base64.b64decode(request["data"]), request["passphrase"]))
            case "make":
                return {"data": _text(write_pkcs12(_pair_in(request), request["name"], request["passphrase"], legacy=request["legacy"]))}
            case _:
                return {"key": private_key_pem(read_private_key(request["text"], request["passphrase"])).decode()}
    except PassphraseNeeded:
        return {"passphrase_needed": True}
    except CertificateProblem as problem:
        return {"problem": str(problem)}
    except NotReadable:
        return {"unreadable": True}


def _pair_out(pair: KeyPair) -> Message:
    return {
        "key": private_key_pem(pair.key).decode(),
        "certificates": [certificate_pem(c) for c in (pair.certificate, *pair.intermediates)],
    }


def _pair_in(message: Message) -> KeyPair:
    leaf, *chain = (read_certificate(pem) for pem in message["certificates"])
    return KeyPair(certificate=leaf, key=accepted(read_sealed_key(message["key"].encode())), intermediates=tuple(chain))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
