"""Tests of the page in Chromium with a fake service: from photos to results."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from places import PROJECT

pytest.importorskip("playwright", reason="playwright drives the browser; it is not installed")

from fakeapi import FakeApi
from pagebrowser import User, chromium, user_of
from playwright.sync_api import Browser, expect

GIRLS, MOTHER = PROJECT / "data" / "1.jpg", PROJECT / "data" / "8.jpg"
FACES = [[110.0, 40.0, 150.0, 90.0], [160.0, 60.0, 215.0, 120.0]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def api() -> Iterator[FakeApi]:
    served = FakeApi()
    yield served
    served.close()


@pytest.fixture
def user(browser: Browser, api: FakeApi) -> Iterator[User]:
    with user_of(browser, api) as opened:
        yield opened


def test_from_drop_to_download(user: User, api: FakeApi) -> None:
    api.steps = [("colorize", "the photo is grey"), ("upscale", "it is small")]
    api.warnings = ["the photo is dark"]
    user.drop(GIRLS)
    card = user.cards
    expect(card.locator(".steps li")).to_have_count(2)
    expect(card.locator(".why").first).to_have_text("the photo is grey")
    card.get_by_label("Enlarge", exact=True).uncheck()
    user.restore()
    assert api.of_task("pipeline")[0]["input"]["steps"] == "auto,-upscale"
    expect(card.locator(".notice.warning")).to_contain_text("the photo is dark")
    slider = card.get_by_role("slider", name="Before and after of 1.jpg")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    name, content = user.download(card.get_by_role("button", name="Download 1-restored.jpg"))
    assert name == "1-restored.jpg"
    assert content in [stored[2] for stored in api.files.values()]
    assert Image.open(io.BytesIO(content)).size == (800, 588)


@pytest.mark.slow
def test_works_of_restore_are_two_steps(user: User, api: FakeApi) -> None:
    api.steps = [("restore:denoise", "it is noisy"), ("restore:deblur", "it is soft")]
    user.choose(GIRLS)
    labels = user.cards.locator(".steps li label")
    expect(labels).to_have_text(["Remove noise", "Remove blur"])
    user.cards.get_by_label("Remove blur", exact=True).uncheck()
    user.restore()
    assert api.of_task("pipeline")[0]["input"]["steps"] == "auto,-deblur"


@pytest.mark.slow
def test_hint_is_in_the_place_of_start_when_all_photos_are_restored(user: User) -> None:
    start, hint = user.page.locator("#start"), user.page.locator("#start-hint")
    user.choose(GIRLS)
    expect(hint).to_be_hidden()
    user.restore()
    user.set_task("colors")
    expect(start).to_be_hidden()
    expect(hint).to_contain_text("All photos are restored.")
    user.page.get_by_role("button", name="Change and restore again").click()
    expect(start).to_be_visible()
    expect(hint).to_be_hidden()


@pytest.mark.slow
def test_photo_that_the_browser_cannot_show_has_a_placeholder_and_a_result(
    user: User, tmp_path: Path
) -> None:
    photo = tmp_path / "scan.heic"
    Image.open(GIRLS).save(photo, "TIFF")  # the fake service reads it, and Chromium does not
    user.choose(photo)
    expect(user.cards.locator(".no-preview")).to_contain_text("cannot show HEIC files")
    expect(user.cards.locator("img")).to_have_count(0)
    user.restore()
    result = user.cards.get_by_role("img", name="scan.heic, restored")
    assert result.evaluate("(image) => image.naturalWidth") > 0
    expect(user.cards.locator(".result")).to_contain_text("cannot show HEIC files: only the result")


@pytest.mark.slow
def test_queue_and_progress_are_those_of_the_service(user: User, api: FakeApi) -> None:
    api.holds = True
    user.choose(GIRLS)
    user.start()
    text = user.cards.locator(".job-text")
    expect(text).to_have_text("Waiting: 2 jobs before this one")
    expect(text).to_have_text("Proposed steps: 5 of 12 tiles")
    expect(user.page.get_by_role("progressbar", name="Progress of 1.jpg")).to_have_attribute(
        "value", "5"
    )


@pytest.mark.slow
def test_cancel_ends_the_job_and_the_photo_can_be_restored_again(user: User, api: FakeApi) -> None:
    api.holds = True
    user.choose(GIRLS)
    user.start()
    user.page.get_by_role("button", name="Cancel 1.jpg").click()
    expect(user.page.locator("#announcements")).to_contain_text("1.jpg was cancelled")
    assert api.of_task("pipeline")[0]["status"] == "canceled"
    api.holds = False
    user.restore()
    assert len(api.of_task("pipeline")) == 2


@pytest.mark.slow
def test_cancel_all_ends_every_job(user: User, api: FakeApi) -> None:
    api.holds = True
    user.choose(GIRLS, MOTHER)
    user.start()
    user.page.click("#cancel-all")
    expect(user.cards.locator(".job")).to_have_count(0)
    assert {each["status"] for each in api.of_task("pipeline")} == {"canceled"}


@pytest.mark.slow
def test_file_that_is_no_photo_shows_the_code_and_the_remedy(user: User, tmp_path: Path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("not a photo")
    user.choose(text, GIRLS)
    no_preview = user.cards.first.locator(".no-preview")
    expect(no_preview).to_have_text("This browser cannot show this file.")
    notice = user.cards.first.locator(".notice.error")
    expect(notice.locator(".code")).to_have_text("E205")
    expect(notice).to_contain_text("Send JPEG, PNG or WebP.")
    expect(user.page.locator("#start")).to_have_text("Restore photo")  # the other one
    user.page.get_by_role("button", name="Remove notes.jpg").click()
    user.restore()


@pytest.mark.slow
def test_photo_with_too_many_pixels_is_restored_once_the_option_is_set(
    user: User, api: FakeApi
) -> None:
    api.max_pixels = 10_000
    api.faces = [[10.0, 10.0, 40.0, 50.0], [60.0, 10.0, 90.0, 50.0]]
    api.steps = [("face_restore", "it has faces")]
    user.choose(GIRLS)
    notice = user.cards.locator(".notice.error")
    expect(notice).to_contain_text("Set “Largest photo in megapixels” to reduce it.")
    user.page.locator("#options, #more-options").evaluate_all("all => all.map(e => e.open = true)")
    user.page.get_by_label("Largest photo in megapixels").fill("0.01")
    notice.get_by_role("button", name="Try again").click()
    expect(user.cards.locator(".face")).to_have_count(2)
    user.cards.get_by_label("Restore face 0").click()
    user.restore()
    sent = api.of_task("pipeline")[0]["input"]
    assert sent["max_megapixels"] == 0.01
    assert json.loads(sent["face_points"]) == [[150, 60]]  # in pixels of the photo itself


@pytest.mark.slow
def test_refused_request_shows_the_message_and_can_be_repeated(user: User, api: FakeApi) -> None:
    user.choose(GIRLS)
    api.refusal = "[E603] the queue is full: 10 jobs wait. Try again in a minute."
    user.start()
    notice = user.cards.locator(".notice.error")
    expect(notice).to_contain_text("E603 the queue is full: 10 jobs wait. Try again in a minute.")
    api.refusal = ""
    notice.get_by_role("button", name="Try again").click()
    user.cards.locator(".result").wait_for()


@pytest.mark.slow
def test_chosen_faces_are_sent_as_points(user: User, api: FakeApi) -> None:
    api.faces = FACES
    user.choose(GIRLS)
    user.set_task("face_restore")
    face = user.page.get_by_role("button", name="Restore face 0")  # as in the API
    expect(face).to_have_attribute("aria-pressed", "true")
    box, photo = face.bounding_box(), user.page.locator(".preview img").bounding_box()
    assert box is not None
    assert photo is not None
    assert (box["x"] - photo["x"]) / photo["width"] == pytest.approx(110 / 400, abs=0.01)
    face.click()
    expect(user.cards.locator(".faces-count")).to_have_text("1 of 2 faces chosen")
    user.restore()
    points = json.loads(api.of_task("face_restore")[0]["input"]["face_points"])
    assert points == [[187.5, 90.0]]


@pytest.mark.slow
def test_one_face_is_not_called_faces(user: User, api: FakeApi) -> None:
    api.faces = FACES[:1]
    user.choose(GIRLS)
    user.set_task("face_restore")
    expect(user.cards.locator(".faces-count")).to_have_text("1 of 1 face chosen")


@pytest.mark.slow
def test_all_faces_need_no_points_and_no_face_is_refused(user: User, api: FakeApi) -> None:
    api.faces = FACES
    user.choose(GIRLS)
    user.set_task("face_restore")
    user.page.get_by_role("button", name="Choose no face").click()
    user.start()
    expect(user.cards.locator(".notice.error")).to_contain_text("Choose at least one face")
    assert api.of_task("face_restore") == []
    user.page.get_by_role("button", name="Choose all faces").click()
    user.restore()
    assert "face_points" not in api.of_task("face_restore")[0]["input"]


@pytest.mark.slow
def test_painted_areas_become_the_mask(user: User, api: FakeApi) -> None:
    user.choose(GIRLS)
    user.set_task("inpaint")
    user.start()
    expect(user.cards.locator(".notice.error")).to_contain_text("Mark the areas to fill first")
    user.page.get_by_role("button", name="Mark areas to fill").click()
    for share in (0.25, 0.75):
        user.paint(share, 0.5)
    user.page.get_by_role("button", name="Undo").click()
    expect(user.page.locator("#mask-count")).to_have_text("1 area marked")
    user.page.click("#mask-apply")
    user.restore()
    mask = _mask(api)
    assert mask.shape == (294, 400)
    assert set(np.unique(mask)) >= {0, 255}
    assert mask[147, 100] == 255  # at a quarter of the width
    assert mask[147, 300] == 0  # undone
    assert (mask > 127).mean() < 0.05


@pytest.mark.slow
def test_typed_points_mark_a_polygon_and_errors_are_named(user: User, api: FakeApi) -> None:
    user.choose(GIRLS)
    user.page.get_by_role("button", name="Mark areas to fill").click()
    user.page.get_by_text("Type points instead").click()
    points = user.page.locator("#mask-points")
    points.fill("10,10 500,10 10,90")
    user.page.get_by_role("button", name="Add polygon").click()
    expect(user.page.locator("#mask-problem")).to_contain_text("500,10 is outside of the photo")
    points.fill("100,50 200,50 200,150 100,150")
    user.page.get_by_role("button", name="Add polygon").click()
    user.page.click("#mask-apply")
    expect(user.cards.get_by_label("Fill marked areas")).to_be_checked()
    user.restore()
    assert api.of_task("pipeline")[0]["input"]["steps"] == "auto"
    assert (_mask(api) > 127).mean() == pytest.approx(10_000 / (400 * 294), rel=0.03)


@pytest.mark.slow
def test_all_results_are_saved_as_one_zip(user: User, api: FakeApi, tmp_path: Path) -> None:
    other = tmp_path / "1.jpg"
    other.write_bytes(MOTHER.read_bytes())
    user.choose(GIRLS, other)
    user.restore()
    name, content = user.download(user.page.locator("#save-all"))
    assert name == "restored-photos.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["1-restored (2).jpg", "1-restored.jpg"]
        sizes = {Image.open(archive.open(each)).size for each in archive.namelist()}
    assert sizes == {(800, 588), (770, 960)}


@pytest.mark.slow
def test_options_that_were_changed_are_sent(user: User, api: FakeApi) -> None:
    user.choose(GIRLS)
    user.set_task("upscale")
    user.page.get_by_label("Enlarge by").fill("2")
    user.page.get_by_label("File format").select_option("png")
    user.page.get_by_text("More options").click()
    user.page.get_by_label("Tile size").fill("256")
    user.page.get_by_label("Keep the GPS position").check()
    user.restore()
    sent = dict(api.of_task("upscale")[0]["input"])
    assert re.search(r"/v1/files/file\d+$", sent.pop("image"))
    assert sent == {
        "task": "upscale",
        "scale": 2,
        "output_format": "png",
        "tile_size": 256,
        "keep_gps": True,
    }


@pytest.mark.slow
def test_recent_results_open_again_until_they_expire(user: User, api: FakeApi) -> None:
    user.choose(GIRLS)
    user.restore()
    user.open()
    entry = user.page.locator(".recent-open")
    expect(entry).to_contain_text("Ready")
    entry.click()
    expect(user.cards.get_by_role("slider")).to_have_count(1)
    api.removed = True
    user.open()
    expect(entry).to_contain_text("Expired: the service has removed it")
    expect(entry).to_be_disabled()
    user.page.get_by_role("button", name="Clear list").click()
    expect(user.page.locator("#recent")).to_be_hidden()


@pytest.mark.slow
def test_address_of_a_job_shows_it(user: User, api: FakeApi) -> None:
    user.choose(GIRLS)
    user.restore()
    [job] = api.of_task("pipeline")
    user.page.goto("about:blank")
    user.open(f"#{job['id']}")
    expect(user.cards.get_by_role("slider")).to_have_count(1)


@pytest.mark.slow
def test_page_asks_for_the_key_and_keeps_it_in_the_tab(user: User, api: FakeApi) -> None:
    api.key = "secret"
    user.page.goto(api.url)
    dialog = user.page.locator("#key-dialog")
    expect(dialog).to_contain_text("This service needs an API key")
    dialog.get_by_label("Key of this service").fill("wrong")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("does not accept this key")
    dialog.get_by_label("Key of this service").fill("secret")
    dialog.get_by_role("button", name="Save").click()
    user.choose(GIRLS)
    user.restore()
    stored = user.page.evaluate("() => JSON.stringify([{...localStorage}, document.cookie])")
    assert "secret" not in stored


@pytest.mark.slow
def test_page_without_a_key_says_so_and_keeps_the_photos(user: User, api: FakeApi) -> None:
    api.key = "secret"
    user.page.goto(api.url)
    dialog, problem = user.page.locator("#key-dialog"), user.page.locator("#page-problem")
    dialog.get_by_role("button", name="Cancel").click()
    expect(problem).to_contain_text("This service needs an API key")
    user.page.set_input_files("#file-input", GIRLS)
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    problem.get_by_role("button", name="Enter the key").click()
    dialog.get_by_label("Key of this service").fill("secret")
    dialog.get_by_role("button", name="Save").click()
    expect(user.cards).to_have_count(1)
    expect(problem).to_be_empty()


@pytest.mark.slow
def test_job_is_followed_while_the_service_is_away(user: User, api: FakeApi) -> None:
    api.holds = True
    user.choose(GIRLS)
    user.start()
    expect(user.cards.locator(".job-text")).to_have_text("Proposed steps: 5 of 12 tiles")
    user.page.context.set_offline(True)
    expect(user.cards.locator(".job-text")).to_contain_text("does not respond. Trying again")
    api.holds = False
    user.page.context.set_offline(False)
    user.cards.locator(".result").wait_for()


@pytest.mark.slow
def test_viewer_zooms_to_full_size_and_keeps_the_divider_in_view(user: User) -> None:
    user.choose(GIRLS)
    user.restore()
    user.page.get_by_role("button", name="View 1.jpg at full size").click()
    scale = user.page.locator("#viewer-scale")
    user.page.locator("#viewer-viewport").press("1")
    expect(scale).to_have_text("100 %")
    box = user.page.locator("#viewer-content").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (800, 588)
    user.page.mouse.move(400, 300)
    for _ in range(4):
        user.page.mouse.wheel(0, -240)
    expect(scale).not_to_have_text("100 %")
    user.page.evaluate("() => document.getElementById('viewer-viewport').scrollTo(0, 0)")
    user.page.wait_for_timeout(300)  # the divider moves for 100 ms
    handle = user.page.locator("#viewer-content .divider-handle").bounding_box()
    assert handle is not None
    assert 0 < handle["x"] < 1280
    user.page.keyboard.press("Escape")
    expect(user.page.locator("#viewer")).to_be_hidden()


def _mask(api: FakeApi) -> np.ndarray:
    [content] = [stored[2] for stored in api.files.values() if stored[0] == "mask.png"]
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))
