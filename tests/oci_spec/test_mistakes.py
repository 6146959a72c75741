"""A text that is not JSON, and a document of another kind, are named as what they are, with what to write."""

import json

import pytest

import oci_spec

# text, column of line 1 (or line and column), words of the message, hint
MISTAKES = [
    ('{"a": 1, // c\n}', 10, "a comment", "remove it; notes may be kept in annotations"),
    ('{"a": # c\n1}', 7, "a comment", "remove it; notes may be kept in annotations"),
    ('{"a": 1, /* c */ "b": 2}', 10, "a comment", "remove it; notes may be kept in annotations"),
    ('{"a": 1,\n}', 8, "a comma before }", "remove the comma"),
    ('{"a": [1, ]}', 9, "a comma before ]", "remove the comma"),
    ('{"a": 1,,"b":2}', 9, "a comma without a value", "remove the comma"),
    ("{'a': 1}", 2, "a string in single quotes", 'write "a"'),
    ('{"a": \'it"}', 7, "a string in single quotes", 'write "it"'),
    ("{\u201ca\u201d: 1}", 2, "a string in typographic quotes", 'write "a"'),
    ("{`a`: 1}", 2, "a string in backticks", 'write "a"'),
    ('{\xa0"a": 1}', 2, "a no-break space (U+00A0)", "type a space in its place"),
    ('{"a": 1\u200b}', 8, "a zero-width space (U+200B)", "remove it"),
    ('{"a": True}', 7, "True is not a JSON value", "write true"),
    ('{"a": no}', 7, "no is not a JSON value", "write false"),
    ('{"a": ture}', 7, "ture is not a JSON value", "write true"),
    ('{"a": None}', 7, "None is not a JSON value", "leave the property out"),
    ('{"a": NaN}', 7, "NaN is not a JSON value", "write a number"),
    ('{"a": hello world}', 7, "hello is not a JSON value", 'write "hello world"'),
    ("{a: 1}", 2, "the property name a is without quotes", 'write "a"'),
    ('{"a": 022}', 7, "022 begins with 0", "write 18 for octal 022, or 22"),
    ('{"a": -099}', 7, "-099 begins with 0", "write -99"),
    ('{"a": 0x400}', 7, "0x400 is hexadecimal", "write 1024"),
    ('{"a": 0o22}', 7, "0o22 is octal", "write 18"),
    ('{"a": +1}', 7, "+1 begins with +", "write 1"),
    ('{"a": .5}', 7, ".5 has no digit before the point", "write 0.5"),
    ('{"a": 1.}', 7, "1. has no digit after the point", "write 1"),
    ('{"a": 1_000}', 7, "1_000 has underscores", "write 1000"),
    ('{"a": 64MB}', 7, "64MB has a unit", "write 67108864"),
    ('{"a": 12abc}', 7, "12abc is not a number", None),
    ('{"a" = 1}', 6, "= in the place of a colon", "write :"),
    ('{"a" 1}', 5, "a colon is missing", "write :"),
    ('{"a": 1;}', 8, "a semicolon", "write a comma"),
    ('{"a": 1 "b": 2}', 8, "a comma is missing", "write one after the value"),
    ('{"a": "b"\n  "c": 2}', 10, "a comma is missing", "write one after the value"),
    ('{"a":,"b":1}', 6, "there is no value between : and ,", "write one, or leave the property out"),
    ('{"a": ...}', 7, "an ellipsis", "write what belongs here"),
    ('{"a": {{ .x }}}', 7, "{{ .x }} was left by a template", "fill in the template's value"),
    ('{"a": ${X}}', 7, "${X} was left by a template", "fill in the template's value"),
    ('{"a": "x\ny"}', 7, "the string is not closed on its line", 'write " at its end, or \\n for a line break in it'),
    ('{"a": "x', 7, "the string is not closed on its line", 'write " at its end, or \\n for a line break in it'),
    ('{"a": "x\ty"}', 9, "a control character (U+0009) in a string", "write \\t"),
    ('{"a": "\\d"}', 8, "JSON has no escape \\d", "write \\\\d for a backslash and d"),
    ('{"a": "\\x41"}', 8, "JSON has no escape \\x41", "write \\u0041"),
    (
        '{"a": "say "hi""}',
        12,
        "the string ends here",
        'write \\" for a quote inside a string, or close the string before it',
    ),
    ('{"a": 1}}', 9, "} closes nothing", "remove it, or look for one too many before it"),
    ('{"a": [1, 2}', 12, "} cannot close the [ of line 1", "write ]"),
    ('{"a": [1\n', (2, 1), "the text ends, but the [ of line 1 is not closed", "write ]"),
    ("{} {}", 4, "a second document begins", "leave one in the file"),
    ("{} end", 4, "text after the end of the document", "remove it"),
    (
        '{\n<<<<<<< HEAD\n"a": 1\n=======\n',
        (2, 1),
        "a merge conflict",
        "keep one of the two sides, and remove the markers",
    ),
    ("ociVersion: 1.2.0\n", 1, "the file looks like YAML", "convert it to JSON"),
    ("", 1, "the file is empty", "ocirun spec writes a config.json to begin with"),
    ("\ufeff{}", 1, "a byte order mark", "save it as UTF-8 without a byte order mark"),
    (
        "<html></html>",
        1,
        "the text does not begin like JSON",
        "give the path of a config.json: a JSON object in braces",
    ),
]
FILES = [
    (b"\x7fELF\x02\x01", "the file is a program (ELF)", "give the path of a config.json"),
    (b"\x1f\x8b\x08", "the file is compressed (gzip)", "give the path of a config.json"),
    ("{}".encode("utf-16"), "the file is UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"),
    (b'{"a": "\xff"}', "byte 0xff is not UTF-8", "save the file as UTF-8"),
]
DOCUMENTS = [
    ({"schemaVersion": 2, "layers": [], "config": {}}, "config", "an image's manifest"),
    ({"schemaVersion": 2, "manifests": []}, "config", "an image's index"),
    ({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}, "config", "an image's config"),
    ([{"Config": "a.json", "RepoTags": [], "Layers": []}], "config", "a docker-archive's manifest"),
    ({"apiVersion": "v1", "kind": "Pod", "spec": {}}, "config", "a Kubernetes object"),
    ([{"Id": "1", "HostConfig": {}}], "config", "what docker inspect prints"),
    ({"ociVersion": "1.0.2", "id": "c", "status": "running"}, "config", "a state document"),
    ({"args": ["sh"], "cwd": "/"}, "config", "a process document"),
    ({"ociVersion": "1.0.2", "process": {}}, "process", "a whole config"),
]


@pytest.mark.parametrize(("text", "place", "message", "hint"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named(text, place, message, hint):
    """The message says what is there, the hint what to write, and the place is where it begins."""
    (problem,) = oci_spec.check(text.encode())
    assert (problem.line, problem.column) == (place if isinstance(place, tuple) else (1, place))
    assert problem.message.startswith(message)
    assert problem.hint == hint
    assert problem.rule == "json"


@pytest.mark.parametrize(("data", "message", "hint"), FILES, ids=range(len(FILES)))
def test_another_format_is_named(data, message, hint):
    """A file that is no text at all is named by how it begins."""
    (problem,) = oci_spec.check(data)
    assert problem.message.startswith(message)
    assert problem.hint == hint


@pytest.mark.parametrize(("value", "kind", "message"), DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_another_document_is_named(value, kind, message):
    """JSON of another kind gives one error, which says what it is, instead of an error for each property."""
    (problem,) = oci_spec.check(json.dumps(value).encode(), kind)
    assert problem.message.startswith(f"this is {message}")
    assert problem.hint
    assert problem.rule == "document"
