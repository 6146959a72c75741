# The one description of the build. A wheel calls `make build` too (csrc/tools/hatch.py).
#
#   make            build/ocirun, runnable in the tree        make test    everything that tests can show
#   make demo       a container, and what it is denied        make lint    formatters, types, warnings
#   make install    PREFIX=/usr/local DESTDIR=                make help    every target

PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=
LSM ?= apparmor

# The interpreter that runs ocirun: Debian's, since a version manager's shim takes longer than a call.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
VENV := .venv
# The interpreter with cffi: a wheel's isolated build environment passes its own.
BUILD_PYTHON ?= $(VENV)/bin/python

CC ?= gcc
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2
# A created container keeps init in memory, so it is built for size, with musl if installed.
# Looked up lazily: `make test` may have just installed it.
INIT_CC ?= $(if $(shell command -v musl-gcc 2>/dev/null),musl-gcc,$(CC))
INIT_CFLAGS ?= -Os -std=gnu11 -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections
INIT_LDFLAGS ?= -static -s -Wl,--gc-sections -Wl,--build-id=none
# With musl: the kernel headers, after musl's own.
KERNEL_HEADERS = -idirafter /usr/include -idirafter /usr/include/$(shell gcc -print-multiarch)
INIT_HEADERS = $(if $(findstring musl,$(INIT_CC)),$(KERNEL_HEADERS))
SHIM_CFLAGS ?= -O2 -std=gnu11 -fPIC $(HARDENING)
SHIM_LDFLAGS ?= -shared -Wl,-z,relro,-z,now

