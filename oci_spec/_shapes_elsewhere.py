"""Shapes of other platforms, states and features, generated from schema/*.json by `oci_spec.generate_shapes`. Do not edit."""

# ruff: noqa
# fmt: off

from oci_spec._shapes import (
    action,
    annotations,
    architecture,
    flag,
    namespace_type,
    oci_version,
    operator,
    strings,
    uint16,
    uint32,
    uint64,
)

windows = {
    None: ("layerFolders",),
    "layerFolders": [str, 1],
    "devices": [{
        None: ("id", "idType",),
        "id": str,
        "idType": {"class"},
    }],
    "resources": {
        "memory": {
            "limit": uint64,
        },
        "cpu": {
            "count": uint64,
            "shares": uint16,
            "maximum": uint16,
            "affinity": {
                "mask": uint64,
                "group": uint32,
            },
        },
        "storage": {
            "iops": uint64,
            "bps": uint64,
            "sandboxSize": uint64,
        },
    },
    "network": {
        "endpointList": strings,
        "allowUnqualifiedDNSQuery": bool,
        "DNSSearchList": strings,
        "networkSharedContainerName": str,
        "networkNamespace": str,
    },
    "credentialSpec": dict,
    "servicing": bool,
    "ignoreFlushesDuringBoot": bool,
    "hyperv": {
        "utilityVMPath": str,
    },
}
solaris = {
    "milestone": str,
    "limitpriv": str,
    "maxShmMemory": str,
    "cappedCPU": {
        "ncpus": str,
    },
    "cappedMemory": {
        "physical": str,
        "swap": str,
    },
    "anet": [{
        "linkname": str,
        "lowerLink": str,
        "allowedAddress": str,
        "configureAllowedAddress": str,
        "defrouter": str,
        "macAddress": str,
        "linkProtection": str,
    }],
}
vm = {
    None: ("kernel",),
    "hypervisor": {
        None: ("path",),
        "path": str,
        "parameters": strings,
    },
    "kernel": {
        None: ("path",),
        "path": str,
        "parameters": strings,
        "initrd": str,
    },
    "image": {
        None: ("path", "format",),
        "path": str,
        "format": {"raw", "qcow2", "vdi", "vmdk", "vhd"},
    },
    "hwConfig": {
        "deviceTree": str,
        "vcpus": uint32,
        "memory": uint64,
        "dtdevs": strings,
        "iomems": [{
            None: ("firstMFN", "nrMFNs",),
            "firstGFN": uint64,
            "firstMFN": uint64,
            "nrMFNs": uint64,
        }],
        "irqs": [uint32],
    },
}
zos = {
    "namespaces": [{
        None: ("type",),
        "type": {"mount", "pid", "uts", "ipc"},
        "path": str,
    }],
}
file_mode = (0, 511)
sharing_or_new = {"new", "inherit"}
sharing = {"disable", "new", "inherit"}
uint8 = (0, 255)
freebsd = {
    "devices": [{
        "path": str,
        "mode": file_mode,
    }],
    "jail": {
        "parent": str,
        "host": sharing_or_new,
        "ip4": sharing,
        "ip4Addr": strings,
        "ip6": sharing,
        "ip6Addr": strings,
        "vnet": sharing_or_new,
        "interface": str,
        "vnetInterfaces": strings,
        "sysvmsg": sharing,
        "sysvsem": sharing,
        "sysvshm": sharing,
        "enforceStatfs": uint8,
        "allow": {
            "setHostname": bool,
            "rawSockets": bool,
            "chflags": bool,
            "mount": strings,
            "quotas": bool,
            "socketAf": bool,
            "mlock": bool,
            "reservedPorts": bool,
            "suser": bool,
        },
    },
}
state = {
    None: ("ociVersion", "id", "status", "bundle",),
    "ociVersion": oci_version,
    "id": str,
    "status": {"creating", "created", "running", "stopped"},
    "pid": (0, 1e999),
    "bundle": str,
    "annotations": annotations,
}
features = {
    None: ("ociVersionMin", "ociVersionMax",),
    "ociVersionMin": oci_version,
    "ociVersionMax": oci_version,
    "hooks": strings,
    "mountOptions": strings,
    "annotations": annotations,
    "potentiallyUnsafeConfigAnnotations": strings,
    "linux": {
        "namespaces": [namespace_type],
        "capabilities": [lambda v: v.startswith("CAP_") and not v[4:].strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") and len(v) > 4],
        "cgroup": {
            "v1": bool,
            "v2": bool,
            "systemd": bool,
            "systemdUser": bool,
            "rdma": bool,
        },
        "seccomp": {
            "enabled": bool,
            "actions": [action],
            "operators": [operator],
            "archs": [architecture],
            "knownFlags": [flag],
            "supportedFlags": [flag],
        },
        "apparmor": {
            "enabled": bool,
        },
        "selinux": {
            "enabled": bool,
        },
        "intelRdt": {
            "enabled": bool,
        },
        "mountExtensions": {
            "idmap": {
                "enabled": bool,
            },
        },
        "netDevices": {
            "enabled": bool,
        },
    },
}
ELSEWHERE = {
    "windows": windows,
    "solaris": solaris,
    "vm": vm,
    "zos": zos,
    "freebsd": freebsd,
    "state": state,
    "features": features,
}
