/*
 * The driver of a fuzz target: feeds it the files of its corpus, one after the other.
 *
 * Linked to tests/fuzz/fuzz_NAME.c.  In an ordinary build it has main(): without
 * arguments it replays $srcdir/tests/fuzz/corpus/NAME, else the files and folders that
 * are named.  Exit status 1 where there is nothing to replay.  With libFuzzer, which has
 * its own main(), a run without arguments becomes the same replay.
 */
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_ROOM = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char *corpus_of(const char *program, char path[static PATH_ROOM])
{
	const char *srcdir = getenv("srcdir");
	const char *base = strrchr(program, '/');
	base = base != NULL ? base + 1 : program;
	if (strncmp(base, "fuzz_", 5) == 0)
		base += 5;
	snprintf(path, PATH_ROOM, "%s/tests/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".", base);
	return path;
}

#ifdef FUZZ_WITH_ENGINE

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char corpus[PATH_ROOM], no_runs[] = "-runs=0";
	static char *args[4];
	if (*argc != 1)
		return 0;
	corpus_of((*argv)[0], corpus);
	args[0] = (*argv)[0];
	args[1] = no_runs;
	args[2] = corpus;
	*argv = args;
	*argc = 3;
	return 0;
}

#else

/* 1, or 0 where the file cannot be read. */
static size_t replay_file(const char *path, size_t size)
{
	/* Of the very size, so that a sanitizer sees a read of one byte too many. */
	uint8_t *data = malloc(size > 0 ? size : 1);
	FILE *f = fopen(path, "rb");
	if (data == NULL || f == NULL || fread(data, 1, size, f) != size) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		size = SIZE_MAX;
	} else {
		LLVMFuzzerTestOneInput(data, size);
	}
	if (f != NULL)
		fclose(f);
	free(data);
	return size != SIZE_MAX;
}

/* A file, or a folder's files; returns how many. */
static size_t replay(const char *path)
{
	struct stat st;
	size_t n = 0;
	if (stat(path, &st) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 0;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, (size_t)st.st_size);
	DIR *d = opendir(path);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		char file[PATH_ROOM];
		int len = snprintf(file, sizeof file, "%s/%s", path, e->d_name);
		if (len >= PATH_ROOM || stat(file, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		n += replay_file(file, (size_t)st.st_size);
	}
	if (d != NULL)
		closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	char corpus[PATH_ROOM];
	size_t n = 0;
	if (argc == 1)
		n = replay(corpus_of(argv[0], corpus));
	for (int i = 1; i < argc; i++)
		n += replay(argv[i]);
	printf("%zu files replayed\n", n);
	return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
