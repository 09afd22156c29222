"""The IAM evaluator: npm's @cloud-copilot/iam-simulate, in a process that answers lines.

Why that one: docs/decisions/0014-an-evaluator-judges-the-roles.md. It knows conditions, resource
policies and that KMS takes a role's policy only where the key's allows it; what it makes of a
dozen known cases is in test_judge.py. It also says of which context a request of that kind has
none, so that a misspelt key, or one that AWS does not tell IAM, does not pass for a condition.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.iam.requests import Request

FOLDER: Final = Path(__file__).parent / "node"

type Document = dict[str, Any]


class JudgeError(Exception):
    """The evaluator did not judge: the request is none that AWS knows, or the process ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request, who makes it, and the policies that bear on it."""

    principal: str
    request: Request
    identity: Document | None = None
    guard: Document | None = None
    """What the resource itself says: a bucket policy, a key policy, a trust policy."""
    is_allowed: bool = True
    """What is expected."""


class Judge:
    """``with Judge(node) as judge``."""

    def __init__(self, node: str) -> None:
        self._command = [node, str(FOLDER / "judge.mjs")]
        self._defined: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, which ends it

    def allows(self, question: Question) -> bool:
        """Return whether IAM would allow it. Raises JudgeError."""
        (answer,) = self._ask([self._asked(question)])
        return _allowed(question, answer)

    def first_other(self, questions: Sequence[Question]) -> Question | None:
        """Return the first question whose answer is not the expected one. Raises JudgeError."""
        asked = [{**self._asked(each), "expected": each.is_allowed} for each in questions]
        answers = self._ask(asked)
        for question, answer in zip(questions, answers, strict=False):
            if _allowed(question, answer) is not question.is_allowed:
                return question
        return None

    def _asked(self, question: Question) -> dict[str, Any]:
        request = question.request
        return {
            "principal": question.principal,
            "action": request.action,
            "resource": request.resource,
            "account": request.account,
            "context": dict(request.context),
            "identity": self._id(question.identity),
            "guard": self._id(question.guard),
        }

    def _id(self, document: Document | None) -> int | None:
        """Return by which number the process knows a policy, and tell it of a new one."""
        if document is None:
            return None
        written = json.dumps(document)
        if written not in self._defined:
            self._defined[written] = len(self._defined)
            self._write({"define": self._defined[written], "document": document})
        return self._defined[written]

    def _ask(self, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._write({"ask": questions})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise JudgeError("the evaluator ended; what it says is above")
        answers: list[dict[str, Any]] = json.loads(line)
        return answers

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def _allowed(question: Question, answer: dict[str, Any]) -> bool:
    if answer["verdict"] == "Unjudged":
        raise JudgeError(f"{question.request}: {answer['error']}")
    if answer["ignored"]:
        raise JudgeError(f"{question.request}: IAM is never told {answer['ignored']}")
    return bool(answer["verdict"] == "Allowed")
