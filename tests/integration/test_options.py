"""No option of the command line is taken and then forgotten: with it the outcome is another one (docs/left-out.md)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot
from tests.integration.bundle import Bundle
from tests.integration.caller import TREE, Caller, Result, wait_for
from tests.integration.option_trials import NO_OPS, PROVED, TRIALS, Trial, options

pytestmark = pytest.mark.not_on("runc", "crun", reason="the command line of ocirun")
LOOK = "id; pwd; env | sort; ls /proc/$$/fd; grep -E 'Cap|NoNew' /proc/$$/status; tty; cat /proc/self/cgroup"
LIMITS = re.compile(
    r"^(memory|cpu|cpuset|pids|blkio|io)\.(?!.*(usage|failcnt)).*(limit|max|shares|quota|period|cpus|mems|weight|low|idle)"
)


class Stage:
    """What the scenes work with. ``id`` is the same with and without the option, so that outputs can be compared."""

    def __init__(self, runtime: Caller) -> None:
        self.runtime = runtime
        self.id = runtime.new_id()
        self.directory = runtime.directory / "stage"
        self.directory.mkdir()
        self.bundle = self.made(LOOK)
        self.sleeping = self.made("/bin/sleep 99 & echo up; wait")
        (self.directory / "other").symlink_to(self.made("echo other").directory)
        (self.directory / "nothing.json").write_text("{}")
        process = {"cwd": "/", "args": ["true"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
        (self.directory / "process.json").write_text(json.dumps(process))

    def made(self, script: str) -> Bundle:
        bundle = self.runtime.shell(script, {"process": {"noNewPrivileges": False}})
        bundle.linux["maskedPaths"] = []
        return bundle.save()

    def words(self, trial: Trial, given: bool) -> list[str]:
        fill = {"directory": self.directory, "id": self.id}
        return [word.format(**fill) for word in trial.words] if given else []

    def call(self, *args: str | Path, **options: Any) -> Result:
        return self.runtime.call(*args, reaping=True, **options)

    def sleeper(self) -> None:
        """A container of this id that runs."""
        if self.runtime.known_ids():
            return
        up = self.directory.parent / "up"
        done = self.call("run", "--detach", "--bundle", self.sleeping.directory, self.id, output=up)
        assert done.code == 0, done.err
        wait_for(lambda: "up" in up.with_suffix(".out").read_text(), "the program")
        first = self.runtime.pid(self.id)
        wait_for(lambda: "/bin/sleep 99" in map(snapshot.command_of, snapshot.descendants(first)), "the second program")

    def told(self, result: Result) -> tuple[Any, ...]:
        """What can be compared: status, words without times, and what is there now."""
        err = re.sub(r'time="[^"]*"', "", result.err)
        files = sorted(path.name for path in self.directory.iterdir())
        out = re.sub(r"\d+( of \d+ in use)", r"\1", result.out)  # doctor's keys: others' containers have some too
        return result.code, out, err, files, self.runtime.known_ids()


def make(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    """create and start, or run, in the bundle's directory. Global options come first."""
    front, words = ([], words) if verb else (words, [])
    base = stage.directory.parent / "made"
    call = [*front, verb or "run", *words, stage.id]
    done = stage.call(*call, cwd=stage.bundle.directory, output=base)
    if verb == "create" and done.code == 0:
        stage.call("start", stage.id)
    if stage.runtime.known_ids():
        stage.runtime.wait_status(stage.id)
    output = base.with_suffix(".out").read_text()
    return (*stage.told(done), output)


