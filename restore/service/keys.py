"""API keys: created, listed and revoked by the operator; the database has only their hashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, RowMapping, insert, select, update

from restore.errors import Code, RestoreError
from restore.service import database
from restore.service.ids import is_id, new_id
from restore.service.limits import KeyLimits
from restore.service.records import ApiKey
from restore.service.tables import keys

PREFIX = "rk"
SECRET_BYTES = 32
MAX_SECRET_CHARACTERS = 200
MAX_NAME_CHARACTERS = 100

SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 1
"""Parameters of scrypt: 16 MiB and about 50 ms for each hash."""
SALT_BYTES = 16

MAX_VERIFIED = 1000
RECHECK_S = 2.0
"""Time after which a verified key is looked up again, so that a revocation takes effect."""


@dataclass
class _Verified:
    """A secret whose hash was right."""

    key: ApiKey
    hash: str
    checked_s: float


class KeyStore:
    """The keys in the database.

    Args:
        engine: the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pepper = secrets.token_bytes(32)  # secrets are not kept in memory as they are
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    @property
    def place(self) -> str:
        """Where the keys are: the path of the database, or its URL without the password."""
        url = self._engine.url
        if url.drivername == "sqlite":
            return f"'{Path(str(url.database)).resolve()}'"
        return url.render_as_string()

    def create(self, name: str, limits: KeyLimits | None = None) -> tuple[ApiKey, str]:
        """Create a key.

        Args:
            name: what the operator calls it; not secret, and need not be unique.
            limits: limits of its own; None and missing ones are those of the service.

        Returns:
            The key, and its secret, which cannot be read again.

        Raises:
            RestoreError: OPTION_INVALID for a name that is empty, too long or not printable.
        """
        if not (0 < len(name.strip()) <= MAX_NAME_CHARACTERS and name.isprintable()):
            raise RestoreError(
                Code.OPTION_INVALID,
                f"the name of the key is {name[:MAX_NAME_CHARACTERS]!r}",
                f"Use 1 to {MAX_NAME_CHARACTERS} printable characters.",
            )
        limits = limits or KeyLimits()
        key_id = new_id()
        secret = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
        with database.write(self._engine) as connection:
            row = {
                "id": key_id,
                "name": name.strip(),
                "hash": hash_secret(secret),
                "created_at": database.now(connection),
                "requests_per_minute": limits.requests_per_minute,
                "waiting_jobs": limits.waiting_jobs,
                "stored_bytes": limits.stored_bytes,
            }
            connection.execute(insert(keys).values(row))
        key = self.get(key_id)
        assert key is not None
        return key, secret

    def list(self) -> tuple[ApiKey, ...]:
        """Return all keys, revoked ones too, oldest first."""
        with database.read(self._engine) as connection:
            rows = connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))
            return tuple(_key_of(row) for row in rows.mappings())

    def get(self, key_id: str) -> ApiKey | None:
        """Return a key, or None if there is none with this id."""
        row = self._row(key_id)
        return _key_of(row) if row else None

    def exists(self) -> bool:
        """Return whether there is or was a key: after the last one is revoked, none is valid."""
        with database.read(self._engine) as connection:
            return connection.execute(select(keys.c.id).limit(1)).first() is not None

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key: it is refused from now on. Its jobs are finished and then removed.

        Raises:
            RestoreError: OPTION_INVALID if there is no valid key with this id.
        """
        with database.write(self._engine) as connection:
            changed = connection.execute(
                update(keys)
                .where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
                .values(revoked_at=database.now(connection))
            )
        key = self.get(key_id)
        if changed.rowcount == 0 or key is None:
            state = "is revoked already" if key else "does not exist"
            raise RestoreError(
                Code.OPTION_INVALID,
                f"the key '{key_id[:MAX_NAME_CHARACTERS]}' {state}",
                "`restore service keys list` shows the ids of all keys.",
            )
        return key

    def recently_verified(self, secret: str) -> ApiKey | None:
        """Return the key of a secret that was verified a moment ago, without the database."""
        verified = self._verified.get(self._digest(secret))
        if verified and time.monotonic() - verified.checked_s < RECHECK_S:
            return verified.key
        return None

    def verify(self, secret: str) -> ApiKey | None:
        """Return the key of a secret, or None if it is wrong or the key is revoked.

        The hash is computed only once for each secret: what was right is remembered.
        """
        row = self._row(_id_in(secret))
        if row is None or row["revoked_at"] is not None:
            return None
        digest = self._digest(secret)
        known = self._verified.get(digest)
        # The id alone is no proof: it is not secret.
        if (known is None or known.hash != row["hash"]) and not is_hash_of(row["hash"], secret):
            return None
        key = _key_of(row)
        self._verified[digest] = _Verified(key, row["hash"], time.monotonic())
        while len(self._verified) > MAX_VERIFIED:
            self._verified.popitem(last=False)
        return key

    def _digest(self, secret: str) -> bytes:
        return hmac.digest(self._pepper, secret.encode(), "sha256")

    def _row(self, key_id: str) -> RowMapping | None:
        if not is_id(key_id):
            return None
        with database.read(self._engine) as connection:
            query = select(keys).where(keys.c.id == key_id)
            return connection.execute(query).mappings().first()


def hash_secret(secret: str) -> str:
    """Return the scrypt hash of a secret, with its salt and parameters."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _scrypt(secret, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)
    texts = (base64.b64encode(value).decode() for value in (salt, digest))
    return "$".join(("scrypt", str(SCRYPT_N), str(SCRYPT_R), str(SCRYPT_P), *texts))


def is_hash_of(stored: str, secret: str) -> bool:
    """Compare a secret with a stored hash, in constant time."""
    _, n, r, p, salt, digest = stored.split("$")
    computed = _scrypt(secret, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(computed, base64.b64decode(digest))


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def _id_in(secret: str) -> str:
    """Return the id in a secret, or "" if it does not have the form of one."""
    prefix, _, rest = secret[: MAX_SECRET_CHARACTERS + 1].partition("_")
    is_key = prefix == PREFIX and len(secret) <= MAX_SECRET_CHARACTERS
    return rest.partition("_")[0] if is_key else ""


def _key_of(row: RowMapping) -> ApiKey:
    return ApiKey(**{name: value for name, value in row.items() if name != "hash"})
