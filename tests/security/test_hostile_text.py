"""Strings of a config that are more than text: line ends, escapes of a terminal, NULs, quotes."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.caller import Result
from tests.security.attack import Target, attack

FORGED = 'time="2026-01-01T00:00:00Z" level=error msg="forged"'
# Clears the screen; sets the title; goes to the line's beginning; CSI in one character; turns the direction of writing.
ESCAPES = "x\x1b[2J\x1b]0;title\x07\r\x9b2J\u202ey"
DRIVING = set(ESCAPES) - set("xy[2J]0;title")


def hook(*args: str, path: str = "/bin/sh") -> dict[str, Any]:
    return {"path": path, "args": list(args)}


def run_logged(target: Target, change: dict[str, Any], form: str) -> tuple[Result, list[str]]:
    """`run` with a log, and the log's lines."""
    caller = target.caller
    log = caller.directory / f"log-{caller.new_id()}"
    bundle = caller.bundle(change)
    # `call` puts --root before them.
    words = ["--log", log, "--log-format", form, "run", "--bundle", bundle.directory, caller.new_id()]
    result = caller.call(*words, timeout=20)
    return result, log.read_text(errors="surrogateescape").split("\n") if log.exists() else []


@attack(
    "own find",
    "an argument in the config contains newlines: the attacker forges lines in the log and on standard error",
    stops="messages escape every invisible character",
    bites=("crun",),
)
def test_forged_log_line(target: Target) -> None:
    """The program's name is a whole line of a log. (runc quotes it.)"""
    result, lines = run_logged(target, {"process": {"args": [f"/none\n{FORGED}\n"]}}, "text")
    assert result.code != 0
    target.judge(FORGED in lines or FORGED in result.err.split("\n"), (lines, result.err))
    if target.ours:
        assert len(result.err.splitlines()) == 1
        assert len(lines) == 2, "one line, and the end of it"


# Where a config's string comes into a message.
PLACES: dict[str, dict[str, Any]] = {
    "program": {"process": {"args": [f"/{ESCAPES}"]}},
    "mount": {"mounts": [{"destination": f"/{ESCAPES}", "type": f"t{ESCAPES}", "source": ESCAPES}]},
    "hook": {"hooks": {"createRuntime": [hook("x", path=f"/none/{ESCAPES}")]}},
    "hook's output": {"hooks": {"createRuntime": [hook("sh", "-c", 'printf "%s" "$0" >&2; exit 1', ESCAPES)]}},
    "key": {"linux": {ESCAPES: 1, "seccomp": {"defaultAction": ESCAPES}}},
    "root": {"root": {"path": f"none{ESCAPES}"}},
    "sysctl": {"linux": {"sysctl": {f"net.{ESCAPES}": "1"}}},
    "user": {"process": {"user": {"uid": 0, "gid": 0}, "cwd": f"/{ESCAPES}\0"}},
    "annotation": {"annotations": {f"{ESCAPES}\0": ESCAPES}},
}


@attack(
    "own find",
    "escape sequences in a config's strings drive the terminal of whoever reads the error or the log",
    stops="messages escape every invisible character, on standard error and in the log",
    bites=("runc", "crun"),
)
def test_escapes_in_errors(target: Target) -> None:
    """A string of each kind that an error quotes. The log is JSON: what its reader finds in it is looked at."""
    for place, change in PLACES.items():
        result, lines = run_logged(target, change, "json")
        messages = [json.loads(line)["msg"] for line in lines if line]
        told = result.err.replace("\n", "") + "".join(messages)
        if target.ours:
            assert result.code != 0, place
            assert messages, place
            target.judge(DRIVING & set(told), (place, told))
        elif DRIVING & set(told):
            return
    target.judge(False, "no place lets an escape through")


@attack(
    "own find",
    "the same in output for people: validate, list, a traceback",
    stops="the same, in every cell and line",
)
def test_escapes_in_reports(target: Target) -> None:
    """What `list` and `validate` print for people is as clean; `--debug` too."""
    caller = target.caller
    bundle = caller.bundle(PLACES["key"])
    moved = bundle.directory.with_name(f"b{ESCAPES.replace('/', '')}")
    bundle.directory.rename(moved)
    told = [caller.call("validate", moved), caller.call("--debug", "run", "--bundle", moved, caller.new_id())]
    config = json.loads((moved / "config.json").read_text())
    del config["linux"][ESCAPES], config["linux"]["seccomp"]
    (moved / "config.json").write_text(json.dumps(config))
    id = caller.new_id()
    caller.call("create", "--bundle", moved, id, output=caller.directory / "made").ok()
    told.append(caller.call("list"))
    for result in told:
        assert not DRIVING & set(result.out + result.err), result
    assert "\\x1b[2J" in told[2].out


