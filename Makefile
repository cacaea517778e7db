# `make help` lists the targets. Everything runs in .venv; nothing needs to be activated.
PYTHON ?= python3
PROFILE ?= mini
STREET ?= 12
SEED ?= 0
GPUS ?= 1
SET ?=
CONFIG ?=
PY := .venv/bin/python
SEMCG := $(PY) -m semcg_kit

.DEFAULT_GOAL := help
.PHONY: help setup first-look course paper full-size sweep ledger report verify replicate lint test test-slow chaos audit promises bench browser-test site status doctor lab draw figures student times notebooks clean

FIRST := setup first-look course lab doctor
help:  ## list these targets: what a newcomer needs, then the rest
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' -v first=" $(FIRST) " \
	  '{ line = sprintf("make %-12s %s\n", $$1, $$2) } index(first, " " $$1 " ") { printf "%s", line; next } \
	   { rest = rest line } END { printf "\nThe rest:\n%s", rest }'

setup: .venv/.ready  ## create .venv with the locked versions

# The stamp has the seconds that the install took, for the table at the end of the course, and the path of this folder:
# the scripts of a copied or moved .venv start the Python of the old folder, so it is created again.
INSTALLED := $(shell cut -s -d' ' -f2- .venv/.ready 2>/dev/null)
ifneq ($(INSTALLED),$(if $(INSTALLED),$(CURDIR)))
.PHONY: .venv/.ready
endif
.venv/.ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; try make PYTHON=python3.11")'
	@test "$(INSTALLED)" = "$(if $(INSTALLED),$(CURDIR))" || { echo "this folder was copied or moved: .venv is created again"; rm -rf .venv; }
	@begun=$$(date +%s); \
	test -x $(PY) || $(PYTHON) -m venv .venv || exit 1; \
	$(PY) -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]' || exit 1; \
	echo "$$(($$(date +%s) - begun)) $(CURDIR)" > $@

first-look: .venv/.ready  ## translate a street with the generators that come along, in seconds (STREET=12)
	@$(SEMCG) first-look --street $(STREET)

# With GPUS=8 the two notebooks that train CycleGANs run as eight processes that share each batch; the others as one.
SETTINGS = $(foreach value,$(SET),--set $(value)) $(if $(CONFIG),--config $(CONFIG))
COURSE = --profile $(PROFILE) --seed $(SEED) $(if $(DATA),--data $(DATA)) $(SETTINGS)
course: .venv/.ready  ## generate data, train, evaluate: notebooks 00 to 05 (PROFILE=mini SEED=0 DATA= GPUS=1 SET="lr=1e-4 crop=96")
ifeq ($(GPUS),1)
	@$(SEMCG) course $(COURSE)
else
	@for name in 00_start_here 01_data 02_segmenters; do $(SEMCG) run $$name $(COURSE) || exit 1; done
	@for name in 03_cyclegan 04_semantic_cyclegan; do \
	  $(PY) -m torch.distributed.run --standalone --nproc-per-node $(GPUS) \
	    -m semcg_kit run $$name $(COURSE) -p batch=$(GPUS) || exit 1; \
	done
	@$(SEMCG) run 05_evaluation $(COURSE) -p batch=$(GPUS)
endif

# With CITYSCAPES= its frames are prepared once more as they are, and what reads them is scored at the published 1024x2048.
paper: .venv/.ready  ## the paper at full size on prepared data: what it will cost, then the course (DATA=... CITYSCAPES= GPUS=1 SET= CONFIG=)
	@test -n "$(DATA)" || { echo "name the prepared data: make paper DATA=..."; exit 2; }
	@$(SEMCG) course --profile paper --data $(DATA) $(SETTINGS) --dry-run
	@test "$(GPUS)" = 1 || echo "For several seeds, one seed on each GPU is faster than $(GPUS) GPUs for one: semcg sweep --profile paper --data $(DATA)"
	@$(MAKE) --no-print-directory course PROFILE=paper
	@test -z "$(CITYSCAPES)" || $(MAKE) --no-print-directory full-size PROFILE=paper

FULL ?= 1024x2048
RUNS = $${SEMCG_HOME:-.}/results/$(notdir $(DATA))-*-$(PROFILE)
full-size: .venv/.ready
	@$(SEMCG) prepare cityscapes $(CITYSCAPES) --size none --out $(DATA)-full
	@for run in $(RUNS)/sem_t* $(RUNS)/downstream*; do echo "$$run"; \
	  $(SEMCG) evaluate $(DATA)/target/test/images $(DATA)-full/target/test/labels --judge $$run --size $(FULL) || exit 1; \
	done

