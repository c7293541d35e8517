# Everything a newcomer needs: `make run` starts the service, `make test` tests it. Both do all set-up.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# As any setting: the environment goes first, then .env. Here, because `welcome` and honcho look at the environment only.
export PORT ?= $(or $(shell sed -n "s/^PORT=[\"']\{0,1\}\([0-9]*\).*/\1/p" .env 2>/dev/null),8000)

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help run web worker celery test test-fast check format clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/: [^#]*##/: ##/'  | sed -E 's/:.*## /\t/' | expand -t 14

# The first Python that fits: PATH first, then pyenv's own. Half an environment would be taken for a whole one next time.
$(PY):
	@for p in python3 python3.14 python3.13 python3.12 $$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/*/bin/python 2>/dev/null | sort -Vr); do \
	  if command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$($$p --version)"; $$p -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); echo "It cannot make one (on Debian and Ubuntu: apt-get install python3-venv)."; \
	  fi; \
	done; \
	echo "No Python 3.12 or newer found that works. Install one (python.org, your package manager, or 'pyenv install 3.13') and run make again."; exit 1

$(VENV)/.run: requirements.txt | $(PY)
	@echo "Installing requirements.txt into $(VENV)"
	@$(BIN)/pip install -qq --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@echo "Installing requirements-dev.txt into $(VENV)"
	@$(BIN)/pip install -qq --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.env: .env.example | $(VENV)/.run
	@test -f .env || { key=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(50))'); \
	  sed "s|^SECRET_KEY=.*|SECRET_KEY=$$key|" .env.example > .env; chmod 600 .env; echo "Wrote .env with a fresh SECRET_KEY"; }
	@touch .env

run: .env ## set up everything and run the service (web and worker) on SQLite; PORT=8000
	@$(PY) manage.py migrate --verbosity 0
	@$(PY) manage.py welcome
	@# Each process reads .env by itself. What honcho reads there would go before the environment.
	@exec $(BIN)/honcho start --env /dev/null

web: .env ## run only the web server
	@exec $(BIN)/gunicorn project.wsgi

worker: .env ## run only the queue's workers
	@exec $(PY) manage.py qcluster

celery: .env ## run only Celery workers (needs requirements-celery.txt and CELERY_BROKER_URL)
	@exec $(BIN)/celery -A project worker --loglevel INFO

# What is compiled is kept, whatever the environment says: each of the many processes would do it again.
test test-fast: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev ## set up everything and run all tests (minutes; DATABASE_URL chooses the database)
	$(BIN)/pytest -n 2 --dist loadfile

test-fast: $(VENV)/.dev ## run the tests that start no process (ten seconds on two cores)
	$(BIN)/pytest -m "not process and not slow" -p no:schemathesis -p no:anyio -n auto --hypothesis-profile fast

check: $(VENV)/.dev ## lint, types, import rules, Django's own checks, the API schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	SECRET_KEY=check $(BIN)/mypy
	$(BIN)/lint-imports
	SECRET_KEY=$$(head -c 64 /dev/urandom | base64 -w 0) DEBUG=false ALLOWED_HOSTS=example.com $(PY) manage.py check --deploy --fail-level WARNING
	SECRET_KEY=check $(PY) manage.py makemigrations --check --dry-run
	SECRET_KEY=check $(PY) manage.py spectacular --validate --fail-on-warn --file /dev/null

format: $(VENV)/.dev ## format the code and sort the imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .

include benchmarks/bench.mk demo/demo.mk tests/chaos/chaos.mk

clean: ## remove what make made (.venv and caches; never the database, .env or log)
	rm -rf $(VENV) .venv-bench .bench .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
