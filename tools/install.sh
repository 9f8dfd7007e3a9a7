#!/usr/bin/env bash
# Installs the package (runtime), the packages of the job service (service) or the development tools
# (dev) into $VENV. Called by the Makefile.
# Uses uv, which needs less than half of pip's time, and pip where uv is not available.
set -euo pipefail
PYTHON=${PYTHON:-python3} VENV=${VENV:-.venv} OPENCV=${OPENCV:-} STAGE=${1:-runtime}
PY=$VENV/bin/python

install() {
    if [ -n "$UV" ]; then
        "$UV" pip install --quiet --python "$PY" "$@" && return
        echo "uv could not install the packages: trying pip"
        UV=
    fi
    "$PY" -m pip install --disable-pip-version-check --quiet "$@"
}

find_uv() {
    if command -v uv >/dev/null; then command -v uv && return; fi
    local pin
    pin=$(sed -n 's/^# uv==\(.*\)$/\1/p' requirements-dev.txt)
    if ! "$PY" -m pip install --disable-pip-version-check --quiet "uv==$pin" >&2; then
        echo "uv is not available: pip installs the packages, which takes longer" >&2
        return 0
    fi
    echo "$VENV/bin/uv"
}

if ! "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    echo "Restore needs Python 3.11, 3.12 or 3.13. Name one: make PYTHON=/path/to/python3.12 env"
    exit 1
fi
[ -x "$PY" ] || { echo "[1/4] virtual environment in $VENV"; "$PYTHON" -m venv "$VENV"; }
UV=$(find_uv)
export UV_SYSTEM_CERTS=1 # uv trusts the system's certificates, as pip does
# uv does not read pip's configuration: pass its index on.
index=$("$PY" -m pip config get global.index-url 2>/dev/null || true)
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"

if [ "$STAGE" = service ]; then
    echo "packages of the job service"
    install -r requirements-service.txt -c constraints.txt
    exit
fi
if [ "$STAGE" = dev ]; then
    echo "development tools"
    install -r requirements-service.txt -r requirements-dev.txt -c constraints.txt
    install --no-deps -r requirements-metrics.txt
    exit
fi
echo "[2/4] packages (about 3 GB the first time, most of it torch)"
install -r requirements.txt -c constraints.txt
echo "[3/4] the package itself"
install --no-deps --editable .
if ! "$PY" -c 'import cv2' 2>/dev/null; then
    echo "libGL is missing here: installing OpenCV without its window functions"
    install --no-deps "opencv-python-headless==$OPENCV"
fi
echo "[4/4] check"
"$PY" -c 'import cv2, dlib, spandrel, torch
device = "CUDA" if torch.cuda.is_available() else "CPU"
print("torch", torch.__version__, "on", device)'
