"""Requests of the services that this project replaces, as their users sent them.

HTTP requests go to a real Cog server, command lines to `restore.cli.main.main`. The requests of the
benchmark scripts are in tests/benchmarks/test_scripts.py. docs/migration.md lists all names.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from coghttp import data_uri, decode_image, free_port, grey_jpeg, post_prediction
from facefakes import ASTRONAUT
from PIL import Image
from places import PROJECT

from restore import Restorer
from restore.cli.main import main
from restore.imaging.photo import Photo
from restore.options import COMPILE_BACKENDS, describe_options
from restore.serving.launcher import running

pytestmark = pytest.mark.timeout(300)

OLDER_ENVIRONMENT = {
    "MODEL_FACE": "v0.1",
    "MODEL_COLORIZE": "modelscope",
    "MODEL_RESTORE": "denoise",
    "MODEL_UPSCALE": "x4plus",
    "MODEL_OLD_PHOTO": "v1",
    "MODEL_INPAINT": "big",
}
LITE = {"RESTORE_WEIGHTS": "lite", "RESTORE_PRELOAD": "none"}
PHOTO = data_uri(grey_jpeg(120))

Body = dict[str, Any]
Predict = Callable[..., Body]


def predict_at(url: str) -> Predict:
    """Return a function that sends inputs and returns the body of the response."""

    def predict(**inputs: object) -> Body:
        response = post_prediction(url, {"input": inputs})
        assert response.status_code == 200, response.text
        body: Body = response.json()
        return body

    return predict


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server with the environment variables of the photo service."""
    environment = {**LITE, **OLDER_ENVIRONMENT, "RESTORE_PRELOAD": "all"}
    with running(free_port(), environment) as url:
        yield url


@pytest.fixture(scope="module")
def predict(server: str) -> Predict:
    return predict_at(server)


@pytest.fixture(scope="module")
def predict_with_paths() -> Iterator[Predict]:
    """A server whose operator permits paths."""
    with running(free_port(), {**LITE, "RESTORE_ALLOW": "paths"}) as url:
        yield predict_at(url)


@pytest.fixture(scope="module")
def cog_predict() -> Iterator[Predict]:
    """A server that recognises the container of `cog predict`."""
    environment = {**LITE, "PYTHONPATH": str(PROJECT)}
    with running(free_port(), environment, predictor="tests/contract/cogcli.py:Predictor") as url:
        yield predict_at(url)


def report_of(body: Body) -> Body:
    assert body["status"] == "succeeded", body
    report: Body = body["metrics"]["photos"][0]
    return report


def warnings_about(name: str, report: Body) -> list[str]:
    return [warning for warning in report["warnings"] if warning.startswith(name)]


# 1. compile_backend


@pytest.mark.parametrize(
    "backend", ["eager", "none", "inductor", "cudagraphs", "aot_eager", "auto"]
)
def test_safe_request_ignores_the_compile_backend_with_a_warning(
    predict: Predict, backend: str
) -> None:
    report = report_of(
        predict(
            images=[PHOTO],
            runtime_profile="baseline",
            stability_mode="safe",
            compile_backend=backend,
        )
    )
    assert (report["stability_mode"], report["compile_backend"]) == ("safe", None)
    assert len(warnings_about("compile_backend", report)) == (backend not in {"none", "auto"})


def test_compile_backend_cannot_change_after_the_first_optimized_request(predict: Predict) -> None:
    inputs = {"task": "restore", "images": [PHOTO], "stability_mode": "optimized"}
    assert report_of(predict(**inputs, compile_backend="eager"))["compile_backend"] == "eager"
    assert report_of(predict(**inputs, compile_backend="auto"))["compile_backend"] == "eager"
    for backend in set(COMPILE_BACKENDS) - {"eager"}:
        body = predict(**inputs, compile_backend=backend)
        assert body["status"] == "failed"
        assert "[E102]" in body["error"]
        assert "already compiles with eager" in body["error"]


# 2. paths


