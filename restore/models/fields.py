"""Types of the fields of the manifest."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
# The first download is trusted, so plain HTTP is allowed for this machine only (tests).
Url = Annotated[
    str, StringConstraints(pattern=r"^(https://[^/\s]+|http://127\.0\.0\.1:[0-9]+)/\S*$")
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
KnownSha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
# TOML has lists only; a frozen row contains tuples.
Names = Annotated[tuple[Name, ...], Field(strict=False)]
Paths = Annotated[tuple[str, ...], Field(strict=False)]
Urls = Annotated[tuple[Url, ...], Field(strict=False)]
Range = Annotated[tuple[float, float], Field(strict=False)]
