"""What a command imports and loads: only what its request needs, so that it starts quickly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from places import PROJECT

SLOW = {
    "torch._dynamo",  # torch's compiler, which takes longer than torch itself
    "torchvision",
    "facexlib",
    "spandrel_extra_arches",
    "numba",
    "scipy",
    "sympy",
    "dlib",
    "requests",
    "rich",
}
"""Modules that take 0.1 to 5 seconds to import."""

RUN = """
import json, sys
from restore.cli.main import main
from restore.models import loader
loaded = []
load_net = loader.load_net
def record(path, row=None):
    loaded.append(row.id)
    return load_net(path, row)
loader.load_net = record
code = main(sys.argv[2:])
found = sorted(set(json.loads(sys.argv[1])) & set(sys.modules))
print(json.dumps([code, found, sorted(set(loaded))]))
"""


@pytest.mark.parametrize(
    ("arguments", "imported", "networks"),
    [
        (["upscale"], set(), ["lite-upscale-real-x4", "lite-upscale-x2", "lite-upscale-x4"]),
        pytest.param(
            ["upscale", "--upscale-variant", "lite_fidelity"],
            set(),
            ["lite-upscale-x2", "lite-upscale-x4"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["restore"], set(), ["lite-denoise"], marks=pytest.mark.slow),
        pytest.param(["colorize"], set(), ["lite-colorize"], marks=pytest.mark.slow),
        (["face-restore"], set(), ["centerface", "lite-faces"]),
        pytest.param(
            ["inpaint", "--points", "[[5, 5], [20, 5], [20, 20]]"],
            set(),
            ["lite-inpaint"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_request_with_lite_weights_loads_only_what_it_needs(
    tmp_path: Path, arguments: list[str], imported: set[str], networks: list[str]
) -> None:
    command, *options = arguments
    request = [command, str(PROJECT / "data" / "12.jpg"), "--weights", "lite", *options]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(sorted(SLOW)), *request, "-o", str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, found, loaded = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    assert set(found) == imported
    assert loaded == networks
