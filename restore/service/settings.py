"""The settings of the service, from the command line, environment variables and `.env`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from restore.models.policy import Policy

MIB = 2**20
MAX_KEEP_S = 10 * 365 * 86_400


def _items(value: object) -> object:
    """Split a text into the values of a list: JSON, or values with commas between them."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)  # its error is a ValueError, which pydantic reports
    return [item.strip() for item in value.split(",") if item.strip()]


def _http_url(value: str) -> str:
    if not re.match(r"https?://[^\s/]", value):
        raise PydanticCustomError("http_url", "no address")
    return value


def _policy(value: str) -> str:
    try:
        return Policy(value.strip()).value
    except ValueError:
        raise PydanticCustomError("policy", "no policy") from None


HttpUrl = Annotated[str, AfterValidator(_http_url)]
WeightsPolicy = Annotated[str, AfterValidator(_policy)]
HttpUrls = Annotated[tuple[HttpUrl, ...], NoDecode, BeforeValidator(_items)]


class Settings(BaseSettings):
    """The settings of one gateway.

    A value given on the command line wins over an environment variable `RESTORE_<NAME>`, which wins
    over the same name in `.env` of the working directory. Some older names are read, too. An empty
    value, as in a template of `.env`, is the same as none.
    """

    model_config = SettingsConfigDict(
        env_prefix="RESTORE_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data: Path = Path("restore-data")
    """Folder of the database (SQLite), uploads and results."""
    database_url: str | None = None
    """SQLAlchemy URL of a PostgreSQL database; None means SQLite in the folder `data`."""
    workers: int = Field(default=1, ge=0, le=64)
    """Cog servers to start; 0 if all are given by `worker_urls`."""
    worker_urls: HttpUrls = ()
    """Addresses of Cog servers that run elsewhere."""
    weights: WeightsPolicy | None = None
    """RESTORE_WEIGHTS of the workers that are started."""
    public_url: HttpUrl | None = None
    """Base of the URLs in responses; None means the address of the request."""
    model: str = Field(default="restore/restore", pattern=r"^[\w.-]{1,60}/[\w.-]{1,60}$")
    """The name `OWNER/NAME` by which clients of Replicate's API ask for the predictor."""
    open: bool = False
    """Serve without keys on addresses other than loopback."""
    api_key: SecretStr | None = Field(default=None, validation_alias="API_KEY")
    cors_origins: HttpUrls = ()
    max_file_mib: int = Field(default=32, ge=1, validation_alias="MAX_FILE_SIZE_MB")
    upload_folder: Path | None = Field(default=None, validation_alias="UPLOAD_FOLDER")
    """None means `uploads` in `data`."""
    processed_folder: Path | None = Field(default=None, validation_alias="PROCESSED_FOLDER")
    """None means `results` in `data`."""
    keep_s: float = Field(default=3600, gt=0, le=MAX_KEEP_S)
    """Time after the end of a job at which its input and output are removed."""
    keep_jobs_s: float = Field(default=2_592_000, gt=0, le=MAX_KEEP_S)
    """Time after the removal of input and output at which the record of the job is deleted."""
    disk_quota_mib: int = Field(default=10_240, ge=1)
    """Limit of all stored files together."""
    max_waiting_jobs: int = Field(default=10_000, ge=1)
    key_requests_per_minute: int = Field(default=3_000, ge=1)
    key_waiting_jobs: int = Field(default=1_000, ge=1)
    key_stored_mib: int = Field(default=4_096, ge=1)
