# Included by the Makefile.
.PHONY: demo

demo: $(VENV)/.run ## show the service at work: everything on this machine, in .demo/; Ctrl-C ends it; PORT=8000
	@exec $(PY) -m demo
