"""The annotations of `runtime.plan.annotations` are those that others act on. tests/integration/test_annotations.py shows what they do."""

from runtime.cgroups.systemd import annotations as systemd
from runtime.host import facts
from runtime.plan import PEERS, annotations
from runtime.process import hook_output
from runtime.seccomp import FAIL_UNKNOWN


def test_the_names_are_the_same_everywhere() -> None:
    """A room may not import the others, so each has the names that it needs."""
    assert annotations.KEEP_GROUPS == facts.KEEP_GROUPS
    assert annotations.FAIL_UNKNOWN == FAIL_UNKNOWN
    assert hook_output.ANNOTATIONS == {1: annotations.HOOKS_STDOUT, 2: annotations.HOOKS_STDERR}
    assert systemd.SUBGROUP == annotations.SUBGROUP


def test_every_name_is_looked_at() -> None:
    """The module is imported for each name that it knows."""
    names = [
        *annotations.HONOURED,
        *annotations.REFUSED,
        *annotations.UNLESS_EMPTY,
        *annotations.ELSEWHERE,
        annotations.WASM,
    ]
    assert [name for name in names if not name.startswith(PEERS)] == []
