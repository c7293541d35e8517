# Benchmarks: the product beside its peers, in one run. Included by the Makefile, which makes $(PY).

BENCH := .venv-bench

.PHONY: bench bench-quick bench-growth

$(BENCH)/.installed: benchmarks/requirements.txt requirements.txt | $(PY)
	@test -x $(BENCH)/bin/python || $(PY) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

bench: $(BENCH)/.installed ## measure beside the peers and write benchmarks/RESULTS.md and results.svg (about 25 minutes)
	@exec $(BENCH)/bin/python -m benchmarks

bench-quick: $(BENCH)/.installed ## the same, one short round of the main systems (under 4 minutes), to .bench/
	@exec $(BENCH)/bin/python -m benchmarks --quick --output .bench

bench-growth: $(VENV)/.run ## measure what grows with 10 million rows, on both databases, and write benchmarks/GROWTH.md; LARGEST=10000000
	@exec $(PY) -m benchmarks.growth --largest $(or $(LARGEST),10000000)
