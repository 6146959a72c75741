/*
 * Compiles a seccomp profile to a classic BPF program with libseccomp.
 *
 * libseccomp is loaded by dlopen, with the prototypes below: it is needed on a cache miss only, and a host without it
 * can still run containers without a profile. The image has it linked in (SECCOMP_LINKED). Only functions of libseccomp
 * 2.4 are required. Nothing here loads a filter: the program goes to init.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "seccomp.h"

/* libseccomp's values, from its documented interface. */
#define SCMP_FLTATR_CTL_OPTIMIZE 8
#define OPTIMIZE_BINARY_TREE 2

/* A binary tree pays off from a few dozen rules; libseccomp <= 2.5.4 mishandles one without rules. */
#define RULES_FOR_TREE 32

struct scmp_version {
	unsigned int major, minor, micro;
};

struct scmp_arg_cmp {
	unsigned int arg;
	int op;
	uint64_t datum_a, datum_b;
};

struct library {
	const struct scmp_version *(*version)(void);
	unsigned int (*api_get)(void);
	void *(*init)(uint32_t action);
	void (*release)(void *filter);
	int (*attr_set)(void *filter, int attribute, uint32_t value);
	uint32_t (*arch_native)(void);
	uint32_t (*arch_resolve_name)(const char *name);
	int (*arch_add)(void *filter, uint32_t architecture);
	int (*resolve)(const char *name);
	int (*resolve_arch)(uint32_t architecture, const char *name);
	char *(*name)(uint32_t architecture, int number);
	int (*rule_add)(void *filter, uint32_t action, int number, unsigned int count,
			const struct scmp_arg_cmp *conditions);
	int (*export_bpf)(const void *filter, int fd);
};

/* X(member of struct library, function) */
#define FUNCTIONS(X)                                                                                                   \
	X(version, seccomp_version)                                                                                    \
	X(api_get, seccomp_api_get)                                                                                    \
	X(init, seccomp_init)                                                                                          \
	X(release, seccomp_release)                                                                                    \
	X(attr_set, seccomp_attr_set)                                                                                  \
	X(arch_native, seccomp_arch_native)                                                                            \
	X(arch_resolve_name, seccomp_arch_resolve_name)                                                                \
	X(arch_add, seccomp_arch_add)                                                                                  \
	X(resolve, seccomp_syscall_resolve_name)                                                                       \
	X(resolve_arch, seccomp_syscall_resolve_name_arch)                                                             \
	X(name, seccomp_syscall_resolve_num_arch)                                                                      \
	X(rule_add, seccomp_rule_add_array)                                                                            \
	X(export_bpf, seccomp_export_bpf)

/* A decoded profile and the state of its compilation. */
struct compilation {
	struct library library;
	void *filter;
	const struct seccomp_profile *profile;
	const struct seccomp_condition *conditions;
	const struct seccomp_group *groups;
	const char *architecture_names;
	const char *names;
	struct seccomp_result *result;
	char *unknown;
};

static int failed(struct compilation *c, enum seccomp_step step, uint32_t index, int error)
{
	c->result->step = step;
	c->result->index = index;
	return error;
}

static const char *following(const char *string)
{
	return string + strlen(string) + 1;
}

#ifdef SECCOMP_LINKED
#define DECLARE(member, function) extern __typeof__(*((struct library *)NULL)->member) function;
#define MEMBER(member, function) .member = function,
FUNCTIONS(DECLARE)

static int open_library(struct library *library)
{
	*library = (struct library){FUNCTIONS(MEMBER)};
	return 0;
}

