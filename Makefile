# What a user and a developer type. `make help` lists it.
KERNELS ?= 6.1
ARGS ?=
PREFIX ?= /opt/rmapwatch
BIN ?= /usr/local/sbin
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PROMETHEUS := .cache/prometheus/prometheus

.PHONY: help setup top test check generate format install uninstall clean

help:
	@sed -n 's/^## //p' Makefile

## make setup                     everything the rest needs (system packages where root or sudo allows)
setup: $(STAMP)

$(STAMP): pyproject.toml tools/packages.sh
	@sh tools/packages.sh
	@test -x $(PY) || python3 -m venv $(VENV)
	@$(PY) -m pip install --quiet --editable '.[dev]'
	@touch $(STAMP)

$(PROMETHEUS):
	@sh tools/prometheus.sh

## make top [ARGS=--once]         live figures: of this kernel, or of one in the lab
top: setup
	@$(VENV)/bin/rmapwatch top --or-lab $(ARGS)

## make check                     the fast loop: no root, no kernel
check: setup $(PROMETHEUS)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet .
	@mkdir -p .cache/mypy && ln -sfn ../.. .cache/mypy/rmapwatch
	@MYPYPATH=.cache/mypy $(VENV)/bin/mypy -p rmapwatch
	@$(PY) tools/generate.py --check
	@$(PY) -m pytest -q -n auto -m 'not lab'

## make test [KERNELS="6.1 6.12"] all tests, the live ones in a guest of each kernel
test: check
	@RMAPWATCH_KERNELS="$(KERNELS)" $(PY) -m pytest -q -m lab $(ARGS)

## make generate                  all that derives from a table
generate: setup
	@$(PY) tools/generate.py

## make format                    format and mend what can be mended by itself
format: setup
	@$(VENV)/bin/ruff check --fix --quiet .
	@$(VENV)/bin/ruff format --quiet .

## sudo make install              under $(PREFIX), with `rmapwatch` on root's PATH
install:
	@sh tools/install.sh "$(PREFIX)" "$(BIN)"

## sudo make uninstall            leaves nothing of it
uninstall:
	@rm -f "$(BIN)/rmapwatch"
	@rm -rf "$(PREFIX)"

## make clean                     removes what make made here
clean:
	@rm -rf $(VENV) .cache build dist *.egg-info
