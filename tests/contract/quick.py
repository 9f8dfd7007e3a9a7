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

    def predict(self, scale: float = Input(default=1)) -> str:
        """Work for a number of seconds, so that the schema of predict.py admits the request."""
        with self.watched.working():
            time.sleep(scale)
        return f"worked for {scale} s"
