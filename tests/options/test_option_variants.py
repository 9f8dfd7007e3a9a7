"""Variants of networks: `auto`, the environment and the manifest."""

import pytest

from restore.errors import RestoreError
from restore.models.catalog import Catalog
from restore.options import (
    TASK_OPTIONS,
    EnhanceOptions,
    FaceRestoreOptions,
    OldPhotoOptions,
    Request,
    RestoreOptions,
    TaskOptions,
    VariantChoice,
    choices_of,
)


@pytest.mark.parametrize(
    ("group", "choice"),
    [(group, choice) for group in TASK_OPTIONS.values() for choice in group.variant_choices],
)
def test_auto_is_the_variant_of_the_environment_or_the_default(
    group: type[TaskOptions], choice: VariantChoice
) -> None:
    if group is OldPhotoOptions:
        with_scratch, high_resolution = (
            OldPhotoOptions(with_scratch=True),
            OldPhotoOptions(with_scratch=True, old_photo_hr=True),
        )
        assert OldPhotoOptions(with_scratch=False).variant(choice, {}) == "quality"
        assert group().variant(choice, {}) == "scratch"
        assert with_scratch.variant(choice, {choice.environment: "v1"}) == "scratch"
        assert high_resolution.variant(choice, {}) == "scratch_hr"
    else:
        assert group().variant(choice, {}) == choice.default
    assert group().variant(choice, {choice.environment: " lite "}) == "lite"
    explicit = group.model_validate({choice.field: "lite"})
    assert explicit.variant(choice, {choice.environment: choice.default}) == "lite"
    for invalid in ("auto", "nothing"):
        with pytest.raises(RestoreError, match=choice.environment):
            group().variant(choice, {choice.environment: invalid})


def test_environment_may_name_a_variant_by_its_older_name() -> None:
    assert FaceRestoreOptions().variant(environment={"MODEL_FACE": "v0.1"}) == "codeformer"
    with pytest.raises(RestoreError, match=r"face_model is 'v0\.1'"):
        Request.from_inputs("face_restore", {"face_model": "v0.1"})
    others = {
        "colorize": ("MODEL_COLORIZE", "artistic", "artistic"),
        "restore": ("MODEL_RESTORE", "deblur", "deblur"),
        "upscale": ("MODEL_UPSCALE", "x4anime", "x4anime"),
        "old_photo_restore": ("MODEL_OLD_PHOTO", "v1", "scratch"),
        "inpaint": ("MODEL_INPAINT", "big", "big"),
        "colors": ("MODEL_COLORS", "lite", "lite"),
    }
    for task, (name, value, variant) in others.items():
        options = TASK_OPTIONS[task]()  # type: ignore[index]
        assert options.variant(environment={name: value}) == variant


def test_first_variant_choice_is_the_network_of_the_task() -> None:
    assert FaceRestoreOptions().variant(environment={}) == "codeformer"
    assert EnhanceOptions().variant(environment={}) == "x4plus"
    assert RestoreOptions().variant(environment={}) == "denoise"


def test_choices_are_the_variants_of_the_manifest() -> None:
    catalog = Catalog.load()
    for group in TASK_OPTIONS.values():
        for choice in group.variant_choices:
            offered = set(choices_of(group, choice.field)) - {"auto"}
            if group is OldPhotoOptions:  # v1 becomes one of three variants
                offered = offered - {"v1"} | {"quality", "scratch", "scratch_hr"}
            assert offered == set(catalog.variants(choice.task))
    assert set(choices_of(FaceRestoreOptions, "face_detector")) - {"auto", "dlib"} == set(
        catalog.variants("face_detect")
    )
