"""Where a command writes its results: existing files, outputs that are files, and records."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from weightrows import change_embedded_networks, put, row

from restore.cli import photo_job, targets
from restore.cli.main import main
from restore.models import substitutes
from restore.models.catalog import Catalog
from restore.models.locations import manifest_path
from restore.models.store import WeightStore
from restore.options import Request

PhotoFile = Callable[..., Path]


@pytest.fixture(autouse=True)
def in_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photo(photo_file: PhotoFile) -> str:
    return str(photo_file("a.png"))


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as result:
        return result.size


def test_finished_result_of_the_same_photo_and_options_is_skipped(
    photo: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["upscale", photo, "--scale", "2"]) == 0
    before = Path("restored/a.jpg").read_bytes()
    capsys.readouterr()
    monkeypatch.setattr("restore.restorer.Restorer.__init__", None)  # nothing is loaded
    assert main(["upscale", photo, "--scale", "2.0"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"skipped {photo}: restored/a.jpg is its result already")
    assert "--overwrite restores it again" in said
    assert Path("restored/a.jpg").read_bytes() == before


class Arrival:
    """Gives `local` an official file: the manifest names a small one instead of x4plus."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.row = row("x4plus", "https://example.org/x4plus.pth")
        self.folder = folder
        monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(folder))
        monkeypatch.setenv("RESTORE_WEIGHTS", "local")
        catalog = Catalog((self.row,), folder)
        monkeypatch.setattr(
            substitutes.BetterWeights,
            "for_policy",
            classmethod(lambda kind, policy: kind(WeightStore(catalog, folder, offline=True))),
        )

    def put(self) -> None:
        put(WeightStore(Catalog((self.row,), self.folder), self.folder), self.row)


