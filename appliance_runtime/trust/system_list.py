"""The installed system list on disk: one JSON document, replaced in one step (tls-tools.md 4, rule 4).

It is a snapshot: a newer package of the product brings a newer list, which is installed by an update and not by a start.
A document that cannot be read is set aside by the packaged list, so that the appliance starts in any case.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from appliance_runtime.state_directory import write_private
from appliance_state.certificates.ca_bundle import VERSION, SystemBundle, packaged_bundle, read_bundle


def load_system_list(path: Path) -> SystemBundle:
    """What is installed; the packaged list where nothing is, or nothing that can be read. CPU work."""
    try:
        fields = json.loads(path.read_bytes())
        updated = datetime.fromisoformat(fields["updated"]) if fields["updated"] is not None else None
        version = fields["version"]
        if VERSION.fullmatch(version):
            bundle = read_bundle(version, fields["certificates"], updated)
            if bundle.certificates:
                return bundle
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return packaged_bundle()


def save_system_list(path: Path, bundle: SystemBundle) -> None:
    """Errors: OSError; then the old document stays."""
    updated = bundle.updated.isoformat() if bundle.updated else None
    write_private(path, json.dumps({"version": bundle.version, "updated": updated, "certificates": bundle.text}).encode("ascii"))
