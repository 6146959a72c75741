"""Platforms, sizes, references, names: what is chosen by text alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import OcirunError
from runtime.images import budget, names
from runtime.images.errors import BadImage
from runtime.images.layouts import digests, platforms
from runtime.images.unpack import split


@pytest.mark.parametrize(
    ("wanted", "found", "runs"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/amd64/v3", "linux/amd64/v2", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm/v7", "linux/arm/v6", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm64", "linux/amd64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/x86_64", "linux/amd64", True),
    ],
)
def test_platforms(wanted: str, found: str, runs: bool) -> None:
    """An older variant runs on a newer machine; no variant is the usual one."""
    assert bool(platforms.rank(platforms.parse(wanted), platforms.parse(found))) is runs


def test_the_best_variant() -> None:
    """The nearest one counts more."""
    wanted = platforms.parse("linux/arm/v7")
    ranks = [platforms.rank(wanted, ("linux", "arm", variant)) for variant in ("v5", "v6", "v7")]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 3


@pytest.mark.parametrize("text", ["linux", "linux/", "/amd64", "a/b/c/d", ""])
def test_no_platform(text: str) -> None:
    with pytest.raises(OcirunError, match="must be OS/ARCHITECTURE"):
        platforms.parse(text)


@pytest.mark.parametrize(
    ("text", "bytes"), [("0", 0), ("512", 512), ("64k", 65536), ("10M", 10 << 20), ("2G", 2 << 30), ("1t", 1 << 40)]
)
def test_sizes(text: str, bytes: int) -> None:
    assert budget.size(text) == bytes


@pytest.mark.parametrize("text", ["", "k", "1x", "-1", "1.5G", "1 G", "1GB", "9" * 20, "٣"])
def test_no_sizes(text: str) -> None:
    assert budget.size(text) is None


def test_references(tmp_path: Path) -> None:
    """The longest path that exists is the layout; the rest is the tag, which may have colons; transports are left out."""
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a").mkdir()
    at = str(tmp_path)
    assert split(f"{at}/a") == (f"{at}/a", "")
    assert split(f"{at}/a:b") == (f"{at}/a:b", "")
    assert split(f"{at}/a:c") == (f"{at}/a", "c")
    assert split(f"{at}/a:b:c") == (f"{at}/a:b", "c")
    assert split(f"{at}/a:host:5000/name:tag") == (f"{at}/a", "host:5000/name:tag")
    assert split(f"{at}/a@sha256:12") == (f"{at}/a", "sha256:12")
    assert split(f"oci:{at}/a:c") == (f"{at}/a", "c")
    with pytest.raises(OcirunError, match="no such directory or archive"):
        split(f"{at}/c:a")


def test_names() -> None:
    """Names are taken from the layer's root, whatever is in front; .. has no meaning in them."""
    assert names.parts(b"/./a//b/") == (b"a", b"b")
    assert names.parts(b"./") == ()
    for name in (b"a/../b", b"..", b"a\0", b"x" * 256, b"x/" * 2049, b".wh.a/b"):
        with pytest.raises(BadImage):
            names.parts(name)
    assert names.hidden(b".wh.a") == b"a"
    assert names.hidden(b".wh..wh.plnk") == b""


def test_digests() -> None:
    """Those of image-spec, in lower case and of the right length: a digest becomes a path."""
    good = digests.of(b"")
    assert digests.check(good, "it") == good
    assert digests.check(digests.of(b"", "sha512:"), "it").startswith("sha512:cf83e1")
    for bad in (
        None,
        5,
        "",
        "sha256:",
        good[:-1],
        good.upper(),
        f"sha256:{'g' * 64}",
        good.replace("sha256", "md5"),
        f"{good}/x",
    ):
        with pytest.raises(BadImage, match="no digest that is known"):
            digests.check(bad, "it")
