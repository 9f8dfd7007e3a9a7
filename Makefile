# make demo | test | serve | env: each makes the environment first, once.
PYTHON ?= python3
PORT ?= 5000
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PIP := $(PY) -m pip --disable-pip-version-check
OPENCV := $(shell sed -n 's/^opencv-python==//p' requirements.txt)

# Idle threads that spin starve the others where cores are few or shared; a torch import reads this once.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help demo test serve env lint clean

help:
	@echo "make demo   restore the sample photos into out/"
	@echo "make test   lint, types and tests"
	@echo "make serve  the Cog HTTP server on 127.0.0.1:$(PORT)"
	@echo "make env    only the environment ($(VENV))"

env: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Restore needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3.12 env"; exit 1; }
	@echo "[1/3] virtual environment in $(VENV)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "[2/3] packages (torch brings about 3 GB the first time)"
	$(PIP) install -r requirements.txt -r requirements-dev.txt -c constraints.txt
	@echo "[3/3] check"
	@# A machine without a desktop often lacks libGL, which opencv-python's windows need and this project does not.
	@$(PY) -c 'import cv2' 2>/dev/null || { echo "no libGL here: OpenCV without windows"; $(PIP) install --force-reinstall --no-deps opencv-python-headless==$(OPENCV); }
	@$(PY) -c 'import cv2, torch, spandrel, dlib; print("torch", torch.__version__, "- CUDA" if torch.cuda.is_available() else "- CPU")'
	@touch $@

demo: env
	@RESTORE_WEIGHTS=lite $(PY) -m restore demo -o out

# Two processes of one thread each: most tests are too small to keep two threads busy.
test: env lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2

lint: env
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

serve: env
	@$(PY) -m restore serve --port $(PORT)

clean:
	rm -rf $(VENV) out .cog .mypy_cache .ruff_cache .pytest_cache
