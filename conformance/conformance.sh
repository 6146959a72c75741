#!/bin/sh
# `make conformance`: what ocirun does of the spec, and what outside judges and the peers say of the same.
#
# The coverage table (docs/coverage.md), then the validation of OCI runtime-tools (docs/conformance.md) where Go is there.
set -u
cd "$(dirname "$0")/.." || exit 1

status=0
.venv/bin/python conformance/coverage.py || status=1
.venv/bin/python conformance/runtime_tools.py || status=1
exit "$status"
