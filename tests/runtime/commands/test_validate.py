"""`ocirun validate`: the report as text and as JSON, and the exit status."""

import json
import os
import re
import subprocess

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from oci_spec.default import default
from runtime.commands.validate import validate
from runtime.errors import OcirunError
from runtime.lifecycle import planning
from tests.elf import elf
from tests.oci_spec.rules_page import LATER
from tests.runtime.plan import schema_configs


@pytest.fixture
def bundle(tmp_path):
    """A bundle with the default config and a shell that can be found."""
    for name in ("bin", "dev", "proc", "sys"):
        (tmp_path / "rootfs" / name).mkdir(parents=True)
    (tmp_path / "rootfs/bin/sh").write_bytes(elf())
    (tmp_path / "rootfs/bin/sh").chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps(default(), indent="\t"))
    return tmp_path


def edit(bundle, old, new):
    file = bundle / "config.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def report(path, **options):
    text, status = validate(str(path), "json", **options)
    return json.loads(text)["problems"], status


def test_good_bundle(bundle):
    """A good bundle has no problem, by its directory and by its file."""
    assert report(bundle) == ([], 0)
    assert report(bundle / "config.json") == ([], 0)
    assert validate(str(bundle)) == (f"{bundle}/config.json: no problems\n", 0)


def test_json_shape(bundle):
    """A problem has just the documented members."""
    edit(bundle, '"cwd": "/"', '"cwd": "tmp"')
    problems, status = report(bundle)
    assert status == 1
    assert list(problems[0]) == ["pointer", "line", "column", "severity", "message", "hint", "rule"]
    assert problems[0]["pointer"] == "/process/cwd"
    assert problems[0]["rule"] == "cwd_absolute"


def test_text_shows_the_line_with_a_caret(bundle):
    """The caret stands under the value, whatever the indentation."""
    edit(bundle, '"cwd": "/"', '"cwd": "tmp"')
    text, status = validate(str(bundle))
    assert status == 1
    lines = text.splitlines()
    assert "error: /process/cwd: 'tmp' is not an absolute path [cwd_absolute]" in lines[0]
    assert lines[1][lines[2].index("^") :].startswith('"tmp"')
    assert lines[-1].endswith("config.json: 1 error")


def test_long_line_is_cut_around_the_caret(bundle):
    """Of a config on one line only the part around the place is shown."""
    config = default()
    config["linux"]["maskedPaths"] = ["relative"]
    (bundle / "config.json").write_text(json.dumps(config))
    lines = validate(str(bundle))[0].splitlines()
    assert len(lines[1]) < 120
    assert lines[1][lines[2].index("^") :].startswith('"relative"')


def test_text_is_safe_for_a_terminal(bundle):
    """No escape sequence of a config reaches the terminal."""
    edit(bundle, '"cwd": "/"', '"cwd": "/", "\\u001b[31mred\\u009b": "\\u001b[2J"')
    edit(bundle, '"hostname": "ocirun"', '"hostname": "\u202eevil"')
    text, _ = validate(str(bundle))
    assert all(c.isprintable() or c == "\n" for c in text)


def test_no_host(bundle):
    """--no-host leaves out what only the host can tell."""
    edit(bundle, '"rootfs"', '"rootfs/nowhere"')
    problems, status = report(bundle)
    assert (problems[0]["pointer"], problems[0]["rule"], status) == ("/root/path", "host:rootfs", 1)
    assert [p["rule"] for p in report(bundle, no_host=True)[0]] == ["root_path_custom"]
    assert report(bundle, no_host=True)[1] == 0


def test_host_checks_beside_schema_errors(bundle):
    """A config that the schema refuses is checked against the host all the same."""
    edit(bundle, '"rootfs"', '"nowhere"')
    edit(bundle, '"terminal": true', '"terminal": "yes"')
    assert {"schema:type", "host:rootfs"} <= {p["rule"] for p in report(bundle)[0]}


MOUNTS = '"mounts": ['
TMPCOPYUP = '{"destination": "/x", "type": "ramfs", "source": "x", "options": ["tmpcopyup"]}'


