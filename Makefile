# Every target sets up .venv by itself when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile --constraint constraints.txt
# pip compiles on one core, this on all; packages bring templates that are no Python, which stay as they are.
COMPILE := $(BIN)/python -m compileall -qq -j 0 "$(CURDIR)/$(VENV)/lib" || true

.PHONY: bundle demo demo-pose test test-compat lint format docs bench faults clean help

help:
	@echo "make demo [DATA=folder] [SEED=n]  run the whole loop on embedded parts; HUMAN=1: you correct, in a browser"
	@echo "make demo-pose [DATA=folder] [SEED=n]  run the device loop on embedded parts"
	@echo "make test                         run all tests"
	@echo "make test-compat                  the official SDK and cvat-cli, two versions, against the sandbox"
	@echo "make lint                         format, lint, types, import contracts"
	@echo "make docs                         build the documentation into site/"
	@echo "make bench [DATA=folder]          measure speed and memory against their baselines"
	@echo "make faults [KILLS=100] [SEED=n]   break every request of push and pull in every way; compare the ends"
	@echo "make bundle                       put the wheel into firebase_cvat_pipeline/, ready to be copied alone"
	@echo "make clean                        remove what was built"

demo: $(VENV)/.user
	$(BIN)/agir-cvtoolkit demo --seed $(or $(SEED),0) $(if $(DATA),--data "$(DATA)") $(if $(HUMAN),--human)

demo-pose: $(VENV)/.user
	$(BIN)/agir-cvtoolkit demo-pose --seed $(or $(SEED),0) $(if $(DATA),--data "$(DATA)")

# One thread each: the workers of the test run already use every core. One worker more than there are cores: many
# tests wait for other processes.
test: $(VENV)/.developer
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --dist worksteal \
		-n $$($(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')

# Each version of the official clients in an environment of its own: they bind what they are installed with.
COMPAT := 2.42 2.80
COMPAT_STAMPS := $(COMPAT:%=.compat/%/.ready)

test-compat: $(VENV)/.developer $(COMPAT_STAMPS)
	$(BIN)/python -m tests.compat $(foreach v,$(COMPAT),$(v)=.compat/$(v)/bin/python)

.compat/%/.ready: tests/compat/requirements-%.txt | $(BIN)/python
	$(PYTHON) -m venv .compat/$*
	.compat/$*/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	@touch $@

lint: $(VENV)/.developer
	$(BIN)/ruff format --check src tests benchmarks docs/_site firebase_cvat_pipeline
	$(BIN)/ruff check src tests benchmarks docs/_site firebase_cvat_pipeline
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.developer
	$(BIN)/ruff format src tests benchmarks docs/_site firebase_cvat_pipeline
	$(BIN)/ruff check --fix src tests benchmarks docs/_site firebase_cvat_pipeline

docs: $(VENV)/.developer
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir site

bench: $(VENV)/.developer
	$(BIN)/python -m benchmarks $(if $(DATA),--data "$(DATA)")

faults: $(VENV)/.developer
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m tests.faults --kills $(or $(KILLS),100) \
		$(if $(SEED),--seed $(SEED)) $(if $(JSON),--json "$(JSON)")

# One wheel for the scripts and one for the functions, as each folder is copied or deployed alone.
PIPELINE := firebase_cvat_pipeline

bundle: $(VENV)/.developer
	rm -f $(PIPELINE)/agir_cvtoolkit-*.whl $(PIPELINE)/functions/agir_cvtoolkit-*.whl
	$(BIN)/python -m pip wheel --disable-pip-version-check --quiet --no-deps --no-build-isolation --wheel-dir $(PIPELINE) .
	cp $(PIPELINE)/agir_cvtoolkit-*.whl $(PIPELINE)/functions/
	@cd $(PIPELINE) && wheel="$$(echo agir_cvtoolkit-*.whl)" && for file in requirements.txt requirements-training.txt functions/requirements.txt; do \
		sed "s|^\./agir_cvtoolkit-.*\.whl|./$$wheel|" "$$file" >"$$file.new" && mv "$$file.new" "$$file"; done && \
		echo "$(PIPELINE)/$$wheel"

clean:
	rm -rf $(VENV) .compat build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo_output demo_pose_output site firebase_cvat_pipeline/.venv
	rm -f firebase_cvat_pipeline/agir_cvtoolkit-*.whl firebase_cvat_pipeline/functions/agir_cvtoolkit-*.whl

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "No virtual environment could be made; on Debian: apt install python3-venv"; exit 1; }

# A stamp says that an installation was completed; one that was cut off is taken up again.
$(VENV)/.user: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[train]'
	@$(COMPILE)
	@touch $@

$(VENV)/.developer: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[train,parquet,onnx,firebase,dev]'
	@$(COMPILE)
	@touch $@ $(VENV)/.user
