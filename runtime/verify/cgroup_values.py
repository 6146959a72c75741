"""Whether a cgroup file's content is what the kernel makes of a value that was written to it. Pure."""

from runtime.errors import InvalidConfig
from runtime.plan.attributes import MAX_CPUS, numbers

from .mount_data import PAGE, size

SHARES = (2, 1 << 18)  # the kernel's bounds of cpu.shares
UNLIMITED = ("max", "-1")
# v1 shows "unlimited" as the largest number of pages, in bytes.
LARGEST = (1 << 63) - PAGE - 1


def same(file: str, written: str, present: str) -> bool:
    """``present``: the file's line that a write of ``written`` is about, as `runtime.cgroups.update.former` finds it."""
    if written == present:
        return True
    if file == "pids.max" and {written, present} == {"0", "1"}:
        return True  # neither lets the first process make another
    if file in ("cpuset.cpus", "cpuset.mems"):
        return _listed(written) == _listed(present)
    if "=" in written:
        fields = present.split()
        return all(any(_word(file, one, other) for other in fields) for one in written.split())
    ours, theirs = written.split(), present.split()
    return len(ours) == len(theirs) and all(_word(file, *pair) for pair in zip(ours, theirs, strict=True))


def _listed(text: str) -> "set[str] | None":
    try:
        return set(numbers(text, MAX_CPUS, "number", ""))
    except InvalidConfig:
        return None


def _word(file: str, written: str, present: str) -> bool:
    name, equals, value = written.rpartition("=")
    other, also, shown = present.rpartition("=")
    if written == present or (name, equals) != (other, also):
        return written == present
    wanted, actual = _number(value), _number(shown)
    if wanted is None or actual is None:
        return value == shown
    if file == "cpu.shares":
        wanted = min(max(wanted, SHARES[0]), SHARES[1])
    unit = _unit(file)
    return wanted // unit == actual // unit


def _number(text: str) -> "int | None":
    """A limit; unlimited is LARGEST. None for text."""
    if text in UNLIMITED:
        return LARGEST
    try:
        return min(size(text), LARGEST)
    except ValueError:
        return None


def _unit(file: str) -> int:
    """The kernel counts memory in pages, and huge pages in theirs: "hugetlb.2MB.max"."""
    controller, _, rest = file.partition(".")
    if controller == "hugetlb":
        return _number(rest.partition(".")[0].removesuffix("B")) or 1
    return PAGE if controller == "memory" and "swappiness" not in file and "oom" not in file else 1
