# Two commands do everything, from a fresh clone on: `make book` and `make test`.  `make help` lists the others.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
PORT ?= 8000
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# One thread a process: on shared cores torch's spinning threads cost more than they bring.
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE

# What a shell exports for one's own experiments is no business of the build.
unexport TRICKS_SEED TRICKS_STRICT TRICKS_TUNE TRICKS_NULL PYTEST_ADDOPTS

.DEFAULT_GOAL := help
.PHONY: help book test browser notebooks serve lint claims tune null mutants repro clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# what `book` and `test` have in common: chapters that changed are run, then the site is built
define SITE
	$(BIN)/python -m tools.notebooks
	$(BIN)/python -m tools.assignments
	$(BIN)/jupyter-book build . -q -W -n --keep-going
	$(BIN)/python -m tools.check_site _build/html
endef

book: $(READY)  ## the book, in _build/html
	$(SITE)
	@echo "The book is in _build/html/index.html"

test: $(READY)  ## all tests: the library's, the book's, every chapter, and the built site in a browser
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --junitxml=build/reports/tests.xml
	$(SITE)
	$(BIN)/python -m tools.browser

browser: $(READY)  ## install the browser that the tests drive, where there is none
	$(BIN)/python -m tools.browser install

notebooks: $(READY)  # run the chapters that changed: `book` and `test` share this one execution
	$(BIN)/python -m tools.notebooks

serve: book  ## build the book, serve it and open it in the browser
	(sleep 1; $(BIN)/python -m webbrowser -t http://127.0.0.1:$(PORT)/) &
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lint: $(READY)  ## style, types, layers, and the rules of the book
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.rules

claims: notebooks  ## all claims with their spare; SEEDS=5 tries them under five fresh seed bases
	$(BIN)/python -m tools.claims $(SEEDS)

tune: $(READY)  ## tune the settings that chapters use: all, or CHAPTERS="book/data/normalization ..."
	$(BIN)/python -m tools.tune $(CHAPTERS)

null: notebooks  ## does each effect vanish with its trick switched off? All, or TRICKS="D07 A/A ..."
	$(BIN)/python -m tools.nulls $(TRICKS)

mutants: $(READY)  ## do the tests notice small faults in the library? All, or MODULES="tricks_lib.data.looking ..."
	$(BIN)/python -m tools.mutants $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(MODULES)

repro: $(READY)  ## run every chapter twice and compare what it says
	$(BIN)/python -m tools.notebooks repro

clean:  ## remove what was built, keep the environment
	rm -rf _build build dist *.egg-info

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@for map in umap-learn pacmap trimap; do \
		$(BIN)/python -m pip install -q $(PIP_FLAGS) -c constraints.txt $$map \
		|| echo "$$map cannot be installed here: the page on maps leaves it out"; \
	done
	touch $@