C_HEADERS := $(wildcard csrc/*.h)
# The extension, the launcher, and init from all other sources.
SHIM_SOURCES := $(wildcard csrc/shim.c csrc/seccomp.c csrc/device_filter.c csrc/host_side.c csrc/trees.c)
LAUNCHER_SOURCES := csrc/launcher.c
INIT_SOURCES := $(filter-out $(SHIM_SOURCES) $(LAUNCHER_SOURCES),$(wildcard csrc/*.c))

C_FILES := $(wildcard csrc/*.[ch] csrc/image/*.[ch] conformance/fuzz/*.[ch])
SHELL_SCRIPTS = $(shell git ls-files -co --exclude-standard | xargs grep -lE '^\#!/(usr/bin/env |bin/)(ba)?sh' -- 2>/dev/null | grep -v '\.py$$')

BUILD_PACKAGES := gcc libc6-dev libffi-dev libseccomp-dev make musl-tools python3 python3-dev python3-venv zlib1g-dev
DEMO_PACKAGES := busybox-static libseccomp2
TEST_PACKAGES := dbus-daemon debootstrap e2fsprogs git iproute2 procps strace uidmap zstd
MANAGER_PACKAGES := criu podman catatonit buildah containerd docker.io crun runc conmon netavark umoci skopeo
KERNEL_PACKAGES := qemu-system-x86 cpio debootstrap e2fsprogs
FUZZ_PACKAGES := clang libclang-rt-dev
KUBERNETES_PACKAGES := containernetworking-plugins docker.io iproute2 iptables runc

.DELETE_ON_ERROR:
.PHONY: all build static install install-image install-launcher check demo test test-launcher test-kernel test-vm \
	test-vm-managers fresh lint lint-python lint-c lint-shell format bench generate cgroups conformance kubernetes managers fuzz \
	crash-sweep mutate deps deps-managers deps-kubernetes clean help packages-build packages-test site FORCE

all: build site build/launcher/ocirun build/ocirun

help:
	@echo 'make [all]         build/ocirun, runnable in the tree'
	@echo 'make demo          run a container and show what it is denied'
	@echo 'make test          build and run every test (ARGS= passes pytest arguments)'
	@echo 'make check         format, types and the tests that need no container, in seconds'
	@echo 'make lint          ruff, mypy --strict, compiler warnings, clang-format, shellcheck'
	@echo 'make format        format all sources, after make generate'
	@echo 'make generate      generate C and ops.py from the table of operations'
	@echo 'make static        build/static/ocirun: one file that needs no Python and no library'
	@echo 'make install       install into PREFIX=$(PREFIX), below DESTDIR='
	@echo 'make fresh         run make demo and make test once each on a bare Debian'
	@echo 'make test-kernel   run tests on Debian'"'"'s kernel, under qemu'
	@echo 'make test-vm       run tests on a full Debian with systemd, under qemu (LSM=selinux: with SELinux)'
	@echo 'make test-vm-managers: test Podman, Docker and containerd with systemd, likewise'
	@echo 'make kubernetes    run pods of a kubelet, of containerd and of Swarm'
	@echo 'make cgroups       run the cgroup tests here and under qemu, and write docs/cgroups.md'
	@echo 'make deps          install what build and test need; make deps-managers: podman, containerd, docker; deps-kubernetes: for conformance and kubernetes'
	@echo 'make bench, conformance, crash-sweep, fuzz, managers, mutate: see CONTRIBUTING.md'

# --- what has to be installed

packages-build:
	@.ci/packages $(BUILD_PACKAGES)

packages-test:
	@.ci/packages $(BUILD_PACKAGES) $(DEMO_PACKAGES) $(TEST_PACKAGES)

deps: packages-test $(VENV)/.stamp

deps-managers:
	@.ci/packages $(MANAGER_PACKAGES) $(KERNEL_PACKAGES) $(FUZZ_PACKAGES)

deps-kubernetes:
	@.ci/packages $(KUBERNETES_PACKAGES)

# The stamp is in the environment, so that removing one removes both.
$(VENV)/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; give make PYTHON=" >&2; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the Python packages into $(VENV)"
	@$(VENV)/bin/python csrc/tools/requirements.py dev | \
		xargs -d '\n' $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
	@touch $@

ifeq ($(BUILD_PYTHON),$(VENV)/bin/python)
BUILD_READY := $(VENV)/.stamp
endif

# --- the C parts: each is written to a temporary file and renamed, so that a running test never sees a partial one

build: runtime/init runtime/_shim.abi3.so runtime/_build.py build/wheel/ocirun

runtime/init: $(INIT_SOURCES) $(C_HEADERS) Makefile
	$(INIT_CC) $(INIT_CFLAGS) $(WARNINGS) $(INIT_HEADERS) $(CFLAGS) $(INIT_LDFLAGS) $(INIT_SOURCES) -o $@.$$$$ && mv $@.$$$$ $@

build/_shim.c: csrc/tools/shim.py $(C_HEADERS) $(BUILD_READY)
	@mkdir -p build
	$(BUILD_PYTHON) csrc/tools/shim.py $@ >/dev/null && touch $@

runtime/_shim.abi3.so: build/_shim.c $(SHIM_SOURCES) $(C_HEADERS) Makefile
	$(CC) $(SHIM_CFLAGS) $(CFLAGS) -DPy_LIMITED_API=0x030b0000 -Icsrc \
		-I$$($(BUILD_PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))') \
		$(SHIM_LDFLAGS) $(SHIM_SOURCES) build/_shim.c -ldl -o $@.$$$$ && mv $@.$$$$ $@

# What --version prints. Checked on every build; the file changes only with the commit.
runtime/_build.py: FORCE $(BUILD_READY)
	@$(BUILD_PYTHON) csrc/tools/stage.py version $@

# --- the launcher, once for each place it is started from

LAUNCHER_BUILD = @mkdir -p $(@D); $(INIT_CC) $(INIT_CFLAGS) $(WARNINGS) $(CFLAGS) $(INIT_LDFLAGS)
# The interpreter behind the environment: the environment's own would read pyvenv.cfg at each start.
BASE_PYTHON = $$($(VENV)/bin/python -c 'import os, sys; print(os.path.realpath(sys._base_executable))')

build/launcher/ocirun: $(LAUNCHER_SOURCES) Makefile $(VENV)/.stamp
	$(LAUNCHER_BUILD) -DOCIRUN_PYTHON="\"$(BASE_PYTHON)\"" -DOCIRUN_SITE='"$(CURDIR)/build/site"' \
		$(LAUNCHER_SOURCES) -o $@.$$$$ && mv $@.$$$$ $@

build/wheel/ocirun: $(LAUNCHER_SOURCES) Makefile
	$(LAUNCHER_BUILD) $(LAUNCHER_SOURCES) -o $@.$$$$ && mv $@.$$$$ $@

# The tree's site directory, laid out like a wheel's: links to the packages here and in .venv.
site: build $(VENV)/.stamp
	@$(VENV)/bin/python csrc/tools/stage.py tree build/site
	@$(VENV)/bin/python -m compileall -q oci_spec runtime
	@$(VENV)/bin/python csrc/tools/archive.py build/site runtime/modules.bin

# --- the command: the image if it can be built here, otherwise the launcher (IMAGE=no: always)

IMAGE ?= yes
HASH_SEED ?= 0
IMAGE_DIR := build/image
IMAGE_CFLAGS := -O2 -std=gnu11 -fno-pie -fno-plt -DSECCOMP_LINKED
IMAGE_OBJECTS = $(addprefix $(IMAGE_DIR)/,$(notdir $(patsubst %.c,%.o,$(wildcard csrc/image/[dhr]*.c) $(SHIM_SOURCES)))) \
	$(addprefix $(IMAGE_DIR)/,modules.o _shim.o _cffi_backend.o $(addsuffix .o,$(IMAGE_EXTENSIONS)))
IMAGE_MODULES := $(shell find runtime oci_spec csrc/image -name '*.py' -o -name '*.json')

build/ocirun: build/launcher/ocirun csrc/tools/image.py $(C_HEADERS) $(wildcard csrc/image/*) $(SHIM_SOURCES) $(IMAGE_MODULES) runtime/init | site
	@if [ $(IMAGE) = yes ] && $(VENV)/bin/python csrc/tools/image.py $(IMAGE_DIR); then \
		$(MAKE) --no-print-directory IMAGE_CONFIG=$(IMAGE_DIR)/config.mk $(IMAGE_DIR)/ocirun && ln -f $(IMAGE_DIR)/ocirun $@; \
	else echo "build/ocirun is the launcher"; ln -f build/launcher/ocirun $@; fi

ifdef IMAGE_CONFIG
include $(IMAGE_CONFIG)

$(IMAGE_DIR)/%.o: csrc/image/%.c csrc/image/image.h Makefile
	$(CC) $(IMAGE_CFLAGS) $(WARNINGS) -fno-builtin-malloc $(IMAGE_INCLUDES) -c $< -o $@

$(IMAGE_DIR)/%.o: csrc/%.c $(C_HEADERS) Makefile
	$(CC) $(IMAGE_CFLAGS) $(HARDENING) $(WARNINGS) -c $< -o $@

$(IMAGE_DIR)/_shim.o: build/_shim.c Makefile
	$(CC) $(IMAGE_CFLAGS) -DPy_LIMITED_API=0x030b0000 $(IMAGE_INCLUDES) -Icsrc -c $< -o $@

# Others' sources: not ours to warn about.
$(IMAGE_DIR)/%.o: $(IMAGE_DIR)/%.c $(IMAGE_CONFIG)
	$(CC) $(IMAGE_CFLAGS) -w $(IMAGE_INCLUDES) -c $< -o $@

$(IMAGE_DIR)/_cffi_backend.o: $(IMAGE_CONFIG)
	$(CC) $(IMAGE_CFLAGS) -w -DFFI_BUILDING=1 $(IMAGE_INCLUDES) -c $(IMAGE_DIR)/sources/cffi/c/_cffi_backend.c -o $@

$(IMAGE_DIR)/%.o: $(IMAGE_DIR)/sources/cpython/%.c $(IMAGE_CONFIG)
	@mkdir -p $(@D)
	$(CC) $(IMAGE_CFLAGS) -w -DPy_BUILD_CORE_BUILTIN $(IMAGE_INCLUDES) -I$(IMAGE_DIR)/sources/cpython/_hacl/include -D_DEFAULT_SOURCE -c $< -o $@

# The linker warns of functions that look for shared objects, such as dlopen; nothing here calls them.
$(IMAGE_DIR)/seed: $(IMAGE_OBJECTS) csrc/image/image.ld
	$(CC) -static -no-pie -Wl,-z,norelro -Wl,--gc-sections -Wl,-T,csrc/image/image.ld $(IMAGE_OBJECTS) $(IMAGE_LIBPYTHON) \
		-lz -lffi -lm -lseccomp -o $@ >$(IMAGE_DIR)/link.log 2>&1 || { grep -v 'in statically linked' $(IMAGE_DIR)/link.log >&2; exit 1; }

$(IMAGE_DIR)/pause: csrc/image/pause.c Makefile
	$(INIT_CC) $(INIT_CFLAGS) $(INIT_LDFLAGS) $< -o $@

# No path is given that says where the tree is, and none is relative that Python would complete.
$(IMAGE_DIR)/ocirun: $(IMAGE_DIR)/seed $(IMAGE_DIR)/pause $(IMAGE_MODULES) runtime/init
	@rm -rf $(IMAGE_DIR)/training
	$(IMAGE_DIR)/seed $@.new $(HASH_SEED) $(IMAGE_STDLIB) /proc/self/cwd/csrc/image build/site \
		$(IMAGE_DIR)/pause $(IMAGE_DIR)/training && mv $@.new $@
endif

# One file that needs nothing of the machine but its kernel.
STATIC_LIMIT := 25000000

static: site build/launcher/ocirun
	@$(VENV)/bin/python csrc/tools/image.py $(IMAGE_DIR)
	@$(MAKE) --no-print-directory IMAGE_CONFIG=$(IMAGE_DIR)/config.mk $(IMAGE_DIR)/ocirun
	@size=$$(stat -c %s $(IMAGE_DIR)/ocirun) && test $$size -le $(STATIC_LIMIT) || \
		{ echo "make static: $$size bytes, more than $(STATIC_LIMIT)" >&2; exit 1; }
	@LC_ALL=C readelf -d $(IMAGE_DIR)/ocirun | grep -q 'no dynamic section' || \
		{ echo "make static: the image has a dynamic section" >&2; exit 1; }
	install -D -m 755 $(IMAGE_DIR)/ocirun build/static/ocirun

# --- install: the image alone if it can be built here, otherwise the launcher and its packages (IMAGE=no: always)

INSTALLED = $(DESTDIR)$(PREFIX)
# By rename: a manager that calls the command meanwhile finds the old one or the new one.
replace = install -D -m 755 $(1) '$(INSTALLED)/bin/.ocirun.new' && mv -f '$(INSTALLED)/bin/.ocirun.new' '$(INSTALLED)/bin/ocirun'

install: site
	@if [ $(IMAGE) = yes ] && $(VENV)/bin/python csrc/tools/image.py $(IMAGE_DIR); then \
		$(MAKE) --no-print-directory install-image; else $(MAKE) --no-print-directory install-launcher; fi

# The packages of a launcher that was installed before are of no use any more.
install-image: static
	$(call replace,build/static/ocirun)
	@test ! -e '$(INSTALLED)/lib/ocirun/runtime/_build.py' || rm -rf '$(INSTALLED)/lib/ocirun'

install-launcher: build
	@$(VENV)/bin/python csrc/tools/requirements.py runtime | xargs -d '\n' $(VENV)/bin/python -m pip install \
		--quiet --disable-pip-version-check --upgrade --target '$(INSTALLED)/lib/ocirun'
	rm -rf '$(INSTALLED)/lib/ocirun/bin'
	$(VENV)/bin/python csrc/tools/stage.py install '$(INSTALLED)/lib/ocirun'
	$(VENV)/bin/python -m compileall -q -s '$(DESTDIR)' '$(INSTALLED)/lib/ocirun'
	$(VENV)/bin/python csrc/tools/archive.py '$(INSTALLED)/lib/ocirun' '$(INSTALLED)/lib/ocirun/runtime/modules.bin' unchecked
	@mkdir -p build/install
	$(INIT_CC) $(INIT_CFLAGS) $(WARNINGS) $(CFLAGS) $(INIT_LDFLAGS) -DOCIRUN_PYTHON="\"$(BASE_PYTHON)\"" \
		-DOCIRUN_SITE='"$(abspath $(PREFIX))/lib/ocirun"' $(LAUNCHER_SOURCES) -o build/install/ocirun
	$(call replace,build/install/ocirun)

# --- demo and tests

# `all` after `deps`, also with -j.
demo: deps
	@$(MAKE) --no-print-directory all
	@$(VENV)/bin/python conformance/demo/demo.py

# The linters are tests too, but should not run twice in `make lint test`.
LINTED := $(if $(filter lint,$(MAKECMDGOALS)),--ignore=tests/guards/test_lint.py)

# After a failure the later parts run too, so that one run names all of them; 2 is pytest's word for an interruption.
test: deps
	@$(MAKE) --no-print-directory all
	@status=0; \
	$(VENV)/bin/python -m pytest -q --junit-xml=build/test.xml $(LINTED) $(ARGS) || status=$$?; \
	test $$status -ne 2 || exit 2; \
	test build/ocirun -ef build/launcher/ocirun || $(MAKE) --no-print-directory test-launcher || status=$$?; \
	if command -v qemu-system-x86_64 >/dev/null && [ -e conformance/machines/kernel.py ]; then \
		$(MAKE) --no-print-directory test-kernel || status=$$?; \
	fi; \
	exit $$status

# The tests that start the command once more, with the launcher. 5: ARGS leaves none of them.
test-launcher:
	$(VENV)/bin/python -m pytest -q --launcher --junit-xml=build/test-launcher.xml $(ARGS) || test $$? -eq 5

# The inner loop: tests that need no container, in seconds.
PURE_TESTS := tests/oci_spec tests/runtime/plan tests/guards

check: all lint-python
	@$(VENV)/bin/python -m pytest -q -n auto --ignore=tests/guards/test_lint.py --ignore=tests/guards/test_imports.py $(PURE_TESTS) $(ARGS)

fresh:
	conformance/machines/fresh.sh

# Fails with a message if the script does not exist.
define script
	@test -e $(1) || { echo "make $@: $(1) is missing" >&2; exit 1; }
	@$(2) $(1) $(ARGS)
endef

test-kernel: all
	$(call script,conformance/machines/kernel.py,$(VENV)/bin/python)

# LSM: apparmor or selinux
test-vm: all
	@$(VENV)/bin/python conformance/machines/vm.py --lsm=$(LSM) $(ARGS)

# Podman, containerd and Docker with systemd's cgroups.
test-vm-managers: all
	@$(VENV)/bin/python conformance/machines/vm.py --machines=2 --report=test-vm-managers tests/vm/test_managers.py $(ARGS)

bench: all
	$(call script,conformance/bench/bench.py,$(VENV)/bin/python)

cgroups: all
	@$(VENV)/bin/python -m pytest -q -m cgroups --junit-xml=build/test-cgroups.xml tests/integration
	@$(VENV)/bin/python conformance/machines/vm.py --machines=2 -m 'vm and cgroups'
	@$(VENV)/bin/python conformance/cgroups.py build/test-cgroups.xml build/test-vm.xml

conformance: all
	$(call script,conformance/conformance.sh,)

# Podman, containerd, Docker and others with each runtime: docs/managers.md
managers: all
	$(call script,conformance/managers.py,$(VENV)/bin/python)

# Go builds the kubelet and the rest once, in some ten minutes, into ~/.cache/ocirun.
kubernetes: all
	$(VENV)/bin/python -m pytest -q --kubernetes --junit-xml=build/test-kubernetes.xml tests/kubernetes $(ARGS)

fuzz: all
	@.ci/packages $(FUZZ_PACKAGES)
	$(call script,conformance/fuzz/run.sh,)

crash-sweep: all
	$(call script,conformance/sweeps/crash.py,$(VENV)/bin/python)

mutate: all
	$(call script,conformance/sweeps/mutate.py,$(VENV)/bin/python)

# --- lint

lint: lint-python lint-c lint-shell

lint-python: $(VENV)/.stamp runtime/_build.py
	$(VENV)/bin/ruff check --quiet
	$(VENV)/bin/ruff format --quiet --check --diff
	$(VENV)/bin/mypy --no-error-summary runtime oci_spec csrc

lint-c: $(VENV)/.stamp
	@mkdir -p build/lint
	for source in $(INIT_SOURCES) $(LAUNCHER_SOURCES); do \
		$(INIT_CC) -c $(INIT_CFLAGS) $(WARNINGS) -Werror $(INIT_HEADERS) $$source -o build/lint/out.o || exit 1; \
		$(CC) -c $(INIT_CFLAGS) $(WARNINGS) -Werror $$source -o build/lint/out.o || exit 1; done
	for source in $(SHIM_SOURCES); do \
		$(CC) -c $(SHIM_CFLAGS) $(WARNINGS) -Werror $$source -o build/lint/out.o || exit 1; done
	for source in $(wildcard csrc/image/[dhr]*.c); do \
		$(CC) -c $(IMAGE_CFLAGS) -fno-builtin-malloc -I$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))') \
			$(WARNINGS) -Werror $$source -o build/lint/out.o || exit 1; done
	$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)

lint-shell: $(VENV)/.stamp
	$(VENV)/bin/shellcheck $(SHELL_SCRIPTS)

# The C and Python generated from runtime/plan/operations.
generate: $(VENV)/.stamp
	$(VENV)/bin/python csrc/tools/operations.py

format: generate
	$(VENV)/bin/ruff check --quiet --fix --select I
	$(VENV)/bin/ruff format --quiet
	$(VENV)/bin/clang-format -i $(C_FILES)

clean:
	rm -rf build dist runtime/init runtime/_shim.abi3.so runtime/_build.py runtime/modules.bin $(VENV)
	find oci_spec runtime csrc tests conformance -name __pycache__ -prune -exec rm -rf {} +
