UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS := never
export APB_TEST_CLUSTER ?= $(cluster)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build
# The first interpreter of at least 3.11 that really runs: version shims on a PATH may name one that does not. Its real
# path: uv makes the environment anew, under whoever uses it, when it is asked for a shim or a link.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 /usr/bin/python3; do \
  "$$p" -c 'import os, sys; sys.version_info < (3, 11) and sys.exit(1); print(os.path.realpath(sys._base_executable))' 2>/dev/null \
  && break; done)
UV := $(or $(shell command -v uv),.uv/bin/uv)
RUN := .venv/bin/
PROGRAMS := $(CURDIR)/.venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv demo check check-style check-units migration format test test-parts test-prepare sanity docs-lint molecule suites fuzz \
  bench test-faults test-cold test-long test-cluster cluster-programs cluster-up cluster-down go test-node image image-context clean

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

check: venv  ## format, lint, types, import rules, unit tests, drift between code and docs (about a minute)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target check-style check-units

check-style: venv
	$(RUN)ruff format --check . && $(RUN)ruff check .
	$(RUN)lint-imports
	$(RUN)mypy
	$(RUN)ansible-lint --offline -q
	$(RUN)antsibull-changelog lint

check-units: venv
	$(RUN)pytest -q tests/unit

migration: venv  ## write the next database migration: make migration m="what it does"
	$(RUN)python tools/make_migration.py "$(m)"
	$(RUN)ruff format -q apb_broker/storage/migrations

format: venv  ## rewrite the code as the checks want it
	$(RUN)ruff format . && $(RUN)ruff check --fix .

# Kubernetes is built beside all the rest, from the beginning. No cluster of the developer's is used: the controller of these tests works
# on whatever it finds there. `make test cluster=required` fails where it cannot be built, instead of leaving out what needs it.
test: venv $(if $(filter required,$(APB_TEST_CLUSTER)),go)  ## everything: checks, standards, molecule, all tests on real servers (half an hour on two cores)
	@env -u KUBECONFIG $(MAKE) --no-print-directory --keep-going --jobs 2 quiet-cluster-programs test-parts

# The servers' tests on one side, everything else on the other; each part tells in one line how it went, and what it printed when it failed.
# How many at a time is its own number, not what the make around it has left.
OWN_JOBS = MAKEFLAGS="$(filter-out -j% --jobserver%,$(MAKEFLAGS))"
test-parts:
	@$(OWN_JOBS) $(MAKE) --no-print-directory test-prepare
	@$(OWN_JOBS) $(MAKE) --no-print-directory --keep-going --jobs 2 --output-sync=target \
	  quiet-suites quiet-check quiet-molecule quiet-sanity quiet-docs-lint quiet-test-cluster

quiet-%: venv
	@tools/quietly $* $(MAKE) --no-print-directory $*

test-prepare: venv
	@tools/quietly prepare $(RUN)ansible-playbook tests/prepare.yml

# Each file in one process. Not more than two: tests wait for servers and processes, with limits that an overloaded machine misses.
suites: venv  ## the tests on real servers alone, after `make test-prepare`
	$(RUN)pytest -q tests --ignore=tests/unit --ignore=tests/cluster --numprocesses 2 --dist loadfile --durations 20

bench: venv  ## how fast the broker answers (3 minutes), or b=operations, throughput, latency, memory, growth, controller: see bench/README.md
	$(RUN)python -m bench.$(or $(b),osb) --json build/bench/$(or $(b),osb).json

test-long: test-prepare  ## the suites with what `make test` leaves out: the same on further versions and values
	$(RUN)pytest -q -m "not cluster and not node" tests --ignore=tests/unit --ignore=tests/cluster --numprocesses 2 --dist loadfile
	$(RUN)pytest -q -m cluster tests/cluster

test-node: venv  ## the tests on a node, whose pods run (needs root, go, and Debian packages that it names)
	$(RUN)pytest -q -m node tests/cluster/node

test-cluster: venv  ## the tests on a real Kubernetes API, which is built once (needs go), or is KUBECONFIG's or KUBEBUILDER_ASSETS'
	$(RUN)pytest -q -m "cluster and not long" tests/cluster --durations 20

cluster-programs: venv
	@nice -n 10 $(RUN)python -m tests.cluster build

go: venv  ## a Go that builds Kubernetes, where this machine has none: in .venv
	@$(RUN)python -m tests.cluster go || $(UV) sync --quiet --locked --inexact --python "$(PYTHON)" --group go

cluster-up: venv  ## such an API to try things on; says how to use it; node=1: with a node, whose pods run
	@$(RUN)python -m tests.cluster up $(if $(node),--node)

cluster-down: venv  ## its end
	@$(RUN)python -m tests.cluster down

# Options of the builder's, its own or another image to build on, another name: options=..., base=IMAGE, tag=NAME.
image: image-context  ## an image of apb for pods, by buildah, or b=docker, b=podman
	$(or $(b),buildah) build --file deploy/Containerfile $(if $(base),--build-arg BASE=$(base)) $(options) \
	  --tag $(or $(tag),apb:$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)) build/image

image-context: venv
	@rm -rf build/image && mkdir -p build/image
	$(UV) build --quiet --wheel --python "$(PYTHON)" --out-dir build/image
	$(UV) export --quiet --locked --no-dev --no-emit-project --output-file build/image/requirements.txt

fuzz: venv  ## requests of all kinds to the broker: 20,000, or n=100000; s=SEED for others (tests send 2,000)
	APB_FUZZ_REQUESTS=$(or $(n),20000) $(if $(s),APB_FUZZ_SEED=$(s)) $(RUN)pytest -q tests/fuzz --numprocesses 2 --dist loadfile

test-cold: test-prepare  ## the end-to-end tests, and 12 faults, with every run in an ansible-playbook of its own
	APB_TEST_EXECUTOR=cold $(RUN)pytest -q tests/e2e tests/secrets tests/faults/test_injected_faults.py --numprocesses 2 --dist loadfile

test-faults: venv  ## kill, stop, cut and fill whatever apb needs: 300 faults, or n=1000; s=SEED for others (tests do 12)
	@$(RUN)python -m tests.faults.suite $(or $(n),300) $(s)

sanity: venv  ## ansible-test sanity over a copy of the collection
	$(RUN)python tools/sanity.py build/sanity

# The ceiling: of what it takes for a part of a repository it copies what is not ignored, and collections in .venv are.
docs-lint: venv  ## the documentation of plugins and roles, as Ansible's own site would show it
	@tools/stage-collection build/docs
	@cd build/docs/ansible_collections/apb/catalog && PATH="$(PROGRAMS):$$PATH" GIT_CEILING_DIRECTORIES="$(CURDIR)/.venv" \
	  antsibull-docs lint-collection-docs --plugin-docs .

molecule: venv  ## each service in each mode, from provision to nothing left: make molecule, or s=redis-host for one
	PATH="$(PROGRAMS):$$PATH" MOLECULE_COMMAND_BORDERS=false molecule test $(if $(s),-s $(s),--all --workers 2)

clean:  ## remove what the build made
	rm -rf .venv .uv build dist
