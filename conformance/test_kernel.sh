#!/bin/sh
# `make test-kernel`: the tests marked `kernel` on Debian's kernel, in a virtual machine. Arguments go to pytest.
tree=$(dirname "$(dirname "$(readlink -f "$0")")")
exec "$tree/.venv/bin/python" "$tree/conformance/test_kernel.py" "$@"
