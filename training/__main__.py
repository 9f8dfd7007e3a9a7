"""Makes and measures the embedded lite weights.

    python -m training train upscale_x4 --photos TRAIN --minutes 30 --device cuda
    python -m training evaluate --photos PHOTOS

TRAIN is a folder that holds natural/, faces/ and damage/ as far as the recipe needs them (or, for a recipe of one folder, that folder);
PHOTOS is one that holds that folder as train/, and test/.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from training.evaluate import MEASURES, evaluate
from training.metrics import HERE, Places
from training.registry import RECIPES
from training.train import Terms, train


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description=(__doc__ or "").splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser(
        "train", help="train one of them, or go on where that was interrupted"
    )
    training.add_argument("name", choices=sorted(RECIPES))
    training.add_argument(
        "--photos",
        type=Path,
        required=True,
        metavar="TRAIN",
        help="folder of clean photos, or the one above",
    )
    training.add_argument(
        "--minutes",
        type=float,
        default=70.0,
        help="of computing, those before an interruption included",
    )
    training.add_argument(
        "--steps", type=int, help="length of the schedule; the recipe's own by default"
    )
    training.add_argument("--batch", type=int, help="patches a step; the recipe's own by default")
    training.add_argument(
        "--peak-lr",
        type=float,
        metavar="RATE",
        help="highest learning rate; the recipe's own by default",
    )
    training.add_argument("--device", default="cpu", help="cpu or cuda")
    training.add_argument("--threads", type=int, default=1, help="that compute on a CPU")
    training.add_argument(
        "--workers",
        type=int,
        help="threads that draw patches ahead; none on a CPU, else one a core",
    )
    training.add_argument("--seed", type=int, default=1)
    training.add_argument(
        "--work", type=Path, default=HERE / "checkpoints", help="where checkpoints are kept"
    )
    training.add_argument("--checkpoint-every", type=float, default=60.0, metavar="SECONDS")
    training.add_argument("--out", type=Path, default=HERE, help="where the finished weights go")
    training.add_argument(
        "--bfloat16",
        action="store_true",
        help="compute in it: faster on GPUs and on processors with AMX",
    )
    training.add_argument(
        "--only",
        metavar="NAME",
        help="learn the parameters whose names begin so, and leave the others",
    )
    training.add_argument(
        "--go-on",
        action="store_true",
        help="begin a new course with the finished weights that are there",
    )
    measuring = commands.add_parser(
        "evaluate", help="measure them, and write figures, pictures and the README's tables"
    )
    measuring.add_argument(
        "names", nargs="*", choices=[[], *MEASURES], help="which; all by default"
    )
    measuring.add_argument(
        "--photos", type=Path, required=True, help="folder that holds train/ and test/"
    )
    measuring.add_argument(
        "--weights",
        type=Path,
        default=HERE,
        help="folder of the weights, of provenance.json and of the README",
    )
    measuring.add_argument(
        "--yardsticks",
        type=Path,
        metavar="FOLDER",
        help="official checkpoints to measure beside them",
    )
    given = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if given.pop("command") == "evaluate":
        evaluate(
            given["names"] or MEASURES,
            Places(given["photos"], given["weights"], given["yardsticks"]),
            given["weights"],
        )
        return
    name, workers = given.pop("name"), given.pop("workers")
    if workers is None:
        workers = 0 if given["device"] == "cpu" else os.cpu_count() or 1
    train(name, Terms(**given, workers=workers))


if __name__ == "__main__":
    main()
