"""The precision of a network in each profile, and the measurement that decided it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PrecisionName = Literal[
    "float32",
    "float16",
    "bfloat16",
    "float32+float16",
    "float32+bfloat16",
    "float16+bfloat16",
]
"""In `a+b`, the encoder, whose output selects codes, has precision a, and the rest precision b."""
DeviceType = Literal["cuda", "cpu"]
FLOAT32: PrecisionName = "float32"
MIN_PSNR_DB = {"fast": 45.0, "max_speed": 38.0}
"""Lowest PSNR against float32 for each profile that may compute below float32."""
MIN_EQUAL_CODES = 0.99


class Measured(BaseModel):
    """One precision and its quality against float32.

    Attributes:
        dtype: the precision.
        psnr_db: PSNR with the range of the float32 output as peak, the worst of all measurements.
            None for float32.
        equal_codes: share of the codes that equal those of float32; None for networks without.
        same_codes: `psnr_db` was measured with the codes of float32, because the encoder, which
            selects them, stays in float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dtype: PrecisionName
    psnr_db: float | None = None
    equal_codes: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    same_codes: bool = False

    def meets(self, profile: str) -> bool:
        """Return whether the quality suffices for a profile."""
        if self.dtype == FLOAT32:
            return True
        if self.equal_codes is not None and self.equal_codes < MIN_EQUAL_CODES:
            return False
        return self.psnr_db is not None and self.psnr_db >= MIN_PSNR_DB[profile]


class DevicePrecision(BaseModel):
    """The precision of a network in each profile on one device type.

    Attributes:
        fast: for the profile `fast`.
        max_speed: for the profile `max_speed`.
        refused: faster precisions whose quality does not suffice, and why the others were chosen.
        float32_parts: parts that stay in float32.
        measured: the measured network, id@side, in benchmarks/results.
        measured_on: the hardware; `cpu` for quality that was measured on a CPU only.
        commit: the commit of the measurement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    fast: Measured
    max_speed: Measured
    refused: Annotated[tuple[Measured, ...], Field(strict=False)] = ()
    float32_parts: Annotated[tuple[str, ...], Field(strict=False)] = ()
    measured: str
    measured_on: str
    commit: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for profile in MIN_PSNR_DB:
            measured: Measured = getattr(self, profile)
            if not measured.meets(profile):
                raise ValueError(f"{measured.dtype} does not have the quality that {profile} needs")
        return self

    def of(self, profile: str) -> PrecisionName:
        """Return the precision of a profile; float32 for `baseline`."""
        measured: Measured | None = getattr(self, profile, None) if profile in MIN_PSNR_DB else None
        return measured.dtype if measured else FLOAT32
