"""The plain loop that `restore batch` is compared with: a short script over Restorer.run.

    python benchmarks/batch_loop.py IN OUT --task restore

It restores the JPEG files of a folder one by one and prints, as JSON, when each was finished.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.restorer import Restorer


def main() -> None:
    """Restore the photos and print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("target", type=Path, metavar="OUT")
    parser.add_argument("--task", default="pipeline")
    parser.add_argument("--device")
    arguments = parser.parse_args()
    restorer = Restorer(weights="lite", device=arguments.device)
    finished_s: list[float] = []
    for path in sorted(arguments.source.glob("*.jpg")):
        results = restorer.run(arguments.task, path, output_format="same")
        [written] = results.save(arguments.target)
        written.rename(arguments.target / path.name)
        finished_s.append(time.time())
    print(json.dumps(finished_s))


if __name__ == "__main__":
    main()
