"""The manifest's rows: what is refused, what is found, and that the shipped manifest says what the sources say."""

import hashlib
import json
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from restore.errors import Code, RestoreError
from restore.models.catalog import MANIFEST, Catalog, refresh_embedded

ROW = {
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


def written(folder: Path, *rows: dict[str, object]) -> Path:
    """A manifest of these rows; a value of None leaves the field out."""
    text = ""
    for row in rows:
        lines = (f"{name} = {_toml(value)}" for name, value in row.items() if value is not None)
        text += "[[checkpoint]]\n" + "\n".join(lines) + "\n"
    path = folder / "manifest.toml"
    path.write_text(text)
    return path


def _toml(value: object) -> str:
    return json.dumps(value)  # the same notation for all that these rows hold


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "named"),
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
            ({"dtypes": ["int8"]}, "dtypes"),
            ({"face_convention": "dlib"}, "face_convention"),
            ({"difference": 1}, "difference"),
            ({"member": "b/a.pth"}, "archive and member"),
            ({"embedded": True}, "embedded"),
            ({"stands_in_for": ["x2"]}, "stands_in_for"),
            ({"embedded": True, "urls": None, "sha256": None}, "embedded"),
        ],
    )
    def test_a_wrong_row_is_named_with_its_field(self, tmp_path, change, named):
        path = written(
            tmp_path,
            ROW | {"id": "good"} | {"variant": "other", "file": "b.pth"},
            ROW | {"id": "bad"} | change,
        )
        with pytest.raises(RestoreError, match=f"'bad'.*{named}") as refused:
            Catalog.load(path)
        assert refused.value.code is Code.WEIGHTS_MANIFEST

    @pytest.mark.parametrize(
        "change",
        [
            {"variant": "x2", "file": "b.pth"},  # same id
            {"id": "b", "file": "b.pth"},  # same task, variant and role
            {"id": "b", "variant": "x2"},  # same place on disk
            {
                "id": "b",
                "variant": "x2",
                "also_serves": ["x4"],
                "file": "b.pth",
            },  # same task, variant and role, by sharing
        ],
    )
    def test_duplicates(self, tmp_path, change):
        with pytest.raises(RestoreError, match="already") as refused:
            Catalog.load(written(tmp_path, ROW, ROW | change))
        assert refused.value.code is Code.WEIGHTS_MANIFEST

    @pytest.mark.parametrize(
        "text", ["[[checkpoint]", "[weights]\na = 1", "checkpoint = [1]", "\xff"]
    )
    def test_what_is_no_manifest(self, tmp_path, text):
        path = tmp_path / "manifest.toml"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(RestoreError) as refused:
            Catalog.load(path)
        assert refused.value.code is Code.WEIGHTS_MANIFEST

    def test_no_manifest_at_all(self, tmp_path):
        with pytest.raises(RestoreError, match="absent"):
            Catalog.load(tmp_path / "absent.toml")

    def test_a_row_cannot_be_changed(self, tmp_path):
        row = Catalog.load(written(tmp_path, ROW)).rows[0]
        with pytest.raises(ValidationError):
            row.sha256 = "1" * 64


class TestFinding:
    @pytest.fixture
    def catalog(self, tmp_path) -> Catalog:
        partner = {"id": "p", "role": "parser", "file": "p.pth", "also_serves": ["x2"]}
        return Catalog.load(
            written(
                tmp_path, ROW, ROW | partner, ROW | {"id": "b", "variant": "x2", "file": "b.pth"}
            )
        )

    def test_rows_by_variant_role_and_id(self, catalog):
        assert catalog.find("upscale", "x2").id == "b"
        assert (
            catalog.find("upscale", "x2", "parser").id
            == catalog.find("upscale", "x4", "parser").id
            == "p"
        )
        assert catalog.get("p").role == "parser"
        assert catalog.variants("upscale") == ("x4", "x2")
        assert [row.id for row in catalog.group("upscale", "x2")] == ["b", "p"]
        assert [row.id for row in catalog.for_task("upscale")] == ["a", "p", "b"]
        assert catalog.for_task("inpaint") == ()

    def test_an_embedded_network_answers_for_itself_and_for_what_it_names(self, tmp_path):
        embedded = {"urls": None, "embedded": True, "bytes": 5}
        lite = ROW | {"id": "l", "variant": "lite", "file": "l.pth"} | embedded
        other = (
            ROW
            | {"id": "m", "variant": "lite_x2", "file": "m.pth", "stands_in_for": ["x2"]}
            | embedded
        )
        catalog = Catalog.load(written(tmp_path, ROW, lite, other))
        answers = [
            catalog.lite_variant("upscale", variant) for variant in ("x4", "x2", "lite", "lite_x2")
        ]
        assert answers == ["lite", "lite_x2", "lite", "lite_x2"]

    def test_what_is_not_there_is_named_with_what_is(self, catalog):
        with pytest.raises(RestoreError, match=r"'x8'.*x4, x2") as refused:
            catalog.find("upscale", "x8")
        assert refused.value.code is Code.OPTION_INVALID
        with pytest.raises(RestoreError, match="'c'"):
            catalog.get("c")


