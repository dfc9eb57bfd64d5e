"""The receiver of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.appliance_runtime.smtp.bench import Bench


@pytest.fixture
def workers() -> int:
    """How many the receiver has; a module may say otherwise."""
    return 0


@pytest.fixture
async def bench(tmp_path: Path, workers: int) -> AsyncIterator[Bench]:
    made = Bench(tmp_path, workers)
    yield made
    await made.close()
    assert made.faults == []
