"""What the tests of `ldapconfig` begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from tests.support.appliance import make_session


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A session at the appliance mail3.example.com."""
    config = Config()
    return make_session(config.with_(system=evolve(config.system, hostname="mail3.example.com")), files=tmp_path)
