#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void *system_resize(struct mem *mem, void *p, size_t n)
{
	(void)mem;
	return realloc(p, n);
}

static void system_release(struct mem *mem, void *p)
{
	(void)mem;
	free(p);
}

struct mem *mem_system(void)
{
	static struct mem system = {.resize = system_resize, .release = system_release};
	return &system;
}

void *mem_alloc(struct mem *mem, size_t n)
{
	return mem->resize(mem, NULL, n);
}

void *mem_zalloc(struct mem *mem, size_t n)
{
	void *p = mem->resize(mem, NULL, n);
	if (p != NULL)
		memset(p, 0, n);
	return p;
}

void *mem_resize(struct mem *mem, void *p, size_t n)
{
	return mem->resize(mem, p, n);
}

char *mem_strndup(struct mem *mem, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = mem->resize(mem, NULL, len + 1);
	if (copy != NULL) {
		memcpy(copy, s, len);
		copy[len] = '\0';
	}
	return copy;
}

void mem_free(struct mem *mem, void *p)
{
	mem->release(mem, p);
}
