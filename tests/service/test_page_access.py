"""Tests of the page in Chromium: keyboard, screen readers, themes and small windows."""

import json
from collections.abc import Iterator

import pytest
from places import PROJECT

pytest.importorskip("playwright", reason="playwright drives the browser; it is not installed")

from fakeapi import FakeApi
from pagebrowser import chromium, user_of
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.slow
GIRLS, MOTHER = PROJECT / "data" / "1.jpg", PROJECT / "data" / "8.jpg"
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
MIN_TARGET_PX = 24


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def api() -> Iterator[FakeApi]:
    served = FakeApi()
    served.faces = [[110.0, 40.0, 150.0, 90.0], [160.0, 60.0, 215.0, 120.0]]
    served.steps = [("colorize", "the photo is grey"), ("face_restore", "dlib found 2 faces")]
    served.warnings = ["the photo is dark"]
    yield served
    served.close()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focused element has an accessible name that begins with `name`."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if focused_name(page).startswith(name):
            return
    pytest.fail(f"{name} was not reached with the Tab key")


def focused_name(page: Page) -> str:
    name = page.evaluate(
        """() => {
            const { activeElement: focused } = document;
            const labels = [...(focused.labels ?? [])].map((label) => label.innerText);
            return focused.getAttribute("aria-label") ?? labels[0] ?? focused.innerText ?? "";
        }"""
    )
    return str(name).strip()


def test_whole_way_with_the_keyboard_alone(browser: Browser, api: FakeApi) -> None:
    with user_of(browser, api) as user:
        page = user.page
        # expect_file_chooser would begin to listen after the key in one of three runs.
        page.on("filechooser", lambda chooser: chooser.set_files([GIRLS]))
        tab_to(page, "Choose photos")
        page.keyboard.press("Enter")
        expect(user.cards.locator(".steps li")).to_have_count(2)
        tab_to(page, "Proposed steps")
        page.keyboard.press("ArrowDown")  # radio buttons
        expect(page.get_by_label("Restore faces").first).to_be_checked()
        tab_to(page, "Restore face 0")
        page.keyboard.press("Space")
        expect(user.cards.locator(".faces-count")).to_have_text("1 of 2 faces chosen")
        page.evaluate("() => document.getElementById('main').focus()")  # as the skip link does
        tab_to(page, "Restore photo")
        page.keyboard.press("Enter")
        assert page.evaluate("() => document.activeElement.id") == "cards-title"
        user.cards.locator(".result").wait_for()
        tab_to(page, "Before and after of 1.jpg")
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("() => document.activeElement.getAttribute('aria-valuenow')") == "45"
        tab_to(page, "View 1.jpg at full size")
        page.keyboard.press("Enter")
        tab_to(page, "Photo. Keys")
        page.keyboard.press("+")
        page.keyboard.press("+")
        expect(page.locator("#viewer-scale")).to_have_text("196 %")
        page.keyboard.press("Escape")
        assert focused_name(page) == "View 1.jpg at full size"
    assert json.loads(api.of_task("face_restore")[0]["input"]["face_points"]) == [[187.5, 90]]


def test_changes_are_announced(browser: Browser, api: FakeApi) -> None:
    with user_of(browser, api) as user:
        status = user.page.locator("#announcements[role=status]")
        user.drop(GIRLS)
        expect(status).to_contain_text("1.jpg: 2 steps proposed")
        user.start()
        expect(status).to_contain_text("1.jpg is being restored")
        expect(status).to_contain_text("1.jpg is restored")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [{}, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_violations(
    browser: Browser, api: FakeApi, scheme: str, window: dict[str, object]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")

    def check(page: Page) -> None:
        found = axe.Axe().run(page)
        rules = {
            f"{rule['id']}: {node['html'][:120]}"
            for rule in found.response["violations"]
            for node in rule["nodes"]
        }
        assert rules == set()

    with user_of(browser, api, color_scheme=scheme, **window) as user:
        page = user.page
        check(page)
        user.choose(GIRLS, MOTHER)
        page.evaluate("() => document.querySelectorAll('details').forEach((e) => e.open = true)")
        check(page)
        page.get_by_role("button", name="Mark areas to fill").first.click()
        check(page)
        page.click("#mask-cancel")
        api.holds = True
        user.start()
        expect(user.cards.locator("progress[value]")).to_have_count(2)
        check(page)
        api.holds = False
        user.cards.locator(".result").nth(1).wait_for()
        check(page)
        page.get_by_role("button", name="View 8.jpg at full size").click()
        check(page)
        page.click("#viewer-close")
        page.evaluate("() => document.getElementById('key-dialog').showModal()")
        check(page)
        user.open()
        expect(page.locator(".recent-open").first).to_be_enabled()
        check(page)


def test_dark_theme_follows_the_system(browser: Browser, api: FakeApi) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        with user_of(browser, api, color_scheme=scheme) as user:
            colours[scheme] = user.page.evaluate(
                "() => getComputedStyle(document.documentElement).backgroundColor"
            )
    assert colours == {"light": "rgb(244, 243, 239)", "dark": "rgb(20, 20, 18)"}


def test_phone_shows_everything_without_scrolling_sideways(browser: Browser, api: FakeApi) -> None:
    with user_of(browser, api, **PHONE) as user:
        page = user.page
        user.choose(GIRLS)
        _check_phone(page)
        box = page.locator("#start").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 740  # always in reach
        user.restore()
        _check_phone(page)
        page.get_by_role("button", name="View 1.jpg at full size").click()
        _check_phone(page)


def test_two_fingers_zoom_the_viewer(browser: Browser, api: FakeApi) -> None:
    with user_of(browser, api, **PHONE) as user:
        user.choose(GIRLS)
        user.restore()
        user.page.get_by_role("button", name="View 1.jpg at full size").click()
        scale = user.page.locator("#viewer-scale")
        before = scale.inner_text()
        session = user.page.context.new_cdp_session(user.page)
        for kind, gap in (("touchStart", 40), ("touchMove", 80), ("touchMove", 120)):
            points = [{"x": 180 - gap / 2, "y": 400}, {"x": 180 + gap / 2, "y": 400}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        expect(scale).not_to_have_text(before)
        assert int(scale.inner_text().split()[0]) == pytest.approx(
            3 * int(before.split()[0]), rel=0.1
        )


def _check_phone(page: Page) -> None:
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    small = page.evaluate(
        """(least) => [...document.querySelectorAll("button, select, summary, .task")]
            .map((node) => [node.id || node.className, node.getBoundingClientRect()])
            .filter(([, { width, height }]) => width && Math.min(width, height) < least)
            .map(([name]) => name)""",
        MIN_TARGET_PX,
    )
    assert small == []
