# Needs Debian 12 or later with git, make and python3 (3.11 or later, with venv); the rest
# comes into .venv, once, as the hashes in requirements/ say.

BIN := .venv/bin
# Not ".": code in documents keeps the shape its reader wants.
SOURCES := mailstack tests bench tools
DIR ?= demo
PORT_BASE ?= 20000
# More for pytest, such as ARGS="tests/smtp -x".
ARGS ?=
# Most tests wait for something; a file's tests stay in one process.
BESIDE := -n logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
FUZZ_EXAMPLES ?= 20000

.PHONY: help setup demo test test-slow check fmt bench fuzz fuzz-guided lock docs clean

help:
	@echo "make demo       a throw-away mail service on high ports; DIR=$(DIR) PORT_BASE=$(PORT_BASE)"
	@echo "make test       all tests; as root it installs the Debian packages they use"
	@echo "make test-slow  those that take long; MAILSTACK_KILLS=500 MAILSTACK_POWER_CUTS=20 MAILSTACK_SOAK_S=600"
	@echo "make check      format, lint, types, import rules, docs and units in step"
	@echo "make fmt        formats the code"
	@echo "make bench      measures, prints JSON"
	@echo "make fuzz       parsers with random input; FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) each"
	@echo "make fuzz-guided TARGET=command SECONDS=60   one SMTP parser, coverage-guided; wants atheris"
	@echo "make docs       writes what is generated: docs/configuration.md, conf/mailstack.toml"
	@echo "make lock       newest allowed versions into requirements/*.txt, with hashes"

setup:
	@tools/setup.sh dev

demo:
	@tools/setup.sh runtime
	@exec $(BIN)/mailstack demo --dir "$(DIR)" --port-base "$(PORT_BASE)"

test:
	@tools/setup.sh dev
	@tools/debian.sh
	$(BIN)/pytest $(BESIDE) -rs -m "not slow" $(ARGS)

test-slow:
	@tools/setup.sh dev
	@tools/debian.sh
	$(BIN)/pytest -rs -m slow --timeout=7200 $(ARGS)

check:
	@tools/setup.sh dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest tests/tree
	@$(BIN)/python tools/sizes.py
	@tools/render-units --check

fmt:
	@tools/setup.sh dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench:
	@tools/setup.sh dev
	$(BIN)/python -m bench $(ARGS)

fuzz:
	@tools/setup.sh dev
	MAILSTACK_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest tests/fuzz --timeout=7200 $(ARGS)

fuzz-guided:
	@tools/setup.sh dev
	@$(BIN)/python -c 'import atheris' 2> /dev/null || { echo "not installed: $(BIN)/pip install '.[fuzz]'"; exit 1; }
	$(BIN)/python -m tests.fuzz.guided $(TARGET) $(SECONDS)

docs:
	@tools/setup.sh dev
	$(BIN)/python -m mailstack.app.document

lock:
	@tools/lock.sh

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .hypothesis
