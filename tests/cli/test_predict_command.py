"""The command line: inputs as `cog predict` takes them, results, reports, exit codes."""

import io
import json
import subprocess
import sys

import pytest
from PIL import Image
from places import PROJECT

from restore.cli.inputs import read_json, read_pairs, take_photos
from restore.cli.main import main
from restore.errors import RestoreError


@pytest.fixture(autouse=True)
def embedded_weights(monkeypatch):
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")


@pytest.mark.parametrize(
    ("pairs", "inputs"),
    [
        (["scale=2", "task=upscale"], {"scale": "2", "task": "upscale"}),
        (["image=@a=b.jpg"], {"image": "@a=b.jpg"}),
        (["images=@a.jpg"], {"images": ["@a.jpg"]}),
        (["images=@a.jpg", "images=@b.jpg"], {"images": ["@a.jpg", "@b.jpg"]}),
        (['images=["a.jpg", "b.jpg"]'], {"images": ["a.jpg", "b.jpg"]}),
        (["images=https://x/a.jpg"], {"images": ["https://x/a.jpg"]}),
    ],
)
def test_pairs_become_inputs(pairs, inputs):
    assert read_pairs(pairs) == inputs


@pytest.mark.parametrize("pair", ["scale", "=2", "images=[1,"])
def test_a_broken_pair_is_refused(pair):
    with pytest.raises(RestoreError):
        read_pairs([pair])


def test_json_comes_from_text_a_file_or_standard_input(tmp_path, monkeypatch):
    (tmp_path / "in.json").write_text('{"scale": 3}')
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"scale": 4}'))
    assert read_json('{"scale": 2}') == {"scale": 2}
    assert read_json(f"@{tmp_path / 'in.json'}") == {"scale": 3}
    assert read_json("@-") == {"scale": 4}


@pytest.mark.parametrize("text", ["{", "[1]", "@/no/such/file", "[" * 100_000])
def test_broken_json_is_refused(text):
    with pytest.raises(RestoreError):
        read_json(text)


def test_a_json_file_that_cannot_be_read_is_named_once(tmp_path):
    with pytest.raises(RestoreError) as caught:
        read_json(f"@{tmp_path}")
    assert caught.value.reason == f"'{tmp_path}' of --json cannot be read (is a directory)"


def test_photos_are_taken_out_of_the_inputs_image_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"photo")
    inputs = {"images": ["@b.jpg", "c.jpg"], "image": "@a.jpg", "scale": 2}
    assert [photo.name for photo in take_photos(inputs, ("image", "images"), tmp_path)] == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
    ]
    assert inputs == {"scale": 2}


