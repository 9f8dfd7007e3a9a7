"""Tests of requests to a real Cog server with the embedded weights."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from coghttp import (
    data_uri,
    decode_image,
    decode_json,
    free_port,
    grey_jpeg,
    idle_status,
    post_prediction,
)
from fileserver import FileServer
from PIL import Image
from skimage import data

from benchmarks.client import Client, Prediction
from restore.options import INPUT_ORDER
from restore.serving.launcher import running

pytestmark = pytest.mark.timeout(600)

ENVIRONMENT = {"RESTORE_WEIGHTS": "lite", "RESTORE_ALLOW": "addresses"}
PORTRAIT = data.astronaut()[:256, 96:352]

Predict = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="module")
def server(log_file: Path) -> Iterator[str]:
    with log_file.open("wb") as output, running(free_port(), ENVIRONMENT, output=output) as url:
        yield url


@pytest.fixture
def predict(server: str) -> Predict:
    def post(**inputs: object) -> requests.Response:
        return post_prediction(server, {"input": inputs})

    return post


def portrait(mode: str) -> str:
    """Return the portrait as the data URI of a PNG file in a Pillow mode."""
    return png_uri(np.asarray(Image.fromarray(PORTRAIT).convert(mode)))


def png_uri(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return data_uri(buffer.getvalue(), "image/png")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"task": "sharpen"}, "is not one of"),
        ({"scale": 9}, "greater than the maximum of 8"),
        ({"scale": 0.5}, "less than the minimum of 1"),
        ({"scale": "2"}, 'is not of type "number"'),
        ({"upscale_variant": "x5"}, "is not one of"),
        ({"output_quality": 101}, "greater than the maximum of 100"),
        ({"tile_size": -1}, "less than the minimum of 0"),
        ({"images": [data_uri(b"x")] * 5}, "more than 4 items"),
        ({"images": []}, "less than 1 item"),
    ],
)
def test_schema_violation_is_refused_with_422(
    predict: Predict, inputs: dict[str, object], message: str
) -> None:
    code = "E103" if "images" in inputs else "E102"
    if "images" not in inputs:
        inputs = {"image": data_uri(grey_jpeg(9)), **inputs}
    response = predict(**inputs)
    assert response.status_code == 422
    assert message in response.json()["detail"][0]["msg"]
    assert response.json()["status"] == "failed"
    assert response.json()["error"].startswith(f"[{code}] ")
    assert message in response.json()["error"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "[E103]"),
        (
            {"image": data_uri(grey_jpeg(9)), "images": [data_uri(grey_jpeg(9))] * 4},
            "[E103] the request has 5 photos",
        ),
        (
            {"image": data_uri(grey_jpeg(9)), "points": "x", "task": "inpaint"},
            "[E104]",
        ),
        ({"image": data_uri(b"not an image")}, "[E205] photo 'image'"),
        ({"image": data_uri(b"")}, "[E206] photo 'image'"),
        ({"image": "/etc/hostname"}, "[E201] photo 'image'"),
        ({"image": data_uri(grey_jpeg(9, width_px=4))}, "[E204] photo 'image'"),
        (
            {"image": data_uri(grey_jpeg(9)), "task": "inpaint"},
            "[E104] photo 'image': there is no mask",
        ),
        (
            {"image": data_uri(grey_jpeg(9)), "task": "pipeline", "steps": "upscale,inpaint"},
            "[E104] photo 'image': there is no mask",
        ),
        (
            {"image": data_uri(grey_jpeg(9)), "task": "pipeline", "steps": "colorise"},
            "[E102] steps is 'colorise'",
        ),
    ],
)
def test_request_that_the_schema_cannot_check_fails_with_a_code(
    predict: Predict, inputs: dict[str, object], message: str
) -> None:
    response = predict(**inputs)
    body = response.json()
    assert (response.status_code, body["status"]) == (200, "failed")
    assert message in body["error"]
    assert not body.get("output")


def test_four_photos_are_returned_in_order_with_reports(predict: Predict) -> None:
    levels = [20, 90, 160, 230]
    photos = [data_uri(grey_jpeg(level)) for level in levels]
    body = predict(
        task="upscale", images=photos, scale=2, upscale_variant="lite", output_format="png"
    ).json()
    assert body["status"] == "succeeded", body
    results = [decode_image(uri) for uri in body["output"]]
    assert [result.size for result in results] == [(48, 64)] * 4
    for result, level in zip(results, levels, strict=True):
        assert result.format == "PNG"
        assert abs(float(np.asarray(result).mean()) - level) < 6
    reports = body["metrics"]["photos"]
    assert [report["photo"] for report in reports] == [f"images[{index}]" for index in range(4)]
    for report in reports:
        assert report["variant"] == "lite"
        assert [row["file"] for row in report["weights"]] == ["lite_upscale_x2.safetensors"]
        assert len(report["weights"][0]["sha256"]) == 64
        assert report["stages_ms"]["net"] > 0
        assert {"decode", "net", "resize", "encode"} <= set(report["stages_ms"])
        assert report["output"]["width"] == 48


def test_unknown_input_is_refused(predict: Predict) -> None:
    response = predict(task="upscale", image=data_uri(grey_jpeg(40)), scael=2)
    assert response.status_code == 422
    assert response.json()["error"].startswith(
        "[E101] there is no input named 'scael'; the nearest name is scale. "
    )


def test_default_task_restores_faces(predict: Predict) -> None:
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).save(buffer, "JPEG", quality=90)
    body = predict(
        images=[data_uri(buffer.getvalue()), data_uri(grey_jpeg(90))], runtime_profile="fast"
    ).json()
    assert body["status"] == "succeeded", body
    with_face, without_face = body["metrics"]["photos"]
    assert with_face["task"] == "face_restore"
    assert with_face["face_restoration_applied"] is True
    assert with_face["faces"][0]["restored"] is True
    assert (without_face["face_restoration_applied"], without_face["faces"]) == (False, [])
    assert any("no face" in warning for warning in without_face["warnings"])
    assert [decode_image(uri).size for uri in body["output"]] == [(512, 512), (24, 32)]


def test_pipeline_runs_several_tasks_in_one_request(predict: Predict) -> None:
    steps = "colorize,face_restore,upscale"
    body = predict(
        task="pipeline", image=portrait("L"), steps=steps, scale=2, output_format="png"
    ).json()
    assert body["status"] == "succeeded", body
    [result], [report] = [decode_image(uri) for uri in body["output"]], body["metrics"]["photos"]
    assert (result.mode, result.size) == ("RGB", (512, 512))
    assert np.ptp(np.asarray(result).astype(int), axis=2).max() > 8, "the result has no colour"
    assert report["task"] == "pipeline"
    assert [step["task"] for step in report["steps"]] == steps.split(",")
    assert report["steps"][1]["face_restoration_applied"] is True
    assert (report["output"]["width"], report["output"]["height"]) == (512, 512)


def test_inspected_face_is_selected_by_a_point_in_its_box(predict: Predict) -> None:
    body = predict(task="inspect", image=portrait("L")).json()
    assert body["status"] == "succeeded", body
    [found] = [decode_json(uri) for uri in body["output"]]
    assert (found["photo"]["width"], found["photo"]["height"]) == (256, 256)
    assert [step["task"] for step in found["steps"]] == ["face_restore", "upscale"]
    [face] = found["faces"]
    assert face["restorable"] is True
    left, top, right, bottom = face["box"]
    for point, is_restored in (([(left + right) / 2, (top + bottom) / 2], True), ([1, 1], False)):
        body = predict(image=portrait("RGB"), face_points=[point]).json()
        assert body["status"] == "succeeded", body
        [report] = body["metrics"]["photos"]
        assert report["face_restoration_applied"] is is_restored
        assert len(report["warnings"]) == (0 if is_restored else 2)
    body = predict(image=portrait("RGB"), face_points="[[1, 257]]").json()
    assert "[E102]" in body["error"]
    assert "[1, 257] of face_points lies outside" in body["error"]


def test_old_photo_is_returned_with_its_scratch_mask(predict: Predict) -> None:
    clean = np.minimum(np.asarray(Image.fromarray(PORTRAIT).convert("L")), 200)
    scratched = clean.copy()
    scratched[60:64] = 255
    body = predict(
        task="old_photo_restore",
        image=png_uri(scratched),
        with_scratch=True,
        return_mask=True,
        output_format="png",
    ).json()
    assert body["status"] == "succeeded", body
    result, mask = (np.asarray(decode_image(uri)) for uri in body["output"])
    assert result.shape == mask.shape == scratched.shape
    detected = mask[61:63] == 255
    assert detected.mean() > 0.6

    def error_in_scratch(pixels: np.ndarray) -> float:
        difference = pixels[61:63][detected].astype(int) - clean[61:63][detected]
        return float(np.abs(difference).mean())

    assert error_in_scratch(result) < 0.5 * error_in_scratch(scratched)
    [report] = body["metrics"]["photos"]
    assert report["scratched_share"] == pytest.approx((mask > 0).mean(), abs=1e-4)
    assert report["variant"] == "lite"


def test_optimized_request_does_not_affect_safe_ones(predict: Predict) -> None:
    inputs = {"task": "upscale", "scale": 2, "image": portrait("RGB"), "output_format": "png"}
    before, optimized, after = (
        predict(**inputs, stability_mode=mode).json() for mode in ("safe", "optimized", "safe")
    )
    assert before["output"] == after["output"]
    report = optimized["metrics"]["photos"][0]
    assert report["stability_mode"] == "optimized"
    assert report["compile_backend"] == "none"
    assert report["recompiles"] == 0
    safe_pixels, optimized_pixels = (
        np.asarray(decode_image(body["output"][0])).astype(int) for body in (before, optimized)
    )
    assert np.abs(safe_pixels - optimized_pixels).max() <= 1


def test_second_compile_backend_is_refused(predict: Predict) -> None:
    body = predict(
        task="upscale",
        scale=2,
        image=portrait("RGB"),
        stability_mode="optimized",
        compile_backend="eager",
    ).json()
    assert body["status"] == "failed"
    assert "E102" in body["error"]


@pytest.mark.parametrize("given_as", ["mask", "masks", "points", "points as an array"])
def test_inpaint_fills_the_marked_area_only(predict: Predict, given_as: str) -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[100:141, 60:91] = 255
    marks: dict[str, object] = {
        "mask": png_uri(mask),
        "masks": [png_uri(mask)],
        "points": "[[60, 100], [90, 100], [90, 140], [60, 140]]",
        "points as an array": [[60, 100], [90, 100], [90, 140], [60, 140]],
    }
    body = predict(
        task="inpaint",
        image=portrait("RGB"),
        output_format="png",
        **{given_as.split(maxsplit=1)[0]: marks[given_as]},
    ).json()
    assert body["status"] == "succeeded", body
    changed = (np.asarray(decode_image(body["output"][0])) != PORTRAIT).any(axis=2)
    assert not changed[mask == 0].any()
    assert changed[mask > 0].mean() > 0.5


def test_eight_concurrent_clients_get_their_own_results(server: str) -> None:
    # Cog serves one request at a time and refuses others with 409; the client repeats those.
    widths = range(16, 32)
    predictions = [
        Prediction(
            (str(width),),
            json.dumps(
                {"input": {"task": "restore", "image": data_uri(grey_jpeg(90, width))}}
            ).encode(),
        )
        for width in widths
    ]
    with Client(server, concurrency=8) as client:
        results = client.predict_all(predictions)
    assert [(result.status, result.error) for result in results] == [("succeeded", "")] * 16
    assert [result.reports[0]["input"]["width"] for result in results] == list(widths)
    assert sum(result.retries_409 for result in results) > 0, "the requests were not concurrent"
    assert all(result.wall_s >= result.waited_s >= 0 for result in results)


def test_image_and_images_can_be_combined(predict: Predict) -> None:
    body = predict(
        task="restore",
        image=data_uri(grey_jpeg(40)),
        images=[data_uri(grey_jpeg(200))],
        output_format="png",
    ).json()
    assert body["status"] == "succeeded", body
    means = [float(np.asarray(decode_image(uri)).mean()) for uri in body["output"]]
    assert means == pytest.approx([40, 200], abs=6)


def test_fallback_to_lite_weights_is_a_warning(predict: Predict) -> None:
    body = predict(task="restore", image=data_uri(grey_jpeg(40)), restore_variant="deblur").json()
    assert any("deblur" in warning for warning in body["metrics"]["photos"][0]["warnings"])


def test_loopback_url_is_fetched_if_allowed(predict: Predict) -> None:
    files = FileServer()
    succeeded = predict(
        image=files.add("a.jpg", grey_jpeg(120)), scale=1, output_format="png"
    ).json()
    failed = predict(image=files.url("b.jpg")).json()
    files.close()
    assert succeeded["status"] == "succeeded", succeeded
    assert decode_image(succeeded["output"][0]).size == (24, 32)
    assert failed["status"] == "failed"
    assert "404" in failed["error"]


def test_null_leaves_an_input_out(predict: Predict) -> None:
    inputs = dict.fromkeys(INPUT_ORDER) | {"image": data_uri(grey_jpeg(40)), "task": "upscale"}
    body = predict(**inputs).json()
    assert body["status"] == "succeeded", body
    assert body["metrics"]["photos"][0]["output"]["width"] == 4 * 24


def test_schemes_may_have_capital_letters(predict: Predict) -> None:
    files = FileServer()
    url = "HTTP" + files.add("a.jpg", grey_jpeg(120)).removeprefix("http")
    uri = data_uri(grey_jpeg(120)).replace("data:", "DATA:").replace(";base64,", ";BASE64,")
    body = predict(images=[url, uri], task="restore").json()
    files.close()
    assert body["status"] == "succeeded", body
    assert len(body["output"]) == 2
    assert all(agent and agent.startswith("Restore/") for agent in files.agents)


def test_one_damaged_photo_fails_the_request_and_is_named(
    predict: Predict, server: str, log_file: Path
) -> None:
    good = data_uri(grey_jpeg(70))
    before = predict(images=[good], scale=2, output_format="png").json()["output"]
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    truncated = buffer.getvalue()[: len(buffer.getvalue()) // 2]
    body = predict(images=[good, good, data_uri(truncated), good], scale=2).json()
    assert body["status"] == "failed"
    assert "[E206] photo 'images[2]'" in body["error"]
    assert not body.get("output")
    assert idle_status(server) == "READY"
    assert predict(images=[good], scale=2, output_format="png").json()["output"] == before
    assert "[E206] photo 'images[2]'" in log_file.read_text()


def test_server_publishes_the_schema_that_it_validates_with(server: str) -> None:
    schema = requests.get(f"{server}/openapi.json", timeout=5).json()
    images = schema["components"]["schemas"]["Input"]["properties"]["images"]
    assert (images["minItems"], images["maxItems"]) == (1, 4)
