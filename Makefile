# Two commands: `make book` and `make test`. Each sets up what it needs; `make help` lists the rest.

BIN := .venv/bin
TIMES := out/times.txt
STRICT := -W -n --keep-going
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)

# PRESET, FACES, PUBLISH and RUN reach the programs through the environment alone, as FER_PRESET and so on, and win over these. No
# shell and no second expansion by make ($(value ..)) sees them, so a folder's name keeps its quotes, blanks and dollars.
override FER_PRESET := $(if $(filter undefined,$(origin PRESET)),$(value FER_PRESET),$(value PRESET))
override FER_FACES := $(if $(filter undefined,$(origin FACES)),$(value FER_FACES),$(value FACES))
override FER_RUN := $(if $(filter undefined,$(origin RUN)),$(value FER_RUN),$(value RUN))
override FER_PUBLISH := $(if $(filter undefined,$(origin PUBLISH)),$(value FER_PUBLISH),$(value PUBLISH))
export FER_PRESET FER_FACES FER_PUBLISH FER_RUN
unexport PRESET FACES PUBLISH RUN

# $(call timed,name,command): run it, stop if it fails, and note its seconds.
define timed
@printf '\n== %s\n' '$(1)'; start=$$(date +%s); $(2) || exit 1; \
	printf '%6d s  %s\n' $$(( $$(date +%s) - start )) '$(1)' >> $(TIMES)
endef

# $(call address,file): where a browser finds a file of this folder, whatever the folder's name holds.
address = "$$($(BIN)/python -c 'import pathlib, sys; print(pathlib.Path(sys.argv[1]).absolute().as_uri())' '$(1)')"

.PHONY: help book pdf test test-slow lint bench clean start check
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@echo 'make book   render faces, train, run the notebooks, build the book  [PRESET=smoke|book|paper] [FACES=folder [PUBLISH=S1,S2]]'
	@echo '            or that of one run of a sweep                            RUN=out/sweeps/NAME/RUN'
	@echo 'make test   lint, types, unit tests, notebooks and book at the smoke preset, browser tests'
	@echo 'make lint   ruff and mypy only          make test-slow  the tests that take minutes'
	@echo 'make bench  the speed table             make clean      remove what was built (keeps .venv and .fer)'
	@echo 'make pdf    the whole book as one file; needs Chromium  [PRESET=..] [FACES=..]'

.venv/.installed: pyproject.toml constraints.txt
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer was not found; name one: make PYTHON=/path/to/python3'; exit 1; }
	@echo '== installing into .venv (some minutes, some gigabytes the first time)'
	@test -x $(BIN)/python || '$(PYTHON)' -m venv .venv
	@mkdir -p out; start=$$(date +%s); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs,test]' || exit 1; \
	printf '%6d s  installation\n' $$(( $$(date +%s) - start )) > out/installed.txt
	@touch $@

# Refuses an unknown preset and faces that are not there, before minutes go into the installation.
check:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer was not found; name one: make PYTHON=/path/to/python3'; exit 1; }
	@'$(or $(wildcard $(BIN)/python),$(PYTHON))' -m fer_lib.environment

# Starts the list of times; the installation's is on it when it has just been made.
start: .venv/.installed
	@mkdir -p out; : > $(TIMES); test ! -f out/installed.txt || mv out/installed.txt $(TIMES)

# With RUN the book of one run of a sweep, in a folder of its own.
book: check start
ifneq ($(if $(FER_RUN),one),)
	$(call timed,notebooks and book of one run,$(BIN)/python -m fer_lib.sweeps.book $(STRICT))
	@echo; cat $(TIMES)
else
	$(call timed,faces; network; measurements,$(BIN)/fer run)
	$(call timed,notebooks and book,$(BIN)/jupyter-book build $(STRICT) book)
	@echo; cat $(TIMES); echo open $(call address,book/_build/html/index.html)
endif

# One long page, printed by a browser. It shares the executed notebooks with `make book`.
PDF := book/_build/fer-lib.pdf
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

pdf: check start
	@test -n '$(CHROMIUM)' || { echo 'no Chromium was found; name one: make pdf CHROMIUM=/path/to/chromium'; exit 1; }
	$(call timed,one page,$(BIN)/jupyter-book build --builder singlehtml book)
	$(call timed,printing,'$(CHROMIUM)' --headless --no-sandbox --disable-gpu --no-pdf-header-footer --virtual-time-budget=60000 \
		--print-to-pdf='$(PDF)' $(call address,book/_build/singlehtml/intro.html))
	@echo; cat $(TIMES); echo open $(call address,$(PDF))

# The tests are about this checkout: nothing that the user's shell says changes them.
test: override FER_PRESET := smoke
test: override FER_FACES :=
test: override FER_PUBLISH :=
test: override FER_RUN :=
test: export FER_STORE :=
test: export FER_BOOK := $(CURDIR)/out/test/_build/html
test: start lint
	$(call timed,unit tests,$(BIN)/python -m pytest -n 2 -m 'not slow and not browser')
	$(call timed,smoke run,$(BIN)/fer run)
	$(call timed,notebooks,$(BIN)/python -m pytest -p no:cacheprovider -n 2 --dist loadfile \
		--nbval-lax --nbval-current-env --nbval-cell-timeout=3600 \
		--nbval-kernel-startup-timeout=600 notebooks)
	$(call timed,strict book,$(BIN)/jupyter-book build $(STRICT) --path-output out/test book)
	$(call timed,browser tests,$(BIN)/python -m pytest -m browser -rs)
	@echo; cat $(TIMES); echo 'all tests passed'

test-slow: start
	$(BIN)/python -m pytest -m slow

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: start
	$(BIN)/python -m benchmarks

clean:
	rm -rf book/_build out .mypy_cache .pytest_cache .ruff_cache .hypothesis
