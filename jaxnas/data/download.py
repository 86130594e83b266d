"""Fetching an official archive."""

import hashlib
import http.client
import tempfile
import urllib.request
from pathlib import Path

from jaxnas.data.errors import DownloadError

_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte


def fetch(url: str, md5: str, target: Path) -> Path:
    """Downloads `url` to `target`, which appears only once whole and with the right checksum.

    Args:
      url: http, https or file URL.
      md5: expected MD5 of the content, in hexadecimal.
      target: where to put it; its folder is made if missing.

    Returns:
      target.

    Raises:
      DownloadError: if the download fails, or its checksum differs (the file is then deleted).
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the rename is atomic; removed however the block is left.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as folder:
            partial = Path(folder) / target.name
            digest = hashlib.md5(usedforsecurity=False)
            with (
                urllib.request.urlopen(url, timeout=_TIMEOUT) as response,
                partial.open("wb") as out,
            ):
                while chunk := response.read(_CHUNK):
                    digest.update(chunk)
                    out.write(chunk)
            if digest.hexdigest() != md5:
                raise DownloadError(
                    f"{url} came with MD5 {digest.hexdigest()}, not the official {md5}, "
                    "and was deleted: try again, or download it by another way."
                )
            partial.replace(target)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(
            f"{url} could not be downloaded to {target} ({error}): "
            "check the network and the disk, or download it by another way."
        ) from error
    return target