CUT: dict[str, dict[str, Any]] = {
    "mount": {"mounts": [{"destination": "/tmp\0/elsewhere", "type": "tmpfs", "source": "x"}]},
    "type": {"mounts": [{"destination": "/tmp", "type": "tmpfs\0x", "source": "x"}]},
    "option": {"mounts": [{"destination": "/tmp", "type": "tmpfs", "source": "x", "options": ["size=1m\0,ro"]}]},
    "cwd": {"process": {"cwd": "/tmp\0/x"}},
    "argument": {"process": {"args": ["true", "a\0b"]}},
    "environment": {"process": {"env": ["PATH=/bin", "A=b\0C=d"]}},
    "hostname": {"hostname": "a\0b"},
    "masked path": {"linux": {"maskedPaths": ["/proc/keys\0x"]}},
    "root": {"root": {"path": "rootfs\0/none"}},
    "hook's path": {"hooks": {"createRuntime": [hook("true", path="/bin/true\0x")]}},
    "hook's argument": {"hooks": {"createContainer": [hook("sh", "-c", "true\0; exit 1")]}},
    "hook's environment": {"hooks": {"poststop": [{"path": "/bin/true", "env": ["A=a\0b"]}]}},
    "cgroup": {"linux": {"cgroupsPath": "/x\0y"}},
    "annotation": {"annotations": {"a\0b": "c"}},
}


@attack(
    "own find",
    "a NUL in a string: a checker of the config sees one path, argument or variable, the kernel another",
    stops="NUL is refused in every string",
    bites=("runc", "crun"),
)
def test_nul(target: Target) -> None:
    """The error names the place; nothing is asked of the system with half a string."""
    for place, change in CUT.items():
        result = target.caller.run(target.caller.bundle(change))
        if target.ours:
            target.judge(result.code == 0, place)
            assert "NUL character" in result.err, (place, result.err)
        elif result.code == 0:
            return
    target.judge(False, "each of them is refused")


FORGERY = '","status":"stopped","pid":1,"x":{"\n\\'


@attack(
    "own find",
    "annotations with quotes, newlines or megabytes of text forge or truncate the state that hooks read",
    stops="a JSON encoder writes the state, and a hook gets all of it, however small its pipe",
)
def test_annotations_in_the_state(target: Target) -> None:
    """Each hook has the whole: those that we start and those that init starts. (A reader that is slow shows that the
    pipe's buffer is no limit; crun and runc withstand it too.)"""
    caller = target.caller
    annotations = {FORGERY: FORGERY, "long": "\u2028x" * 1_000_000}
    kept = caller.directory / "kept"
    kept.mkdir()
    kinds = ("createRuntime", "createContainer", "poststart", "poststop")
    hooks = {kind: [hook("sh", "-c", f"sleep 0.1; cat > {kept}/{kind}")] for kind in kinds}
    id = caller.launch(caller.sleeper({"annotations": annotations, "hooks": hooks}))
    assert caller.state(id)["annotations"] == annotations
    caller.remove(id)
    for kind in kinds:
        text = (kept / kind).read_text()
        state = json.loads(text)
        target.judge(state["annotations"] != annotations or state["id"] != id, kind)


@attack(
    "own find",
    "a program's arguments and variables contain newlines, at which a line-based runtime would split them",
    stops="init gets them in records with lengths, hooks by execve",
)
def test_line_ends_arrive(target: Target) -> None:
    """Two variables stay two. (crun and runc withstand it too.)"""
    odd = "a\nB=c\n\x1b[1m"
    seen = {"process": {"env": ["PATH=/bin", f"A={odd}"], "args": ["sh", "-c", 'test "${B-no}" = no && env -0', odd]}}
    result = target.caller.run(target.caller.bundle(seen)).ok()
    target.judge(f"A={odd}" not in result.out.split("\0"), result.out)
    place = target.caller.directory / "hook"
    script = f'test "${{B-no}}" = no && printf "%s" "$A$0" > {place}'
    change = {"hooks": {"createRuntime": [{**hook("sh", "-c", script, odd), "env": [f"A={odd}"]}]}}
    target.caller.run(target.caller.bundle(change)).ok()
    target.judge(place.read_text() != odd + odd)
