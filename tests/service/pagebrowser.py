"""The page in a real Chromium, for tests: one browser, and a user who works with the page."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fakeapi import FakeApi
from playwright.sync_api import Browser, Locator, Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TIMEOUT_MS = 60_000

DROP = """([name, content]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
    document.getElementById("drop").dispatchEvent(
        new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, or skip the test where there is none."""
    if not CHROMIUM:
        pytest.skip("the page is tested in Chromium, which is not installed (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class User:
    """Works with the page.

    Attributes:
        page: the tab.
        url: address of the page.
        errors: errors that the page has thrown or logged, refused requests excluded.
        hosts: the hosts that the page has sent requests to.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._log(message.type, message.text))
        page.on("request", self._note_host)

    def open(self, address: str = "") -> None:
        """Open the page and wait until it has connected to the service."""
        self.page.goto(self.url + address)
        self.page.wait_for_selector("#tasks input", state="attached")

    def drop(self, photo: Path) -> None:
        """Drop a photo on the page."""
        self.page.evaluate(DROP, [photo.name, base64.b64encode(photo.read_bytes()).decode()])

    def choose(self, *photos: Path) -> Locator:
        """Choose photos in the file dialog and return the cards of all photos."""
        before = self.cards.count()
        self.page.set_input_files("#file-input", list(photos))
        self.cards.nth(before + len(photos) - 1).wait_for()
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.inspecting')].some((each) => each.isConnected)"
        )
        return self.cards

    @property
    def cards(self) -> Locator:
        """The cards of all photos."""
        return self.page.locator(".card")

    def set_task(self, task: str) -> None:
        """Choose what to do."""
        self.page.check(f"input[name=task][value={task}]", force=True)

    def start(self) -> None:
        """Submit all photos."""
        self.page.click("#start")

    def restore(self) -> None:
        """Submit all photos and wait for the results."""
        count = self.cards.count()
        self.start()
        self.cards.locator(".result").nth(count - 1).wait_for()

    def paint(self, x: float, y: float) -> None:
        """Paint a short stroke in the open editor, at shares of the photo's sides."""
        box = self.page.locator("#mask-canvas").bounding_box()
        assert box is not None
        left, top = box["x"] + x * box["width"], box["y"] + y * box["height"]
        self.page.mouse.move(left, top)
        self.page.mouse.down()
        self.page.mouse.move(left + 3, top)
        self.page.mouse.up()

    def download(self, button: Locator) -> tuple[str, bytes]:
        """Click on a button and return name and content of the file that it saves."""
        with self.page.expect_download() as download:
            button.click()
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()

    def check(self) -> None:
        """Check that the page has thrown nothing and has talked to its own service only."""
        assert self.errors == []
        assert self.hosts <= {urlsplit(self.url).netloc}

    def _log(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and "Failed to load resource" not in text:
            self.errors.append(text)

    def _note_host(self, request: Request) -> None:
        if not request.url.startswith(("blob:", "data:")):
            self.hosts.add(urlsplit(request.url).netloc)


@contextmanager
def user_of(browser: Browser, api: FakeApi, **options: object) -> Iterator[User]:
    """Open the page in a context of its own, and check at the end that it has thrown nothing."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    try:
        user = User(context.new_page(), api.url)
        user.open()
        yield user
        user.check()
    finally:
        context.close()
