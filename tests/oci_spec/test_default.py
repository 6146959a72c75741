"""The configs that `ocirun spec` writes."""

import json

import pytest

import oci_spec
from oci_spec.default import default

VARIANTS = [{}, {"cgroup_namespace": True}, {"rootless": True, "uid": 1000, "gid": 100}]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_default_has_no_problem(options):
    """A fresh config has no error and no warning."""
    assert oci_spec.check(json.dumps(default(**options)).encode()) == []


def test_rootless_maps_the_caller():
    """Root inside is the caller outside; what needs privileges on the host is gone."""
    spec = default(rootless=True, uid=1000, gid=100)
    assert spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert spec["linux"]["gidMappings"] == [{"containerID": 0, "hostID": 100, "size": 1}]
    assert {"type": "user"} in spec["linux"]["namespaces"]
    assert {"type": "network"} not in spec["linux"]["namespaces"]
    assert "resources" not in spec["linux"]
    assert not any("gid=5" in mount.get("options", ()) for mount in spec["mounts"])


def test_defaults_are_separate():
    """Changing one config does not change later ones."""
    default()["linux"]["maskedPaths"].clear()
    assert default()["linux"]["maskedPaths"]
