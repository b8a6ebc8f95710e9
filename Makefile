# make help says what there is; each target sets up what it needs, in .venv and js/node_modules.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SETTINGS := pyproject.toml constraints.txt hatch_build.py
# Jupyter refuses to run as root without it, and in a container there is often no one else.
LAB_FLAGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help demo lab test quick lint dev format hooks bench faults picture docs clean

help:
	@echo "make demo     train two small nets, count their inactive units, write demo.html"
	@echo "make lab      open the quickstart notebook in JupyterLab"
	@echo "make test     lint, type-check, and run every test: Python, TypeScript, browser"
	@echo "make lint     lint and type-check Python, and hold the direction of its imports"
	@echo "make quick    lint, type-check, and run the fast tests without a browser"
	@echo "make dev      rebuild the front end as it is edited, in an open JupyterLab and without it"
	@echo "make format   format Python, TypeScript and styles"
	@echo "make hooks    have git check what is committed"
	@echo "make bench    measure against rivals and limits, write tests/benchmarks/results.md"
	@echo "make faults   kill ranks, workers and the driver, let files not grow, and tell what was lost"
	@echo "make picture  record the README's moving picture of the widget anew"
	@echo "make docs     build the pages and the API reference as HTML, in docs/_build/html"
	@echo "make clean    remove what the others made"

demo: $(VENV)/.demo
	$(BIN)/python hatch_build.py
	$(BIN)/python notebooks/demo.py

lab: $(VENV)/.lab
	$(BIN)/python hatch_build.py
	$(BIN)/jupyter lab $(LAB_FLAGS) notebooks/quickstart.ipynb

test: lint
	$(BIN)/python hatch_build.py npm run check
	$(BIN)/python hatch_build.py npm test
	$(BIN)/python hatch_build.py
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/python tests/browser/firefox.py
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 40

quick: lint
	$(BIN)/python hatch_build.py npm run check
	$(BIN)/python hatch_build.py npm test
	$(BIN)/python hatch_build.py
	$(BIN)/python -m pytest --numprocesses 2 -m 'not browser and not slow' $(QUICK)

dev: $(VENV)/.lab
	$(BIN)/python hatch_build.py
	$(BIN)/python js/dev.py $(LAB_FLAGS)

format: $(VENV)/.test
	$(BIN)/python hatch_build.py npm run format
	$(BIN)/python -m ruff format
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

hooks: $(VENV)/.test
	$(BIN)/pre-commit install

lint: $(VENV)/.test
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test
	$(BIN)/python hatch_build.py
	$(BIN)/python tests/benchmarks $(BENCH)

faults: $(VENV)/.test
	$(BIN)/python tests/scale/faults.py --ray $(FAULTS)

picture: $(VENV)/.test
	$(BIN)/python hatch_build.py
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/python docs/make_picture.py

docs: $(VENV)/.docs
	$(BIN)/python hatch_build.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --conf-dir docs . docs/_build/html
	@echo "open docs/_build/html/index.html"

clean:
	rm -rf $(VENV) js/node_modules iua_widget/static dist docs/_build demo.html
	rm -rf digits.html .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# An extra is installed anew when what it is made from has changed.
$(VENV)/.%: $(SETTINGS) | $(VENV)/bin/python
	$(PIP) --editable '.[$*,front-end]'
	touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "python3 -m venv failed: on Debian, apt-get install python3-venv"; exit 1; }
