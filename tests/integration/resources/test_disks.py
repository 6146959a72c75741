"""linux.resources.blockIO by how long reading and writing takes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.caller import Caller
from tests.integration.resources.readings import MEGABYTE, Counters, disk, limited, on_v1, said, written

pytestmark = [pytest.mark.vm, pytest.mark.cgroups]

THROTTLES = [
    pytest.param(
        name,
        rate,
        words,
        marks=[
            pytest.mark.proves(f"/linux/resources/blockIO/{name}"),
            *(pytest.mark.proves(f"/linux/resources/blockIO/{name}/*/{key}") for key in ("major", "minor", "rate")),
        ],
        id=name,
    )
    for name, rate, words in (
        ("throttleReadBpsDevice", MEGABYTE, "if=/data of=/dev/null bs=64k count=24 iflag=direct"),
        ("throttleWriteBpsDevice", MEGABYTE, "if=/dev/zero of=/new bs=64k count=24 oflag=direct"),
        ("throttleReadIOPSDevice", 20, "if=/data of=/dev/null bs=4k count=30 iflag=direct"),
        ("throttleWriteIOPSDevice", 20, "if=/dev/zero of=/new bs=4k count=30 oflag=direct"),
    )
]


@pytest.mark.parametrize(("name", "rate", "words"), THROTTLES)
def test_throttle(runtime: Caller, name: str, rate: int, words: str) -> None:
    """blockIO.throttle…Device: reading or writing 1.5 times as much as the rate allows in a second takes 1.5 s, without a limit a moment."""
    major, minor = disk(runtime.directory)
    clock = "cut -d' ' -f1 /proc/uptime"
    seconds = []
    for limit in (rate, rate * 1000):
        bundle = limited(
            runtime,
            f"{clock}; dd {words} status=none && {clock}",
            blockIO={name: [{"major": major, "minor": minor, "rate": limit}]},
        )
        written(bundle.rootfs / "data", 2 * MEGABYTE)
        began, ended = map(float, runtime.run(bundle).ok().out.split())
        seconds.append(ended - began)
    assert seconds[0] > 0.8
    assert seconds[1] < seconds[0] / 2


@pytest.fixture
def bfq_disk(workplace: Path) -> Iterator[tuple[int, int]]:
    """The numbers of a loop device that the scheduler BFQ serves."""
    file = written(workplace / "bfq", 16 * MEGABYTE)
    name = said(["losetup", "--direct-io=on", "--find", "--show", str(file)])
    try:
        scheduler = Path(f"/sys/block/{Path(name).name}/queue/scheduler")
        if "bfq" not in scheduler.read_text():
            pytest.skip("the kernel has no scheduler BFQ")
        scheduler.write_text("bfq")
        # Else it favours whom it takes for an interactive process.
        (scheduler.parent / "iosched/low_latency").write_text("0")
        number = os.stat(name).st_rdev
        yield os.major(number), os.minor(number)
    finally:
        said(["losetup", "--detach", name])
        file.unlink()


def read_bytes(counters: Counters, device: tuple[int, int]) -> int:
    """What the container has read of the disk."""
    name = f"{device[0]}:{device[1]}"
    text = counters.text("blkio" if on_v1("blkio") else "io", "blkio.bfq.io_service_bytes", "io.stat")
    for words in map(str.split, text.splitlines()):
        if words[0] == name and on_v1("blkio") and words[1] == "Read":
            return int(words[2])
        if words[0] == name and not on_v1("blkio"):
            return int(dict(word.split("=") for word in words[1:])["rbytes"])
    return 0


@pytest.mark.not_on("runc", "crun", reason="their error for a host without BFQ differs")
@pytest.mark.proves("/linux/resources/blockIO/weight")
@pytest.mark.proves("/linux/resources/blockIO/weightDevice/*/major")
@pytest.mark.proves("/linux/resources/blockIO/weightDevice/*/minor")
@pytest.mark.proves("/linux/resources/blockIO/weightDevice/*/weight")
@pytest.mark.parametrize("kind", ["weight", "weightDevice"])
def test_weight(runtime: Caller, bfq_disk: tuple[int, int], kind: str) -> None:
    """blockIO.weight and weightDevice: of two containers that read one disk, the one with eight times the weight reads
    at least 1.5 times as much (the disk serves several at once, so not eight times)."""
    device = {"major": bfq_disk[0], "minor": bfq_disk[1]}
    # Several readers each: the disk always has a choice.
    script = "for i in 1 2 3 4; do while :; do dd if=/dev/x of=/dev/null bs=256k iflag=direct; done & done; wait"
    counters = []
    for weight in (800, 100):
        blocks = {"weight": weight} if kind == "weight" else {"weightDevice": [{**device, "weight": weight}]}
        bundle = limited(runtime, script, blockIO=blocks)
        bundle.linux["devices"] = [{"path": "/dev/x", "type": "b", **device}]
        bundle.linux["resources"]["devices"] = [{"allow": True, "type": "b", **device, "access": "r"}]
        counters.append(Counters(runtime, runtime.launch(bundle.save())))
    for _ in range(5):  # readers that want for a processor leave the disk nothing to choose: then again
        before = [read_bytes(one, bfq_disk) for one in counters]
        time.sleep(2)
        more, less = (read_bytes(one, bfq_disk) - first for one, first in zip(counters, before, strict=True))
        if more > 1.5 * less > 0:
            break
    assert more > 1.5 * less > 0


def test_weight_without_bfq(runtime: Caller) -> None:
    """blockIO.weightDevice: where the disk's scheduler takes no weights, the refusal names the property."""
    major, minor = disk(runtime.directory)
    if "[bfq]" in Path(f"/sys/dev/block/{major}:{minor}/queue/scheduler").read_text():
        pytest.skip("BFQ serves the disk")
    blocks = {"weightDevice": [{"major": major, "minor": minor, "weight": 55}]}
    result = runtime.try_create(limited(runtime, "true", blockIO=blocks)).failed(1)
    assert "/linux/resources/blockIO/weightDevice/0/weight" in result.err