def test_what_only_the_plan_refuses(bundle, ocirun):
    """A refusal that schema and rules do not have is shown with the pointer that `create` names, once, unless --no-host."""
    edit(bundle, MOUNTS, f"{MOUNTS}{TMPCOPYUP}, ")
    edit(bundle, '"terminal": true', '"terminal": false')
    problems, status = report(bundle)
    assert [(one["pointer"], one["severity"], one["rule"]) for one in problems] == [
        ("/mounts/0/options", "error", "plan")
    ]
    assert status == 1
    place = problems[0]["line"], problems[0]["column"]
    lines = (bundle / "config.json").read_text().splitlines()
    assert lines[place[0] - 1][place[1] - 1 :].startswith('["tmpcopyup"]')
    create = subprocess.run(
        [ocirun, "--root", bundle / "state", "create", "-b", bundle, "x"], capture_output=True, text=True
    )
    assert f"config.json:{place[0]}: /mounts/0/options: {problems[0]['message']}" in create.stderr
    assert report(bundle, no_host=True) == ([], 0)


def test_the_plan_is_asked_beside_what_the_host_lacks(bundle):
    """Also where the rootfs is missing; not where schema or rules have found an error, whose plan would be a guess."""
    edit(bundle, MOUNTS, f"{MOUNTS}{TMPCOPYUP}, ")
    edit(bundle, '"path": "rootfs"', '"path": "none"')
    assert {one["rule"] for one in report(bundle)[0]} >= {"host:rootfs", "plan"}
    edit(bundle, '"cwd": "/"', '"cwd": "tmp"')
    assert "plan" not in {one["rule"] for one in report(bundle)[0]}


def test_a_warning_of_the_plan(bundle):
    """What the plan leaves out is told too; what a rule has told already is not told again."""
    edit(bundle, '"cwd": "/"', '"cwd": "/", "commandLine": "x"')
    pointers = [one["pointer"] for one in report(bundle)[0]]
    assert pointers == ["/process/commandLine"]


@pytest.mark.parametrize("section", ["linux", "root"])
def test_no_plan_without_a_section(bundle, section):
    """A config without one of these is a good document, which `create` refuses."""
    config = {key: value for key, value in default().items() if key != section}
    (bundle / "config.json").write_text(json.dumps(config))
    assert "plan" not in {one["rule"] for one in report(bundle)[0]}


@pytest.mark.parametrize("name", ["missing", "fifo", "empty"])
def test_unreadable_config_is_one_problem(tmp_path, name):
    """Without a config to read the report has one error, and never hangs."""
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    problems, status = report(tmp_path / name)
    assert [(p["rule"], p["severity"]) for p in problems] == [("host:config", "error")]
    assert status == 1


def test_command(bundle, ocirun):
    """The command prints one document, nothing on standard error, and exits 0, 1 or 2."""

    def call(*arguments):
        done = subprocess.run([ocirun, "validate", *arguments], capture_output=True, cwd=bundle, timeout=30)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    assert call() == (0, "config.json: no problems\n", "")
    edit(bundle, '"cwd": "/"', '"cwd": "tmp"')
    status, out, err = call("--format=json", str(bundle))
    assert (status, err, json.loads(out)["problems"][0]["rule"]) == (1, "", "cwd_absolute")
    assert call("--format", "xml")[0] == 2
    assert call("--unknown")[0] == 2
    assert call("a", "b")[0] == 2


def test_sarif(bundle):
    """The result has rule, level, place and words of the problem; rules are listed once."""
    edit(bundle, '"cwd": "/"', '"cwd": "tmp"')
    text, status = validate(str(bundle), "sarif")
    log = json.loads(text)
    (run,) = log["runs"]
    (result,) = run["results"]
    assert (log["version"], status) == ("2.1.0", 1)
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "cwd_absolute"
    assert result["level"] == "error"
    assert result["message"]["text"].endswith("; write /tmp")
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == f"file://{bundle}/config.json"
    (problem,) = report(bundle)[0]
    assert place["physicalLocation"]["region"] == {"startLine": problem["line"], "startColumn": problem["column"]}
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "/process/cwd"


