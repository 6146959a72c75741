"""A cgroup file's content against the value that was written."""

import pytest

from runtime.verify.cgroup_values import same

ALIKE = [
    ("memory.limit_in_bytes", "50000001", "49999872"),
    ("memory.limit_in_bytes", "-1", "9223372036854771712"),
    ("memory.max", "max", "max"),
    ("memory.max", "50000001", "49999872"),
    ("memory.high", "1G", "1073741824"),
    ("memory.swappiness", "60", "60"),
    ("hugetlb.2MB.max", "3000000", "2097152"),
    ("hugetlb.1GB.limit_in_bytes", "1073741825", "1073741824"),
    ("cpu.shares", "1", "2"),
    ("cpu.shares", "999999", "262144"),
    ("cpu.max", "max 100000", "max 100000"),
    ("cpuset.cpus", "0,1,2,5", "0-2,5"),
    ("cpuset.mems", "0-0", "0"),
    ("pids.max", "max", "max"),
    ("pids.max", "1", "0"),
    ("io.max", "8:0 rbps=1000", "8:0 rbps=1000 wbps=max riops=max wiops=max"),
    ("rdma.max", "mlx5_0 hca_handle=2", "mlx5_0 hca_handle=2 hca_object=max"),
    ("blkio.throttle.read_bps_device", "8:0 1000", "8:0 1000"),
    ("net_prio.ifpriomap", "lo 5", "lo 5"),
    ("cpu.cfs_quota_us", "-1", "-1"),
]
OTHERS = [
    ("memory.limit_in_bytes", "50000001", "50003968"),
    ("memory.limit_in_bytes", "-1", "49999872"),
    ("memory.max", "50000001", "max"),
    ("memory.swappiness", "60", "61"),
    ("hugetlb.2MB.max", "3000000", "0"),
    ("cpu.shares", "512", "513"),
    ("cpu.max", "50000 100000", "max 100000"),
    ("cpuset.cpus", "0-1", "0"),
    ("pids.max", "10", "max"),
    ("pids.max", "10", "1"),
    ("io.max", "8:0 rbps=1000", "8:0 rbps=max wbps=1000 riops=max wiops=max"),
    ("io.max", "8:0 rbps=1000", "8:16 rbps=1000 wbps=max riops=max wiops=max"),
    ("net_prio.ifpriomap", "lo 5", "lo 0"),
    ("blkio.throttle.read_bps_device", "8:0 1000", "8:0 0"),
    ("cpuset.cpus", "0-1", ""),
]


@pytest.mark.parametrize(("file", "written", "present"), ALIKE)
def test_what_the_kernel_makes_of_it(file: str, written: str, present: str):
    """Rounded to pages, bounded, or with the fields that were not written."""
    assert same(file, written, present)


@pytest.mark.parametrize(("file", "written", "present"), OTHERS)
def test_another_value(file: str, written: str, present: str):
    """What the kernel would not have made of it."""
    assert not same(file, written, present)
