/* Makes the disk fail for what is written under one folder, when and as the test says: preloaded into a real process.
 *
 * CITRONELLA_FAULT_UNDER is the folder, CITRONELLA_FAULT_FILE a file whose first word is the fault: nothing while it is
 * not there; `full` a disk that takes half of a write and then nothing; `broken` one that answers EIO; `readonly`;
 * `stuck`, one that does not answer; or `unreadable`, one that answers EIO to whoever reads.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int under(const char *path)
{
	const char *folder = getenv("CITRONELLA_FAULT_UNDER");

	return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int fd_under(int fd)
{
	char link[64], path[4096];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return 0;
	path[length] = 0;
	return under(path);
}

/* The first letter of the fault, or 0. */
static char fault(void)
{
	const char *file = getenv("CITRONELLA_FAULT_FILE");
	char letter = 0;
	int fd, saved = errno;

	if (!file || (fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC)) < 0) {
		errno = saved;
		return 0;
	}
	if (syscall(SYS_read, fd, &letter, 1) != 1)
		letter = 0;
	close(fd);
	errno = saved;
	return letter;
}

static void wait_while_stuck(void)
{
	while (fault() == 's')
		usleep(2000);
}

/* The error of a change under the folder, or 0. */
static int refusal(void)
{
	wait_while_stuck();
	switch (fault()) {
	case 'b':
		return EIO;
	case 'r':
		return EROFS;
	default:
		return 0;
	}
}

ssize_t write(int fd, const void *bytes, size_t count)
{
	static __thread int half;
	int error;

	if (fault() && fd_under(fd)) {
		error = refusal();
		if (!error && fault() == 'f') {
			half = !half;
			if (half && count > 1)
				return syscall(SYS_write, fd, bytes, count / 2);
			error = ENOSPC;
		}
		if (error) {
			errno = error;
			return -1;
		}
	}
	return syscall(SYS_write, fd, bytes, count);
}

ssize_t read(int fd, void *bytes, size_t count)
{
	if (fault() == 'u' && fd_under(fd)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_read, fd, bytes, count);
}

int fsync(int fd)
{
	int error;

	if (fault() && fd_under(fd) && (error = refusal()) != 0) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	int error;

	if (fault() && under(to) && (error = refusal()) != 0) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int open_any(const char *path, int flags, mode_t mode)
{
	int error;

	if ((flags & O_ACCMODE) != O_RDONLY && fault() && under(path) && (error = refusal()) != 0) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode = 0;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode = 0;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return open_any(path, flags | O_LARGEFILE, mode);
}
