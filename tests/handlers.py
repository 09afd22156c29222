"""Loads a function's app.py as Lambda does at a cold start: anew, and with it the environment."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent


def cold_start(name: str) -> ModuleType:
    """Import ``functions/<name>/app.py`` afresh under the environment of this moment."""
    spec = importlib.util.spec_from_file_location(
        f"functions.{name}.app", ROOT / "functions" / name / "app.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(function: str, case: str) -> Any:
    """Return ``events/<function>/<case>.json``, which ``sam local invoke -e`` takes too."""
    return json.loads((ROOT / "events" / function / f"{case}.json").read_text())


class Context:
    """What a handler is given beside the event."""

    aws_request_id = "00000000-0000-4000-8000-000000000001"
    function_name = "test"
    function_version = "$LATEST"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:test"

    def get_remaining_time_in_millis(self) -> int:
        return 3000
