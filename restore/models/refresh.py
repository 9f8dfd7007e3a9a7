"""Writes the size and checksum of the embedded weights into the manifest, after training."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from restore.models.catalog import LITE, Catalog, manifest_error
from restore.models.locations import manifest_path


def refresh_embedded(manifest: Path | None = None) -> tuple[str, ...]:
    """Update `bytes` and `sha256` of every embedded row whose file exists.

    Args:
        manifest: the manifest to update; the embedded files are in `lite/` beside it. Default:
            the manifest of this installation.

    Returns:
        The ids of the updated rows.

    Raises:
        RestoreError: WEIGHTS_MANIFEST when the manifest is invalid or a row has no line to update.
    """
    path = manifest or manifest_path()
    text = path.read_text(encoding="utf-8")
    updated = []
    for row in Catalog.load(path).rows:
        file = path.parent / LITE / row.file
        if row.embedded and file.is_file():
            content = file.read_bytes()
            text = _set_field(text, row.id, "bytes", str(len(content)))
            checksum = hashlib.sha256(content).hexdigest()
            text = _set_field(text, row.id, "sha256", f'"{checksum}"')
            updated.append(row.id)
    path.write_text(text, encoding="utf-8")
    return tuple(updated)


def _set_field(text: str, row_id: str, field: str, value: str) -> str:
    """Replace one value in the text of a manifest; comments and formatting stay."""
    pattern = rf'(^id = "{re.escape(row_id)}"$(?:(?!^\[\[).)*?^{field} = )[^\n]*'
    text, count = re.subn(pattern, rf"\g<1>{value}", text, flags=re.MULTILINE | re.DOTALL)
    if count != 1:
        raise manifest_error(f"row '{row_id}' has no line '{field} = ...' to update")
    return text
