"""Tests that take minutes: ``make test-long`` runs them, and the others deeper."""

import os
from typing import Final

import pytest

IS_DEEP: Final = bool(os.environ.get("DEEP"))
deep: Final = pytest.mark.skipif(not IS_DEEP, reason="takes minutes: make test-long")
