#!/bin/sh
# `make fuzz`: fuzzes the plan decoder and each operation's arguments with libFuzzer, ASan and UBSan.
#
# One job at lowest priority: 10 million plans or an hour, whichever comes first. It starts from earlier finds in
# build/fuzz/corpus; a plan that fails is in build/fuzz/crash-*. At the end the corpus runs once more with gcov, and the
# decoder (csrc/wire.c) must be covered.
#
# Usage: conformance/fuzz/run.sh [RUNS [SECONDS]]
set -eu

runs=${1:-10000000} seconds=${2:-3600}
least=95 # per cent of wire.c's lines
tree=$(cd "$(dirname "$0")/../.." && pwd)
place=$tree/build/fuzz
mkdir -p "$place/corpus"
cd "$tree"
conformance/fuzz/build.sh fuzz "$place/fuzz"
conformance/fuzz/build.sh replay "$place/replay"
.venv/bin/python -m conformance.fuzz.seeds "$place/seeds"

cd "$place"
nice -n 19 ./fuzz -runs="$runs" -max_total_time="$seconds" -max_len=32768 -timeout=10 -detect_leaks=0 \
	-print_final_stats=1 corpus seeds "$tree/conformance/fuzz/corpus"

find corpus seeds "$tree/conformance/fuzz/corpus" -type f -print0 | xargs -0 ./replay
covered=$(gcov -n replay.objects/wire.gcda | sed -n '/wire\.c/,$s/^Lines executed:\([0-9]*\).*/\1/p' | head -n 1)
echo "wire.c: $covered % of its lines are covered"
if [ "$covered" -lt "$least" ]; then
	echo "make fuzz: less than $least %" >&2
	exit 1
fi
