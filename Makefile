# `make` lists what there is. Every target sets up what it needs; a second run starts at once.
.PHONY: help demo serve life test test-long test-sam interop rehearsal bench lint audit build lock
.DEFAULT_GOAL := help
SAM = SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv/bin:$$PATH"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## the whole story on an embedded stack, with a live rotation: no AWS account, no Docker
	@bin/setup local && .venv/bin/python -m local demo

serve: ## the embedded stack, kept up for curl (Ctrl-C ends it)
	@bin/setup local && .venv/bin/python -m local serve

life: ## a hundred days in the life of keys, drawn anew into docs/ from a run of that stack (3 minutes)
	@bin/setup local && .venv/bin/python -m local life > docs/life-of-keys.svg.new && mv docs/life-of-keys.svg.new docs/life-of-keys.svg

test: ## units, walk, faults, interleavings, and the story over the embedded stack, with coverage
	@bin/setup dev && .venv/bin/pytest -m "not sam" -n auto --cov --cov-report=term

test-long: ## the walk, the faults, the fuzzing and the interleavings at their deepest, with their counts (10 minutes)
	@bin/setup dev && .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.txt && DEEP=1 .venv/bin/pytest -n auto tests/properties tests/faults tests/model

test-sam: ## sam build, and each function in Docker with each of its events
	@bin/setup dev && $(SAM) .venv/bin/pytest -m sam tests/sam

interop: ## other people's servers, clients and verifiers before the deployment, into docs/interop.md (Node, 3 minutes)
	@bin/setup interop && .venv/bin/pytest interop --into=docs/interop.md

rehearsal: ## a rotation in real time before other people's servers and verifiers (Node, 3 minutes)
	@bin/setup local && .venv/bin/python -m rehearsal

bench: ## the verifier and its cold start beside other people's, in ratios, into bench/results.md (2 minutes)
	@bin/setup local && bench/setup && PYTHONPATH=layers/machine_identity bench/.venv/bin/python -m bench

lint: ## ruff, mypy, the floors, cfn-lint on both forms of the template, sam validate
	@bin/setup dev && bin/lint

audit: ## what a reviewer would run: cfn-lint, checkov, bandit, pip-audit, the SBOM, a deployment into moto
	@bin/setup dev && bin/setup audit && bin/audit

build: ## the artefacts that sam deploy takes
	@bin/setup dev && $(SAM) sam build

lock: ## write the lock files anew from pyproject.toml, and the layer's SBOM from its own
	@bin/setup dev && bin/lock && bin/setup dev && .venv/bin/python -m tests.audit.sbom
