"""Tests of the suffixes of image files."""

from restore.imaging.limits import MAX_SIDE_PX
from restore.imaging.suffixes import (
    FORMAT_OF_SUFFIX,
    OUTPUT_SUFFIXES,
    PHOTO_SUFFIXES,
    READ_ONLY_SUFFIXES,
    output_suffixes_in_words,
)
from restore.options import OutputOptions, choices_of


def test_every_format_that_an_option_offers_has_suffixes_and_a_limit() -> None:
    offered = set(choices_of(OutputOptions, "output_format")) - {"same"}
    assert offered == OUTPUT_SUFFIXES.keys() == MAX_SIDE_PX.keys()


def test_a_suffix_belongs_to_one_format() -> None:
    assert len(FORMAT_OF_SUFFIX) == sum(map(len, OUTPUT_SUFFIXES.values()))
    assert not READ_ONLY_SUFFIXES & FORMAT_OF_SUFFIX.keys()
    assert {".jfif", ".webp", ".tiff", ".heic"} < PHOTO_SUFFIXES


def test_suffixes_in_words() -> None:
    assert output_suffixes_in_words() == ".jpg, .png or .webp"
