"""Train and evaluate the embedded lite weights.

python -m training gather --out TRAIN/extra
python -m training pack photos.tar --photos TRAIN --recipes denoise inpaint
python -m training train upscale_x4 --photos TRAIN --minutes 30 --device cuda
python -m training evaluate --photos PHOTOS
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
from pathlib import Path

from training.gather import EXTRA_PHOTOS, gather, read_list
from training.pack import MEGABYTE, pack_photos
from training.paths import DOCS, LITE_WEIGHTS
from training.registry import RECIPES
from training.settings import TrainSettings
from training.train import train


def main() -> None:
    """Parse the command line and run the command."""
    options = build_parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.command == "gather":
        gather(read_list(options.list), options.out)
    elif options.command == "pack":
        _pack(options)
    elif options.command == "train":
        _train(options)
    else:
        _evaluate(options)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    summary, *_ = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="python -m training", description=summary)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_gather_options(
        commands.add_parser("gather", help="download the extra training photos with free licences")
    )
    _add_pack_options(
        commands.add_parser("pack", help="pack training photos into one archive for `train`")
    )
    _add_train_options(
        commands.add_parser("train", help="train one network, or resume its training")
    )
    _add_evaluate_options(
        commands.add_parser(
            "evaluate", help="evaluate networks; write figures, pictures and tables"
        )
    )
    return parser


def _add_gather_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder for the photos, such as TRAIN/extra; those that it has are kept",
    )
    parser.add_argument(
        "--list",
        type=Path,
        default=EXTRA_PHOTOS,
        metavar="FILE",
        help="list of the photos (default: training/extra_photos.jsonl)",
    )


def _add_pack_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("archive", type=Path, metavar="ARCHIVE", help="the tar archive to write")
    add(
        "--photos",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder with natural/, faces/ and damage/ as far as the recipes need them",
    )
    add(
        "--recipes",
        nargs="+",
        choices=sorted(RECIPES),
        default=sorted(RECIPES),
        metavar="RECIPE",
        help=f"whose photos are packed: {', '.join(sorted(RECIPES))} (default: all)",
    )
    add(
        "--megabytes",
        type=float,
        default=60.0,
        help="limit of the size, for which photos are compressed if need be (default: 60)",
    )


def _add_train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=sorted(RECIPES), help="the recipe")
    _add_file_options(parser)
    _add_schedule_options(parser)
    _add_machine_options(parser)


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("files").add_argument
    add(
        "--photos",
        type=Path,
        required=True,
        metavar="PHOTOS",
        help="folder with natural/, faces/ and damage/ as far as the recipe needs them, "
        "or an archive that `pack` wrote",
    )
    add(
        "--out",
        type=Path,
        default=LITE_WEIGHTS,
        metavar="FOLDER",
        help="folder for the finished weights (default: weights/lite)",
    )
    add(
        "--work",
        type=Path,
        default=LITE_WEIGHTS / "checkpoints",
        metavar="FOLDER",
        help="folder for checkpoints (default: weights/lite/checkpoints)",
    )
    add(
        "--checkpoint-every",
        type=float,
        default=60.0,
        dest="checkpoint_every_s",
        metavar="SECONDS",
        help="time between checkpoints (default: 60)",
    )


def _add_schedule_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("schedule", "Defaults are those of the recipe.")
    add = group.add_argument
    add(
        "--minutes",
        type=float,
        default=70.0,
        help="limit of computing time, including the time before an interruption (default: 70)",
    )
    add("--steps", type=int, help="length of the schedule")
    add("--batch", type=int, dest="batch_size", metavar="N", help="patches per step")
    add("--peak-lr", type=float, metavar="RATE", help="highest learning rate")
    add("--seed", type=int, default=1, help="seed of weights and patches (default: 1)")
    add(
        "--only",
        metavar="PREFIXES",
        help="train only the parameters whose names start with one of these, separated by commas; "
        "without an adversary",
    )
    add(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="checkpoint of a network whose output is learnt too (RealESRGAN_x4plus for "
        "upscale_real_x4), without an adversary",
    )
    add(
        "--fine-tune",
        action="store_true",
        help="start a new run from the finished weights in --out",
    )


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("machine").add_argument
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--threads", type=int, default=1, help="compute threads on a CPU (default: 1)")
    add(
        "--workers",
        type=int,
        help="processes that prepare batches (default: 0 on a CPU, otherwise one per core)",
    )
    add(
        "--bfloat16",
        action="store_true",
        help="compute convolutions in bfloat16: faster on GPUs and on CPUs with AMX",
    )


def _add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", choices=[[], *RECIPES], help="recipes (default: all)")
    add(
        "--photos",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder with train/ and test/",
    )
    add(
        "--weights",
        type=Path,
        default=LITE_WEIGHTS,
        metavar="FOLDER",
        help="folder with the weights and provenance.json (default: weights/lite)",
    )
    add(
        "--references",
        type=Path,
        metavar="FOLDER",
        help="folder with official checkpoints to measure for comparison",
    )
    add(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="folder for pictures and tables (default: docs for the embedded weights, "
        "otherwise the folder of the weights)",
    )


def _pack(options: argparse.Namespace) -> None:
    recipes = [RECIPES[name] for name in options.recipes]
    pack_photos(
        options.archive, options.photos, recipes, max_bytes=round(options.megabytes * MEGABYTE)
    )


def _train(options: argparse.Namespace) -> None:
    if options.workers is None:
        options.workers = 0 if options.device == "cpu" else os.cpu_count() or 1
    names = [field.name for field in dataclasses.fields(TrainSettings)]
    train(options.name, TrainSettings(**{name: getattr(options, name) for name in names}))


def _evaluate(options: argparse.Namespace) -> None:
    # A machine that only trains needs none of the packages that the figures need.
    from training.evaluate import EVALUATIONS, Report, evaluate  # noqa: PLC0415
    from training.evaluation import EvaluationPaths  # noqa: PLC0415

    is_embedded = options.weights.resolve() == LITE_WEIGHTS
    report = Report(options.report or (DOCS if is_embedded else options.weights))
    paths = EvaluationPaths(options.photos, options.weights, options.references)
    evaluate(options.names or EVALUATIONS, paths, report)


if __name__ == "__main__":
    main()
