"""Documents that are too deep, too large or ambiguous: a clear error or a container, in bounded time and memory."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.bundle import Bundle, Config, merge
from tests.integration.caller import Result
from tests.security.attack import Target, attack

DEEP = 2_000_000
MEMORY = 1 << 30  # bytes of address space that a call may take
PATIENCE = 20.0  # seconds; a machine that does other things needs a few of them


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def write(bundle: Bundle, text: str) -> Bundle:
    (bundle.directory / "config.json").write_text(text)
    return bundle


def crashed(result: Result) -> bool:
    """Ended by a signal, with a traceback, or with the words for what nobody has thought of."""
    return result.code < 0 or any(word in result.err for word in ("Traceback", "internal error", "RecursionError"))


@attack(
    "own find",
    "config.json nests two million levels deep: the parser's stack overflows",
    stops="documents of more than 256 levels are refused",
    bites=("crun",),
)
def test_deep_config(target: Target) -> None:
    """Arrays and objects, closed and not. (Go's reader has a limit, too.)"""
    bundle = target.caller.bundle()
    whole = json.dumps(bundle.config)[:-1]
    arrays, objects = "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP
    for text in (f'{whole},"x":{arrays}}}', f'{whole},"annotations":{objects}}}', "[" * DEEP, '{"a":' * DEEP):
        result = target.caller.run(write(bundle, text), timeout=PATIENCE)
        if target.ours:
            target.judge(crashed(result) or result.code == 0, result)
            assert "config.json:1: nested deeper than 256 levels" in result.err
        elif result.code < 0:
            return
    target.judge(False, "the reader has a limit")


@attack(
    "own find",
    "the same in other documents: those of exec --process and update, a forged state",
    stops="the same parser reads them; a damaged record is an error that names the remedy",
)
def test_deep_documents(target: Target) -> None:
    """A clear error from each verb, and the container runs on."""
    caller = target.caller
    id = caller.launch(caller.sleeper())
    file = caller.directory / "deep.json"
    for text in (
        "[" * DEEP,
        '{"memory":{"limit":' + "[" * DEEP,
        '{"args":["true"],"cwd":"/","a":' + "[" * 300 + "]" * 300 + "}",
    ):
        file.write_text(text)
        for words in (("exec", "--process", file, id), ("update", "--resources", file, id)):
            result = caller.call(*words, timeout=PATIENCE)
            target.judge(crashed(result) or result.code == 0, result)
            assert "nested deeper than 256 levels" in result.err
    record = caller.root / id / "state.json"
    kept = record.read_text()
    for text in ("[" * 200_000, '{"a":' * 200_000, '{"pid":' + "9" * 5000 + "}", "", "null"):
        record.write_text(text)
        for words in (("state", id), ("kill", id, "TERM"), ("exec", id, "true"), ("pause", id), ("delete", id)):
            result = caller.call(*words, timeout=PATIENCE)
            target.judge(crashed(result) or result.code == 0, result)
            assert "is damaged" in result.err
        result = caller.call("list", timeout=PATIENCE).ok()
        target.judge(crashed(result), result)
    record.write_text(kept)
    assert caller.status(id) == "running"


NUMBERS = ["1e999", "-1e999", "9" * 100_000, str(1 << 63), str(-(1 << 63) - 1), "1e1", "0.5", "-0.0", "NaN", "Infinity"]


@attack(
    "own find",
    "numbers beyond 64 bits, infinite, or with an exponent, are read as other numbers",
    stops="an integer must be written as one and lie within the schema's bounds",
)
def test_huge_numbers(target: Target) -> None:
    """In each place they are refused by name. (runc and crun refuse these, too.)"""
    bundle = target.caller.bundle()
    for change in (
        {"linux": {"resources": {"memory": {"limit": "@"}}}},
        {"process": {"user": {"uid": "@"}}},
        {"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": "@"}]}},
    ):
        text = json.dumps(merge(bundle.config, change))
        for number in NUMBERS:
            result = target.caller.run(write(bundle, text.replace('"@"', number)), timeout=PATIENCE)
            fits = number in (str(1 << 63),) and "rlimits" in change.get("process", {})
            target.judge(crashed(result) or (result.code == 0 and not fits), (number[:30], result))
            assert fits or "config.json:1: " in result.err
            assert len(result.err) < 1000


