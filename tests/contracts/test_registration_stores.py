"""What the registrar relies on in a store of secrets: one suite, on files and at AWS."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from moto import mock_aws

from machine_identity import clock
from machine_identity.aws import AwsError
from machine_identity.aws.clients import client
from machine_identity.aws.parameter_store import ParameterStore
from machine_identity.aws.secrets_manager import SecretsManager
from machine_identity.client_registration.record import StoreError
from machine_identity.errors import ConflictError
from machine_identity.registrar import Store
from machine_identity.secret_files import SecretFiles

NAME = "billing"
SECRET = "registration-access-token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A store, and the same place as another process sees it."""

    store: Store
    other: Store


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def parameters() -> ParameterStore:
    return ParameterStore(client("ssm"), "/machine-identity/clients/")


def secrets() -> SecretsManager:
    made = client("secretsmanager")
    return SecretsManager(made, "machine-identity/clients/", unique=clock.unique)


@pytest.fixture(params=["files", "ssm", "secretsmanager"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "files":
        return Case(store=SecretFiles(tmp_path / "a"), other=SecretFiles(tmp_path / "a"))
    request.getfixturevalue("aws")
    make: Callable[[], Store] = parameters if request.param == "ssm" else secrets
    return Case(store=make(), other=make())


def stands(case: Case, name: str = NAME) -> str | None:
    kept = case.other.read(name)
    return None if kept is None else kept.body


def test_what_was_never_written_is_not_there(case: Case) -> None:
    assert case.store.read(NAME) is None


def test_what_is_written_is_read_by_anybody_with_its_tag(case: Case) -> None:
    tag = case.store.write(NAME, SECRET, expected=None)
    kept = case.other.read(NAME)
    assert kept is not None
    assert (kept.body, kept.tag) == (SECRET, tag)
    assert SECRET not in repr(kept)


def test_names_are_kept_apart(case: Case) -> None:
    case.store.write(NAME, "1", expected=None)
    case.store.write("billing.old", "2", expected=None)
    assert (stands(case), stands(case, "billing.old")) == ("1", "2")


def test_one_write_follows_the_other(case: Case) -> None:
    tag = case.store.write(NAME, "0", expected=None)
    for number in range(1, 30):
        tag = case.store.write(NAME, str(number), expected=tag)
        assert stands(case) == str(number)


def test_a_first_write_does_not_replace_what_another_wrote_first(case: Case) -> None:
    case.other.write(NAME, "theirs", expected=None)
    with pytest.raises(ConflictError, match=NAME):
        case.store.write(NAME, SECRET, expected=None)
    assert stands(case) == "theirs"


def test_of_two_writes_over_one_version_the_second_loses_and_overwrites_nothing(
    case: Case,
) -> None:
    tag = case.store.write(NAME, "1", expected=None)
    case.other.write(NAME, "theirs", expected=tag)
    with pytest.raises(ConflictError, match=NAME) as lost:
        case.store.write(NAME, SECRET, expected=tag)
    assert stands(case) == "theirs"
    assert SECRET not in str(lost.value)


def test_who_lost_goes_on_from_what_stands_there(case: Case) -> None:
    tag = case.store.write(NAME, "1", expected=None)
    case.other.write(NAME, "theirs", expected=tag)
    with pytest.raises(ConflictError):
        case.store.write(NAME, "ours", expected=tag)
    kept = case.store.read(NAME)
    assert kept is not None
    case.store.write(NAME, "ours", expected=kept.tag)
    assert stands(case) == "ours"


# Of AWS alone


def lossy(store: Any, operation: str, meanwhile: Callable[[], object]) -> None:
    """Let the first request of an operation be carried out and its answer be lost on the wire."""
    asked: list[object] = []

    def before_send(request: object, **_: object) -> None:
        asked.append(request)
        if len(asked) == 1:
            meanwhile()
            raise ConnectionClosedError(endpoint_url="https://aws")

    store._client.meta.events.register_first(f"before-send.*.{operation}", before_send)  # noqa: SLF001


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_lost_answer_of_ssm_to_one_s_own_write_is_no_conflict(*, is_first: bool) -> None:
    store, other = parameters(), parameters()
    expected = None if is_first else other.write(NAME, "before", expected=None)
    lossy(store, "PutParameter", lambda: other.write(NAME, SECRET, expected=expected))
    tag = store.write(NAME, SECRET, expected=expected)
    kept = other.read(NAME)
    assert kept is not None
    assert (kept.body, kept.tag) == (SECRET, tag)


@pytest.mark.usefixtures("aws")
def test_who_wrote_between_the_look_and_the_write_is_found_out_at_ssm() -> None:
    store, other = parameters(), parameters()
    tag = store.write(NAME, "1", expected=None)
    lossy(store, "PutParameter", lambda: other.write(NAME, "theirs", expected=tag))
    with pytest.raises(ConflictError):
        store.write(NAME, SECRET, expected=tag)


@pytest.mark.usefixtures("aws")
def test_a_parameter_is_encrypted() -> None:
    parameters().write(NAME, SECRET, expected=None)
    name = f"/machine-identity/clients/{NAME}"
    [found] = client("ssm").describe_parameters()["Parameters"]
    assert (found["Name"], found["Type"]) == (name, "SecureString")
    assert client("ssm").get_parameter(Name=name)["Parameter"]["Value"] != SECRET


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("step", ["PutSecretValue", "UpdateSecretVersionStage"])
def test_a_lost_answer_of_secrets_manager_is_no_conflict(step: str) -> None:
    store, other = secrets(), secrets()
    tag = store.write(NAME, "before", expected=None)
    raw = client("secretsmanager")
    version = "11111111-1111-4111-8111-111111111111"
    store._unique = lambda: version  # noqa: SLF001 - so that the lost request can be made here

    def done() -> None:
        raw.put_secret_value(
            SecretId=f"machine-identity/clients/{NAME}",
            SecretString=SECRET,
            ClientRequestToken=version,
            VersionStages=["machine-identity-next"],
        )
        if step == "UpdateSecretVersionStage":
            raw.update_secret_version_stage(
                SecretId=f"machine-identity/clients/{NAME}",
                VersionStage="AWSCURRENT",
                MoveToVersionId=version,
                RemoveFromVersionId=tag,
            )

    lossy(store, step, done)
    assert store.write(NAME, SECRET, expected=tag) == version
    kept = other.read(NAME)
    assert kept is not None
    assert (kept.body, kept.tag) == (SECRET, version)


@pytest.mark.usefixtures("aws")
def test_who_wrote_between_put_and_move_wins_at_secrets_manager() -> None:
    store, other = secrets(), secrets()
    tag = store.write(NAME, "1", expected=None)
    lossy(store, "UpdateSecretVersionStage", lambda: other.write(NAME, "theirs", expected=tag))
    with pytest.raises(ConflictError):
        store.write(NAME, SECRET, expected=tag)
    kept = other.read(NAME)
    assert kept is not None
    assert kept.body == "theirs"


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("make", "operation", "text"),
    [
        (parameters, "GetParameter", "ssm:GetParameter failed: AccessDenied"),
        (secrets, "GetSecretValue", "secretsmanager:GetSecretValue failed: AccessDenied"),
    ],
)
def test_what_may_not_be_read_is_an_error_and_not_absent(
    make: Callable[[], Any], operation: str, text: str
) -> None:
    store = make()

    def refused(**_: object) -> tuple[Any, dict[str, Any]]:
        answer = type("Answer", (), {"status_code": 403})()
        return answer, {"Error": {"Code": "AccessDenied", "Message": SECRET}}

    store._client.meta.events.register_first(f"before-call.*.{operation}", refused)  # noqa: SLF001
    with pytest.raises(AwsError) as failed:
        store.read(NAME)
    assert str(failed.value) == text


# Of files alone


def test_file_and_folder_are_their_owner_s_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "store"
    SecretFiles(folder).write(NAME, SECRET, expected=None)
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_not_read(tmp_path: Path, mode: int) -> None:
    store = SecretFiles(tmp_path)
    tag = store.write(NAME, SECRET, expected=None)
    path = tmp_path / f"{NAME}.json"
    path.chmod(mode)
    for act in (lambda: store.read(NAME), lambda: store.write(NAME, "x", expected=tag)):
        with pytest.raises(StoreError, match=f"may be read by others: chmod 600 {path}"):
            act()


def test_a_write_that_died_half_way_leaves_the_file_whole_and_the_next_goes_on(
    tmp_path: Path,
) -> None:
    store = SecretFiles(tmp_path)
    tag = store.write(NAME, "1", expected=None)
    (tmp_path / f"{NAME}.new").write_text("hal")
    kept = store.read(NAME)
    assert kept is not None
    assert kept.body == "1"
    store.write(NAME, "2", expected=tag)
    assert [each.suffix for each in sorted(tmp_path.iterdir())] == [".json", ".lock"]


def test_what_is_no_folder_or_no_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used: "):
        SecretFiles(tmp_path / "file").write(NAME, SECRET, expected=None)
    broken = tmp_path / f"{NAME}.json"
    broken.write_bytes(b"\xff")
    broken.chmod(0o600)
    with pytest.raises(StoreError, match="cannot be used: "):
        SecretFiles(tmp_path).read(NAME)


def test_of_many_writers_at_once_one_wins_each_round(tmp_path: Path) -> None:
    tag: str | None = None
    for number in range(20):
        won: list[str] = []
        start = threading.Barrier(4)

        def write(
            writer: int,
            number: int = number,
            expected: str | None = tag,
            start: threading.Barrier = start,
            won: list[str] = won,
        ) -> None:
            start.wait()
            try:
                body = f"{number} of {writer}"
                won.append(SecretFiles(tmp_path).write(NAME, body, expected=expected))
            except ConflictError:
                pass

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [tag] = won
