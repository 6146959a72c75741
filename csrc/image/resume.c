/*
 * ocirun, the command, as an image.
 *
 *     seed OUTPUT HASH_SEED STDLIB DIRECTORY ARGUMENTS...
 *         starts Python, imports contents.py from DIRECTORY and writes OUTPUT: this program with that state of Python
 *     OUTPUT ARGUMENTS...
 *         calls contents.main(); its result is the exit status
 *
 * The kernel maps the state with the program. What is left to restore is what belongs to a process: the thread,
 * signals, the environment and the arguments. libc's own state is that of a fresh process, since its data are not in
 * the image.
 */
#define _GNU_SOURCE
#include <Python.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"

#define THREAD_KEYS 16 /* Python takes one or two of them, first of all */

extern char **environ;

static PyThreadState *saved_thread; /* not NULL: this program is an image */
static PyObject *saved_main, *saved_environ, *saved_argv, *saved_signal, *saved_interrupt;

static void die(const char *what)
{
	fprintf(stderr, "ocirun: %s\n", what);
	if (PyErr_Occurred())
		PyErr_Print();
	_exit(1);
}

/* Python looks at the standard streams when it makes its own: are they terminals, how far have they been written? The
 * builder's must not be in the image. */
static int streams[3];

static void put_streams_away(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		streams[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
		dup2(null, i);
	}
	close(null);
}

static void bring_streams_back(void)
{
	for (int i = 0; i < 3; i++) {
		dup2(streams[i], i);
		close(streams[i]);
		streams[i] = -1;
	}
}

static void check(PyStatus status)
{
	if (!PyStatus_Exception(status))
		return;
	bring_streams_back();
	Py_ExitStatusException(status);
}

static _PyStackChunk *frames; /* the block that Python never frees */

/* Frames of Python functions lie in such blocks, whatever the allocator. */
static void *arena_alloc(void *context, size_t size)
{
	(void)context;
	void *block = malloc(size);
	if (!frames)
		frames = block;
	return block;
}

static void arena_free(void *context, void *block, size_t size)
{
	(void)context, (void)size;
	free(block);
}

/* No frame is in use any more. Old ones have pointers into this process's stack. */
static void clear_frames(void)
{
	if (frames)
		memset(frames->data, 0, frames->size - offsetof(_PyStackChunk, data));
}

static void initialise(int argc, char **argv)
{
	PyPreConfig pre;
	PyConfig config;
	PyObjectArenaAllocator arenas = {NULL, arena_alloc, arena_free};
	PyPreConfig_InitIsolatedConfig(&pre);
	pre.utf8_mode = 1;
	pre.allocator = PYMEM_ALLOCATOR_MALLOC; /* a module's blocks lie together, whatever their sizes */
	check(Py_PreInitialize(&pre));
	PyObject_SetArenaAllocator(&arenas);
	PyConfig_InitIsolatedConfig(&config);
	config.site_import = 0;
	config.write_bytecode = 0;
	config.use_frozen_modules = 0; /* their constants lie apart, in the data segment */
	config.install_signal_handlers = 1;
	config.use_hash_seed = 1;
	config.hash_seed = strtoul(argv[2], NULL, 10);
	config.module_search_paths_set = 1;
	for (int i = 3; i < 5; i++)
		check(PyWideStringList_Append(&config.module_search_paths, Py_DecodeLocale(argv[i], NULL)));
	check(PyConfig_SetBytesArgv(&config, argc - 4, argv + 4));
	check(PyConfig_SetString(&config, &config.program_name, L"ocirun"));
	check(PyConfig_SetString(&config, &config.executable, L"/ocirun")); /* a relative one would be completed */
	check(PyConfig_SetString(&config, &config.home, L"/"));
	check(Py_InitializeFromConfig(&config));
	PyConfig_Clear(&config);
}

static PyObject *attribute(const char *module, const char *name)
{
	PyObject *from = PyImport_ImportModule(module);
	PyObject *value = from ? PyObject_GetAttrString(from, name) : NULL;
	if (!value)
		die(name);
	return value;
}

/* Signals that the builder's caller ignored would be ignored for Python for ever. */
static void reset_signals(void)
{
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
}

/* Python with its modules, up to the last step before the dump. */
static void build(int argc, char **argv, struct taken *record)
{
	heap_open(record);
	reset_signals();
	put_streams_away();
	initialise(argc, argv);
	bring_streams_back();
}

