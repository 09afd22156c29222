"""SAM's command line: builds the functions, and runs them in containers of Lambda's image."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from tests.sam.containers import ARCHITECTURE, ROOT

FOLDER: Final = ROOT / ".aws-sam" / "tests"
"""Beside ``.aws-sam/build``, which may hold what somebody is about to deploy."""
BUILT: Final = FOLDER / "build"
REGION: Final = "eu-central-1"
_SAM: Final = Path(sys.executable).with_name("sam")
_STARTS_WITHIN: Final = 60.0
_ENDS_WITHIN: Final = 60.0
_ANSWERS_WITHIN: Final = 60
_RUNS_WITHIN: Final = 300.0
"""In seconds; a build downloads what the layer installs."""

type Environments = Mapping[str, Mapping[str, str]]
"""The variables of each function, by its logical ID."""


def build() -> None:
    """Build all that the template declares, as ``sam build`` does, for this processor."""
    places = ("--build-dir", str(BUILT), "--cache-dir", str(FOLDER / "cache"))
    _sam("build", *places, "--parameter-overrides", f"Architecture={ARCHITECTURE}")


def invoke(function: str, event: Path, *options: str, environments: Environments) -> Any:
    """Return the answer of ``sam local invoke``, in a container of its own."""
    local = _local("invoke", environments)
    answer = _sam("local", "invoke", function, "-e", str(event), *local, *options)
    return json.loads(answer.splitlines()[-1])


@contextmanager
def started(what: str, port: int, *options: str, environments: Environments) -> Iterator[str]:
    """Run ``start-api`` or ``start-lambda``; give its URL, and end it with its containers."""
    command = ("local", what, "--host", "127.0.0.1", "--port", str(port), *options)
    log = FOLDER / f"{what}.log"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job ignores it, and so would sam, which would never end.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_SAM, *command, *_local(what, environments)],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_for(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)  # upon which sam removes its containers
            process.wait(_ENDS_WITHIN)


def free_port() -> int:
    """Return a port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _local(what: str, environments: Environments) -> tuple[str, ...]:
    """Write what the containers are told, and return the options that say so.

    ``sam local`` sets only variables that the template declares, so ``AWS_ENDPOINT_URL`` is
    declared in a copy of the built template; the deployed one needs none. The first start of a
    container on a busy machine is slower than any of Lambda, so the time-outs are longer there.
    """
    document = yaml_parse((BUILT / "template.yaml").read_text())
    declared = document["Globals"]["Function"].setdefault("Environment", {})
    declared.setdefault("Variables", {})["AWS_ENDPOINT_URL"] = ""
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["Timeout"] = _ANSWERS_WITHIN
    template, variables = BUILT / "on-this-machine.json", FOLDER / f"{what}.json"
    template.write_text(json.dumps(document))
    variables.write_text(json.dumps(environments))
    parameters = ("--parameter-overrides", f"Architecture={ARCHITECTURE}")
    told = ("--env-vars", str(variables), "--region", REGION, *parameters)
    return ("-t", str(template), *told, "--skip-pull-image")


def _sam(*arguments: str) -> str:
    done = subprocess.run(
        [_SAM, *arguments],
        cwd=ROOT,
        env=_environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=_RUNS_WITHIN,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def _environment() -> dict[str, str]:
    """Return this process's variables, with the venv's Python before all others for the build."""
    path = os.pathsep.join((str(_SAM.parent), os.environ["PATH"]))
    account = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    return {
        **os.environ,
        **account,
        "AWS_DEFAULT_REGION": REGION,
        "PATH": path,
        "SAM_CLI_TELEMETRY": "0",
    }


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"sam did not start:\n{log.read_text()[-4000:]}")