def test_refreshing_writes_sums_of_embedded_rows_and_nothing_else(tmp_path):
    embedded = {"urls": None, "embedded": True, "bytes": 0, "sha256": ""}
    before = ROW | {"id": "b", "variant": "lite", "file": "b.safetensors"} | embedded
    absent = (
        ROW | {"id": "c", "task": "restore", "variant": "lite", "file": "c.safetensors"} | embedded
    )
    path = written(tmp_path, ROW, before, absent)
    (tmp_path / "lite").mkdir()
    (tmp_path / "lite" / "b.safetensors").write_bytes(b"weights")
    assert refresh_embedded(path) == ("b",)
    rows = tomllib.loads(path.read_text())["checkpoint"]
    expected = before | {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert rows == [
        {key: value for key, value in row.items() if value is not None}
        for row in (ROW, expected, absent)
    ]


def test_refreshing_a_row_written_otherwise_fails_loudly(tmp_path):
    row = ROW | {"urls": None, "embedded": True, "bytes": 0, "sha256": ""}
    path = written(tmp_path, row)
    path.write_text(path.read_text().replace("bytes = 0", "bytes=0"))
    (tmp_path / "lite").mkdir()
    (tmp_path / "lite" / "a.pth").write_bytes(b"weights")
    with pytest.raises(RestoreError, match=r"'a'.*bytes"):
        refresh_embedded(path)


class TestShippedManifest:
    catalog = Catalog.load()

    def test_every_variant_of_the_mission(self):
        assert {
            task: self.catalog.variants(task)
            for task in dict.fromkeys(row.task for row in self.catalog.rows)
        } == {
            "upscale": (
                "x4plus",
                "x4anime",
                "x2plus",
                "general_x4v3",
                "animevideov3",
                "lite",
                "lite_fidelity",
            ),
            "restore": ("denoise", "deblur", "lite", "lite_deblur"),
            "face_restore": ("codeformer", "gfpgan_v1.3", "gfpgan_v1.4", "restoreformer", "lite"),
            "face_detect": ("retinaface_resnet50", "retinaface_mobile0.25"),
            "colorize": ("modelscope", "artistic", "paper_tiny", "lite"),
            "old_photo_restore": ("quality", "scratch", "scratch_hr", "lite"),
            "inpaint": ("big", "lite"),
        }

    @pytest.mark.parametrize(
        ("task", "variant", "roles"),
        [
            ("upscale", "general_x4v3", {"denoise_partner"}),
            ("face_restore", "codeformer", {"parser"}),
            ("face_restore", "gfpgan_v1.4", {"parser"}),
            ("face_restore", "lite", set()),
            ("upscale", "lite", {"twice"}),
            ("upscale", "lite_fidelity", {"twice"}),
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
    def test_partners(self, task, variant, roles):
        assert {row.role for row in self.catalog.group(task, variant)[1:]} == roles

    @pytest.mark.parametrize("row", catalog.rows, ids=lambda row: row.id)
    def test_addresses_are_secure_and_sizes_known(self, row):
        assert all(url.startswith("https://") for url in (*row.urls, *filter(None, [row.archive])))
        assert row.bytes is not None or row.bytes_about is not None
        assert row.dtypes == ("float32",)
        assert row.tile_margin_px > 0 or not row.tiles

    def test_only_these_sums_are_unknown(self):
        unknown = {row.id for row in self.catalog.rows if row.sha256 is None}
        assert "ddcolor-paper-tiny" in unknown
        assert all(
            row.archive for row in self.catalog.rows if row.id in unknown - {"ddcolor-paper-tiny"}
        )

    def test_the_right_nafnets(self):
        """Public code mixes up the Drive ids: the wrong ones give REDS-width64 and GoPro-width32."""
        denoise, deblur = (
            self.catalog.find("restore", "denoise"),
            self.catalog.find("restore", "deblur"),
        )
        assert "14Fht1QQJ2gMlk4N1ERCRuElg8JfjrWWR" in denoise.urls[-1]
        assert denoise.sha256 == "cd685efaae01f7c4e9951f2deab05780079c8eb1e49ed664b72f6db04dabb445"
        assert "1S0PVRbyTakYY9a82kujgZLbMihfNBLfC" in deblur.urls[-1]
        assert deblur.sha256 == "329d3ab4077b8d6b7ff61de376e483714667960bf85be027bf4335cda701196f"
        assert (denoise.local_pooling_px, deblur.local_pooling_px) == (None, 384)

    def test_every_face_network_says_what_surrounds_it(self):
        nets = [row for row in self.catalog.for_task("face_restore") if row.role == "net"]
        conventions = {
            row.variant: (row.face_convention, row.input_px, row.difference) for row in nets
        }
        assert conventions == {
            "codeformer": ("codeformer", 512, False),
            "gfpgan_v1.3": ("facexlib", 512, False),
            "gfpgan_v1.4": ("facexlib", 512, False),
            "restoreformer": ("facexlib", 512, False),
            "lite": ("facexlib", 256, True),
        }
        assert all(row.input_range and row.output_range for row in nets)

    def test_licences(self):
        assert [row.id for row in self.catalog.rows if not row.commercial_use] == ["codeformer"]

    @pytest.mark.parametrize(
        "row", [row for row in catalog.rows if row.embedded], ids=lambda row: row.id
    )
    def test_an_embedded_file_is_the_one_its_row_names(self, row):
        content = (MANIFEST.parent / "lite" / row.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (row.bytes, row.sha256)
