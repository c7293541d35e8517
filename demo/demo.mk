# Included by the Makefile.
.PHONY: demo pictures

demo: $(VENV)/.run ## show the service at work: everything on this machine, in .demo/; Ctrl-C ends it; PORT=8000
	@exec $(PY) -m demo

pictures: $(VENV)/.dev ## make the README's pictures anew, in docs/pictures/ (needs Chromium)
	@exec $(PY) -m demo.pictures
