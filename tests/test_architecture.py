"""Tests of the layout: which package may import which, and what stays light to import."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import PROJECT

PACKAGE = PROJECT / "restore"

# A module may import from its own layer and from the layers below it in this table.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"cli", "__main__"}),
    frozenset({"service", "batch"}),
    frozenset({"serving"}),
    frozenset({"restorer", "results", "__init__"}),
    frozenset({"engine"}),
    frozenset({"pipelines"}),
    frozenset({"faces", "optimize"}),
    frozenset({"models", "runtime", "imaging"}),
    frozenset({"options", "errors", "report", "version", "words"}),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
NETS_MAY_IMPORT = frozenset({"torch", "numpy"})


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
    """The first name below `restore`, such as `imaging` or `errors`."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_names(source: str) -> set[str]:
    """Dotted names that a source imports anywhere in it, import_module("...") included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            module = node.module or ""
            names |= {f"{module}.{a.name}" for a in node.names} if module == "restore" else {module}
        elif isinstance(node, ast.Call):
            names |= _dynamic_import(node)
    return names


def _dynamic_import(call: ast.Call) -> set[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in {"import_module", "__import__"} or not call.args:
        return set()
    argument = call.args[0]
    value = argument.value if isinstance(argument, ast.Constant) else None
    return {value} if isinstance(value, str) else set()


def imported_packages(path: Path) -> set[str]:
    """The packages and modules directly below `restore` that a file imports."""
    names = imported_names(path.read_text())
    return {name.split(".")[1] for name in names if name.startswith("restore.")}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_dependencies_point_downwards(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return  # it loads the public names on first use
    package = package_of(path)
    if package == "nets":
        assert imported_packages(path) <= {"nets"}
        return
    assert package in LEVEL, f"{package} has no layer: add it to LAYERS"
    for other in imported_packages(path) - {"nets", "Restorer", "RestoreError", "Results"}:
        assert LEVEL[other] >= LEVEL[package], f"{package} must not import {other}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "nets").rglob("*.py")), ids=lambda p: p.name)
def test_networks_import_torch_and_numpy_only(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported_names(path.read_text())}
    outside = roots - NETS_MAY_IMPORT - {"restore"} - sys.stdlib_module_names
    assert not outside, f"{path.name} imports {sorted(outside)}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_predict_imports_the_predictor(path: Path) -> None:
    assert "predict" not in {name.split(".")[0] for name in imported_names(path.read_text())}


def test_dynamic_imports_are_seen() -> None:
    source = 'import importlib\nimportlib.import_module("restore.cli")\n__import__("predict")'
    assert {"restore.cli", "predict"} <= imported_names(source)


@pytest.mark.parametrize(
    "module",
    [
        "restore",
        "predict",
        "restore.cli.main",
        "restore.options",
        "restore.service.app",
        "restore.serving.launcher",
    ],
)
def test_torch_is_not_imported_before_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


def test_server_with_lite_weights_imports_no_slow_library(tmp_path: Path) -> None:
    """All embedded networks are loaded, as when a server starts without a network."""
    unwanted = {
        "basicsr",
        "facexlib",
        "matplotlib",
        "numba",
        "requests",
        "scipy",
        "spandrel_extra_arches",
        "sympy",
        "torch._dynamo",
        "torchvision",
    }
    code = (
        "import sys; from restore.restorer import Restorer; "
        "restorer = Restorer(weights='lite', preload='all'); "
        f"print(len(restorer.cache.loaded), sorted({unwanted} & set(sys.modules)))"
    )
    environment = {**os.environ, "RESTORE_WEIGHTS_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "10 []", done.stderr
