"""ChainIDs of image-spec, and where a bundle may have them."""

import hashlib
import json
from pathlib import Path

import pytest

from runtime.errors import OcirunError
from runtime.images.bundles.facts import facts_of
from runtime.images.layouts.digests import chain_ids

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")


def sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_chain_ids() -> None:
    """The first is the layer's own; each other one is of the one before, a space, and the layer."""
    second = sha256(f"{ONE} {TWO}")
    assert chain_ids([]) == []
    assert chain_ids([ONE, TWO, THREE]) == [ONE, second, sha256(f"{second} {THREE}")]
    assert chain_ids([f"sha512:{'4' * 128}", ONE])[1] == sha256(f"sha512:{'4' * 128} {ONE}")


CHAINS = chain_ids([ONE, TWO, THREE])
GOOD = [[ONE, TWO, THREE], [ONE, CHAINS[1], THREE], CHAINS]
BAD = [[CHAINS[1], TWO, THREE], [ONE, CHAINS[2], THREE], [ONE, THREE, TWO], [ONE, TWO], [ONE, TWO, THREE, THREE]]


@pytest.mark.parametrize("layers", [*GOOD, *BAD])
def test_layers_of_a_bundle(tmp_path: Path, layers: list[str]) -> None:
    """Each is in the store by its diff_id, as older releases had all of them, or by its ChainID."""
    image = {"rootfs": {"diff_ids": [ONE, TWO, THREE]}}
    facts = {"version": 1, "store": "/store", "source": "/source", "config": ONE, "layers": layers, "image": image}
    (tmp_path / "image.json").write_text(json.dumps(facts))
    if layers in GOOD:
        assert facts_of(str(tmp_path)) == facts
        return
    with pytest.raises(OcirunError) as caught:
        facts_of(str(tmp_path))
    assert "image.rootfs.diff_ids are not its layers" in caught.value.message
