"""What trust services do to a running appliance: another system list is live at once, without commit and without a new generation."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_runtime.appliance import Appliance
from appliance_runtime.commit import Author
from appliance_runtime.options import StartOptions
from appliance_state.model.certificates import CertificateAuthorities
from appliance_state.model.listeners import ListenerType, ReceivingTls, new_listener
from appliance_state.model.updates import Updates, UpdateSource
from asyncos_shell.lab.authority import Authority
from asyncos_shell.running import Running
from tests.support.appliance import NOW
from tests.support.file_server import FileServer, file_server
from tests.support.lab_ca import root

ROOT = Authority.root("Lab Root CA", NOW)
OWN = root()


def unreadable_for_openssl() -> str:
    """A root with a name that is no UTF-8: one library reads it, OpenSSL does not."""
    der = ROOT.certificate.public_bytes(Encoding.DER).replace(b"Lab Root CA", b"Lab\xffRoot CA")
    return ssl.DER_cert_to_PEM_cert(der)


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as served:
        data = (unreadable_for_openssl() + ROOT.pem).encode()
        manifest = {"version": "2099.1.1", "file": "ca.pem", "sha256": hashlib.sha256(data).hexdigest(), "count": 2}
        served.files |= {"/ca_bundle/manifest.json": json.dumps(manifest).encode(), "/ca_bundle/ca.pem": data}
        yield served


async def start(state: Path) -> Running:
    return await Running.start(StartOptions(state=state, maps=("auto",), passphrase="of the first start"))


async def change(appliance: Appliance, **sections: object) -> None:
    await appliance.change_now(appliance.running()[1].with_(**sections), {}, Author(user="system", kind="system"))


async def test_another_system_list_is_live_at_once(tmp_path: Path, server: FileServer) -> None:
    running = await start(tmp_path / "state")
    appliance = running.appliance
    listener = new_listener(name="In", uid="in", kind=ListenerType.PUBLIC, interface="Management")
    verifying = attrs.evolve(listener, hat_default=attrs.evolve(listener.hat_default, tls=ReceivingTls.ON, tls_verify=True))
    updates = Updates(source=UpdateSource.SERVER, server_url=server.base, interval=0)
    custom = CertificateAuthorities(custom_list=(OWN.pem,), custom_enabled=True)
    listeners = appliance.running()[1].listeners.put(verifying)
    await change(appliance, listeners=listeners, updates=updates, certificate_authorities=custom)
    before = appliance.live()
    assert len(before.anchors) > 100
    outcome = await appliance.trust.updater.update()
    assert outcome.reason is None and outcome.version == "2099.1.1"
    after = appliance.live()
    assert after.anchors[1:] == (ROOT.der, OWN.certificate.public_bytes(Encoding.DER)), "the unreadable one, the new root, the custom list"
    assert after.generation == before.generation and after.config is before.config and appliance.running()[0] == after.generation
    assert after.outbound_context is before.outbound_context and after.gui_contexts == before.gui_contexts
    assert after.inbound_contexts["demo"] is before.inbound_contexts["demo"], "tickets of what did not change stay good"
    trusted = after.inbound_contexts["demo?verify"].get_ca_certs(binary_form=True)
    assert set(trusted) == {ROOT.der, OWN.certificate.public_bytes(Encoding.DER)}
    await running.stop(1.0)
    again = await start(tmp_path / "state")
    assert again.appliance.live().anchors == after.anchors
    assert again.appliance.trust.updater.bundle.version == "2099.1.1"
    await again.stop(1.0)
