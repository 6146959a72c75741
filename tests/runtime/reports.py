"""Reports as init sends them, and what is none: the messages that the parent's readers are tried with."""

from __future__ import annotations

from hypothesis import strategies as st

from runtime.lifecycle.start import REPORT

Message = tuple[bytes, int]
"""Its bytes, and how many descriptors come with it."""


def messages(indices: st.SearchStrategy[int], most: int) -> st.SearchStrategy[list[Message]]:
    """Up to ``most`` of them; ``indices`` are those of operations that there are, and of some that there are not."""
    reports = st.builds(
        lambda kind, index, error, step, detail: REPORT.pack(kind, index, error, step, detail, 0),
        st.one_of(st.integers(1, 8), st.integers(0, 2**32 - 1)),
        indices,
        st.integers(-(2**31), 2**31 - 1),
        st.one_of(st.integers(0, 60), st.integers(0, 2**32 - 1)),
        st.one_of(st.integers(0, 2**16), st.integers(-(2**63), 2**63 - 1)),
    )
    data = st.one_of(reports, reports, st.binary(max_size=100))
    return st.lists(st.tuples(data, st.sampled_from([0, 0, 0, 1, 1, 2, 3])), min_size=1, max_size=most)
