#!/bin/sh
# Builds the fuzz target: init's sources, with every impure call renamed to the fake kernel's.
#
# Usage: [SOURCES=DIRECTORY] build.sh fuzz|replay OUTPUT
#   fuzz     with clang and libFuzzer
#   replay   with gcc, and with the counters of gcov, for the files named as arguments
# Both with AddressSanitizer and UndefinedBehaviorSanitizer.
set -eu

kind=$1 output=$2
here=$(dirname "$0")
sources=${SOURCES:-$here/../../csrc}
objects=$output.objects
common="-g -O1 -std=gnu11 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -I$here -I$sources"
case $kind in
fuzz)
	compiler=clang
	flags="$common -fsanitize=fuzzer-no-link"
	link="-fsanitize=fuzzer"
	;;
replay)
	compiler=gcc
	flags="$common --coverage -DREPLAY"
	link=--coverage
	;;
*)
	echo "build.sh: fuzz or replay, not $kind" >&2
	exit 2
	;;
esac

rm -rf "$objects"
mkdir -p "$objects"
for source in "$sources"/*.c; do
	name=$(basename "$source" .c)
	case $name in
	shim | seccomp | device_filter | launcher) continue ;; # no part of init
	esac
	# shellcheck disable=SC2086 # lists of flags
	$compiler $flags -Dmain=init_main -c "$source" -o "$objects/$name.o"
done

# gcov wraps fork and execve in its own functions (__gcov_fork), which are renamed like the others.
# One object, with init's own references resolved: what is still undefined comes from outside.
ld -r "$objects"/*.o -o "$objects/init"
pure='^(mem[^f]|str|__mem|__str|__isoc|__asan_|__ubsan_|__sanitizer_|__sancov_|__gcov_(init|exit|merge_add)$|__errno_location$|__stack_chk_fail$|sigemptyset$|gnu_dev_|_GLOBAL_OFFSET_TABLE_$|__start_|__stop_)'
nm -u "$objects/init" | awk '{ print $2 }' | grep -vE "$pure" >"$objects/calls"
awk '{ print $1, "call_" $1 }' "$objects/calls" >"$objects/renamed"
objcopy --redefine-syms="$objects/renamed" "$objects/init" "$objects/init.renamed"

for name in kernel target; do
	# shellcheck disable=SC2086 # lists of flags
	$compiler $flags -Wall -Wextra -c "$here/$name.c" -o "$objects/$name.own"
done
# A call that the fake kernel does not answer ends the operation.
stops=
nm --defined-only "$objects/kernel.own" | awk '$2 == "T" { print $3 }' >"$objects/answered"
while read -r call; do
	grep -qx "call_$call" "$objects/answered" || stops="$stops -Wl,--defsym=call_$call=stop"
done <"$objects/calls"
# shellcheck disable=SC2086 # lists of flags
$compiler -fsanitize=address,undefined $link "$objects/init.renamed" "$objects/kernel.own" "$objects/target.own" $stops -o "$output"