@pytest.fixture
def arrival(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arrival:
    return Arrival(tmp_path / "weights", monkeypatch)


def test_result_made_with_lite_weights_is_no_result_once_official_weights_are_there(
    photo: str, arrival: Arrival, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["upscale", photo, "--scale", "2"]
    assert main(command) == 0
    before = Path("restored/a.jpg").read_bytes()
    assert main(command) == 0
    assert "skipped" in capsys.readouterr().out
    arrival.put()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "[E302] 'restored/a.jpg' is the result of this photo with these options" in error
    assert "made while the official weights of upscale x4plus were missing" in error
    assert "Use --overwrite to restore it again with them" in error
    assert Path("restored/a.jpg").read_bytes() == before


def test_result_of_a_step_whose_weights_did_not_change_is_still_skipped(
    photo: str, arrival: Arrival, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["colors", photo]) == 0
    arrival.put()
    assert main(["colors", photo]) == 0
    assert "skipped" in capsys.readouterr().out


def test_result_of_a_version_that_recorded_no_weights_is_kept_and_not_skipped(
    photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", photo]) == 0
    path = Path("restored/.restore/a.jpg.json")
    record = json.loads(path.read_text())
    del record["substitutes"]
    path.write_text(json.dumps(record))
    assert main(["restore", photo]) == 2
    assert "nothing shows that it is the result of this photo" in capsys.readouterr().err


def test_result_is_skipped_until_one_of_its_networks_changes(
    photo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", photo]) == 0
    before = Path("restored/a.jpg").read_bytes()
    change_embedded_networks(monkeypatch, "colorize")
    assert main(["restore", photo]) == 0
    assert "skipped" in capsys.readouterr().out
    change_embedded_networks(monkeypatch, "restore")
    assert main(["restore", photo]) == 2
    assert "[E302] 'restored/a.jpg' is the result of this photo with these options, but it was" in (
        error := capsys.readouterr().err
    )
    assert "made with other weights of restore " in error
    assert Path("restored/a.jpg").read_bytes() == before


def test_record_of_an_older_version_holds_for_its_manifest_only(
    photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", photo]) == 0
    path = Path("restored/.restore/a.jpg.json")
    record = json.loads(path.read_text())
    del record["networks"]
    older = targets.Origin.of(
        Path(photo), Request.from_inputs("restore", {}), [], "lite"
    ).older_request
    path.write_text(json.dumps(record | {"request": older}))
    assert main(["restore", photo]) == 0
    assert "skipped" in capsys.readouterr().out
    newer = tmp_path / "manifest.toml"
    newer.write_bytes(manifest_path().read_bytes() + b"# another\n")
    monkeypatch.setattr(targets, "manifest_path", lambda: newer)
    assert main(["restore", photo]) == 2
    assert "nothing shows that it is the result of this photo" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", ["photo", "option", "environment", "weights", "task", "no record"]
)
def test_other_photo_or_options_are_never_taken_for_the_existing_result(
    change: str,
    photo: str,
    photo_file: PhotoFile,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["upscale", photo, "--scale", "2"]) == 0
    before = Path("restored/a.jpg").read_bytes()
    command = ["upscale", photo, "--scale", "2"]
    if change == "photo":
        Path("other").mkdir()
        other = photo_file("b.png", mode="L").rename("other/a.png")
        command[1] = str(other)
    elif change == "option":
        command[3] = "3"
    elif change == "environment":
        monkeypatch.setenv("MODEL_UPSCALE", "lite_fidelity")
    elif change == "weights":
        command += ["--weights", "local"]
    elif change == "task":
        command = ["restore", photo]
    else:
        shutil.rmtree("restored/.restore")
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "[E302]" in error
    assert "--overwrite" in error
    assert Path("restored/a.jpg").read_bytes() == before
    assert main([*command, "--overwrite"]) == 0
    assert main(command) == 0
    assert "skipped" in capsys.readouterr().out


def test_result_of_other_steps_is_not_taken_for_the_result(
    photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([photo, "--steps", "restore"]) == 0
    assert main([photo, "--steps", "restore,colors"]) == 2
    assert "[E302]" in capsys.readouterr().err
    assert main([photo, "--steps", "restore,colors", "--overwrite"]) == 0
    assert main([photo, "--steps", "colors,restore"]) == 2


def test_other_photos_of_the_command_are_still_restored(
    photo: str, photo_file: PhotoFile, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("restored").mkdir()
    Path("restored/a.jpg").write_bytes(b"mine")
    assert main(["restore", photo, str(photo_file("b.png"))]) == 1
    assert "1 done, 1 failed" in capsys.readouterr().out
    assert Path("restored/a.jpg").read_bytes() == b"mine"
    assert size_of("restored/b.jpg") == (60, 48)


def test_interrupted_replacement_leaves_no_record(
    photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["restore", photo]) == 0

    def interrupt(self: object, result: Path, used: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(photo_job.Origin, "record", interrupt)
        assert main(["restore", photo, "--strength", "0.5", "--overwrite"]) == 130
    assert main(["restore", photo]) == 2  # the result is that of the other strength


@pytest.mark.parametrize(
    ("name", "file_format"),
    [("x.png", "PNG"), ("new/x.JPEG", "JPEG"), ("x.webp", "WEBP"), ("x.jfif", "JPEG")],
)
def test_output_that_ends_like_a_photo_is_a_file(photo: str, name: str, file_format: str) -> None:
    assert main(["restore", photo, "-o", name, "--report"]) == 0
    with Image.open(name) as result:
        assert result.format == file_format
    report = json.loads(Path(name).with_suffix(".json").read_text())
    assert report["task"] == "restore"
    assert not (Path(name).parent / ".restore").exists()


def test_existing_output_file_is_kept_unless_overwrite_is_given(
    photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.png").write_bytes(b"mine")
    assert main(["restore", photo, "-o", "x.png"]) == 2
    assert "[E302]" in capsys.readouterr().err
    assert Path("x.png").read_bytes() == b"mine"
    assert main(["restore", photo, "-o", "x.png", "--overwrite"]) == 0
    assert size_of("x.png") == (60, 48)


def test_output_that_the_system_refuses_is_an_error_of_the_output(
    photo: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("restore.cli.photo_job.forget_origin", refuse)
    assert main(["restore", photo, "-o", "x.png"]) == 2
    assert "[E302] 'x.png' cannot be written (read-only file system)" in capsys.readouterr().err


def test_missing_temporary_folder_is_told_with_a_remedy(
    photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    for command in (["restore", photo], ["inspect", photo], ["predict", "-i", f"image=@{photo}"]):
        assert main(command) == 2
        assert "error: [E504] a temporary folder cannot be created" in capsys.readouterr().err


def test_folder_that_is_named_like_a_photo_stays_a_folder(photo: str) -> None:
    Path("x.png").mkdir()
    assert main(["restore", photo, "-o", "x.png"]) == 0
    assert size_of("x.png/a.jpg") == (60, 48)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["-o", "taken"], "E302", "is a file, not a folder"),
        (["-o", "taken/x"], "E302", "not writable"),
        (["b.png", "-o", "x.png"], "E302", "there are 2 photos"),
        (["-o", "x.png", "--output-format", "jpg"], "E102", "--output-format is jpg"),
        (["-o", "a.png"], "E302", "would replace the photo itself"),
        (["-o", "x.TIF"], "E302", "a format that results cannot have"),
        (["-o", "x.hif"], "E302", "a format that results cannot have"),
    ],
)
def test_output_that_cannot_be_meant_is_refused_before_any_work(
    photo: str,
    arguments: list[str],
    code: str,
    text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("restore.restorer.Restorer.__init__", None)
    Path("taken").write_text("")
    Path("a.png").write_bytes(Path(photo).read_bytes())
    before = sorted(Path().iterdir())
    assert main(["restore", "a.png", *arguments]) == 2
    error = capsys.readouterr().err
    assert f"[{code}]" in error
    assert text in error
    assert sorted(Path().iterdir()) == before


def test_predict_writes_into_folders_only(photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "-i", f"image=@{photo}", "-o", "x.png"]) == 2
    assert "this command writes into a folder" in capsys.readouterr().err
    assert not Path("x.png").exists()


@pytest.mark.parametrize("scheme", ["", "@", "file://"])
def test_no_photo_of_the_command_is_replaced_even_with_overwrite(
    scheme: str, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
    Path("one/a.png").write_bytes(Path(photo).read_bytes())
    other = Path("two/a.jpg").resolve()
    Image.open(photo).save(other)
    before = other.read_bytes()
    command = ["restore", "one/a.png", f"{scheme}{other}", "-o", "two", "--overwrite"]
    assert main(command) == 2
    assert "[E302] photo 'one/a.png': the result 'two/a.jpg'" in capsys.readouterr().err
    assert main(["restore", f"{scheme}{other}", "-o", "two", "--overwrite"]) == 2
    assert "would replace the photo itself" in capsys.readouterr().err
    assert other.read_bytes() == before


def test_mask_is_not_replaced(photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mask.png").write_bytes(Path(photo).read_bytes())
    command = ["inpaint", photo, "--mask", "mask.png", "-o", "mask.png", "--overwrite"]
    assert main(command) == 2
    assert "would replace the input 'mask.png'" in capsys.readouterr().err
    assert Path("mask.png").read_bytes() == Path(photo).read_bytes()


def test_further_files_replace_no_input(photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "a-mask.png", "b.png", "b.json"):
        Path(name).write_bytes(Path(photo).read_bytes())
    before = {path: path.read_bytes() for path in Path().iterdir()}
    masked = ["old-photo-restore", "--return-mask", "--overwrite", "-o", "."]
    assert main([*masked, "a.png", "./a-mask.png"]) == 2
    assert "the mask 'a-mask.png' would replace the input './a-mask.png'" in capsys.readouterr().err
    assert main(["inpaint", "b.png", "--mask", "b.json", "--report", "--overwrite", "-o", "."]) == 2
    assert "the report 'b.json' would replace the input 'b.json'" in capsys.readouterr().err
    command = ["pipeline", "--return-mask", "--overwrite", "-o", "x", "--output-format", "png"]
    assert main([*command, "a.png", "a-mask.png"]) == 2
    assert "would replace a file of the photo 'a.png'" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize(
    ("command", "name"),
    [(["restore", "--report"], "a.json"), (["old-photo-restore", "--return-mask"], "a-mask.png")],
)
def test_existing_further_file_is_kept_unless_overwrite_is_given(
    command: list[str], name: str, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    mine = Path("out", name)
    mine.write_bytes(b"mine")
    assert main([*command, photo, "-o", "out"]) == 2
    assert f"'{mine}' exists already" in capsys.readouterr().err
    assert [path.read_bytes() for path in Path("out").iterdir()] == [b"mine"]
    assert main([*command, photo, "-o", "out", "--overwrite"]) == 0
    assert mine.read_bytes() != b"mine"
    assert Path("out/a.jpg").exists()
