/* Device rules of a v2 cgroup, which has no files for them: bpf(2). The program is made in Python. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device_filter.h"

static int bpf(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* The kernel refuses a null licence; a program that calls no helper function may have any. */
static int load(const char *code, uint32_t count)
{
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attributes.insns = (uint64_t)(uintptr_t)code;
	attributes.insn_cnt = count;
	attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
	strcpy(attributes.prog_name, "ocirun_devices");
	return bpf(BPF_PROG_LOAD, &attributes);
}

int device_filter_attach(int cgroup, const char *code, uint32_t count)
{
	int program = load(code, count);
	if (program < 0)
		return -errno;
	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.target_fd = (uint32_t)cgroup;
	attributes.attach_bpf_fd = (uint32_t)program;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	/* Without the flag the kernel refuses the programs that systemd or a nested runtime attach below. */
	attributes.attach_flags = BPF_F_ALLOW_MULTI;
	int result = bpf(BPF_PROG_ATTACH, &attributes) < 0 ? -errno : 0;
	close(program);
	return result;
}