def many(count: int, entry: Callable[[int], Any]) -> list[Any]:
    return [entry(number) for number in range(count)]


def tmpfs(number: int) -> dict[str, Any]:
    return {"destination": f"/tmp/m{number}", "type": "tmpfs", "source": "x"}


def node(number: int) -> dict[str, Any]:
    return {"path": f"/dev/x{number}", "type": "c", "major": 1, "minor": 3}


def device_rule(number: int) -> dict[str, Any]:
    return {"allow": True, "type": "c", "major": number, "minor": number, "access": "r"}


def compared(number: int) -> dict[str, Any]:
    argument = {"index": 0, "value": number, "op": "SCMP_CMP_EQ"}
    return {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [argument]}


# What is asked for; "" where it works, else what the error says.
MANY: dict[str, tuple[Config, str]] = {
    "arguments": ({"process": {"args": ["true", *["x"] * 100_000]}}, ""),
    "variables": ({"process": {"env": ["PATH=/bin", *many(50_000, lambda n: f"A{n}=x")]}}, ""),
    "one argument": ({"process": {"args": ["true", "x" * 200_000]}}, "argument list too long"),
    "all arguments": ({"process": {"args": ["true", *["x" * 100_000] * 100]}}, "argument list too long"),
    "devices": ({"linux": {"devices": many(3000, node)}}, ""),
    "device rules": ({"linux": {"resources": {"devices": many(5000, device_rule)}}}, ""),
    "annotations": ({"annotations": {f"a{n}": "x" * 100 for n in range(50_000)}}, ""),
    "hooks": ({"hooks": {"createRuntime": [{"path": "/bin/true"}] * 200}}, ""),
    "limits": ({"process": {"rlimits": [{"type": "RLIMIT_CORE", "hard": 0, "soft": 0}] * 5000}}, "given twice"),
    "paths": ({"linux": {"maskedPaths": many(20_000, lambda n: f"/proc/x{n}")}}, "operations, 16384 at most"),
    "groups": ({"process": {"user": {"uid": 0, "gid": 0, "additionalGids": list(range(65537))}}}, "/process/user: "),
    "comparisons": (
        {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": many(5000, compared)}}},
        "4096 instructions",
    ),
    "sysctls": ({"linux": {"sysctl": {f"net.ipv4.x{n}": "1" for n in range(5000)}}}, "/proc/sys/net/ipv4/x0"),
    "a value": ({"linux": {"sysctl": {"net.ipv4.ip_forward": "1" * 1_000_000}}}, "/linux/sysctl/net.ipv4.ip_forward"),
    "a path": ({"mounts": [{"destination": "/" + "a/" * 5000, "type": "tmpfs", "source": "x"}]}, "/mounts/0"),
    "a name": ({"hostname": "x" * 100_000}, "/hostname"),
    "one big document": ({"annotations": {"a": "x" * (17 << 20)}}, "config.json:1: "),
}


@pytest.mark.parametrize("what", MANY)
@attack(
    "own find",
    "thousands of mounts, devices, limits, hooks or arguments, or one of megabytes, use up the host's time and memory",
    stops="lists are walked once; a plan has at most 16 MiB and 16,384 operations, a config at most 16 MiB",
)
def test_many(target: Target, what: str) -> None:
    """It works or is refused by name, within seconds and within a gigabyte of addresses. (The peers take 12 s and more for
    100,000 mounts; none of the two has a limit.)"""
    change, words = MANY[what]
    bundle = write(target.caller.bundle(), json.dumps(merge(target.caller.bundle().config, change)))
    result = target.caller.run(bundle, timeout=PATIENCE, preexec_fn=limit_memory)
    target.judge(crashed(result) or (result.code != 0) != bool(words), result.err[:500])
    assert words in result.err
    assert len(result.err) < 20_000


@attack(
    "own find",
    "thousands of mounts",
    stops="each is one look-up from an open descriptor; a plan has at most 16,384 operations",
)
def test_many_mounts(target: Target) -> None:
    """2,000 work; 60,000 are refused before anything is made."""
    for count, words in ((2000, ""), (60_000, "operations, 16384 at most")):
        bundle = target.caller.bundle()
        bundle.config["mounts"] += many(count, tmpfs)
        result = target.caller.run(bundle.save(), timeout=PATIENCE, preexec_fn=limit_memory)
        target.judge(crashed(result) or (result.code != 0) != bool(words), result.err[:500])
        assert words in result.err


@attack(
    "own find",
    "85,000 strings are chosen, by the hash seed that is in the image's file, to collide in a dict: reading them takes 12 s",
    stops="a document has at most 65,536 different strings, counted by sorting them",
)
def test_colliding_strings(target: Target) -> None:
    """Which they are makes no difference: refused by their number, before one is hashed. (docs/image.md has the times.)"""
    words = [f"A{number}=" for number in range(85_000)]
    for change in ({"annotations": dict.fromkeys(words, "")}, {"process": {"env": words}}):
        bundle = write(target.caller.bundle(), json.dumps(merge(target.caller.bundle().config, change)))
        for verb in (("create", "--bundle", bundle.directory, target.caller.new_id()), ("validate", bundle.directory)):
            result = target.caller.call(*verb, timeout=PATIENCE)
            target.judge(crashed(result) or result.code == 0, result)
            assert "more than 65536 different strings" in result.out + result.err


@attack(
    "own find",
    "variables of the interpreter and the heap lead to other modules, or to another heap, in a program that root runs",
    stops="the interpreter is isolated (-I), and the image's reads no variable at all",
)
def test_variables_of_the_interpreter(target: Target) -> None:
    """PYTHONPATH with a module that the runtime imports, and the like: the command says what it always says."""
    evil = target.caller.directory / "evil"
    evil.mkdir()
    for name in ("runtime", "oci_spec", "encodings", "posix", "json"):
        (evil / f"{name}.py").write_text("raise SystemExit('evil')\n")
    variables = {"PYTHONPATH": str(evil), "PYTHONHOME": str(evil), "PYTHONSTARTUP": str(evil / "json.py")}
    variables |= {"PYTHONMALLOC": "debug", "PYTHONINSPECT": "1", "PYTHONVERBOSE": "1", "PYTHONHASHSEED": "random"}
    plain = target.caller.call("features")
    told = target.caller.call("features", env={**os.environ, **variables})
    target.judge("evil" in told.out + told.err or (told.code, told.out, told.err) != (0, plain.out, plain.err), told)


@attack(
    "own find",
    "a key is given twice: a checker of the config reads the harmless one, the runtime the other",
    stops="the last one counts, as in the managers' parser (encoding/json); `validate` warns",
    bites=("crun",),
)
def test_repeated_keys(target: Target) -> None:
    """noNewPrivileges false and true, in this order and nested the same way. crun takes the first."""
    bundle = target.caller.shell("grep NoNewPrivs /proc/self/status")
    text = json.dumps(bundle.config)
    for first, last in (("false", "true"), ("true", "false")):
        twice = f'"noNewPrivileges": {first}, "noNewPrivileges": {last}'
        write(bundle, text.replace('"noNewPrivileges": true', twice))
        effective = target.caller.run(bundle).ok().out.split()[1] == "1"
        target.judge(effective != (last == "true"), (first, last))
        if not target.ours:
            return
        told = target.caller.call("validate", bundle.directory).out
        assert "only the last one counts" in told
