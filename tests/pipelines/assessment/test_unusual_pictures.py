"""Pictures whose content resembles damage: no repair may be proposed for them."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image
from places import PROJECT

from restore import Restorer

SIZE = WIDTH, HEIGHT = 400, 300
Draw = Callable[[np.random.Generator], np.ndarray]


def photo() -> np.ndarray:
    """A clean grey photo for which no repair is proposed: HxWx3 float32."""
    with Image.open(PROJECT / "data" / "5.jpg") as image:
        return np.asarray(image.convert("RGB").resize(SIZE), np.float32)


def plain(*colour: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), colour, np.float32)


def line(picture: np.ndarray, ends: list[float], level: float, width: int = 1) -> None:
    x, y, x_2, y_2 = (round(value) for value in ends)
    cv2.line(picture, (x, y), (x_2, y_2), [level] * 3, width, cv2.LINE_AA)


def night_sky(rng: np.random.Generator) -> np.ndarray:
    picture = plain(8, 8, 10)
    for x, y in rng.uniform(0, 1, (250, 2)) * SIZE:
        level, radius = [rng.uniform(80, 255)] * 3, int(rng.choice([0, 0, 0, 1, 2]))
        cv2.circle(picture, (int(x), int(y)), radius, level, -1, cv2.LINE_AA)
    return picture


def rain(rng: np.random.Generator) -> np.ndarray:
    picture = photo()
    for x, y in rng.uniform(0, 1, (300, 2)) * SIZE:
        length = rng.uniform(8, 25)
        line(picture, [x, y, x + 0.25 * length, y + length], 190)
    return picture


def snowfall(rng: np.random.Generator) -> np.ndarray:
    picture = photo()
    for x, y in rng.uniform(0, 1, (250, 2)) * SIZE:
        cv2.circle(picture, (int(x), int(y)), int(rng.integers(1, 4)), (245, 245, 250), -1)
    return cv2.GaussianBlur(picture, (0, 0), 0.7)


def strings(rng: np.random.Generator) -> np.ndarray:
    picture = photo()
    for index in range(6):
        line(picture, [0, 100 + 25 * index, WIDTH, 90 + 29 * index], 215, 2)
    return picture


def spider_web(rng: np.random.Generator) -> np.ndarray:
    picture, centre = 0.45 * photo(), np.array((200.0, 130.0))
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    spokes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for spoke in spokes:
        line(picture, [*centre, *(centre + 260 * spoke)], 225)
    for radius in range(15, 230, 13):
        ring = (centre + radius * spokes).astype(np.int32)
        cv2.polylines(picture, [ring], True, (215, 215, 220), 1, cv2.LINE_AA)
    return picture


def sheet_music(rng: np.random.Generator) -> np.ndarray:
    picture = plain(246, 243, 232)
    for top in range(30, HEIGHT - 40, 60):
        for index in range(5):
            line(picture, [30, top + 7 * index, WIDTH - 30, top + 7 * index], 40)
        for x in rng.uniform(40, WIDTH - 40, 20):
            y = top + 3.5 * rng.integers(0, 9)
            cv2.circle(picture, (int(x), int(y)), 4, (20, 20, 20), -1, cv2.LINE_AA)
            line(picture, [x + 4, y, x + 4, y - 22], 20)
    return picture


def rigging(rng: np.random.Generator) -> np.ndarray:
    picture = plain(170, 190, 215)
    for start, end in rng.uniform(0, 1, (40, 2)):
        line(picture, [150 + 100 * start, 0, WIDTH * end, HEIGHT], 60, int(rng.integers(1, 3)))
    return picture


def qr_code(rng: np.random.Generator) -> np.ndarray:
    modules = np.kron(rng.integers(0, 2, (25, 33)) * 255.0, np.ones((12, 12)))
    return np.repeat(modules[..., None], 3, axis=2).astype(np.float32)


def pixel_art(rng: np.random.Generator) -> np.ndarray:
    pixels = np.kron(rng.integers(0, 256, (18, 25, 3)), np.ones((16, 16, 1)))
    return pixels.astype(np.float32)


@pytest.mark.parametrize(
    "draw",
    [
        night_sky,
        rain,
        snowfall,
        strings,
        spider_web,
        sheet_music,
        rigging,
        qr_code,
        pixel_art,
    ],
)
def test_no_repair_is_proposed(lite: Restorer, draw: Draw) -> None:
    drawn = draw(np.random.default_rng(1))
    picture = np.clip(drawn, 0, 255).astype(np.uint8)
    [inspection] = lite.run("inspect", picture).inspections
    repairs = [step for step in inspection.steps if step["task"] != "upscale"]
    assert not repairs, repairs[0]["reason"]
