/*
 * Compiles a seccomp profile with libseccomp. cffi reads this file verbatim: no #include, no guard.
 *
 * The profile is one block of memory in native byte order: a seccomp_profile, its conditions, its groups, then a string
 * area with the architectures (libseccomp's spelling: "x86_64") and, group by group, the names, each NUL-terminated.
 */

#define SECCOMP_MAX_INSTRUCTIONS 4096 /* the kernel's BPF_MAXINSNS */
#define SECCOMP_MAX_ARCHITECTURES 32
#define SECCOMP_MAX_TABLES 33    /* those, and the native one */
#define SECCOMP_MAX_CONDITIONS 6 /* in one group: one per argument of a system call */

struct seccomp_profile {
	uint32_t default_action; /* SECCOMP_RET_*, with the errno or trace data in the low 16 bits */
	uint32_t architectures;
	uint32_t conditions;
	uint32_t groups;
	uint32_t names;  /* of all groups */
	uint32_t unused; /* aligns the conditions to 8 bytes */
};

/* All conditions of a group must hold; `op` is libseccomp's enum scmp_compare. */
struct seccomp_condition {
	uint32_t index;
	uint32_t op;
	uint64_t value; /* for SCMP_CMP_MASKED_EQ the mask */
	uint64_t value_two;
};

/* The group has the next `names` names and `conditions` conditions of the profile. */
struct seccomp_group {
	uint32_t action;
	uint32_t names;
	uint32_t conditions;
};

/* The step that failed. */
enum seccomp_step {
	SECCOMP_STEP_DECODE,
	SECCOMP_STEP_LIBRARY, /* dlopen or a missing symbol */
	SECCOMP_STEP_FILTER,
	SECCOMP_STEP_ARCHITECTURE, /* `index` counts the architectures */
	SECCOMP_STEP_RULE,         /* `index` counts the names of all groups */
	SECCOMP_STEP_EXPORT
};

/* An architecture's system call table in the filter. */
struct seccomp_table {
	uint32_t token;   /* SCMP_ARCH_* */
	uint32_t highest; /* highest number the profile names, whatever the action; 0: none */
};

struct seccomp_result {
	uint32_t step;
	uint32_t index;
	uint32_t version[3]; /* of libseccomp */
	uint32_t api;        /* libseccomp's API level with the running kernel */
	uint32_t tables;
	struct seccomp_table table[SECCOMP_MAX_TABLES];
	uint32_t instructions; /* in program */
	char library[256];     /* path of the file that was loaded */
	char program[32768];   /* struct sock_filter, as seccomp(2) takes them */
};

/* Returns 0 or -errno. `unknown` has one byte per name: 1 where libseccomp does not know it. */
int shim_seccomp_compile(const char *profile, size_t size, struct seccomp_result *result, char *unknown);
/* The number of a system call in the table `token`; negative if the table has none for it. */
int shim_seccomp_number(uint32_t token, const char *name);
/* The other way round: fills `name`. -ENOENT if the table has no such call, or there is no libseccomp. */
int shim_seccomp_name(uint32_t token, int number, char *name, size_t size);
/* Fills only version, api and library of the result: 0, or -ENOENT without libseccomp. */
int shim_seccomp_version(struct seccomp_result *result);
