"""The schema itself: valid, described, dated; and the shapes that are made from it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import oci_spec
from oci_spec import generate_types
from oci_spec.generate_shapes import generate
from oci_spec.report import schema_rows
from oci_spec.schema_files import SCHEMA, schemas
from oci_spec.schemas import validator
from tests.oci_spec.reference import CONFIGS, REFERENCE, examples, needs_reference

PACKAGE = Path(oci_spec.__file__).parent


def properties(schema, pointer="#"):
    """(pointer, schema) of every property in a schema file."""
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            yield f"{pointer}/properties/{name}", inner
        for name, inner in schema.items():
            yield from properties(inner, f"{pointer}/{name}")


@pytest.mark.parametrize("name", sorted(schemas()))
def test_schema_file_is_valid(name):
    """Each file is a JSON Schema 2020-12."""
    assert schemas()[name]["$schema"].endswith("2020-12/schema")
    Draft202012Validator.check_schema(schemas()[name])


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_property_is_described(name):
    """Each property has a title, a description and the release that it came in."""
    for pointer, schema in properties(schemas()[name]):
        if pointer.split("/")[-2] == "properties" and isinstance(schema, dict):
            assert {"title", "description", "x-since"} <= set(schema), pointer
            assert schema["description"].endswith("."), pointer


def since(path):
    """The release of a property by our schema: the newest along its path."""
    release, schema, file = "v1.0.0", schemas()["config.json"], "config.json"

    def step(schema, file):
        while "$ref" in schema:
            target, _, name = schema["$ref"].partition("#/$defs/")
            file = target or file
            schema = schemas()[file]["$defs"][name] if name else schemas()[file]
        return schema, file

    for name in path.split("/")[1:]:
        schema, file = step(schema, file)
        many = schema.get("items") or schema.get("additionalProperties")
        schema = many if name == "*" else schema["properties"][name]
        release = max(release, schema.get("x-since", release))
    return release


@needs_reference
def test_releases_are_those_of_the_reference():
    """Along the path to each property the newest x-since is the release that the reference names."""
    for path, release in json.loads((REFERENCE / "since.json").read_text()).items():
        assert since(path) == release, path


def test_generated_shapes_are_current():
    """The committed shapes are what the generator makes from the schema."""
    for name, text in generate().items():
        assert (PACKAGE / name).read_text() == text, f"{name}: run python -m oci_spec.generate_shapes"


def test_generated_types_are_current():
    """The committed typed dicts are what the generator makes from the schema."""
    assert (PACKAGE / "types.py").read_text() == generate_types.generate(), "run python -m oci_spec.generate_types"


def test_schema_is_packaged():
    """The schema lies inside the package, so a wheel has it."""
    assert SCHEMA.is_dir()
    assert SCHEMA.parent == PACKAGE


@needs_reference
@pytest.mark.parametrize("kind", ["config", "state", "features"])
@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_reference_examples(kind, verdict):
    """The official examples get the official verdict."""
    for path in examples(kind, verdict):
        errors = [p for p in oci_spec.check(path.read_bytes(), kind) if p.severity == "error"]
        assert bool(errors) == (verdict == "bad"), (path.name, errors)


JUNK = st.sampled_from([None, True, 0, -1, 1.0, 2**64, "", "x", "RLIMIT_CORE\n", [], [0], ["a"], {}, {"type": "pid"}])


@st.composite
def documents(draw, schema, file, depth=0):
    """A document drawn from a schema, mostly valid."""
    while "$ref" in schema:
        target, _, name = schema["$ref"].partition("#/$defs/")
        file = target or file
        schema = schemas()[file]["$defs"][name] if name else schemas()[file]
    if draw(st.integers(0, 30)) == 7:
        return draw(JUNK)
    kind = schema["type"]
    if kind == "object":
        known = schema.get("properties", {})
        names = set(schema.get("required", ())) if draw(st.integers(0, 20)) else set()
        names |= set(draw(st.lists(st.sampled_from(sorted(known)), max_size=5))) if known else set()
        value = {name: draw(documents(known[name], file, depth + 1)) for name in sorted(names) if name in known}
        other = schema.get("additionalProperties")
        if other or not draw(st.integers(0, 9)):
            value[draw(st.text(max_size=3))] = draw(documents(other, file, depth + 1)) if other else draw(JUNK)
        return value
    if kind == "array":
        return draw(st.lists(documents(schema["items"], file, depth + 1), max_size=3))
    if kind == "integer":
        low, high = schema.get("minimum", -(2**70)), schema.get("maximum", 2**70)
        return draw(st.integers(low - 1, high + 1) | st.sampled_from([low, high]))
    if kind == "boolean":
        return draw(st.booleans())
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    return draw(st.from_regex(schema["pattern"]) if "pattern" in schema else st.text(max_size=4) | st.just("/a"))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_shapes_and_jsonschema_agree(data):
    """Whatever the document, the shape holds exactly when jsonschema finds no error."""
    kind = data.draw(st.sampled_from(["config", "config", "config", "process", "state", "features"]))
    document = data.draw(documents(schemas()[f"{kind}.json"], f"{kind}.json"))
    assert oci_spec.verify(document, kind) == validator(kind).is_valid(document)
    assert oci_spec.verify(document, kind) == (not list(schema_rows(document, kind)))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_rules_stand_any_document(data):
    """Rules never fail on a document that the schema accepts, and check finds what load_checked finds."""
    kind = data.draw(st.sampled_from(["config", "config", "config", "process", "state", "features"]))
    document = data.draw(documents(schemas()[f"{kind}.json"], f"{kind}.json"))
    try:
        text = json.dumps(document).encode()
        oci_spec.load(text)
    except ValueError:
        return  # half of a surrogate pair
    problems = oci_spec.check(text, kind)
    assert problems == sorted(problems, key=oci_spec.Problem.order)
    _, hot = oci_spec.load_checked(text, kind)
    assert [p for p in hot if p.severity == "error"] == [p for p in problems if p.severity == "error"]
    assert set(hot) <= set(problems)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_real_configs_satisfy_the_schema(path):
    """The shapes and jsonschema accept the configs that managers write."""
    kind = "process" if "exec" in path.stem else "config"
    value = json.loads(path.read_bytes())
    assert oci_spec.verify(value, kind)
    assert validator(kind).is_valid(value)