def within(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    """Another program in a container, which ends with 7."""
    stage.sleeper()
    done = stage.call(verb, *words, stage.id, "sh", "-c", f"{LOOK}; exit 7")
    return stage.told(done)


def kill(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    stage.sleeper()
    done = stage.call(verb, *words, stage.id, "TERM")  # init has no handler: only the sleep ends, by --all
    deadline = time.monotonic() + 3
    while (
        len(pids := json.loads(stage.call("ps", "--format", "json", stage.id).out)) > 1 and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    return (done.code, len(pids))


def matching(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    stage.sleeper()
    return stage.told(stage.call(verb, *words, stage.id[:-1] + ".*", *(["KILL"] if verb == "kill" else [])))


def simple(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    stage.sleeper()
    return stage.told(stage.call(verb, *words, *([stage.id] if verb != "list" else [])))


def document(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    """spec, validate, plan, explain and doctor, which need no container; the bundle's rootfs is not there."""
    bundle = stage.directory / "empty"
    bundle.mkdir(exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(stage.bundle.config))
    if verb == "spec":
        (bundle / "config.json").unlink()
    done = stage.call(verb, *words, *(["hostname"] if verb == "explain" else []), cwd=bundle)
    written = bundle / "config.json"
    return (*stage.told(done), written.exists() and written.read_text())


def failing(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    """state of a container that is there in the usual root only, and of one that is nowhere."""
    assert verb == ""
    stage.sleeper()
    found = stage.call(*words, "state", stage.id)
    missing = stage.call(*words, "state", "nobody")
    return (found.code, *stage.told(missing))


def logged(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    file = stage.directory / "log"
    file.unlink(missing_ok=True)
    stage.call(*(words or ["--log", str(file)]), "state", f"nobody{verb}")
    return (file.read_text()[:1],)


def update(stage: Stage, verb: str, words: list[str]) -> tuple[Any, ...]:
    """The limits in the files of the container's cgroups."""
    stage.sleeper()
    done = stage.call(verb, *(words or ["-r", str(stage.directory / "nothing.json")]), stage.id)
    files: dict[str, str] = {}
    for line in Path(f"/proc/{stage.runtime.pid(stage.id)}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        directory = Path(f"/sys/fs/cgroup/{names.split(',')[0].removeprefix('name=') or 'unified'}{path}")
        directory = directory if directory.is_dir() else Path(f"/sys/fs/cgroup{path}")
        for file in directory.iterdir():
            if LIMITS.match(file.name):
                try:
                    files[file.name] = file.read_text()
                except OSError:
                    continue
    return (done.code, done.err, files)


SCENES: dict[str, Callable[[Stage, str, list[str]], tuple[Any, ...]]] = {
    "make": make,
    "exec": within,
    "kill": kill,
    "match_kill": matching,
    "match_delete": matching,
    "delete": simple,
    "list": simple,
    "ps": simple,
    "verify": simple,
    "spec": document,
    "validate": document,
    "plan": document,
    "explain": document,
    "doctor": document,
    "failing": failing,
    "logged": logged,
    "update": update,
}


@pytest.mark.no_runtime
def test_every_option_is_listed() -> None:
    """Each is tried, shown by another test that is there, or does nothing for a reason."""
    known = [*TRIALS, *PROVED, *NO_OPS]
    assert sorted(known) == sorted(options())
    for test in PROVED.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (TREE / file).read_text(), test


KEPT = ("exec", "list", "ps", "verify", "failing", "update")  # scenes in one container


@pytest.mark.parametrize(("verb", "scene"), sorted({(verb, trial.scene) for (verb, _), trial in TRIALS.items()}))
def test_each_option(runtime: Caller, verb: str, scene: str) -> None:
    """Given and left out, the outcomes differ; left out twice, they do not."""
    stage = Stage(runtime)
    trials = {option: trial for (of, option), trial in TRIALS.items() if (of, trial.scene) == (verb, scene)}

    def outcome(words: list[str]) -> tuple[Any, ...]:
        found = SCENES[scene](stage, verb, words)
        stage.runtime.remove_all() if scene not in KEPT else None
        (stage.directory / "new").unlink(missing_ok=True)
        return found

    without = outcome([])
    assert outcome([]) == without
    alike = [option for option, trial in trials.items() if outcome(stage.words(trial, True)) == without]
    assert alike == []
