PYTHON ?= python3

VENV := .venv
RUN := $(VENV)/bin/python
CONFIG := configs/scenes_batchmix_pgg.py
SCENES := data/scenes
WORK_DIR := work_dirs/scenes_batchmix_pgg

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo pictures test browser lint clean

help:
	@echo "make demo      generate synthetic scenes, then train, test and explain a tube detector on them: $(WORK_DIR)"
	@echo "make pictures  make those pictures of docs/ anew that come from the detector of make demo"
	@echo "make test      check style, types and behaviour"
	@echo "make lint      check style and types"
	@echo "make clean     remove what make demo generated, and caches; keeps $(VENV)"
	@echo
	@echo "Each creates $(VENV) and installs stal into it if that was not done (a download of about 6 GB)."
	@echo "make PYTHON=/path/to/python3.12 ... chooses the interpreter; it must be 3.11, 3.12 or 3.13."

demo: $(WORK_DIR)/.trained
	$(RUN) tools/visualize_gradients.py $(CONFIG) $(WORK_DIR)
	$(RUN) tools/test.py $(CONFIG) $(WORK_DIR) --dump $(WORK_DIR)/detections.npz
	@echo "metrics:        $(WORK_DIR)/metrics.json"
	@echo "gradient tubes: $$(ls $(WORK_DIR)/gradients/*.mp4)"
	@echo "errors, plots:  $(RUN) tools/evaluate.py --detections $(WORK_DIR)/detections.npz --plots $(WORK_DIR)/plots"

# Of every picture in docs/ that comes from the trained detector; tools/make_pictures.py names them.
pictures: $(WORK_DIR)/detections.npz
	$(RUN) tools/make_pictures.py $(CONFIG) $(WORK_DIR) --only gradients evaluation scene_shift

$(WORK_DIR)/detections.npz: $(WORK_DIR)/.trained
	$(RUN) tools/test.py $(CONFIG) $(WORK_DIR) --dump $@

test: lint browser
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile  # two processes, one thread each

lint: $(VENV)/.installed-dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy stal

# The tests of pages need a Chromium; without one they are skipped, so that this never fails. Ubuntu's own package is a
# snap, which containers cannot install; of Debian, root or sudo without a password installs it.
browser:
	@for name in chromium chromium-browser google-chrome; do \
		if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	sudo=; if [ "$$(id -u)" != 0 ]; then sudo="sudo -n"; fi; \
	if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then \
		echo "installing Chromium, for the tests of pages"; \
		$$sudo apt-get update -qq; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		if command -v chromium >/dev/null; then exit 0; fi; \
	fi; \
	echo "no Chromium here: the tests of pages in a browser will be skipped; install the package chromium to run them"

clean:
	rm -rf $(SCENES) $(WORK_DIR) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# A stamp records that a step was finished. What follows a `|` must exist, but being newer does not repeat the step.

# An interrupted training goes on; one that was finished, but whose config or data changed since, begins anew.
$(WORK_DIR)/.trained: $(CONFIG) $(wildcard configs/_base_/*.py) $(SCENES)/annotations.json
	$(RUN) tools/train.py $(CONFIG) $(if $(wildcard $@),,--resume)
	@touch $@

# The annotations are written last, so without them what is there was interrupted.
$(SCENES)/annotations.json: | $(VENV)/.installed
	$(RUN) tools/make_scenes.py $(SCENES) --videos 400 --seed 0 --overwrite

$(VENV)/.installed: setup.cfg pyproject.toml | $(RUN)
	$(RUN) -m pip install --editable .
	@touch $@

$(VENV)/.installed-dev: setup.cfg pyproject.toml | $(RUN)
	$(RUN) -m pip install --editable '.[dev]'
	@touch $(VENV)/.installed $@

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "stal needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there)." >&2; \
		echo "Name another: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
