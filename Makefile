# Two commands on a fresh machine: `make demo` and `make test`. Needs Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
INSTALLED := $(VENV)/.installed
INSTALLED_DOCS := $(VENV)/.installed-docs
INSTALLED_BROWSER := $(VENV)/.installed-browser

.PHONY: demo test browser lint gpu docs schemas clean

demo: $(INSTALLED)
	$(BIN)/bios-sweep run sweeps=demo

test: $(INSTALLED) lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

# MLflow's pages in a real Chromium: the one that is there, else Debian's or Ubuntu's, for which it has to be root.
browser: $(INSTALLED_BROWSER)
	$(BIN)/python -m pytest -q -rs tests/mirror/test_browser.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# On a machine with a GPU, with the Python that is there and no network: docs/gpu.md. GPU_ARGS: --model FOLDER, ...
gpu:
	PYTHONPATH=. $(PYTHON) -m benchmarks.on_device --out gpu_results $(GPU_ARGS)

docs: $(INSTALLED_DOCS) # the site, into site/; a broken link fails
	$(BIN)/mkdocs build --strict

schemas: $(INSTALLED) # bios_sweep/schemas/*.json, after a change of what is printed or kept
	$(BIN)/python docs/hooks/schemas.py

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[run,dev]'
	touch $@

$(INSTALLED_BROWSER): $(INSTALLED)
	$(PIP) -e '.[browser]'
	command -v chromium || command -v google-chrome || { apt-get update -qq && apt-get install -y -qq chromium; } || echo 'no Chromium can be installed here'
	touch $@

$(INSTALLED_DOCS): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[docs]'
	touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) bios_runs build dist site gpu_results
