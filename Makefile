# make demo | test | serve | env | dev: each one installs what it needs first, once.
PYTHON ?= python3
PORT ?= 5000
VENV := .venv
PY := $(VENV)/bin/python
RUNTIME := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
OPENCV := $(shell sed -n 's/^opencv-python==//p' requirements.txt)

# Idle OpenMP threads that spin take time from other threads on machines with few cores.
# torch reads this once, at import.
export OMP_WAIT_POLICY ?= PASSIVE

# uv does not compile the packages. Without stored bytecode, each of the many processes of the tests
# would compile torch and the other packages again, which takes 3 seconds of CPU.
unexport PYTHONDONTWRITEBYTECODE

SERVICE := $(VENV)/.installed-service

.PHONY: help demo test tests serve service env dev lint style types generated wheel clean

help:
	@echo "make demo   restore the sample photos into out/ (sheet: out/sheet.png)"
	@echo "make test   lint, types, tests and coverage"
	@echo "make serve  run the Cog HTTP server on 127.0.0.1:$(PORT)"
	@echo "make service  run the job service with its web page on 127.0.0.1:8000"
	@echo "make env    install the package into $(VENV)"
	@echo "make dev    install the package and the development tools into $(VENV)"
	@echo "make generated  write predict.py, tables and types of inputs, downloads in cog.yaml"
	@echo "make wheel  build dist/*.whl"

env: $(RUNTIME)
dev: $(DEV)

$(RUNTIME): requirements.txt constraints.txt pyproject.toml tools/install.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" OPENCV="$(OPENCV)" tools/install.sh runtime
	@touch $@

$(DEV): $(RUNTIME) requirements-service.txt requirements-dev.txt requirements-metrics.txt
	@PYTHON="$(PYTHON)" VENV="$(VENV)" OPENCV="$(OPENCV)" tools/install.sh dev
	@touch $@

$(SERVICE): $(RUNTIME) requirements-service.txt
	@PYTHON="$(PYTHON)" VENV="$(VENV)" OPENCV="$(OPENCV)" tools/install.sh service
	@touch $@

demo: $(RUNTIME)
	@RESTORE_WEIGHTS=lite $(VENV)/bin/restore demo -o out --index

# mypy runs beside the tests: without its cache it takes a minute or two, and one core only.
test: $(DEV) style
	@$(MAKE) --no-print-directory -j 2 types tests

# Processes with one thread each: most tests are too small to use two threads. Four for two cores,
# because many tests wait for servers.
tests: $(DEV)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 4 --dist loadfile --cov --cov-report=term

lint: style types

style: $(DEV)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(DEV)
	$(PY) -m mypy
	$(PY) -m mypy --config-file tests/mypy.ini

generated: $(RUNTIME)
	$(PY) -m restore.serving.generate_predict
	$(PY) tools/inputs_table.py
	$(PY) tools/inputs_types.py
	$(PY) tools/cog_weights.py

serve: $(RUNTIME)
	@$(VENV)/bin/restore serve --port $(PORT)

service: $(SERVICE)
	@$(VENV)/bin/restore service

# In an environment of its own, so that it needs neither torch nor the development tools.
wheel:
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip wheel --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist out restored .cog .mypy_cache .ruff_cache .pytest_cache .coverage*
