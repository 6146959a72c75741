"""docs/cgroups.md has a row for each test of the list, with a result in each column."""

from tests import cgroup_list


def rows() -> dict[str, list[str]]:
    """Test -> the words of its row."""
    found = {}
    for line in cgroup_list.PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").replace("\\|", "\0").split(" | ")]
        if len(cells) == 5 and cells[1].startswith("`"):
            found[cells[1].strip("`")] = [cells[0].replace("\0", "|"), *cells[2:]]
    return found


def test_every_test_of_the_list_has_its_row() -> None:
    """With the words of its docstring: `make cgroups` writes the page anew."""
    wanted = {test.removeprefix("tests/integration/"): text for test, text in cgroup_list.tests().items()}
    assert {test: row[0] for test, row in rows().items()} == wanted


def test_each_passes_or_says_why_not() -> None:
    """And none is absent everywhere."""
    for test, (_, *words) in rows().items():
        assert all(word == "passes" or word.startswith("absent: ") for word in words), test
        assert "passes" in words, test


def test_the_list_is_found() -> None:
    """In both places that it stands in: a mark for a whole file, and for one test."""
    tests = cgroup_list.tests()
    assert "tests/integration/resources/test_memory.py::test_swap" in tests
    assert "tests/integration/test_pause.py::test_nothing_runs_while_paused" in tests
    assert "tests/integration/test_pause.py::test_wrong_states" not in tests
    assert all(text.endswith(".") for text in tests.values())
