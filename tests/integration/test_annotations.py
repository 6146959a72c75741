"""What of a config is for the runtime and its callers: the version of the spec, and annotations."""

from __future__ import annotations

import json

import pytest

from tests.integration.caller import Caller


@pytest.mark.proves("/ociVersion")
@pytest.mark.not_on("runc", "crun", reason="does not look at it")
def test_versions(runtime: Caller) -> None:
    """Every 1.x runs, one that is newer than this runtime with a warning; another major version is refused."""
    for version in ("1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0"):
        assert runtime.run(runtime.bundle({"ociVersion": version})).ok().err == "", version
    assert "/ociVersion" in runtime.run(runtime.bundle({"ociVersion": "1.99.0"})).ok().err
    for version in ("2.0.0", "one", ""):
        assert "/ociVersion" in runtime.run(runtime.bundle({"ociVersion": version})).failed(1).err, version
    assert runtime.known_ids() == []


@pytest.mark.proves("/annotations")
def test_annotations(runtime: Caller) -> None:
    """Annotations are in the state, for whoever asks and for hooks; a value may be empty."""
    annotations = {"com.example.key": 'value with spaces, "quotes" and é', "com.example.empty": ""}
    bundle = runtime.bundle({"annotations": annotations})
    log = bundle.directory / "log"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat > {log}"], "env": ["PATH=/bin:/usr/bin"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    id = runtime.create(bundle.save())
    seen = runtime.state(id)["annotations"]
    assert {key: seen.get(key) for key in annotations} == annotations
    told = json.loads(log.read_text())["annotations"]
    assert {key: told.get(key) for key in annotations} == annotations
