"""Documents of other kinds that are taken for a config or a process: what they are, and what to do. Cold."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json

# Names that a document of the kind has, what it is, and what to do with it. The first that fits counts.
_KINDS = (
    (("schemaVersion", "layers"), "an image's manifest", "unpack the image to a bundle"),
    (("schemaVersion", "manifests"), "an image's index", "unpack the image to a bundle"),
    (("imageLayoutVersion",), "the oci-layout file of an image layout", "unpack the image to a bundle"),
    (
        ("architecture", "os", "rootfs"),
        "an image's config",
        "unpack the image to a bundle: it gets a config.json of its own",
    ),
    (("apiVersion", "kind"), "a Kubernetes object", "the node's runtime makes a config.json of it"),
    (
        ("Id", "HostConfig"),
        "what docker inspect prints",
        "docker keeps the config.json of a running container below its --exec-root",
    ),
    (
        ("ID", "Config", "Driver"),
        "Docker's own record of a container",
        "docker keeps config.json below its --exec-root",
    ),
    (("services",), "a Compose file", "Compose calls Docker, which makes a config.json"),
    (("ociVersion", "id", "status"), "a state document", "the bundle that it names has the config.json"),
    (("ociVersionMin",), "a features document", "ocirun spec writes a config.json to begin with"),
    (("init_process_pid",), "runc's record of a container", "the bundle that it names has the config.json"),
    (("args", "cwd"), "a process document, as exec --process takes it", "put it under process in a config.json"),
)


def name(value: "Json", kind: str) -> "tuple[str, str] | None":
    """Message and hint for a document that is no "config" or "process", or None if it may be one."""
    if kind == "config":
        if type(value) is list and value and type(value[0]) is dict:
            value = value[0]  # inspect and save print lists
            if {"Config", "RepoTags"} <= value.keys():
                return "this is a docker-archive's manifest, not a config", "unpack the image to a bundle"
        if type(value) is not dict or "root" in value or "process" in value:
            return None
        for names, what, hint in _KINDS:
            if all(known in value for known in names):
                return f"this is {what}, not a config", hint
    if kind == "process" and type(value) is dict and "ociVersion" in value and "args" not in value:
        return "this is a whole config, not a process", "give its process alone"
    return None
