import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from jaxnas.data import DataError, cifar, load
from jaxnas.data.download import fetch

from . import official


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a loopback server, and the folder that it serves."""
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_load_downloads_once(tmp_path: Path, site, monkeypatch: pytest.MonkeyPatch):
    url, folder = site
    archive = official.write_archive(
        folder / "cifar-10-python.tar.gz", "cifar-10-batches-py", official.cifar10_python()
    )
    spec = dataclasses.replace(
        cifar.CIFAR["cifar10"], url=f"{url}/{archive.name}", md5=md5(archive)
    )
    monkeypatch.setattr(cifar, "CIFAR", {"cifar10": spec})
    data_dir = tmp_path / "new" / "data"
    first = load("cifar10", data_dir, download=True)
    assert [path.name for path in data_dir.iterdir()] == [archive.name]
    archive.unlink()
    again = load("cifar10", data_dir, download=True)
    np.testing.assert_array_equal(first.train_images, again.train_images)


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(b"not the archive")
    target = tmp_path / "data" / "archive"
    with pytest.raises(DataError, match=f"MD5 {md5(source)}, not the official 00ff, and was del"):
        fetch(source.as_uri(), "00ff", target)
    assert list(target.parent.iterdir()) == []


def test_a_large_file_arrives_whole(tmp_path: Path, site):
    url, folder = site
    source = folder / "large"
    source.write_bytes(np.random.default_rng(0).bytes(3_000_001))
    target = fetch(f"{url}/large", md5(source), tmp_path / "data" / "large")
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("missing", ["http", "file"])
def test_a_failed_download_is_one_sentence(tmp_path: Path, site, missing: str):
    url = f"{site[0]}/none" if missing == "http" else (tmp_path / "none").as_uri()
    with pytest.raises(DataError, match=r"could not be downloaded .* check the network"):
        fetch(url, "00ff", tmp_path / "data" / "archive")
    assert list((tmp_path / "data").iterdir()) == []
