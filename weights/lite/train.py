"""Trains the embedded lite weights from a folder of clean photos: seeded, resumable, bounded by time.

    python weights/lite/train.py upscale --photos ../shared/photos/train/natural --minutes 70
    python weights/lite/train.py denoise --photos ../shared/photos/train/natural --minutes 70

Stopped at any point, the same command goes on from the last checkpoint in `--work`. At the end the averaged
weights go to `weights/lite/<name>.safetensors` and their line to `weights/lite/provenance.json`. Both networks are
architectures that spandrel recognises from the keys alone, so inference needs none of this file.

Two runs of one seed draw the same patches in the same order. The schedule ends at `--steps` or `--minutes`, whichever
comes first, so that a slower machine gets a shorter but complete schedule, not a longer wait.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DRUNet import DRUNet
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
VALIDATION_PHOTOS = 8  # the last photos in name order are never trained on
EMA_DECAY = 0.999
log = logging.getLogger("lite.train")

Photo = np.ndarray  # HxWx3 uint8 RGB
Pair = tuple[np.ndarray, np.ndarray]  # network input, target: HxWx3 uint8


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one lite network is made."""

    file: str
    build: Callable[[], nn.Module]
    prepare: Callable[[Photo], Pair]  # once per photo
    draw: Callable[[Pair, int, np.random.Generator], Pair]  # one training patch
    patch_px: int
    batch: int
    steps: int
    peak_lr: float
    purpose: str


