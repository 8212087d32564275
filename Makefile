# Every target makes the virtual environment if it is not there. constraints.txt fixes the release of each library.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
LOWEST := build/lowest
RELEASED := tinyalex/course/released

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or later is needed: make PYTHON=python3.11 ...'; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: install
install: $(STAMP) ## make the virtual environment for development

.PHONY: demo
demo: $(STAMP) ## train a small net on generated images and draw what it learned (about 2 minutes)
	$(BIN)/tinyalex demo

.PHONY: notebooks
notebooks: $(STAMP) ## open the tutorials in JupyterLab
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks

.PHONY: example
example: $(STAMP) ## train the net of tinyalex.load_example() again (about 3 minutes)
	rm -rf runs/example
	$(BIN)/tinyalex train --data shapes --variant mini --out runs/example
	$(BIN)/python -c "import tinyalex.weights.example as example; example.keep_as_example('runs/example/checkpoint.npz')"

.PHONY: assignments
assignments: $(STAMP) ## make the student versions of the assignments, in build/assignments
	$(BIN)/tinyalex assignments

.PHONY: wheel
wheel: $(STAMP) ## make the package for students, in dist: with their versions of the assignments, without solutions
	rm -rf build/lib dist $(RELEASED)
	$(BIN)/tinyalex assignments --out $(RELEASED)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build/lib $(RELEASED)

.PHONY: keys
keys: $(STAMP) ## make the rubric and the answers of each assignment, in build/keys
	$(BIN)/tinyalex assignments --keys build/keys

.PHONY: grade
grade: $(STAMP) ## mark the hand-ins in SUBMISSIONS=DIR or ZIP, in runs/marks; OPTIONS='--course course.toml'
	$(if $(SUBMISSIONS),,$(error which hand-ins? make grade SUBMISSIONS=DIR))$(BIN)/tinyalex grade '$(SUBMISSIONS)' $(OPTIONS)

.PHONY: bundles
bundles: $(STAMP) ## make autograders for Gradescope and tests for Otter, in build/bundles
	$(BIN)/tinyalex bundles $(OPTIONS)

.PHONY: formgrader
formgrader: $(STAMP) ## mark written answers by hand, in JupyterLab, after make grade
	cd notebooks/assignments && ../../$(BIN)/jupyter lab --ServerApp.root_dir=../..

.PHONY: test
test: lint ## lint, check the types, run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: test-course
test-course: $(STAMP) ## mark 30 generated hand-ins, and more right and wrong solutions (about 15 minutes)
	$(BIN)/python -m pytest tests/course --whole-course

.PHONY: class
class: $(STAMP) ## mark 300 generated hand-ins of one assignment, and compare the marks; OPTIONS='--students 20'
	cd tests && ../$(BIN)/python -m course.whole_class --out ../build/class $(OPTIONS)

.PHONY: fuzz
fuzz: $(STAMP) ## read 100,000 damaged files (about 10 minutes); OPTIONS='--only images --seed 1'
	cd tests && ../$(BIN)/python -m fuzz --out ../build/fuzz $(OPTIONS)

.PHONY: compare-torch
compare-torch: $(STAMP) ## compare with torchvision on photographs: TORCH=PYTHON (of another environment) PHOTOS=DIR
	$(BIN)/python tests/weights/stored/compare_torch.py --torch '$(TORCH)' --photos '$(PHOTOS)'

.PHONY: kills
kills: $(STAMP) ## kill runs and preparations 50 times each, and compare what they leave (some 20 minutes)
	cd tests && ../$(BIN)/python -m kills $(OPTIONS)

.PHONY: bad-input
bad-input: $(STAMP) ## write what commands print for bad input into docs/bad-input.md
	cd tests && ../$(BIN)/python -m bad_input

.PHONY: matrix
matrix: $(STAMP) ## write the table of mistakes in docs/teaching.md again
	$(BIN)/python -m pytest tests/course/test_planted_mistakes.py --write-matrix

# These use the machine's own Python, with the CuPy, pytest and PyTorch that it has: no virtual environment, no network.
GPU_REPORT := PYTHONPATH=. $(PYTHON) -m tinyalex.cost.gpu_report

.PHONY: test-gpu
test-gpu: ## run the tests that need a GPU: without one they fail (needs CuPy, pytest, hypothesis)
	$(GPU_REPORT) --steps 2 --required --out build/gpu-tests

.PHONY: bench-gpu
bench-gpu: ## compare with PyTorch on the GPU
	PYTHONPATH=. $(PYTHON) -m tinyalex.cost.against_torch

.PHONY: gpu-report
gpu-report: ## find out all that a GPU can tell (8 minutes), in build/gpu-report; OPTIONS='--steps 0,1 --required'
	$(GPU_REPORT) $(OPTIONS)

.PHONY: gpu-docs
gpu-docs: $(STAMP) ## write docs/gpu-report.json into docs/howto/gpu.md, after taking in REPORTS='build/gpu-report/report.json'
	cd docs && ../$(BIN)/python -m site_tools.gpu_page $(abspath $(REPORTS))
	cd docs && ../$(BIN)/python -m site_tools.gpu_kernels_page

.PHONY: gpu-kernels
gpu-kernels: $(STAMP) ## count the instructions of the GPU's kernels, without a GPU, into docs/gpu-kernels.md (needs nvcc)
	cd docs && ../$(BIN)/python -m site_tools.gpu_kernels

.PHONY: experiment-pages
experiment-pages: $(STAMP) ## write docs/experiments from the stored results, after taking in RESULTS=DIR
	cd docs && ../$(BIN)/python -m site_tools.experiments $(abspath $(RESULTS))

.PHONY: test-lowest
test-lowest: ## test the core with the oldest libraries that pyproject.toml allows, in build/lowest
	$(PYTHON) -m venv --clear $(LOWEST)
	grep -oE '"[a-z0-9-]+>=[0-9.]+"' pyproject.toml | tr -d '"' | sed 's/>=/==/' > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint $(LOWEST)/constraints.txt --editable . pytest pytest-xdist hypothesis
	$(LOWEST)/bin/python -m pytest -n 2 tests/layers tests/backend tests/test_net.py tests/test_optim.py

.PHONY: constraints
constraints: $(STAMP) ## upgrade all libraries, test, write their versions to constraints.txt
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo 'got a newer Python: expected 3.11, the oldest, as not all later libraries run on it'; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --upgrade --upgrade-strategy eager --editable '.[dev]'
	$(BIN)/python -m pytest -n 2 --dist loadfile
	echo '# Releases that pass the tests, for Python 3.11 to 3.13: written by make constraints' > constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable | grep '^[A-Za-z0-9._-]*==' >> constraints.txt

.PHONY: lint
lint: $(STAMP) ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.PHONY: docs
docs: $(STAMP) ## build the site into build/docs, tutorials executed; it needs no network
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs
	@echo 'open build/docs/index.html'

.PHONY: slides
slides: $(STAMP) ## make the slides of a lecture from a tutorial, in build/slides
	cd docs && ../$(BIN)/python -m site_tools.slides ../build/slides

.PHONY: rooms
rooms: $(STAMP) ## draw which part of the package imports which (docs/pictures/rooms.png), and count
	cd docs && ../$(BIN)/python -m site_tools.rooms

.PHONY: format
format: $(STAMP) ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: clean
clean: ## remove the virtual environment and all that was made, except runs/
	rm -rf $(VENV) build dist docs/tutorials *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
