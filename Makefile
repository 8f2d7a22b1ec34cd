# Each target sets up what it needs by itself; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := pickllm langchain_pickllm llamaindex_pickllm

.DEFAULT_GOAL := help

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# torch goes first and is pinned: left to a range, pip takes the newest build with its GPU libraries.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[all]' --group test --group lint
	touch $(READY)

.PHONY: demo
demo: $(READY)  ## Route real prompts over real models and see what it saves (two to four minutes)
	$(BIN)/pickllm demo

.PHONY: test
test: $(READY)  ## Run all tests, the README's and the notebooks' code among them
	$(BIN)/pytest -n auto --dist loadgroup -q

# A newer LangChain beside the one that pip resolves, without its own dependencies: pip holds it back
# where one of those is missing, and users have it all the same.
NEWEST := $(VENV)/newest
$(NEWEST)/.ready: $(READY) Makefile
	$(BIN)/pip install --quiet --upgrade --no-deps --target $(NEWEST) \
		langchain-core==1.8.1 langchain==1.5.0 langchain-openai==1.7.4
	touch $(NEWEST)/.ready

.PHONY: test-newest
test-newest: $(NEWEST)/.ready  ## Run the LangChain tests on a newer LangChain
	PYTHONPATH=$(NEWEST) $(BIN)/pytest -n auto --dist loadgroup -q tests/langchain

.PHONY: lint
lint: $(READY)  ## Check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.PHONY: types
types: $(READY)  ## Check types
	$(BIN)/mypy

.PHONY: check
check: lint types test test-newest  ## All that a change must pass

.PHONY: format
format: $(READY)  ## Put the code in form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(READY)  ## Measure what routing costs
	$(BIN)/python benchmarks/overhead.py

.PHONY: clean
clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis pickllm-demo