def halved_twice(photo: Photo) -> Pair:
    """(low, high): `high` cropped to a multiple of 4 and `low` its antialiased bicubic quarter, rounded to 8 bits."""
    height, width = (side - side % 4 for side in photo.shape[:2])
    high = np.ascontiguousarray(photo[:height, :width])
    low = np.asarray(Image.fromarray(high).resize((width // 4, height // 4), Image.Resampling.BICUBIC))
    return low, high


def draw_upscale(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random aligned patch of `patch_px` low-resolution pixels and its 4x target."""
    low, high = pair
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in low.shape[:2])
    low_patch = low[top : top + patch_px, left : left + patch_px]
    high_patch = high[4 * top : 4 * (top + patch_px), 4 * left : 4 * (left + patch_px)]
    return low_patch, high_patch


def draw_denoise(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random clean patch and the same with blind noise: Gaussian sigma 0-50, often with Poisson and JPEG noise too."""
    clean = pair[1]
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in clean.shape[:2])
    target = np.ascontiguousarray(clean[top : top + patch_px, left : left + patch_px])
    noisy = target.astype(np.float32)
    if rng.random() < 0.25:
        photons = float(np.exp(rng.uniform(np.log(30.0), np.log(1000.0))))  # photons of a white pixel
        noisy = rng.poisson(noisy / 255.0 * photons).astype(np.float32) / photons * 255.0
    sigma = rng.uniform(0.0, 50.0)
    channels = 1 if rng.random() < 0.1 else 3  # film grain is often the same in every channel
    noisy = noisy + sigma * rng.standard_normal((patch_px, patch_px, channels)).astype(np.float32)
    quantised = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.integers(30, 96))
        _, encoded = cv2.imencode(".jpg", quantised, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8), target
    return quantised, target


RECIPES = {
    "upscale": Recipe(
        file="lite_upscale_x4.safetensors",
        build=lambda: Compact(num_feat=48, num_conv=10, upscale=4, act_type="prelu"),
        prepare=halved_twice,
        draw=draw_upscale,
        patch_px=40,
        batch=12,
        steps=18_000,
        peak_lr=1e-3,
        purpose="x4 upscaling of bicubically reduced photos",
    ),
    "denoise": Recipe(
        file="lite_denoise.safetensors",
        build=lambda: DRUNet(in_nc=3, out_nc=3, nc=[24, 32, 48, 64], nb=2),
        prepare=lambda photo: (photo, photo),
        draw=draw_denoise,
        patch_px=96,
        batch=8,
        steps=12_000,
        peak_lr=1e-3,
        purpose="blind denoising: Gaussian sigma 0-50, Poisson, JPEG",
    ),
}


def to_tensor(patches: list[np.ndarray]) -> Tensor:
    """HxWx3 uint8 arrays -> Nx3xHxW float in [0, 1], channels last in memory (the fastest layout for these nets)."""
    stacked = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)
    return stacked.to(torch.float32).div_(255.0).contiguous(memory_format=torch.channels_last)


def channels_last(net: nn.Module) -> nn.Module:
    """The layout in which these convolutions train fastest on a CPU."""
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net


def turn(patch: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the eight symmetries of the square."""
    turned = np.rot90(patch, symmetry % 4)
    return np.ascontiguousarray(turned[:, ::-1] if symmetry >= 4 else turned)


def batch_of(recipe: Recipe, pairs: list[Pair], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One batch of augmented training patches, photos drawn by area."""
    areas = np.array([pair[0].shape[0] * pair[0].shape[1] for pair in pairs], np.float64)
    inputs, targets = [], []
    for index in rng.choice(len(pairs), recipe.batch, p=areas / areas.sum()):
        source, target = recipe.draw(pairs[int(index)], recipe.patch_px, rng)
        symmetry = int(rng.integers(0, 8))
        inputs.append(turn(source, symmetry))
        targets.append(turn(target, symmetry))
    return to_tensor(inputs), to_tensor(targets)


def validation_psnr(recipe: Recipe, net: nn.Module, pairs: list[Pair], seed: int) -> float:
    """Mean PSNR in dB over fixed patches of the held-back photos."""
    rng = np.random.default_rng(seed)
    values = []
    with torch.inference_mode():
        for pair in pairs:
            for _ in range(3):
                source, target = recipe.draw(pair, min(2 * recipe.patch_px, *pair[0].shape[:2]) // 8 * 8, rng)
                output = net(to_tensor([source])).clamp(0, 1)
                values.append(-10.0 * math.log10(float((output - to_tensor([target])).square().mean()) + 1e-10))
    return float(np.mean(values))


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Short linear warm-up, then a cosine from the peak to a hundredth of it; `progress` in [0, 1]."""
    if progress < 0.01:
        return recipe.peak_lr * max(progress, 1e-4) / 0.01
    return recipe.peak_lr * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0))))


@dataclasses.dataclass
class Course:
    """One training run: what is learnt, and how far it has come."""

    net: nn.Module
    averaged: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    spent_s: float = 0.0

    @classmethod
    def begun_or_resumed(cls, recipe: Recipe, checkpoint: Path, seed: int) -> Course:
        """The course of the checkpoint if there is one, else a new one."""
        net = channels_last(recipe.build())
        averaged = {key: value.detach().clone() for key, value in net.state_dict().items()}
        course = cls(net, averaged, torch.optim.Adam(net.parameters(), lr=recipe.peak_lr))
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            if saved["seed"] != seed:
                raise SystemExit(f"{checkpoint} is a course of seed {saved['seed']}: name another --work, or that seed")
            net.load_state_dict(saved["net"])
            course.optimiser.load_state_dict(saved["optimiser"])
            course.averaged, course.step, course.spent_s = saved["averaged"], saved["step"], saved["spent_s"]
            log.info("resumed at step %d after %.0f s", course.step, course.spent_s)
        return course

    def save(self, checkpoint: Path, seed: int) -> None:
        state = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict(), "averaged": self.averaged}
        torch.save({**state, "step": self.step, "spent_s": self.spent_s, "seed": seed}, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def learn(self, source: Tensor, target: Tensor, rate: float, *, squared: bool) -> float:
        """One step; returns the mean squared error before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        error = self.net(source) - target
        loss = error.square().mean() * 8.0 if squared else error.abs().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(EMA_DECAY, self.step / (self.step + 10.0))
        with torch.no_grad():
            for key, value in self.net.state_dict().items():
                self.averaged[key].lerp_(value, 1.0 - decay)
        return float(error.detach().square().mean())


def train(name: str, args: argparse.Namespace) -> None:
    """Runs or resumes one recipe and writes weights and provenance."""
    recipe = RECIPES[name]
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    args.work.mkdir(parents=True, exist_ok=True)
    files = sorted(p for p in args.photos.iterdir() if p.suffix.lower() in {".jpg", ".png"})
    pairs = [recipe.prepare(np.asarray(Image.open(p).convert("RGB"))) for p in files]
    pairs = [pair for pair in pairs if min(pair[0].shape[:2]) >= recipe.patch_px]
    training, held_back = pairs[:-VALIDATION_PHOTOS], pairs[-VALIDATION_PHOTOS:]
    checkpoint = args.work / f"{name}.pt"
    course = Course.begun_or_resumed(recipe, checkpoint, args.seed)
    parameters = sum(p.numel() for p in course.net.parameters())
    log.info("%s: %d photos, %d held back, %d parameters", name, len(training), len(held_back), parameters)
    steps, limit_s, spent_before_s = args.steps or recipe.steps, 60.0 * args.minutes, course.spent_s
    started = saved_at = time.monotonic()
    squared_errors: list[float] = []
    while (progress := max(course.step / steps, course.spent_s / limit_s)) < 1.0:
        source, target = batch_of(recipe, training, np.random.default_rng((args.seed, course.step)))
        # L1 finds the edges first; the last third minimises what PSNR measures.
        squared_errors.append(course.learn(source, target, learning_rate(recipe, progress), squared=progress >= 0.67))
        course.spent_s = spent_before_s + time.monotonic() - started
        if time.monotonic() - saved_at > args.checkpoint_every:
            saved_at = time.monotonic()
            course.save(checkpoint, args.seed)
        if course.step % 200 == 0:
            psnr = -10.0 * math.log10(float(np.mean(squared_errors)))
            log.info("%s: step %d, %.0f s, %.0f%%, training batches %.2f dB", name, course.step, course.spent_s, 100 * progress, psnr)
            squared_errors.clear()
        if course.step % 2000 == 0:
            report_validation(recipe, name, course.averaged, held_back, args.seed)
    psnr = report_validation(recipe, name, course.averaged, held_back, args.seed)
    save_file({k: v.contiguous() for k, v in course.averaged.items()}, args.out / recipe.file, {"format": "pt", "recipe": name})
    row = {"steps": course.step, "seconds": round(course.spent_s), "held_back_psnr_db": round(psnr, 3)}
    write_provenance(args, recipe, {"recipe": name, "photos": len(training), **row})


def report_validation(recipe: Recipe, name: str, averaged: dict[str, Tensor], held_back: list[Pair], seed: int) -> float:
    """Logs and returns the held-back PSNR of the averaged weights."""
    net = channels_last(recipe.build()).eval()
    net.load_state_dict(averaged)
    psnr = validation_psnr(recipe, net, held_back, seed)
    log.info("%s: held-back photos %.3f dB", name, psnr)
    return psnr


def write_provenance(args: argparse.Namespace, recipe: Recipe, facts: dict[str, object]) -> None:
    """Adds or replaces the file's line in provenance.json."""
    path = args.out / "provenance.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    rows[recipe.file] = {
        "purpose": recipe.purpose,
        "data": "photos of train/natural: CC0, public domain, Unsplash, Pexels and Pixabay licences",
        "licence": "MIT",
        "seed": args.seed,
        "device": f"CPU, {args.threads} thread(s)",
        **facts,
    }
    path.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--photos", type=Path, required=True, help="folder of clean JPEG or PNG photos")
    parser.add_argument("--minutes", type=float, default=70.0, help="time bound of the whole schedule, resumed time included")
    parser.add_argument("--steps", type=int, help="length of the schedule; the recipe's own by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=HERE / "checkpoints", help="where checkpoints are kept")
    parser.add_argument("--checkpoint-every", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--out", type=Path, default=HERE, help="where the finished weights go")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(args.name, args)


if __name__ == "__main__":
    main()
