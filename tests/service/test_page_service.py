"""Tests of the page in Chromium with a real service and the embedded networks."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from heiffiles import phone_heic
from PIL import Image
from places import PROJECT

pytest.importorskip("playwright", reason="playwright drives the browser; it is not installed")

from pagebrowser import User, chromium
from playwright.sync_api import Browser, expect
from runningservice import API_KEY, RunningService

pytestmark = pytest.mark.slow
GIRLS = PROJECT / "data" / "1.jpg"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def user(browser: Browser, running_service: RunningService) -> Iterator[User]:
    """A user who has entered the key."""
    context = browser.new_context()
    try:
        opened = User(context.new_page(), running_service.url + "/")
        opened.page.goto(opened.url)
        opened.page.get_by_label("Key of this service").fill(API_KEY)
        opened.page.get_by_role("button", name="Save").click()
        opened.page.wait_for_selector("#tasks input", state="attached")
        yield opened
        opened.check()
    finally:
        context.close()


def test_proposed_steps_with_a_chosen_face(user: User, running_service: RunningService) -> None:
    user.choose(GIRLS)
    steps = user.cards.locator(".steps li label")
    expect(steps).to_have_text(["Restore faces", "Enlarge"])
    user.page.get_by_role("button", name="Restore face 1").click()
    user.page.get_by_label("Enlarge by", exact=True).fill("2")
    user.restore()
    expect(user.cards.locator(".result")).to_contain_text("800 \N{MULTIPLICATION SIGN} 588")
    download = user.page.get_by_role("button", name="Download 1-restored.jpg")
    _, content = user.download(download)
    assert Image.open(io.BytesIO(content)).size == (800, 588)
    job = _last_job(running_service, "pipeline")
    faces = job["metrics"]["photos"][0]["faces"]
    assert [face["restored"] for face in faces].count(True) == 2


def test_photo_of_a_phone_in_heic(user: User, tmp_path: Path) -> None:
    photo = tmp_path / "phone.HEIC"
    photo.write_bytes(phone_heic())
    user.choose(photo)
    expect(user.cards.locator(".no-preview")).to_contain_text("cannot show HEIC files")
    user.set_task("colors")
    user.restore()
    result = user.cards.get_by_role("img", name="phone.HEIC, restored")
    assert result.evaluate("(image) => image.naturalWidth") > 0


def test_file_that_is_no_photo_is_refused_with_the_code(user: User, tmp_path: Path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("not a photo")
    user.choose(text)
    expect(user.cards.locator(".notice.error .code")).to_have_text("E205")


def test_running_job_is_cancelled(user: User, running_service: RunningService) -> None:
    user.choose(GIRLS)
    user.set_task("upscale")
    user.page.get_by_label("Enlarge by", exact=True).fill("8")
    user.start()
    expect(user.cards.locator(".job-text")).to_have_text(re.compile("Waiting|Running|Enlarge"))
    user.page.get_by_role("button", name="Cancel 1.jpg").click()
    user.cards.locator(".job").wait_for(state="detached")
    assert _last_job(running_service, "upscale")["status"] == "canceled"


def test_painted_area_is_filled(user: User, running_service: RunningService) -> None:
    user.choose(GIRLS)
    user.set_task("inpaint")
    user.page.get_by_role("button", name="Mark areas to fill").click()
    user.paint(0.5, 0.5)
    user.page.click("#mask-apply")
    user.restore()
    job = _last_job(running_service, "inpaint")
    assert job["metrics"]["photos"][0]["status"] == "done"
    assert "/mask.png" in job["input"]["mask"]


def _last_job(service: RunningService, task: str) -> dict[str, Any]:
    jobs = service.get("/v1/predictions").json()["results"]
    return next(job for job in jobs if job["input"].get("task") == task)