COG_PREDICT_JSON = (
    '{"images":["data/1.jpg"]}',
    '{"images":["data/1.jpg","data/2.jpg"]}',
    '{"images":["data/1.jpg","data/2.jpg"],"codeformer_fidelity":0.7,"runtime_profile":"fast",'
    '"stability_mode":"optimized","compile_backend":"eager"}',
)
"""Arguments of `cog predict --json`, which sends the items of lists as they are."""


@pytest.mark.parametrize(
    "inputs",
    [
        COG_PREDICT_JSON[1],
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (COG_PREDICT_JSON[0], COG_PREDICT_JSON[2])
        ),
    ],
)
def test_cog_predict_may_name_files_of_the_project(cog_predict: Predict, inputs: str) -> None:
    body = cog_predict(**json.loads(inputs))
    assert body["status"] == "succeeded", body
    assert len(body["output"]) == inputs.count(".jpg")


def test_cog_predict_may_not_name_other_files(cog_predict: Predict) -> None:
    for path in ("/etc/hostname", "../shared", f"{PROJECT}/data/1.jpg", ".git/config"):
        assert "[E201]" in cog_predict(images=[path])["error"]


@pytest.mark.parametrize("path", ["data/1.jpg", f"file://{PROJECT}/data/1.jpg"])
def test_server_refuses_paths_and_names_the_remedy_for_each_interface(
    predict: Predict, path: str
) -> None:
    error = predict(images=[path])["error"]
    assert "[E201] photo 'images[0]'" in error
    for remedy in ("data URI", "-i image=@FILE", "-e RESTORE_ALLOW=paths", "operator"):
        assert remedy in error


@pytest.mark.parametrize(
    "path", ["data/1.jpg", "@data/1.jpg", f"{PROJECT}/data/1.jpg", f"file://{PROJECT}/data/1.jpg"]
)
def test_server_accepts_paths_if_its_operator_permits_them(
    predict_with_paths: Predict, path: str
) -> None:
    for inputs in ({"image": path}, {"images": [path, path]}):
        assert report_of(predict_with_paths(**inputs))["task"] == "face_restore"


# 4. environment variables: `predict` runs with OLDER_ENVIRONMENT


def test_server_starts_with_the_older_environment_variables(predict: Predict) -> None:
    assert report_of(predict(image=PHOTO))["variant"] == "lite"


# 5. older option names


@pytest.mark.parametrize(
    "arguments",
    [
        ["face-restore", "a.png", "--fidelity", "0.7"],
        ["face-restore", "a.png", "--face-restoration-weight", "0.7", "--upscale", "2"],
        ["face-restore", "a.png", "--det-model", "dlib"],
        ["face-restore", "a.png", "--det-model", "retinaface_resnet50"],
        ["predict", "-i", "image=@a.png", "-i", "fidelity=0.7", "-i", "upscale=2"],
        ["predict", "--json", '{"image":"@a.png","upscale":2,"face_restoration_weight":0.5}'],
        ["predict", "-i", "image=@a.png", "-i", "det_model=retinaface_mobile0.25"],
    ],
    ids=" ".join,
)
def test_command_line_takes_older_option_names(
    arguments: list[str],
    photo_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")
    photo_file("a.png")
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "-o", "out"]) == 0
    assert "is an older name of" in capsys.readouterr().out
    result = next(path for path in (tmp_path / "out").iterdir() if path.suffix == ".jpg")
    factor = 2 if any("upscale" in argument for argument in arguments) else 1
    with Image.open(result) as image:
        assert image.size == (60 * factor, 48 * factor)


@pytest.mark.parametrize("detector", ["YOLOv5l", "YOLOv5n"])
def test_yolo_detector_is_refused_with_a_remedy(
    detector: str, photo_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["face-restore", str(photo_file("a.png")), "--det-model", detector]) == 2
    assert "Use retinaface_resnet50" in capsys.readouterr().err


def test_python_takes_older_option_names(lite: Restorer) -> None:
    older: Any = {"fidelity": 0.7, "upscale": 2}  # type checkers know the present names only
    results = lite.run("face_restore", [Photo("a", ASTRONAUT)], **older)
    assert results.photos[0].width == 2 * ASTRONAUT.shape[1]
    assert len(results.reports[0].notes) == 2


