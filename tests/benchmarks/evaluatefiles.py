"""Small photos, folders and LPIPS weights for the tests of evaluate, and a parser of its page."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as pictures
from torchvision.models import alexnet

from benchmarks import quality
from benchmarks.perceptual import missing_packages
from benchmarks.quality import ALEXNET, LINEAR

needs_packages = pytest.mark.skipif(
    bool(missing_packages()), reason=" ".join(missing_packages().values())
)
LPIPS_WIDTHS = (64, 192, 384, 256, 256)


def hide_lpips(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Hide LPIPS weights that may be installed on this machine; torch's cache is in the folder."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder / "hub"))
    monkeypatch.setattr(quality, "_package_folders", list)


def astronaut_photo(side_px: int = 200) -> np.ndarray:
    """Return a part of the photo of an astronaut, with her face."""
    return pictures.astronaut()[:side_px, 100 : 100 + side_px]


def noisy(photo: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, photo.shape)
    return np.clip(np.rint(photo + noise), 0, 255).astype(np.uint8)


def folder_of(path: Path, **photos: np.ndarray) -> Path:
    path.mkdir(parents=True)
    for name, pixels in photos.items():
        Image.fromarray(pixels).save(path / f"{name}.png")
    return path


def lpips_files(folder: Path) -> torch.nn.Sequential:
    """Write both files with random weights and return torchvision's features with them."""
    with torch.device("meta"):
        trunk = alexnet(weights=None).features
    assert isinstance(trunk, torch.nn.Sequential)
    trunk.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in trunk.parameters():
        parameter.data = (
            torch.randn(parameter.shape, generator=generator)
            * (parameter.numel() / parameter.shape[0]) ** -0.5
        )
    folder.mkdir(parents=True)
    torch.save(
        {f"features.{key}": value for key, value in trunk.state_dict().items()}, folder / ALEXNET
    )
    shares = {
        f"lin{n}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
        for n, width in enumerate(LPIPS_WIDTHS)
    }
    torch.save(shares, folder / LINEAR)
    return trunk


class Tags(HTMLParser):
    """Collects tags, attributes and texts of HTML; fails if tags are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]
