"""The house rules that a program can check: who may import whom, and what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

PACKAGE = PROJECT / "restore"

# A module may import from its own layer and from those after it.
LAYERS = (
    {"cli", "__main__", "server", "demo"},
    {"restorer", "__init__"},
    {"shelf"},
    {"pipelines"},
    {"faces"},
    {"compilation"},
    {"tiling", "models", "architectures", "masks", "sheet"},
    {"outputs", "uploads", "report"},
    {
        "answers",
        "addresses",
        "runtime",
        "weights",
        "partial",
        "download",
        "catalog",
        "photo",
        "photo_codec",
        "photo_parts",
        "photo_tiff",
        "compat",
    },
    {"options", "errors", "heap"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports anywhere in it, by their first name below `restore`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= (
                {node.module}
                if node.module != "restore"
                else {f"restore.{alias.name}" for alias in node.names}
            )
    return {name.split(".")[1] for name in names if name.startswith("restore.")}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_dependencies_point_one_way(path):
    name = name_of(path)
    if name == "nets":
        assert imported(path) <= {"nets"}, "nets imports torch and nothing of ours"
        return
    assert name in LEVEL, f"{name} has no layer: give it one here and a line in the README's tree"
    if path == PACKAGE / "__init__.py":
        return  # it names what it offers, and imports it only when asked
    for other in imported(path) - {"nets", "Restorer"}:
        assert LEVEL[other] >= LEVEL[name], f"{name} may not import {other}"


@pytest.mark.parametrize(
    "module",
    ["restore", "predict", "restore.cli.main", "restore.serving.launcher", "restore.models.store"],
)
def test_torch_is_not_imported_before_it_is_needed(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


def test_basicsr_and_facexlib_are_not_on_the_predict_path():
    code = "import sys, restore.restorer; sys.exit(any(n.split('.')[0] in ('basicsr', 'facexlib', 'matplotlib') for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
