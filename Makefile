UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS := never
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build
# The first interpreter of at least 3.11 that really runs: version shims on a PATH may name one that does not.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 /usr/bin/python3; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
UV := $(or $(shell command -v uv),.uv/bin/uv)
RUN := .venv/bin/

.DEFAULT_GOAL := help
.PHONY: help venv demo check migration format test clean

help:  ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

venv: .venv/.stamp  ## install everything the project needs into .venv, from the lock file

.venv/.stamp: uv.lock pyproject.toml hatch_build.py $(if $(filter .uv/bin/uv,$(UV)),.uv/bin/uv)
	@mkdir -p build/ansible_collections/apb && ln -sfn ../../.. build/ansible_collections/apb/catalog
	$(UV) sync --quiet --locked --python "$(PYTHON)"
	@touch $@

.uv/bin/uv:
	@sh tools/bootstrap-uv "$(PYTHON)" "$(UV_VERSION)"

demo: venv  ## start everything on this machine, get a Redis by one request, use it, give it back
	@$(RUN)python tools/demo.py

check: venv  ## format, lint, types, import rules, drift between code and docs (under a minute)
	$(RUN)ruff format --check . && $(RUN)ruff check .
	$(RUN)lint-imports
	$(RUN)mypy
	$(RUN)ansible-lint --offline -q
	$(RUN)antsibull-changelog lint
	$(RUN)pytest -q tests/unit

migration: venv  ## write the next database migration: make migration m="what it does"
	$(RUN)python tools/make_migration.py "$(m)"
	$(RUN)ruff format -q apb_broker/storage/migrations

format: venv  ## rewrite the code as the checks want it
	$(RUN)ruff format . && $(RUN)ruff check --fix .

# Suites run side by side, each file in one process; most of their time is waiting.
test: check  ## everything: checks, then all tests on real servers (about six minutes)
	$(RUN)ansible-playbook tests/prepare.yml
	$(RUN)pytest -q tests --ignore=tests/unit --numprocesses 3 --dist loadfile

clean:  ## remove what the build made
	rm -rf .venv .uv build dist
