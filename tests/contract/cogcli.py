"""The predictor of predict.py in a server that takes itself for the container of `cog predict`."""

from collections.abc import Mapping

from predict import Predictor as RealPredictor
from restore.serving import uploads


class Predictor(RealPredictor):
    def setup(self) -> None:
        super().setup()
        uploads.serves_cog_cli = answer_yes


def answer_yes(environment: Mapping[str, str] | None = None) -> bool:
    return True