def test_predict_writes_results_and_reports(photo_file, tmp_path, capsys):
    first, second = photo_file("a.png"), photo_file("b.png", mode="L")
    out = tmp_path / "out"
    photos = ["-i", f"images=@{first}", "-i", f"images=@{second}"]
    arguments = [
        "predict",
        *photos,
        "-i",
        "task=upscale",
        "-i",
        "scale=2",
        "-i",
        "output_format=png",
    ]
    assert main([*arguments, "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "1-a.json",
        "1-a.png",
        "2-b.json",
        "2-b.png",
    ]
    with Image.open(out / "1-a.png") as colour, Image.open(out / "2-b.png") as grey:
        assert colour.size == (120, 96)
        assert grey.mode == "L"
    report = json.loads((out / "1-a.json").read_text())
    assert (report["task"], report["variant"], report["output"]["width"]) == (
        "upscale",
        "lite",
        120,
    )
    assert "1-a.png  120x96  upscale (lite weights) on" in capsys.readouterr().out


def test_json_in_gives_json_out(photo_file, tmp_path, capsys):
    request = json.dumps({"task": "restore", "image": f"@{photo_file()}"})
    assert main(["predict", "--json", request, "-o", str(tmp_path / "out")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "succeeded"
    assert answer["output"] == [str(tmp_path / "out" / "1-a.jpg")]
    assert answer["metrics"]["photos"][0]["task"] == "restore"


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        (["image=@missing.jpg"], "E201"),
        (["scale=2"], "E103"),
        (["image=@{photo}", "scale=nan"], "E102"),
        (["image=@{photo}", "tile_size=-7"], "E102"),
        (["image=@{photo}", "upscale_variant=x9"], "E102"),
        (["image=@{photo}", "sacle=2"], "E101"),
        (["image=@{photo}", "photos=x"], "E101"),
        (["image=@{photo}", "self=1"], "E101"),
        (["image=data:image/png;base64,é"], "E201"),
        (["image=http://["], "E201"),
        (["image=@{photo}", "task=sharpen"], "E102"),
        (["image=@{text}"], "E205"),
    ],
)
def test_a_refusal_is_one_line_exit_code_2_and_nothing_written(
    photo_file, tmp_path, capsys, pairs, code
):
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    arguments = [
        word for pair in pairs for word in ("-i", pair.format(photo=photo_file(), text=text))
    ]
    assert main(["predict", *arguments, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert f"[{code}]" in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(
    photo_file, tmp_path, capsys, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("restore.restorer.Restorer.run", None)
    assert (
        main(["predict", "-i", f"image=@{photo_file()}", "-o", str(tmp_path / "file" / "out")]) == 2
    )
    assert "[E302]" in capsys.readouterr().err


def test_a_folder_name_that_no_file_system_takes_is_refused(photo_file, tmp_path, capsys):
    assert main(["predict", "-i", f"image=@{photo_file()}", "-o", str(tmp_path / ("o" * 300))]) == 2
    assert "[E302]" in capsys.readouterr().err


def test_weights_list_shows_licences(capsys):
    assert main(["weights", "list", "upscale"]) == 0
    shown = capsys.readouterr().out
    assert "RealESRGAN_x4plus.pth" in shown
    assert "BSD-3-Clause" in shown
    assert "NAFNet" not in shown
    assert main(["weights", "list", "sharpen"]) == 2


def test_weights_verify_says_what_it_has_verified(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(tmp_path / "none"))
    monkeypatch.setattr("restore.models.store.find_existing_files", lambda *_: [])
    assert main(["weights", "verify", "restore"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "verified: 2 embedded files, 0 downloaded files"
    assert "missing: 2 files" in said.out
    assert said.err == ""


def test_weights_verify_names_every_bad_file_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(tmp_path))
    (tmp_path / "upscale").mkdir()
    for name in ("RealESRGAN_x2plus.pth", "realesr-animevideov3.pth"):
        (tmp_path / "upscale" / name).write_bytes(b"not these weights")
    assert main(["weights", "verify"]) == 2
    said = capsys.readouterr()
    assert said.err.count("[E402]") == 2
    assert said.out.count("corrupt") == 2
    assert " embedded files, 0 downloaded files" in said.out.splitlines()[-1]
    assert "embedded" in said.out


def test_help_names_the_commands():
    done = subprocess.run(
        [sys.executable, "-m", "restore", "--help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"predict", "serve", "weights", "schema", "demo"} <= set(done.stdout.split())


def test_polygons_are_text_on_the_command_line_and_lists_in_json(photo_file, tmp_path, capsys):
    path, polygon = photo_file(), "[[10, 10], [30, 10], [30, 30]]"
    assert read_pairs([f"points={polygon}", "steps=[a,b]"]) == {"points": polygon, "steps": "[a,b]"}
    pairs = [
        "-i",
        "task=inpaint",
        "-i",
        f"image=@{path}",
        "-i",
        f"points={polygon}",
        "-i",
        "output_format=png",
    ]
    assert main(["predict", *pairs, "-o", str(tmp_path / "a")]) == 0
    inputs = {
        "task": "inpaint",
        "image": f"@{path}",
        "points": json.loads(polygon),
        "output_format": "png",
    }
    assert main(["predict", "--json", json.dumps(inputs), "-o", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a" / "1-a.png").read_bytes() == (tmp_path / "b" / "1-a.png").read_bytes()
    assert (
        main(
            [
                "predict",
                "-i",
                "task=inpaint",
                "-i",
                f"image=@{path}",
                "-i",
                "points=[[1, 2]]",
                "-o",
                str(tmp_path / "c"),
            ]
        )
        == 2
    )
    assert "[E104]" in capsys.readouterr().err


def test_a_pipeline_shows_its_steps_and_what_was_degraded(photo_file, tmp_path, capsys):
    pairs = [
        "-i",
        "task=pipeline",
        "-i",
        "steps=face_restore,upscale",
        "-i",
        f"image=@{photo_file()}",
        "-i",
        "scale=1",
    ]
    assert main(["predict", *pairs, "-o", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "pipeline (lite weights) on cpu" in shown
    assert "face_restore: no face was found" in shown
