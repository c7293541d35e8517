# Included by the Makefile.
.PHONY: chaos chaos-breaks

chaos: $(VENV)/.dev ## kill everything under load, on both databases; CHAOS_MINUTES=10 CHAOS_SEED=7
	$(PY) -m tests.chaos

chaos-breaks: $(VENV)/.dev ## break each law in a copy of the code, and see its proof fail (a quarter of an hour)
	$(PY) -m tests.chaos.breaks
