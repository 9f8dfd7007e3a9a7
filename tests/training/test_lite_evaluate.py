"""Evaluation of the lite weights: figures, pictures, the tables of the pages, paths."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from trainingfiles import make_training_photos

from training import __main__ as command_line
from training import evaluate as evaluation
from training import measure_faces, measure_upscale, measure_upscale_real
from training.dataset import read_held_back
from training.evaluate import EVALUATIONS, PAGES, Report, build_tables, evaluate, replace_table
from training.evaluation import Assessment, Evaluation, EvaluationPaths, Measurement
from training.measure_upscale import MAIN_REFERENCE, load_references
from training.paths import DOCS, LITE_WEIGHTS
from training.provenance import PROVENANCE, Figures, read_provenance
from training.recipe_faces import FACE_RECIPE, HELD_BACK_PEOPLE, person_of
from training.registry import RECIPES

FIGURES: Figures = {"kodak": {"psnr_db": 12.34567}, "cost": {"cpu_s_per_megapixel": 1.0}}


def test_every_recipe_has_an_evaluation() -> None:
    assert EVALUATIONS.keys() == RECIPES.keys()


def test_every_table_has_its_own_page() -> None:
    assert build_tables(LITE_WEIGHTS).keys() == PAGES.keys()
    assert len(set(PAGES.values())) == len(PAGES)


@pytest.mark.parametrize("table", PAGES)
def test_table_of_the_page_matches_provenance(table: str) -> None:
    page = Report().page(table)
    expected = build_tables(LITE_WEIGHTS)[table]
    assert replace_table(page, table, expected) == page.read_text(encoding="utf-8")


def test_page_shows_the_pictures_that_evaluations_write() -> None:
    text = Report().page("targets").read_text(encoding="utf-8")
    pictures = sorted((DOCS / "lite").glob("*.webp"))
    assert {picture.stem for picture in pictures} <= EVALUATIONS.keys()
    for picture in pictures:
        assert Report().picture(picture.stem) == picture
        assert f"(lite/{picture.name})" in text


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with one weights file and its provenance."""
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(LITE_WEIGHTS / RECIPES["denoise"].file, folder)
    entry = {RECIPES["denoise"].file: {"purpose": "test"}}
    (folder / PROVENANCE).write_text(json.dumps(entry))
    return folder


@pytest.fixture
def fake_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    evaluation = Evaluation(
        lambda paths: Measurement(FIGURES, sheet),
        "12 dB",
        lambda figures: Assessment("12.35 dB", is_met=True),
    )
    monkeypatch.setitem(EVALUATIONS, "denoise", evaluation)  # type: ignore[arg-type]


def write_pages(folder: Path) -> Report:
    """Write pages with places for their tables into a folder."""
    report = Report(folder)
    folder.mkdir(exist_ok=True)
    for name in PAGES:
        text = f"Title of {name}\n\n<!-- {name} -->\nold\n<!-- /{name} -->\n"
        report.page(name).write_text(text)
    return report


@pytest.mark.usefixtures("fake_evaluation")
class TestEvaluate:
    def test_writes_figures_picture_and_each_table_into_its_page(
        self, tmp_path: Path, weights: Path
    ) -> None:
        report = write_pages(tmp_path / "docs")
        evaluate(["denoise"], EvaluationPaths(tmp_path, weights), report)
        assert read_provenance(weights)[RECIPES["denoise"].file]["figures"] == FIGURES
        assert (tmp_path / "docs" / "lite" / "denoise.webp").is_file()
        targets, figures = (report.page(name).read_text() for name in ("targets", "figures"))
        assert targets.startswith("Title of targets\n")
        assert "| denoise | 1.9 MB | 12.35 dB | 12 dB | yes | not measured | 1.0 |" in targets
        assert "psnr db" not in targets
        assert figures.startswith("Title of figures\n")
        assert "| denoise | psnr db |\n|---|---|\n| kodak | 12.35 |" in figures
        assert "1.9 MB" not in figures
        assert "old" not in targets + figures

    def test_page_without_a_place_for_its_table_is_an_error(
        self, tmp_path: Path, weights: Path
    ) -> None:
        report = write_pages(tmp_path)
        first = report.page("targets").read_text()
        report.page("figures").write_text(first)
        with pytest.raises(SystemExit, match=r"lite-figures\.md has no place for .* 'figures'"):
            evaluate(["denoise"], EvaluationPaths(tmp_path, weights), report)
        assert report.page("targets").read_text() == first

    @pytest.mark.parametrize("table", PAGES)
    def test_one_page_is_updated_without_the_other(
        self, table: str, tmp_path: Path, weights: Path
    ) -> None:
        report = write_pages(tmp_path)
        for other in PAGES.keys() - {table}:
            report.page(other).unlink()
        evaluate(["denoise"], EvaluationPaths(tmp_path, weights), report)
        assert [page.name for page in tmp_path.glob("*.md")] == [PAGES[table]]
        assert "| denoise |" in report.page(table).read_text()

    def test_pages_are_optional(self, tmp_path: Path, weights: Path) -> None:
        evaluate(["denoise"], EvaluationPaths(tmp_path, weights), Report(tmp_path))
        assert (tmp_path / "lite" / "denoise.webp").is_file()
        assert not list(tmp_path.glob("*.md"))


