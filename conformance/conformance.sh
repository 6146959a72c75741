#!/bin/sh
# `make conformance`: what ocirun does of the spec, and what outside judges and the peers say of the same.
#
# The coverage table (docs/coverage.md), then where Go is there the validation of OCI runtime-tools (docs/conformance.md) and of
# Kubernetes' container runtime interface (docs/critest.md).
set -u
cd "$(dirname "$0")/.." || exit 1

status=0
.venv/bin/python conformance/coverage.py || status=1
.venv/bin/python conformance/runtime_tools.py || status=1
.venv/bin/python conformance/kubernetes/critest.py || status=1
exit "$status"
