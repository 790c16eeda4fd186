# make run     the example end to end, from nothing but Python >= 3.11
# make test    the tests                      make test-quick  the fast ones of the core
# make check   what CI runs: formatting, lint, layers, types, documentation, tests
# make docs    the documentation, into site/  make coverage    the tests, and the lines that they do not reach
# make format  mend what `make check` says of formatting
#
# Another Python: make run PYTHON=python3.12. Another place for the environment: VENV=/tmp/venv.
# On Linux without an NVIDIA driver the small build of PyTorch for CPUs is installed; TORCH_INDEX= gets the one with CUDA.

PYTHON ?= python3
VENV ?= .venv
OUTPUT ?= outputs
# tests/helpers/units.py has the units, in the order in which they begin.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
# A test that hangs or kills its process ends the tests, with its name; pytest-xdist would start another and get lost.
PYTEST_GUARD := --max-worker-restart 0 -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true

BIN := $(VENV)/bin
PLUGINS := plugins/trajectories plugins/backbone_inpaint plugins/depth_transformers plugins/depth_anything3 plugins/render_nvdiffrast plugins/viewer
# Plugins that need gigabytes of libraries or weights are set up for the tests only.
DEV_PLUGINS := $(PLUGINS) plugins/depth_depthcrafter plugins/backbone_wan plugins/backbone_vace plugins/training plugins/evaluation plugins/cluster_ray plugins/web
PROJECTS := pyproject.toml $(DEV_PLUGINS:=/pyproject.toml)
SETUP := PYTHON="$(PYTHON)" tools/setup.sh "$(VENV)"

# As typer_cli.py does, for what is started without it.
export OMP_WAIT_POLICY ?= PASSIVE
# Tests start hundreds of processes, which would each compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-quick coverage check lint format docs
.DEFAULT_GOAL := help

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

run: $(VENV)/.ready
	$(BIN)/ex4d run examples/room/clip.mp4 --depth-file examples/room/depth.npz --cam 60 -o $(OUTPUT)
	@echo "Look at the videos and the contact sheet in $(OUTPUT)/clip."

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PYTEST_GUARD) $(PYTEST_ARGS)

test-quick: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PYTEST_GUARD) $(PYTEST_ARGS) -m "not slow and not network" tests plugins/trajectories

coverage: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PYTEST_GUARD) $(PYTEST_ARGS) --cov --cov-report=term:skip-covered

check: lint docs test

lint: $(VENV)/.ready-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/python -m mypy

format: $(VENV)/.ready-dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# The variable silences a notice of the theme about its end of life in 2027; all versions are pinned.
docs: $(VENV)/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Set-up is done again only when something that it installs from has changed.
$(VENV)/.ready: requirements.txt $(PROJECTS) tools/setup.sh
	@$(SETUP) .ready requirements.txt $(PLUGINS)

$(VENV)/.ready-dev: requirements-dev.txt requirements.txt $(PROJECTS) tools/setup.sh
	@$(SETUP) .ready-dev requirements-dev.txt $(DEV_PLUGINS)

# The command-line reference covers the commands of plugins, hence these two, without the heavy requirements of training.
$(VENV)/.ready-docs: requirements-docs.txt requirements.txt $(PROJECTS) tools/setup.sh
	@$(SETUP) .ready-docs requirements-docs.txt $(PLUGINS) plugins/training plugins/evaluation plugins/cluster_ray plugins/web
