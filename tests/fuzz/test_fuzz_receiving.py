"""A small part of the fuzzing of receiving; `make fuzz` runs all of it with a new seed."""

import pytest

from tests.fuzz.receiving import fuzz


@pytest.mark.parametrize("seed", [1, 2])
def test_no_input_is_too_strange(seed: int) -> None:
    fuzz(seed, 4000)
