/*
 * ocirun, the command: starts the interpreter with -I -S on runtime/__main__.py.
 *
 * The flags are the reason for this program. A pip console script loads `site`, which costs more than the rest of a
 * `state` call, and variables such as PYTHONPATH must not reach a program that root runs. A `#!` line passes one
 * argument only, and pip rewrites it.
 *
 * In the tree and for `make install`, OCIRUN_PYTHON and OCIRUN_SITE are compiled in. In a wheel neither is known, so
 * both are found from this program's own directory, never from PATH.
 */
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FALLBACK_PYTHON "/usr/bin/python3"

static void fail(const char *what, const char *detail)
{
	fprintf(stderr, "ocirun: %s%s\n", what, detail);
	exit(1);
}

/* `directory` and `rest` in `path`, which has room for PATH_MAX bytes. */
static void join(char *path, const char *directory, const char *rest)
{
	size_t length = strlen(directory);

	if (length + strlen(rest) >= PATH_MAX)
		fail("the path is too long: ", directory);
	memcpy(path, directory, length);
	strcpy(path + length, rest);
}

#ifndef OCIRUN_SITE
/* Cuts off a path's last component: /usr/bin becomes /usr, /usr becomes "". */
static void cut(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash == NULL)
		fail("a path without a directory: ", path);
	*slash = '\0';
}

/* The directory of this program, symlinks resolved: `ocirun` in PATH may be one. */
static void own_directory(char *directory, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", directory, size - 1);

	if (length < 0)
		fail("read /proc/self/exe: ", strerror(errno));
	directory[length] = '\0';
	cut(directory);
}

static const char *find_python(const char *directory)
{
	static char path[PATH_MAX];

	join(path, directory, "/python3");
	return access(path, X_OK) == 0 ? path : FALLBACK_PYTHON;
}

/* The only match of ../lib/python3X/X-packages/runtime, without its last component. Changes `directory`. */
static const char *find_site(char *directory)
{
	static char pattern[PATH_MAX];
	glob_t found;
	size_t i;

	cut(directory);
	join(pattern, directory, "/lib/python3*/*-packages/runtime");
	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0)
		fail("the package is not installed beside this command: nothing matches ", pattern);
	if (found.gl_pathc > 1) {
		fprintf(stderr, "ocirun: several packages are installed beside this command:");
		for (i = 0; i < found.gl_pathc; i++)
			fprintf(stderr, " %s", found.gl_pathv[i]);
		fail("; ", "remove all but one");
	}
	cut(found.gl_pathv[0]);
	return found.gl_pathv[0];
}
#endif

int main(int argc, char **argv)
{
	char script[PATH_MAX];
	char **command = calloc((size_t)argc + 7, sizeof *command);
	const char *python, *site;

#ifdef OCIRUN_SITE
	python = OCIRUN_PYTHON;
	site = OCIRUN_SITE;
#else
	char directory[PATH_MAX];

	own_directory(directory, sizeof directory);
	python = find_python(directory);
	site = find_site(directory);
#endif
	if (command == NULL)
		fail("", strerror(ENOMEM));
	join(script, site, "/runtime/__main__.py");
	command[0] = (char *)python;
	command[1] = "-I";
	command[2] = "-S";
	/* Paths are bytes: read and written as UTF-8 with escapes, whatever the locale. */
	command[3] = "-X";
	command[4] = "utf8";
	command[5] = script;
	if (argc > 1)
		memcpy(command + 6, argv + 1, (size_t)(argc - 1) * sizeof *command);
	execv(python, command);
	fprintf(stderr, "ocirun: execute %s: %s\n", python, strerror(errno));
	return 1;
}