sweep: .venv/.ready  ## the protocol's main conditions at every seed; the further ones: semcg sweep --few (hours; stop at will)
	@$(SEMCG) sweep --profile $(PROFILE) $(SETTINGS)

ledger: .venv/.ready  ## measures and verdicts from what the sweep has counted so far
	@$(SEMCG) ledger --profile $(PROFILE)

report: .venv/.ready  ## the report on the shipped evidence, as a notebook and as Markdown
	@$(SEMCG) report --profile $(PROFILE)

verify: .venv/.ready  ## derive every shipped number from its counts, without training
	@$(SEMCG) verify

replicate: .venv/.ready  ## train one seed of the two main conditions: make replicate SEED=31
	@$(SEMCG) replicate --seed $(SEED)

# A page that a command writes is checked where the command is.
PAGES = README.md CONTRIBUTING.md CHANGELOG.md LICENSE-TEXT.md docs data/README.md results/README.md results/instruments/README.md
lint: .venv/.ready  ## style of the code, and American spelling
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m codespell_lib semcg semcg_kit tests benchmarks notebooks Makefile $(PAGES)

# A file's tests stay in one process, since they share what one of them trained; the longest files come first.
PARALLEL ?= -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
test: lint  ## lint, unit tests, the smoke course, and the notebooks' outputs (PARALLEL= for one process)
	$(PY) -m pytest $(PARALLEL) -m "not slow and not browser"

test-slow: .venv/.ready  ## the tests that take minutes
	$(PY) -m pytest -m slow

SOAK := tests/test_sweep.py::test_a_hundred_runs_on_two_dask_workers_with_random_kills
chaos: .venv/.ready  ## every notebook and fault compared to the bit, the corpus, the soak (an hour), and their figures
	SEMCG_CHAOS=count $(PY) -m pytest tests/chaos/full.py tests/test_bad_input.py tests/test_properties.py tests/test_safety.py $(SOAK)
	$(PY) tests/chaos/promises.py

# pip-audit stands in an environment of its own, so that what asks the network is not part of what is asked about.
audit: .audit/.ready  ## ask pip's database for known holes in the locked versions (needs a network)
	.audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r requirements.lock

.audit/.ready:
	$(PYTHON) -m venv .audit && .audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9' && touch $@

promises: .venv/.ready  ## renew the figures of docs/promises.md
	$(PY) tests/chaos/promises.py

BENCH ?=
bench: .venv/.ready  ## time and memory as ratios, about 15 minutes on an idle machine (BENCH="--full --write")
	@for name in step growth data inference threads; do echo; echo "== $$name"; $(PY) benchmarks/$$name.py $(BENCH) || exit 1; done

browser-test: .venv/.ready  ## the notebooks and pages in a headless Chromium, which must be installed
	@$(PY) -c 'import playwright, axe_playwright_python' || { echo 'first: $(PY) -m pip install -c requirements.lock -e ".[dev,browser]"'; exit 2; }
	SEMCG_BROWSER=required $(PY) -m pytest -m browser tests/browser

site: .venv/.ready  ## the course as pages that work offline, in site/
	@$(SEMCG) site

status: .venv/.ready  ## each notebook's last run: how it ended, how long it took, on what
	@$(SEMCG) status

doctor: .venv/.ready  ## what is missing or slow on this machine, and what to do
	@$(SEMCG) doctor

lab: .venv/.ready  ## open copies of the notebooks in JupyterLab, on this machine only
	@for path in notebooks/*; do copy=my-notebooks/$${path##*/}; \
	  test -e "$$copy" || { mkdir -p my-notebooks; cp -R "$$path" "$$copy"; }; done
	@echo "Your copies are in my-notebooks/. To get an original back, delete its copy there and run 'make lab' again."
	OMP_WAIT_POLICY=$${OMP_WAIT_POLICY:-passive} $(PY) -m jupyterlab --ip=127.0.0.1 my-notebooks

draw: .venv/.ready  ## draw the miniature street world alone
	$(SEMCG) draw --profile $(PROFILE)

figures: .venv/.ready  ## redraw the paper's figures 1-3 from saved runs (PNG and SVG)
	$(SEMCG) figures --profile $(PROFILE) --seed $(SEED)

student: .venv/.ready  ## write exercises, quizzes and folded solutions into the notebooks
	@$(SEMCG) student

times: .venv/.ready  ## write the measured minutes of the last course into the notebooks
	@$(SEMCG) times --profile $(PROFILE)

notebooks: .venv/.ready  ## refresh the committed notebooks from a real mini run
	$(SEMCG) refresh --profile mini --seed 0

clean:  ## remove what was drawn and trained, and caches; .venv stays
	rm -rf data/world-* data/.world-* results/paper results/gpu results/mini results/smoke .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