def test_a_config_from_standard_input(bundle, ocirun):
    """Its bundle is the working directory."""
    edit(bundle, '"cwd": "/"', '"cwd": "tmp"')
    done = subprocess.run(
        [ocirun, "validate", "-"], input=(bundle / "config.json").read_bytes(), capture_output=True, cwd=bundle
    )
    assert done.returncode == 1
    assert done.stdout.decode().startswith("<stdin>:")
    assert done.stdout.decode().endswith("<stdin>: 1 error\n")


@pytest.mark.parametrize(
    ("kind", "document", "pointer", "column"),
    [
        ("process", '{"args": ["x"], "user": {"uid": 0, "gid": 0}, "cwd": "y"}', "/cwd", 54),
        ("resources", '{"memory": {"limit": "64M"}}', "/memory/limit", 22),
        ("resources", '{"cpu": {"quota": 5}}', "/cpu/quota", 19),
        ("state", '{"ociVersion": "1.0.2", "id": "", "status": "stopped", "bundle": "/b"}', "/id", 31),
        ("features", '{"ociVersionMin": "one", "ociVersionMax": "1.0.0"}', "/ociVersionMin", 19),
    ],
)
def test_other_documents(tmp_path, kind, document, pointer, column):
    """The documents of exec and update, and those that runtimes write: pointers and columns are the document's own."""
    file = tmp_path / "document.json"
    file.write_text(document)
    problems, status = report(file, kind=kind)
    assert status == 1
    assert (problems[0]["pointer"], problems[0]["line"], problems[0]["column"]) == (pointer, 1, column)


def test_colour(bundle):
    """Colours only on request: the words are the same."""
    edit(bundle, '"cwd": "/"', '"cwd": "tmp"')
    plain, coloured = validate(str(bundle))[0], validate(str(bundle), colour=True)[0]
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b[31merror:" in coloured


REFUSED = [
    ('"cwd": "/"', '"cwd": "tmp"'),
    ('"terminal": true', '"terminal": "yes"'),
    ('"rootfs"', '"nowhere"'),
    ('"type": "pid"', '"type": "pid", "path": "/etc/passwd"'),
    ('"hostname": "ocirun"', '"hostname": "a\\u0000b"'),
    ('"maskedPaths": [', '"maskedPaths": [,'),
    ('"sh"', '"no-such-program"'),
]


@pytest.mark.parametrize(("old", "new"), REFUSED, ids=[new for _, new in REFUSED])
@pytest.mark.usefixtures("needs_root")
def test_create_refuses_at_the_same_place(bundle, ocirun, tmp_path, old, new):
    """`create` refuses what `validate` finds, names the same line and pointer, and makes nothing."""
    edit(bundle, old, new)
    first = next(p for p in report(bundle)[0] if p["severity"] == "error")
    command = [ocirun, "--root", tmp_path / "state", "create", "--bundle", bundle, "--console-socket", "none", "box"]
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert done.returncode == 1
    place = f"config.json:{first['line']}: " + (f"{first['pointer']}: " if first["pointer"] else "")
    assert place + first["message"] in done.stderr.decode()
    assert not (tmp_path / "state" / "box").exists()


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(schema_configs.configs(), st.booleans())
def test_the_verdict_is_the_plans(bundle, config, good):
    """Of any config that the schema allows: an error here where there is no plan, the same place, and none told twice."""
    config = schema_configs.repaired(config) if good else config
    assume(config is not None)
    (bundle / "config.json").write_text(json.dumps(config))
    problems, _ = report(bundle)
    assert len({(one["pointer"], one["message"]) for one in problems}) == len(problems)
    # What the kernel alone would refuse is no part of a plan.
    foreseen = [one for one in problems if one["rule"] not in LATER]
    errors = [one["pointer"] for one in foreseen if one["severity"] == "error"]
    try:
        _, refusal = planning.report(str(bundle), "json")
    except OcirunError as error:
        refusal = error
    assert bool(refusal) == bool(errors)
    assert refusal is None or refusal.pointer in errors
