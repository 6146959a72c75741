"""runtime.criu.log: what is quoted of CRIU's log."""

import os

from runtime.criu import log

TEXT = b"""(00.000004) Will do this
(00.010000) Error (criu/a.c:1): first
(00.020000) Warn  (criu/b.c:2): not this
(00.030000)     17: Error (criu/c.c:3): second \xff
(00.040000) Error (criu/d.c:4): third
(00.050000) Error (criu/e.c:5): Dumping FAILED.
"""


def test_the_last_errors_are_quoted():
    """The last three error lines, without time and process, oldest first."""
    assert log.quoted(TEXT) == [
        "Error (criu/c.c:3): second \ufffd",
        "Error (criu/d.c:4): third",
        "Error (criu/e.c:5): Dumping FAILED.",
    ]


def test_a_log_is_read_in_its_directory(tmp_path):
    """A missing log has nothing to quote, and neither have a link and a fifo, which are not opened."""
    (tmp_path / "dump.log").write_bytes(TEXT)
    (tmp_path / "link").symlink_to("dump.log")
    os.mkfifo(tmp_path / "fifo")
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        assert len(log.errors(directory, "dump.log")) == 3
        assert [log.errors(directory, name) for name in ("missing", "link", "fifo")] == [[], [], []]
    finally:
        os.close(directory)
