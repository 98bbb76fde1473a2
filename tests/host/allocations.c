/* Counts what is asked of the heap, for a host that is linked with it: the executable's malloc is everybody's, also a
 * plugin's. Each thread counts for itself.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <stddef.h>

/* What glibc calls its own. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static __thread size_t calls;

size_t allocations(void) { return calls; }

void *malloc(size_t size)
{
	calls++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	calls++;
	return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	calls++;
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	calls++;
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	calls++;
	*memory = __libc_memalign(alignment, size);
	return *memory ? 0 : ENOMEM;
}