/* The path of the library's file: this program's. */
static void locate_library(const struct library *library, char *path, size_t size)
{
	(void)library, (void)size;
	strcpy(path, "/proc/self/exe");
}
#else
/* The handle stays open: a second profile in the same process finds the library loaded. */
static int open_library(struct library *library)
{
#define SYMBOL(member, function) {#function, offsetof(struct library, member)},
	static const struct {
		const char *name;
		size_t offset;
	} symbols[] = {FUNCTIONS(SYMBOL)};
	void *handle = dlopen("libseccomp.so.2", RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *address = dlsym(handle, symbols[i].name);

		if (!address)
			return -ENOSYS;
		memcpy((char *)library + symbols[i].offset, &address, sizeof(address));
	}
	return 0;
}

/* The path of the library's file; unchanged if it is unknown. */
static void locate_library(const struct library *library, char *path, size_t size)
{
	Dl_info info;

	if (dladdr((const void *)library->version, &info) && info.dli_fname && strlen(info.dli_fname) < size)
		strcpy(path, info.dli_fname);
}
#endif

static void note_version(const struct library *library, struct seccomp_result *result)
{
	const struct scmp_version *version = library->version();

	result->version[0] = version->major;
	result->version[1] = version->minor;
	result->version[2] = version->micro;
	result->api = library->api_get();
	result->library[0] = '\0';
	locate_library(library, result->library, sizeof(result->library));
}

/* Checks that counts and strings stay inside the block. */
static int decode(struct compilation *c, const char *data, size_t size)
{
	const struct seccomp_profile *profile = (const void *)data;
	uint64_t fixed, names = 0, conditions = 0, strings = 0;

	if (size < sizeof(*profile))
		return -EINVAL;
	fixed = sizeof(*profile) + profile->conditions * sizeof(struct seccomp_condition) +
		profile->groups * sizeof(struct seccomp_group);
	if (fixed > size || profile->architectures > SECCOMP_MAX_ARCHITECTURES)
		return -EINVAL;
	c->profile = profile;
	c->conditions = (const void *)(data + sizeof(*profile));
	c->groups = (const void *)(c->conditions + profile->conditions);
	c->architecture_names = (const char *)(c->groups + profile->groups);
	for (uint32_t i = 0; i < profile->groups; i++) {
		if (c->groups[i].conditions > SECCOMP_MAX_CONDITIONS)
			return -EINVAL;
		names += c->groups[i].names;
		conditions += c->groups[i].conditions;
	}
	c->names = c->architecture_names;
	for (const char *p = c->architecture_names; p < data + size; p++) {
		if (*p)
			continue;
		if (++strings == profile->architectures)
			c->names = p + 1;
	}
	if (names != profile->names || conditions != profile->conditions || strings != names + profile->architectures)
		return -EINVAL;
	return 0;
}

/* A new filter includes the native architecture, listed or not, as runc's does. */
static int add_architectures(struct compilation *c)
{
	const char *name = c->architecture_names;

	c->result->table[0].token = c->library.arch_native();
	c->result->tables = 1;
	for (uint32_t i = 0; i < c->profile->architectures; i++, name = following(name)) {
		uint32_t token = c->library.arch_resolve_name(name);
		int error = token ? c->library.arch_add(c->filter, token) : -EINVAL;

		if (error == -EEXIST)
			continue;
		if (error)
			return failed(c, SECCOMP_STEP_ARCHITECTURE, i, error);
		c->result->table[c->result->tables++].token = token;
	}
	return 0;
}

static uint32_t copy_conditions(const struct seccomp_condition *from, uint32_t count, struct scmp_arg_cmp *to)
{
	for (uint32_t i = 0; i < count; i++) {
		to[i] = (struct scmp_arg_cmp){
			.arg = from[i].index,
			.op = (int)from[i].op,
			.datum_a = from[i].value,
			.datum_b = from[i].value_two,
		};
	}
	return count;
}

