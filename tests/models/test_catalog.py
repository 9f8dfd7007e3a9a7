"""Tests of the manifest: invalid rows are rejected, rows are found, the shipped facts are right."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from weightrows import manifest_row

from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog, Checkpoint
from restore.models.locations import manifest_path
from restore.models.refresh import refresh_embedded

Row = dict[str, Any]
ROW: Row = {
    "id": "a",
    "task": "upscale",
    "variant": "x4",
    "file": "a.pth",
    "urls": ["https://example.org/a.pth"],
    "bytes": 5,
    "sha256": "0" * 64,
    "licence": "MIT",
    "commercial_use": True,
    "architecture": "ESRGAN",
}
EMBEDDED: Row = {"urls": None, "embedded": True, "bytes": 0, "sha256": ""}


def write_manifest(folder: Path, *rows: Row) -> Path:
    """Write a manifest; fields with the value None are left out."""
    text = ""
    for row in rows:
        # JSON and TOML have the same notation for the values in these rows.
        lines = (
            f"{name} = {json.dumps(value)}" for name, value in row.items() if value is not None
        )
        text += "[[checkpoint]]\n" + "\n".join(lines) + "\n"
    path = folder / "manifest.toml"
    path.write_text(text)
    return path


class TestInvalidManifests:
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"sha256": "0" * 63}, "sha256"),
            ({"sha256": "A" * 64}, "sha256"),
            ({"sha256": ""}, "sha256"),
            ({"bytes": "5"}, "bytes"),
            ({"bytes": -5}, "bytes"),
            ({"bytes": 0}, "bytes"),
            ({"task": "enhance"}, "task"),
            ({"file": "../a.pth"}, "file"),
            ({"file": "sub/a.pth"}, "file"),
            ({"file": ".hidden"}, "file"),
            ({"urls": ["http://example.org/a.pth"]}, "urls"),
            ({"urls": ["file:///etc/passwd"]}, "urls"),
            ({"urls": None}, "urls"),
            ({"licence": None}, "licence"),
            ({"commercial_use": "yes"}, "commercial_use"),
            ({"colour": "red"}, "colour"),
            ({"face_convention": "dlib"}, "face_convention"),
            ({"difference": 1}, "difference"),
            ({"member": "b/a.pth"}, "archive and member"),
            ({"embedded": True}, "embedded"),
            ({"fallback_for": ["x2"]}, "fallback_for"),
            ({"embedded": True, "urls": None, "sha256": None}, "embedded"),
        ],
    )
    def test_invalid_field_is_named_with_its_row(
        self, tmp_path: Path, change: Row, field: str
    ) -> None:
        good = ROW | {"id": "good", "variant": "other", "file": "b.pth"}
        path = write_manifest(tmp_path, good, ROW | {"id": "bad"} | change)
        with pytest.raises(RestoreError, match=f"'bad'.*{field}") as caught:
            Catalog.load(path)
        assert caught.value.code is Code.WEIGHTS_MANIFEST

    @pytest.mark.parametrize(
        "change",
        [
            {"variant": "x2", "file": "b.pth"},
            {"id": "b", "file": "b.pth"},
            {"id": "b", "variant": "x2"},
            {"id": "b", "variant": "x2", "also_serves": ["x4"], "file": "b.pth"},
        ],
        ids=["same id", "same variant and role", "same file", "same variant in also_serves"],
    )
    def test_duplicate_rows_are_rejected(self, tmp_path: Path, change: Row) -> None:
        with pytest.raises(RestoreError, match="already") as caught:
            Catalog.load(write_manifest(tmp_path, ROW, ROW | change))
        assert caught.value.code is Code.WEIGHTS_MANIFEST

    @pytest.mark.parametrize(
        "text", ["[[checkpoint]", "[weights]\na = 1", "checkpoint = [1]", "\xff"]
    )
    def test_invalid_file_is_rejected(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "manifest.toml"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(RestoreError) as caught:
            Catalog.load(path)
        assert caught.value.code is Code.WEIGHTS_MANIFEST

    def test_missing_file_is_rejected(self, tmp_path: Path) -> None:
        with pytest.raises(RestoreError, match="absent"):
            Catalog.load(tmp_path / "absent.toml")

    def test_rows_are_immutable(self, tmp_path: Path) -> None:
        row = Catalog.load(write_manifest(tmp_path, ROW)).rows[0]
        with pytest.raises(ValidationError):
            row.sha256 = "1" * 64


class TestQueries:
    @pytest.fixture
    def catalog(self, tmp_path: Path) -> Catalog:
        partner = {"id": "p", "role": "parser", "file": "p.pth", "also_serves": ["x2"]}
        x2 = {"id": "b", "variant": "x2", "file": "b.pth"}
        return Catalog.load(write_manifest(tmp_path, ROW, ROW | partner, ROW | x2))

    def test_rows_by_task_variant_and_role(self, catalog: Catalog) -> None:
        assert catalog.find("upscale", "x2").id == "b"
        assert catalog.find("upscale", "x2", "parser").id == "p"
        assert catalog.find("upscale", "x4", "parser").id == "p"
        assert catalog.variants("upscale") == ("x4", "x2")
        assert [row.id for row in catalog.group("upscale", "x2")] == ["b", "p"]
        assert [row.id for row in catalog.for_task("upscale")] == ["a", "p", "b"]
        assert catalog.for_task("inpaint") == ()

    def test_embedded_network_is_the_fallback_for_itself_and_for_fallback_for(
        self, tmp_path: Path
    ) -> None:
        embedded = {"urls": None, "embedded": True, "bytes": 5}
        lite = ROW | {"id": "l", "variant": "lite", "file": "l.pth"} | embedded
        other = ROW | {"id": "m", "variant": "lite_x2", "file": "m.pth"} | embedded
        catalog = Catalog.load(
            write_manifest(tmp_path, ROW, lite, other | {"fallback_for": ["x2"]})
        )
        variants = ("x4", "x2", "lite", "lite_x2")
        fallbacks = [catalog.lite_variant("upscale", variant) for variant in variants]
        assert fallbacks == ["lite", "lite_x2", "lite", "lite_x2"]

    def test_unknown_variant_error_lists_the_variants(self, catalog: Catalog) -> None:
        with pytest.raises(RestoreError, match=r"'x8'.*x4, x2") as caught:
            catalog.find("upscale", "x8")
        assert caught.value.code is Code.OPTION_INVALID


PACKAGE: Row = {
    "name": "nets",
    "version": "1.0",
    "python": "3.11",
    "platform": "any",
    "bytes": 7,
    "sha256": "1" * 64,
    "licence": "MIT",
}
COPY: Row = {
    "package": "nets",
    "model": "nets/a",
    "values": "float16",
    "file": "a.safetensors",
    "bytes": 6,
    "sha256": "2" * 64,
}


class TestIndexCopies:
    def write(self, folder: Path, package: Row, copy: Row, **facts: object) -> Path:
        """Write a manifest of one package, and one row with a copy in it."""
        path = write_manifest(folder, ROW | facts)
        tables = (("[checkpoint.index_copy]", copy), ("[[package]]", package))
        text = ""
        for heading, table in tables:
            text += "\n".join([heading, *(f"{k} = {json.dumps(v)}" for k, v in table.items()), ""])
        path.write_text(path.read_text() + text)
        return path

    def test_copy_becomes_a_row_without_addresses(self, tmp_path: Path) -> None:
        catalog = Catalog.load(self.write(tmp_path, PACKAGE, COPY))
        (row,) = catalog.rows
        copy = row.as_index_copy()
        assert copy is not None
        assert (copy.id, copy.file, copy.bytes, copy.sha256) == ("a", "a.safetensors", 6, "2" * 64)
        assert (copy.urls, row.urls) == ((), tuple(ROW["urls"]))
        assert row.index_copy is not None
        assert row.index_copy.source == "float16 values from nets"
        assert catalog.packages["nets"].version == "1.0"

    @pytest.mark.parametrize(
        ("package", "copy", "row", "words"),
        [
            ({}, {"package": "other"}, {}, "'a': there is no package 'other'"),
            ({"sha256": ""}, {}, {}, "'nets'.*sha256"),
            ({"version": "1.0 ; extra"}, {}, {}, "'nets'.*version"),
            ({}, {"file": "../a"}, {}, "'a'.*file"),
            ({}, {"sha256": ""}, {}, "'a'.*sha256"),
            ({}, {}, EMBEDDED, "'a'.*index_copy"),
        ],
    )
    def test_invalid_copies_are_rejected(
        self, tmp_path: Path, package: Row, copy: Row, row: Row, words: str
    ) -> None:
        path = self.write(tmp_path, PACKAGE | package, COPY | copy, **row)
        with pytest.raises(RestoreError, match=words) as caught:
            Catalog.load(path)
        assert caught.value.code is Code.WEIGHTS_MANIFEST

    def test_row_without_a_copy(self, tmp_path: Path) -> None:
        (row,) = Catalog.load(write_manifest(tmp_path, ROW)).rows
        assert row.as_index_copy() is None


class TestRefresh:
    def test_only_size_and_checksum_of_embedded_rows_change(self, tmp_path: Path) -> None:
        present = ROW | {"id": "b", "variant": "lite", "file": "b.safetensors"} | EMBEDDED
        absent = ROW | {"id": "c", "task": "restore", "file": "c.safetensors"} | EMBEDDED
        path = write_manifest(tmp_path, ROW, present, absent)
        (tmp_path / "lite").mkdir()
        (tmp_path / "lite" / "b.safetensors").write_bytes(b"weights")
        assert refresh_embedded(path) == ("b",)
        rows = tomllib.loads(path.read_text())["checkpoint"]
        updated = present | {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}
        assert rows == [
            {key: value for key, value in row.items() if value is not None}
            for row in (ROW, updated, absent)
        ]

    def test_row_without_a_line_to_update_is_an_error(self, tmp_path: Path) -> None:
        path = write_manifest(tmp_path, ROW | EMBEDDED)
        path.write_text(path.read_text().replace("bytes = 0", "bytes=0"))
        (tmp_path / "lite").mkdir()
        (tmp_path / "lite" / "a.pth").write_bytes(b"weights")
        with pytest.raises(RestoreError, match=r"'a'.*bytes"):
            refresh_embedded(path)


CATALOG = Catalog.load()


class TestShippedManifest:
    @pytest.mark.parametrize(
        ("task", "variant", "roles"),
        [
            ("upscale", "general_x4v3", {"denoise_partner"}),
            ("face_restore", "codeformer", {"parser"}),
            ("face_restore", "gfpgan_v1.4", {"parser"}),
            ("face_restore", "lite", set()),
            ("upscale", "lite", {"x2_partner"}),
            ("upscale", "lite_fidelity", {"x2_partner"}),
            ("face_detect", "retinaface_resnet50", set()),
            ("old_photo_restore", "quality", {"vae_a", "vae_b", "face_generator"}),
            (
                "old_photo_restore",
                "scratch",
                {"vae_a", "vae_b", "face_generator", "scratch_detector"},
            ),
            (
                "old_photo_restore",
                "scratch_hr",
                {"vae_a", "vae_b", "face_generator", "scratch_detector"},
            ),
        ],
    )
    def test_partner_roles(self, task: str, variant: str, roles: set[str]) -> None:
        assert {row.role for row in CATALOG.group(task, variant)[1:]} == roles

    @pytest.mark.parametrize("row", CATALOG.rows, ids=lambda row: row.id)
    def test_addresses_are_https_and_sizes_are_known(self, row: Checkpoint) -> None:
        assert all(url.startswith("https://") for url in (*row.urls, *filter(None, [row.archive])))
        assert row.bytes is not None or row.bytes_about is not None
        assert row.tile_margin_px > 0 or not row.tiles

    def test_only_paper_tiny_and_zip_members_have_no_checksum(self) -> None:
        unknown = {row.id: row for row in CATALOG.rows if row.sha256 is None}
        assert unknown.pop("ddcolor-paper-tiny")
        assert all(row.archive for row in unknown.values())

    def test_nafnet_rows_have_the_right_drive_ids(self) -> None:
        """Public code mixes them up: the wrong ones are REDS-width64 and GoPro-width32."""
        denoise, deblur = (CATALOG.find("restore", variant) for variant in ("denoise", "deblur"))
        assert "14Fht1QQJ2gMlk4N1ERCRuElg8JfjrWWR" in denoise.urls[-1]
        assert denoise.sha256 == "cd685efaae01f7c4e9951f2deab05780079c8eb1e49ed664b72f6db04dabb445"
        assert "1S0PVRbyTakYY9a82kujgZLbMihfNBLfC" in deblur.urls[-1]
        assert deblur.sha256 == "329d3ab4077b8d6b7ff61de376e483714667960bf85be027bf4335cda701196f"
        assert (denoise.local_pooling_px, deblur.local_pooling_px) == (None, 384)

    def test_face_networks_have_convention_size_and_ranges(self) -> None:
        nets = [row for row in CATALOG.for_task("face_restore") if row.role == "net"]
        facts = {row.variant: (row.face_convention, row.input_px, row.difference) for row in nets}
        assert facts == {
            "codeformer": ("codeformer", 512, False),
            "gfpgan_v1.3": ("facexlib", 512, False),
            "gfpgan_v1.4": ("facexlib", 512, False),
            "restoreformer": ("facexlib", 512, False),
            "lite": ("facexlib", 256, True),
        }
        assert all(row.input_range and row.output_range for row in nets)

    def test_the_package_index_has_three_upscalers(self) -> None:
        copied = {row.variant: row.index_copy for row in CATALOG.rows if row.index_copy}
        assert copied.keys() == {"x4plus", "x4anime", "animevideov3"}
        assert {copy.package for copy in copied.values()} == CATALOG.packages.keys()
        assert len({copy.sha256 for copy in copied.values()}) == 3

    def test_only_codeformer_forbids_commercial_use(self) -> None:
        assert [row.id for row in CATALOG.rows if not row.commercial_use] == ["codeformer"]

    @pytest.mark.parametrize("row_id", [row.id for row in CATALOG.rows if row.embedded])
    def test_embedded_files_match_their_rows(self, row_id: str) -> None:
        row = manifest_row(row_id)
        content = (manifest_path().parent / "lite" / row.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (row.bytes, row.sha256)
