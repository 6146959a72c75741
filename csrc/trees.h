/*
 * Mounts that the parent clones for a container with a user namespace. runtime/shim.py is the only caller; cffi reads
 * this file verbatim. Every function returns a descriptor, close-on-exec, or -errno, and says in `step` what it tried.
 */

enum tree_step { TREE_START, TREE_ENTER, TREE_LOOK, TREE_CLONE, TREE_ATTRIBUTES, TREE_ATTACH };

struct shim_tree {
	int pid;          /* init's */
	int flags;        /* BIND_REC, BIND_SOURCE_NOFOLLOW */
	int attach;       /* 1: attach over `path` itself; 2: and make the mount around `path` private */
	int step;         /* out: enum tree_step */
	uint64_t set;     /* MOUNT_ATTR_* of the mount, */
	uint64_t clear;   /* cleared before they are set, */
	uint64_t rec_set; /* and the same for those below */
	uint64_t rec_clear;
	uint64_t device; /* of what is at `path`: out of shim_container_tree, into shim_locked_tree */
	uint64_t inode;
	const char *path;
	int mount; /* into shim_locked_mount: a descriptor of the mount */
};

/* Clones `path`, looked up from init's root, in init's mount namespace, with the caller's rights. */
int shim_container_tree(struct shim_tree *tree);
/* Clones the same mount in the caller's own namespace, for what a lock forbids there: one mount without those below it,
 * or other attributes. Locked too, once it has them. */
int shim_locked_tree(struct shim_tree *tree);
/* A clone of the detached `mount` with attributes set and cleared, then locked. */
int shim_locked_mount(struct shim_tree *tree);
/* A mount of a new device node. The ids are the caller's; `label` is an SELinux context or "". */
int shim_node_tree(uint32_t mode, uint64_t device, uint32_t uid, uint32_t gid, const char *label);
