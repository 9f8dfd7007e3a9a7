"""Recipes: held-back photos, degradation of faces, and the provenance of the embedded files."""

import math

import numpy as np
from trainingfiles import MAX_FILE_BYTES

from restore.models.catalog import Catalog
from training.paths import LITE_WEIGHTS
from training.provenance import read_provenance
from training.recipe_faces import HELD_BACK_PEOPLE, degrade_face
from training.registry import RECIPES

NATURAL_RECIPES = sorted(set(RECIPES) - {"faces", "colors"})


def test_held_back_people_are_never_trained_on() -> None:
    names = [
        "congress_005.jpg",
        "london_neutral_010.jpg",
        "london_smiling_010.jpg",
        "canada_002.jpg",
        "congress_006.jpg",
    ]
    for name, position in (("faces", 0), ("colorize", 1), ("scratches", 1), ("inpaint", 1)):
        folder = RECIPES[name].folders[position]
        assert folder.name == "faces"
        held_back = [folder.is_held_back(file, 0) for file in names]
        assert held_back == [True, True, True, True, False]
    assert len(HELD_BACK_PEOPLE) == 60


def test_last_eight_natural_photos_are_never_trained_on() -> None:
    for name in NATURAL_RECIPES:
        folder = RECIPES[name].folders[0]
        assert folder.name == "natural"
        held_back = [folder.is_held_back("a.jpg", index) for index in (0, 7, 8)]
        assert held_back == [True, True, False]


def test_shares_of_the_folders_sum_to_one() -> None:
    for recipe in RECIPES.values():
        assert math.fsum(folder.share for folder in recipe.folders) == 1.0


def test_degraded_face_depends_on_the_seed_only() -> None:
    face = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    first, second, other = (degrade_face(face, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert first.shape == face.shape


def test_embedded_files_are_small_and_have_provenance() -> None:
    entries = read_provenance(LITE_WEIGHTS)
    rows = [row for row in Catalog.load().rows if row.embedded]
    files = {path.name for path in LITE_WEIGHTS.glob("*.safetensors")}
    assert {row.file for row in rows} == set(entries) == files
    for row in rows:
        size = (LITE_WEIGHTS / row.file).stat().st_size
        assert size == row.bytes
        assert size <= MAX_FILE_BYTES[row.file]
        required = {"data", "licence", "steps", "seconds", "device", "figures"}
        if row.file == "centerface.safetensors":  # converted, not trained here
            required = {"data", "licence", "recipe", "source_sha256"}
        assert required <= set(entries[row.file])


def test_provenance_has_the_purpose_and_data_of_the_recipes() -> None:
    entries = read_provenance(LITE_WEIGHTS)
    for name, recipe in RECIPES.items():
        entry = entries[recipe.file]
        expected = (name, recipe.purpose, recipe.data)
        assert (entry["recipe"], entry["purpose"], entry["data"]) == expected
