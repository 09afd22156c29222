"""The two commands as a person and a program run them: from outside, in a process of their own."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.client import Client
from machine_identity import transport

ROOT = Path(__file__).parent.parent.parent
SECOND = timedelta(seconds=1)
JWT = re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")


def start(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(each) for each in listed.stdout.split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_demo_tells_every_step_and_not_one_call_fails() -> None:
    told = start("demo")
    out, err = told.communicate(timeout=240)
    assert told.returncode == 0, out + err
    steps = re.findall(r"^ {0,4}(\d+)(?:-(\d+))?  ", out, re.MULTILINE)
    numbers = [n for one, other in steps for n in range(int(one), int(other or one) + 1)]
    assert numbers == list(range(14))
    assert "HELLO WORLD" in out
    calls, failed = map(int, re.findall(r"(\d+) calls, (\d+) failed", out)[0])
    assert (calls > 50, failed) == (True, 0)
    assert "not one call failed" in out
    assert re.search("for the second time: 4.. invalid_client, AADSTS", out)
    assert "never published: 401 invalid_client, AADSTS7000272" in out
    assert "\033" not in out + err
    assert not JWT.search(out + err)


class TestServe:
    @pytest.fixture
    def served(self) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
        process = start("serve", "--json")
        assert process.stdout is not None
        line = process.stdout.readline()
        yield process, json.loads(line)
        process.kill()
        process.communicate()

    def test_a_program_reads_one_line_and_finds_everything_by_name(
        self, served: tuple[subprocess.Popen[str], dict[str, str]]
    ) -> None:
        _, at = served
        names = {"api", "issuer", "jwks_uri", "aws", "lambda", "authorization_server", "control"}
        assert at.keys() == {*names, "graph"}
        client = Client(lambda_url=at["lambda"], api_url=at["api"])
        assert client.uppercase("hello world") == "HELLO WORLD"
        assert (
            self.get(at["issuer"] + "/.well-known/openid-configuration")["issuer"] == at["issuer"]
        )
        assert len(self.get(at["jwks_uri"])["keys"]) == 2

    def test_thirty_days_pass_within_thirty_seconds(
        self, served: tuple[subprocess.Popen[str], dict[str, str]]
    ) -> None:
        _, at = served
        before = self.get(at["control"] + "/clock")["now"]
        month = 30 * 86400
        answer = transport.send(
            "POST",
            at["control"] + "/clock",
            headers={},
            body=json.dumps({"advance_seconds": month}).encode(),
            timeout=30 * SECOND,
        )
        after = json.loads(answer.body)["now"]
        passed = datetime.fromisoformat(after) - datetime.fromisoformat(before)
        assert timedelta(days=30) <= passed < timedelta(days=30, minutes=1)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_all_of_it_without_a_word(
        self, served: tuple[subprocess.Popen[str], dict[str, str]], number: signal.Signals
    ) -> None:
        process, at = served
        Client(lambda_url=at["lambda"], api_url=at["api"]).uppercase("x")
        functions = children(process.pid)
        assert len(functions) == 5
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert out == ""
        assert err.count("\n") == 2  # that it is starting
        assert not [pid for pid in functions if is_alive(pid)]

    def get(self, url: str) -> Any:
        return json.loads(transport.send("GET", url, headers={}, timeout=10 * SECOND).body)


def test_without_aws_a_pem_file_does_steps_1_to_13_with_the_very_words_that_serve_prints(
    tmp_path: Path,
) -> None:
    key = tmp_path / "private_key.pem"
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    serving = start("serve", "--key", str(key))
    assert serving.stdout is not None
    printed = ""
    while "The functions' logs" not in printed:
        printed += serving.stdout.readline()
    command = printed[printed.index(".venv/bin/machine-identity") :].split("\n\n")[0]
    words = shlex.split(command.replace("\\\n", " "))
    program = Path(sys.executable).parent / "machine-identity"
    called = subprocess.run(
        [program, *words[1:]], capture_output=True, text=True, timeout=60, check=False
    )
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=30)
    assert (called.returncode, called.stdout) == (0, "HELLO WORLD\n"), called.stderr


@pytest.mark.parametrize("after", [0.2, 0.6, 1.2, 2.5])
def test_an_interrupt_at_the_start_gets_no_traceback_and_leaves_nothing(
    tmp_path: Path, after: float
) -> None:
    starting = start("serve", TMPDIR=str(tmp_path))
    time.sleep(after)
    functions = children(starting.pid)
    starting.send_signal(signal.SIGINT)
    _, err = starting.communicate(timeout=30)
    assert "Traceback" not in err
    assert not [pid for pid in functions if is_alive(pid)]
    assert list(tmp_path.iterdir()) == []


def test_what_a_person_has_set_up_for_aws_or_as_a_proxy_does_not_matter() -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "https_proxy"), "http://127.0.0.1:9")
    served = start("serve", "--json", AWS_PROFILE="nobody", AWS_ENDPOINT_URL="x", **proxies)
    assert served.stdout is not None
    at = json.loads(served.stdout.readline())
    client = Client(lambda_url=at["lambda"], api_url=at["api"])
    assert client.uppercase("hello world") == "HELLO WORLD"
    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=30) == 0
    served.communicate()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("demo", "--parameter", "Size=1"), "Size is no parameter; there are"),
        (("serve", "--parameter", "SigningAlgorithm=HS256"), "must be one of RS256"),
        (
            ("serve", "--parameter", "PublicUrl=https://x"),
            "PublicUrl is chosen by the stack itself",
        ),
        (("serve", "--parameter", "Provider"), "must be NAME=VALUE"),
        (
            ("demo", "--parameter", "Provider=okta", "--parameter", "SigningAlgorithm=PS256"),
            "okta takes RS256, RS384, RS512, ES256, ES384 only",
        ),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(
    words: tuple[str, ...], sentence: str
) -> None:
    made = start(*words)
    out, err = made.communicate(timeout=60)
    assert (made.returncode, out) == (2, "")
    assert sentence in " ".join(err.split())
    assert "Traceback" not in err
