# Included by the Makefile.
.PHONY: chaos

chaos: $(VENV)/.dev ## kill everything under load, on both databases; CHAOS_MINUTES=10 CHAOS_SEED=7
	$(PY) -m tests.chaos
