"""A predictor without networks, which starts fast. It has the watchdog of the real worker."""

import time

from cog import BasePredictor, Input

from restore.serving.parent import end_with_parent
from restore.serving.served_results import ServedResults
from restore.serving.watched import Watched


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.results = ServedResults()
        end_with_parent(self.results.close)
        self.watched = Watched()

    def predict(self, scale: float = Input(default=1), saturation: float = Input(default=1)) -> str:
        """Work for `scale` times `saturation` seconds; the schema of predict.py has these names."""
        seconds = scale * saturation
        with self.watched.working():
            time.sleep(seconds)
        return f"worked for {seconds} s"
