import os
from collections.abc import Iterator

import pytest

from bench import stage
from bench.issuer import Issuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    before = dict(os.environ)
    with stage.stage() as (issuer, _):
        yield issuer
    os.environ.clear()
    os.environ.update(before)