@pytest.mark.parametrize(
    ("options", "weights", "report"),
    [
        ("", LITE_WEIGHTS, DOCS),
        ("--weights /other", Path("/other"), Path("/other")),
        ("--weights /other --report /docs", Path("/other"), Path("/docs")),
    ],
)
def test_command_line_chooses_the_report_folder(
    options: str, weights: Path, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], EvaluationPaths, Report]] = []
    monkeypatch.setattr(
        evaluation, "evaluate", lambda names, paths, to: calls.append((list(names), paths, to))
    )
    arguments = f"evaluate denoise --photos /photos {options}"
    monkeypatch.setattr(sys, "argv", ["training", *arguments.split()])
    command_line.main()
    assert calls == [(["denoise"], EvaluationPaths(Path("/photos"), weights), Report(report))]


def upscale_figures(worn: float, lightly_worn: float, cpu_s: float) -> Figures:
    """Return figures beside a reference with 50 and 60 points and 10 s per megapixel."""
    scores = {"worn": (worn, 50.0), "lightly_worn": (lightly_worn, 60.0)}
    rows: Figures = {
        f"{name}_{method}": {"ssimulacra2": score}
        for name, pair in scores.items()
        for method, score in zip(("lite", MAIN_REFERENCE), pair, strict=True)
    }
    cost = {"cpu_s_per_megapixel": cpu_s, f"{MAIN_REFERENCE}_cpu_s_per_megapixel": 10.0}
    return rows | {"cost": cost}


@pytest.mark.parametrize(
    ("worn", "lightly_worn", "cpu_s", "is_met"),
    [(50, 60, 6.0, True), (49.9, 70, 6.0, False), (70, 59.9, 6.0, False), (70, 70, 6.1, False)],
)
def test_upscaler_must_equal_the_reference_at_every_degradation_in_less_time(
    worn: float, lightly_worn: float, cpu_s: float, is_met: bool
) -> None:
    assessment = measure_upscale_real.assess(upscale_figures(worn, lightly_worn, cpu_s))
    assert assessment.is_met is is_met
    assert f"lightly worn {lightly_worn:.1f} ({MAIN_REFERENCE}: 60.0)" in assessment.summary


def test_upscaler_without_measured_reference_does_not_meet_the_target() -> None:
    figures = upscale_figures(70, 70, 1.0)
    del figures[f"worn_{MAIN_REFERENCE}"]
    assert not measure_upscale_real.assess(figures).is_met


def test_references_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_upscale, "load_net", lambda file: file.name)
    assert load_references(EvaluationPaths(tmp_path)) == {}
    names = {"RealESRGAN_x4plus.pth", "RealESRGAN_x4plus_anime_6B.pth", f"{MAIN_REFERENCE}.pth"}
    for name in names:
        (tmp_path / name).touch()
    found = load_references(EvaluationPaths(tmp_path, references=tmp_path))
    assert found == {
        MAIN_REFERENCE: f"{MAIN_REFERENCE}.pth",
        "realesrgan-x4plus": "RealESRGAN_x4plus.pth",
    }


@pytest.fixture
def one_held_back_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make training photos in train/ of which one shows the only held-back person."""
    faces = make_training_photos(tmp_path / "train") / "faces"
    people = {person_of(file.name) for file in faces.iterdir()} & HELD_BACK_PEOPLE
    assert len(people) == 1
    monkeypatch.setattr(measure_faces, "HELD_BACK_PEOPLE", people)
    monkeypatch.setattr(
        measure_faces,
        "compute_figures",
        lambda triples: {"mean": float(triples[0].restored.mean())},
    )
    monkeypatch.setattr(measure_faces, "judge_faces", lambda triples: {})


@pytest.mark.usefixtures("one_held_back_person")
def test_given_weights_are_evaluated(tmp_path: Path) -> None:
    state = load_file(LITE_WEIGHTS / FACE_RECIPE.file)
    means = []
    for factor in (1.0, 8.0):
        folder = tmp_path / f"weights-{factor}"
        folder.mkdir()
        scaled = {key: factor * value for key, value in state.items()}
        save_file(scaled, folder / FACE_RECIPE.file)
        figures = measure_faces.measure(EvaluationPaths(tmp_path, folder)).figures
        means.append(figures["held_back_people"]["mean"])
    assert means[0] != means[1]


def test_missing_held_back_people_are_an_error(tmp_path: Path) -> None:
    make_training_photos(tmp_path / "train")
    assert len(read_held_back(FACE_RECIPE.folders[0], tmp_path / "train")) == 1
    with pytest.raises(SystemExit, match="1 of the 60 held-back people"):
        measure_faces.measure(EvaluationPaths(tmp_path))
