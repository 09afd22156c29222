"""Other people's verifiers read what the deployment publishes, and judge what KMS signed."""

from collections.abc import Iterator

import pytest

from interop.deployment import Deployment
from interop.recording import Shown
from interop.verifiers import VERIFIERS, Judges
from local import tokens

ROLE = "verifier of our key set"


@pytest.fixture(scope="session")
def judges(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judges]:
    with Judges(executable, tmp_path_factory.mktemp("verifiers")) as judges:
        yield judges


@pytest.mark.parametrize("name", VERIFIERS)
def test_it_takes_an_assertion_of_each_algorithm_that_it_knows_and_no_forgery(
    name: str, deployment: Deployment, judges: Judges, shown: Shown
) -> None:
    issuer, algorithm = deployment.issuer, deployment.algorithm
    verifier, assertion = VERIFIERS[name], deployment.assertion()
    party, said = verifier.party(), tokens.claims(assertion)

    why = judges.why_not(name, issuer, algorithm, assertion)

    if algorithm not in verifier.takes:
        assert why == verifier.unknown
        shown(party, ROLE, "does not know the algorithm", algorithm)
        return
    assert why == ""
    shown(party, ROLE, "takes an assertion, by the documents that we publish", algorithm)
    forged = tokens.with_claims(assertion, {**said, "sub": "somebody-else"})
    elsewhere = deployment.assertion(audience="https://other.example")
    assert judges.why_not(name, issuer, algorithm, forged) == verifier.forged
    assert judges.why_not(name, issuer, algorithm, elsewhere) == verifier.elsewhere
    shown(party, ROLE, "refuses a forged one, and one for another audience", algorithm)