static int add_rules(struct compilation *c)
{
	const struct seccomp_condition *conditions = c->conditions;
	const char *name = c->names;
	uint32_t index = 0;

	for (uint32_t g = 0; g < c->profile->groups; g++) {
		const struct seccomp_group *group = &c->groups[g];
		struct scmp_arg_cmp compare[SECCOMP_MAX_CONDITIONS];
		uint32_t count = copy_conditions(conditions, group->conditions, compare);
		/* libseccomp refuses a rule whose action is the default action. */
		bool redundant = group->action == c->profile->default_action;

		for (uint32_t i = 0; i < group->names; i++, index++, name = following(name)) {
			int number = c->library.resolve(name), error = 0;

			c->unknown[index] = number == -1; /* __NR_SCMP_ERROR */
			if (number != -1 && !redundant)
				error = c->library.rule_add(c->filter, group->action, number, count,
							    count ? compare : NULL);
			if (error)
				return failed(c, SECCOMP_STEP_RULE, index, error);
		}
		conditions += group->conditions;
	}
	return 0;
}

static void note_highest_numbers(struct compilation *c)
{
	for (uint32_t t = 0; t < c->result->tables; t++) {
		struct seccomp_table *table = &c->result->table[t];
		const char *name = c->names;

		table->highest = 0;
		for (uint32_t i = 0; i < c->profile->names; i++, name = following(name)) {
			int number = c->library.resolve_arch(table->token, name);

			/* Negative: the architecture has no such call. */
			if (number > (int)table->highest)
				table->highest = (uint32_t)number;
		}
	}
}

/* A memfd, since only libseccomp 2.6 can write to memory. */
static int export_program(struct compilation *c, char *to, size_t space)
{
	int fd = memfd_create("seccomp", MFD_CLOEXEC);
	ssize_t length;
	int error;

	if (fd < 0)
		return -errno;
	error = c->library.export_bpf(c->filter, fd);
	length = error ? error : pread(fd, to, space, 0);
	if (length < 0 && !error)
		length = -errno;
	if (length >= 0 && lseek(fd, 0, SEEK_END) != length)
		length = -E2BIG;
	close(fd);
	return (int)length;
}

static int compile(struct compilation *c)
{
	int error = add_architectures(c);

	if (error)
		return error;
	/* A failure costs only speed. */
	if (c->profile->names > RULES_FOR_TREE)
		c->library.attr_set(c->filter, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_BINARY_TREE);
	error = add_rules(c);
	if (error)
		return error;
	note_highest_numbers(c);
	error = export_program(c, c->result->program, sizeof(c->result->program));
	if (error < 0)
		return failed(c, SECCOMP_STEP_EXPORT, 0, error);
	c->result->instructions = (uint32_t)error / 8; /* sizeof(struct sock_filter) */
	return 0;
}

int shim_seccomp_compile(const char *profile, size_t size, struct seccomp_result *result, char *unknown)
{
	struct compilation c = {.result = result, .unknown = unknown};
	int error = decode(&c, profile, size);

	if (error)
		return failed(&c, SECCOMP_STEP_DECODE, 0, error);
	error = open_library(&c.library);
	if (error)
		return failed(&c, SECCOMP_STEP_LIBRARY, 0, error);
	note_version(&c.library, result);
	c.filter = c.library.init(c.profile->default_action);
	if (!c.filter)
		return failed(&c, SECCOMP_STEP_FILTER, 0, -EINVAL);
	error = compile(&c);
	c.library.release(c.filter);
	return error;
}

int shim_seccomp_number(uint32_t token, const char *name)
{
	struct library library;

	return open_library(&library) ? -1 : library.resolve_arch(token, name);
}

int shim_seccomp_name(uint32_t token, int number, char *name, size_t size)
{
	struct library library;
	char *found = open_library(&library) ? NULL : library.name(token, number);
	size_t length = found ? strlen(found) : size;

	if (length < size)
		memcpy(name, found, length + 1);
	free(found);
	return length < size ? 0 : -ENOENT;
}

int shim_seccomp_version(struct seccomp_result *result)
{
	struct library library;
	int error = open_library(&library);

	if (!error)
		note_version(&library, result);
	return error;
}
