"""A predictor with a memory leak, which the soak test must detect (`soak.py --leak`)."""

from __future__ import annotations

import os
from typing import Any

from predict import Predictor as RealPredictor
from restore.restorer import Restorer
from restore.results import Results

LEAKED: list[bytearray] = []


class Predictor(RealPredictor):
    """The predictor of predict.py; each request leaks LEAKED_MB megabytes."""

    def setup(self) -> None:
        """Set up the predictor and make `Restorer.run` leak."""
        super().setup()
        run, leaked_bytes = Restorer.run, int(float(os.environ["LEAKED_MB"]) * 1e6)

        def leaking_run(*args: Any, **kwargs: Any) -> Results:  # noqa: ANN401 - passed through
            # The bytes are written, because untouched pages take no memory.
            LEAKED.append(bytearray(b"\1" * leaked_bytes))
            return run(*args, **kwargs)

        Restorer.run = leaking_run  # type: ignore[method-assign]
