"""The OCI runtime spec as data: documents, schema, rules. Makes no Linux calls and imports nothing of `runtime`.

For a command that makes a container (hot: a good document needs builtin modules only):

    spec, problems = oci_spec.load_checked(data, "config", lambda spec: checks.rows(spec, bundle))
                                                     # problems is [] for a good document
    spec = oci_spec.load_accepted(data)              # a config already checked: no schema, no rules
    value = oci_spec.load(data)                      # scan only
    oci_spec.verify(spec)                            # schema only: True or False

For a command that reports problems (cold):

    problems = oci_spec.check(data, "config")        # every problem, errors first

Kinds are "config", "process" (the file of `exec --process`), "state" and "features".
Names load on first use (PEP 562), so importing the package reads one small file.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.document import BadDocument, load, load_accepted
    from oci_spec.problem import Problem, Row, located
    from oci_spec.report import check
    from oci_spec.shape import verify
    from oci_spec.verdict import load_checked

__all__ = ["BadDocument", "Problem", "Row", "check", "load", "load_accepted", "load_checked", "located", "verify"]

_HOME = {
    "BadDocument": "oci_spec.document",
    "load": "oci_spec.document",
    "load_accepted": "oci_spec.document",
    "Problem": "oci_spec.problem",
    "Row": "oci_spec.problem",
    "located": "oci_spec.problem",
    "check": "oci_spec.report",
    "verify": "oci_spec.shape",
    "load_checked": "oci_spec.verdict",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'oci_spec' has no attribute {name!r}")
    module = __import__(_HOME[name], None, None, (name,))
    value = getattr(module, name)
    globals()[name] = value
    return value
