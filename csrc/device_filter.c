/* Device rules of a v2 cgroup: it has no files for them, so bpf(2). Python builds the program. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device_filter.h"

#define NAME "ocirun_devices"
#define MAX_PROGRAMS 64 /* on one cgroup: the kernel's limit */

static int bpf(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* The kernel refuses a null licence; any will do for a program that calls no helper. */
static int load(const char *code, uint32_t count)
{
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attributes.insns = (uint64_t)(uintptr_t)code;
	attributes.insn_cnt = count;
	attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
	strcpy(attributes.prog_name, NAME);
	return bpf(BPF_PROG_LOAD, &attributes);
}

/* `old`: the program to replace, -1 for none. */
static int attach(int cgroup, int program, int old)
{
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.target_fd = (uint32_t)cgroup;
	attributes.attach_bpf_fd = (uint32_t)program;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	/* Without the flag, systemd or a nested runtime could not attach programs of their own below. */
	attributes.attach_flags = BPF_F_ALLOW_MULTI;
	if (old >= 0) {
		attributes.attach_flags |= BPF_F_REPLACE;
		attributes.replace_bpf_fd = (uint32_t)old;
	}
	return bpf(BPF_PROG_ATTACH, &attributes) < 0 ? -errno : 0;
}

static int detach(int cgroup, int program)
{
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.target_fd = (uint32_t)cgroup;
	attributes.attach_bpf_fd = (uint32_t)program;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	return bpf(BPF_PROG_DETACH, &attributes) < 0 ? -errno : 0;
}

static int is_ours(int program)
{
	struct bpf_prog_info info;
	union bpf_attr attributes;
	memset(&info, 0, sizeof(info));
	memset(&attributes, 0, sizeof(attributes));
	attributes.info.bpf_fd = (uint32_t)program;
	attributes.info.info_len = sizeof(info);
	attributes.info.info = (uint64_t)(uintptr_t)&info;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) == 0 && strncmp(info.name, NAME, sizeof(info.name)) == 0;
}

/* A descriptor of the program we attached to the cgroup, or -ENOENT. */
static int find(int cgroup)
{
	uint32_t ids[MAX_PROGRAMS];
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.query.target_fd = (uint32_t)cgroup;
	attributes.query.attach_type = BPF_CGROUP_DEVICE;
	attributes.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attributes.query.prog_cnt = MAX_PROGRAMS;
	if (bpf(BPF_PROG_QUERY, &attributes) < 0)
		return -errno;
	uint32_t count = attributes.query.prog_cnt;
	for (uint32_t i = 0; i < count && i < MAX_PROGRAMS; i++) {
		memset(&attributes, 0, sizeof(attributes));
		attributes.prog_id = ids[i];
		int program = bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
		if (program < 0)
			continue;
		if (is_ours(program))
			return program;
		close(program);
	}
	return -ENOENT;
}

int device_filter_attach(int cgroup, const char *code, uint32_t count)
{
	int program = load(code, count);
	if (program < 0)
		return -errno;
	int result = attach(cgroup, program, -1);
	close(program);
	return result;
}

int device_filter_replace(int cgroup, const char *code, uint32_t count)
{
	int old = find(cgroup);
	if (old < 0 && old != -ENOENT)
		return old;
	int result = 0;
	if (count == 0) {
		result = old < 0 ? 0 : detach(cgroup, old);
	} else {
		int program = load(code, count);
		result = program < 0 ? -errno : attach(cgroup, program, old < 0 ? -1 : old);
		if (program >= 0)
			close(program);
	}
	if (old >= 0)
		close(old);
	return result;
}

int device_filter_present(int cgroup)
{
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.query.target_fd = (uint32_t)cgroup;
	attributes.query.attach_type = BPF_CGROUP_DEVICE;
	return bpf(BPF_PROG_QUERY, &attributes) < 0 ? -errno : attributes.query.prog_cnt > 0;
}
