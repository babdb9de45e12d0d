# Two commands do everything, from a fresh clone on: `make book` and `make test`.  `make help` lists the others.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
CONSTRAINTS ?= constraints.txt
PORT ?= 8000
LAB ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SPHINX := $(BIN)/jupyter-book build . -q -W -n --keep-going

# One thread a process: on shared cores torch's spinning threads cost more than they bring.
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE

# What a shell exports for one's own experiments is no business of the build.
unexport TRICKS_SEED TRICKS_STRICT TRICKS_TUNE TRICKS_NULL TRICKS_DTYPE PYTEST_ADDOPTS

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book pdf test browser notebooks serve lint claims tune null repro clean \
	mutants lab travel library api dist drift pages

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# what `book` and `test` have in common: chapters that changed are run, then the site is built
define SITE
	$(BIN)/python -m tools.notebooks
	$(BIN)/python -m tools.assignments
	$(SPHINX)
	$(BIN)/python -m tools.check_site _build/html
endef

book: $(READY)  ## the book, in _build/html
	$(SITE)
	@echo "The book is in _build/html/index.html"

pdf: $(READY)  ## the book as one PDF, _build/tricks-lib.pdf, by LaTeX
	$(BIN)/python -m tools.pdf check
	$(BIN)/python -m tools.notebooks
	$(BIN)/python -m tools.assignments
	$(SPHINX) --builder latex
	$(BIN)/python -m tools.pdf

test: $(READY)  ## all tests: the library's, the book's, every chapter, and the built site in a browser
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --junitxml=build/reports/tests.xml
	$(SITE)
	$(BIN)/python -m tools.travel quickest
	$(BIN)/python -m tools.browser

browser: $(READY)  ## install the browser that the tests drive, where there is none
	$(BIN)/python -m tools.browser install

notebooks: $(READY)  # run the chapters that changed: `book` and `test` share this one execution
	$(BIN)/python -m tools.notebooks

serve: book  ## build the book, serve it and open it in the browser
	(sleep 1; $(BIN)/python -m webbrowser -t http://127.0.0.1:$(PORT)/) &
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lab: $(READY)  ## JupyterLab, with the chapters as notebooks; what it saves is their text
	JUPYTER_CONFIG_PATH="$(CURDIR)/tools/jupyter" $(BIN)/python -m jupyterlab --LabApp.default_url=/lab/tree/book $(LAB)

travel: book  ## run the notebooks that the pages offer, away from here: all, or CHAPTERS="book/data/looking ..."
	$(BIN)/python -m tools.travel $(CHAPTERS)

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

repro: $(READY)  ## run every chapter twice, build the site twice, and compare what they say
	$(BIN)/python -m tools.notebooks repro
	$(BIN)/python -m tools.assignments
	rm -rf build/one build/another
	$(SPHINX) --path-output build/one
	$(SPHINX) --path-output build/another
	$(BIN)/python -m tools.same build/one/_build/html build/another/_build/html

library: $(READY)  ## the library's tests alone; VENV=build/oldest CONSTRAINTS=build/oldest.txt: with the oldest versions
	TRICKS_DTYPE=$(TRICKS_DTYPE) $(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore tests/book $(FLAGS) \
		--junitxml=build/reports/library.xml

api: $(READY)  ## write the list of public names that a release promises
	$(BIN)/python -m tools.api write

dist: $(READY)  ## wheel and source archive of the last commit, in dist/, tried in an empty environment
	$(BIN)/python -m tools.dist
	TRICKS_DIST=dist $(BIN)/python -m pytest -q tests/test_package.py

drift: $(READY)  ## which packages have newer versions than constraints.txt?
	@$(BIN)/python -m pip list --outdated

pages:  ## publish the built book on the branch gh-pages of `origin`: NAME=dev, or a tag
	$(PYTHON) -m tools.branch fetch gh-pages build/pages
	$(PYTHON) -m tools.pages build/pages $(NAME)
	$(PYTHON) -m tools.branch push build/pages gh-pages

clean:  ## remove what was built, keep the environment
	rm -rf _build build dist *.egg-info

build/oldest.txt: pyproject.toml
	mkdir -p build
	$(PYTHON) -m tools.bounds > $@

$(READY): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(PIP_FLAGS) $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@for map in umap-learn pacmap trimap; do \
		$(BIN)/python -m pip install -q $(PIP_FLAGS) $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) $$map \
		|| echo "$$map cannot be installed here: the page on maps leaves it out"; \
	done
	touch $@