@pytest.mark.parametrize(
    ("older", "name"),
    [
        ({"upscale": 2}, "face_upscale"),
        ({"fidelity": 0.7}, "codeformer_fidelity"),
        ({"det_model": "dlib"}, "face_detector"),
    ],
)
def test_server_refuses_older_option_names(
    server: str, older: dict[str, object], name: str
) -> None:
    body = {"input": {"images": [PHOTO], **older}}
    response = requests.post(f"{server}/predictions", json=body, timeout=30)
    assert response.status_code == 422
    assert f"which is an older name of {name}. " in response.json()["error"]


# 6. defaults and bounds


def test_scratches_are_detected_by_default(predict: Predict) -> None:
    report = report_of(predict(task="old_photo_restore", image=PHOTO))
    assert report["scratched_share"] is not None


@pytest.mark.parametrize("tile_px", [1, 32, 63])
def test_small_tile_is_raised(predict: Predict, tile_px: int) -> None:
    report = report_of(predict(task="upscale", image=PHOTO, scale=2, tile_size=tile_px))
    assert warnings_about("tile_size was raised", report)


@pytest.mark.parametrize("factor", [1, 7, 17])
def test_small_render_factor_has_a_warning(predict: Predict, factor: int) -> None:
    report = report_of(predict(task="colorize", image=PHOTO, render_factor=factor))
    assert warnings_about(f"render_factor {factor} has the effect of", report)


@pytest.mark.parametrize("threshold", [0, 1])
def test_scratch_threshold_may_be_0_or_1(predict: Predict, threshold: float) -> None:
    report = report_of(predict(task="old_photo_restore", image=PHOTO, scratch_threshold=threshold))
    assert report["scratched_share"] == 1 - threshold
    assert any("none was filled" in text for text in report["warnings"]) == (threshold == 0)


# 8. null


def test_null_is_accepted_for_every_optional_input(predict: Predict) -> None:
    optional = [option.name for option in describe_options("pipeline") if option.optional]
    nothing = dict.fromkeys([*optional, "images", "mask", "masks"])
    assert {"tile_size", "keep_color", "points"} <= nothing.keys()
    assert report_of(predict(image=PHOTO, **nothing))["warnings"] == [
        "no face was found by centerface, so none was restored"
    ]
    assert report_of(predict(image=None, images=[PHOTO]))["task"] == "face_restore"


# Nothing is ignored silently


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ({"codeformer_fidelity": 0.9}, ["codeformer_fidelity"]),
        ({"scale": 2}, ["scale"]),
        ({"task": "upscale", "scale": 2, "denoise_strength": 0.9}, ["denoise_strength"]),
        ({"task": "upscale", "scale": 2, "face_upscale": 2}, ["face_upscale"]),
        ({"task": "enhance", "scale": 1, "face_upscale": 2}, ["face_upscale"]),
        (
            {"task": "restore", "render_factor": 20, "with_face": False},
            ["render_factor", "with_face"],
        ),
        ({"task": "restore", "codeformer_fidelity": 0.5, "scale": 4}, []),
    ],
)
def test_option_without_effect_is_named(
    predict: Predict, inputs: dict[str, object], names: list[str]
) -> None:
    report = report_of(predict(image=PHOTO, **inputs))
    found = [text.split()[0] for text in report["warnings"] if " has no effect" in text]
    assert found == names


def test_report_of_a_pipeline_lists_the_faces_of_its_steps(predict_with_paths: Predict) -> None:
    inputs = {"task": "pipeline", "steps": "face_restore", "image": "data/8.jpg"}
    body = predict_with_paths(**inputs, runtime_profile="max_speed")
    report = report_of(body)
    assert report["faces"]
    assert {face["step"] for face in report["faces"]} == {"face_restore"}
    assert report["profile_effects"] == []
    assert np.asarray(decode_image(body["output"][0])).size
