"""The hint at a program of init that the next container can share."""

from __future__ import annotations

from pathlib import Path

from runtime.lifecycle import init_program, store


def test_the_link_is_a_hint(root: Path) -> None:
    """The last one lent counts; deleting another container leaves it; whatever else is there is no hint, and no error."""
    root.mkdir(parents=True, exist_ok=True)
    assert init_program.lent(str(root)) is None
    init_program.lend(str(root), 7, 70)
    init_program.lend(str(root), 8, 80)
    assert init_program.lent(str(root)) == ("/proc/8/exe", 80)
    init_program.withdraw(str(root), 7)
    assert store.ids(str(root)) == []
    assert init_program.lent(str(root)) == ("/proc/8/exe", 80)
    init_program.withdraw(str(root), 8)
    assert list(root.iterdir()) == []
    (root / ".init").symlink_to("elsewhere")
    assert init_program.lent(str(root)) is None
    init_program.lend(str(root), 7, 70)
    assert init_program.lent(str(root)) == ("/proc/7/exe", 70)
    (root / ".init").unlink()
    (root / ".init").mkdir()
    assert init_program.lent(str(root)) is None
    init_program.lend(str(root), 7, 70)
    init_program.withdraw(str(root), 7)
    assert (root / ".init").is_dir()
