"""Our schema is as strict as the official one, except for differences listed with their reasons."""

import tomllib

import pytest

from oci_spec import verify
from oci_spec.schemas import validator
from tests.oci_spec.mutations import mixed, mutated
from tests.oci_spec.reference import KINDS, ROOT, needs_reference, official_validator

SEED = 20131
DIFFERENCES = tomllib.loads((ROOT / "tests" / "schema_differences.toml").read_text())["difference"]


@pytest.fixture(scope="module")
def verdicts():
    """(kind, pattern, document, official verdict, ours) of all documents."""
    verdicts = []
    for kind, extra in zip(KINDS, (1500, 100, 200), strict=True):
        for pattern, document in [*mutated(kind), *mixed(kind, extra, SEED)]:
            ours = verify(document, kind)
            verdicts.append((kind, pattern, document, official_validator(kind).is_valid(document), ours))
    return verdicts


def listed(kind, pattern, ours):
    """The entries that allow a difference."""
    word = "accepts" if ours else "refuses"
    for number, entry in enumerate(DIFFERENCES):
        for pointer in entry["pointers"]:
            if kind in entry["kinds"] and entry["ours"] == word and pointer in pattern.split(" "):
                yield number, kind, pointer


@needs_reference
def test_same_verdict_as_the_official_schema(verdicts):
    """Every document of more than 5,000 gets the official verdict, or its difference is listed; every entry is needed."""
    assert len(verdicts) >= 5000
    used = set()
    for kind, pattern, document, official, ours in verdicts:
        if official != ours:
            allowed = set(listed(kind, pattern, ours))
            assert allowed, (kind, pattern, document, f"official {official}, ours {ours}")
            if " " not in pattern:
                used |= allowed
    entries = enumerate(DIFFERENCES)
    wanted = {(number, kind, pointer) for number, e in entries for kind in e["kinds"] for pointer in e["pointers"]}
    assert used == wanted


@needs_reference
def test_both_verdicts_occur(verdicts):
    """The documents are not all junk: many are valid, many are not."""
    right = sum(official for *_, official, _ in verdicts)
    assert right > 500
    assert len(verdicts) - right > 3000


@needs_reference
def test_shapes_agree_on_every_mutation(verdicts):
    """The shapes and jsonschema give each of these documents one verdict."""
    for kind, _, document, _, ours in verdicts:
        assert validator(kind).is_valid(document) == ours, (kind, document)