/* Which blocks of an image are hot: by a child, which makes one for that. NULL where it fails. */
static struct taken *find_hot(int argc, char **argv)
{
	const size_t size = MAX_TAKEN * sizeof(struct taken);
	int status = 1;
	struct taken *record = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (record == MAP_FAILED)
		return NULL;
	pid_t child = fork();
	if (child == 0) {
		build(argc, argv, record);
		PyObject *finish = attribute("contents", "finish");
		heap_known();
		PyObject *view = PyMemoryView_FromMemory((char *)record, (Py_ssize_t)size, PyBUF_WRITE);
		if (!PyObject_CallFunction(finish, "N", view))
			die("hot blocks");
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status == 0 ? record : NULL;
}

/* Nothing is hot if the last argument is empty: there is no training then. */
static int dump(int argc, char **argv)
{
	struct taken *record = NULL;
	if (*argv[argc - 1] && !(record = find_hot(argc, argv)))
		return 1;
	build(argc, argv, record);
	saved_main = attribute("contents", "main");
	heap_known();
	saved_environ = attribute("posix", "environ");
	saved_argv = attribute("sys", "argv");
	saved_signal = attribute("_signal", "signal");
	saved_interrupt = attribute("_signal", "default_int_handler");
	PyObject *check = PyObject_CallNoArgs(attribute("contents", "finish"));
	if (!check)
		die("the image's contents");
	PyOS_BeforeFork(); /* for Python, a process that starts from the image is the child of a fork */
	saved_thread = PyEval_SaveThread();
	saved_thread->native_thread_id = 0; /* PyOS_AfterFork_Child sets it */
	clear_frames();
	if (image_write(argv[1]) < 0) {
		perror(argv[1]);
		return 1;
	}
	PyEval_RestoreThread(saved_thread);
	PyObject *found = PyObject_CallFunction(check, "sk", argv[1], (unsigned long)heap_end);
	if (!found)
		die("stray pointers");
	return PyLong_AsLong(found) != 0;
}

/* The image knows the numbers of Python's thread keys. A process hands them out in the same order. */
static void take_keys(void)
{
	pthread_key_t key;
	for (int i = 0; i < THREAD_KEYS; i++) {
		if (pthread_key_create(&key, NULL) != 0 || pthread_setspecific(key, saved_thread) != 0)
			break;
		if (PyGILState_GetThisThreadState() == saved_thread)
			return;
		pthread_setspecific(key, NULL);
	}
	die("Python's thread key is not available");
}

static void take_thread(void)
{
	take_keys();
	PyEval_RestoreThread(saved_thread);
	/* Locks, the thread's identity, and what modules registered. */
	PyOS_AfterFork_Child();
}

/* Python has the image's view, where each signal had its default action: tell it which ones the caller ignores. */
static void take_signals(void)
{
	struct sigaction now;
	for (int number = 1; number < SIGRTMIN; number++) {
		if (sigaction(number, NULL, &now) < 0)
			continue;
		PyObject *result = Py_None;
		if (number == SIGPIPE || number == SIGXFSZ)
			PyOS_setsig(number, SIG_IGN);
		else if (now.sa_handler == SIG_IGN)
			result = PyObject_CallFunction(saved_signal, "ii", number, (int)(long)SIG_IGN);
		else if (number == SIGINT)
			result = PyObject_CallFunction(saved_signal, "iO", number, saved_interrupt);
		if (!result)
			die("signals");
	}
}

static void take_environment(void)
{
	for (char **variable = environ; *variable; variable++) {
		const char *equals = strchr(*variable, '=');
		if (!equals)
			continue;
		PyObject *name = PyBytes_FromStringAndSize(*variable, equals - *variable);
		PyObject *value = PyBytes_FromString(equals + 1);
		if (!name || !value || !PyDict_SetDefault(saved_environ, name, value))
			die("the environment");
		Py_DECREF(name);
		Py_DECREF(value);
	}
}

static void take_arguments(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		PyObject *text = PyUnicode_DecodeUTF8(argv[i], (Py_ssize_t)strlen(argv[i]), "surrogateescape");
		if (!text || PyList_Append(saved_argv, text) < 0)
			die("the arguments");
		Py_DECREF(text);
	}
}

/* The image must not depend on where the kernel puts things, nor on the builder's environment. */
static int start_afresh(char **argv)
{
	char *nothing[] = {NULL};
	if (personality(0xffffffff) & ADDR_NO_RANDOMIZE)
		return 0;
	personality(ADDR_NO_RANDOMIZE);
	return execve("/proc/self/exe", argv, nothing);
}

int main(int argc, char **argv)
{
	if (!saved_thread) {
		if (argc < 5 || start_afresh(argv) < 0)
			return 2;
		return dump(argc, argv);
	}
	take_thread();
	take_signals();
	take_environment();
	take_arguments(argc, argv);
	PyObject *result = PyObject_CallNoArgs(saved_main);
	if (!result)
		die("an error that main does not know");
	_exit((int)PyLong_AsLong(result));
}
