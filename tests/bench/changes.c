/* changes: how a broker's traffic fares while what its devices may do changes, and how soon a device is gone.
 *
 *   changes PORT VICTIM PHASE COMMAND...
 *
 * The live client of live.h and a VICTIM, who is called so, have the password `secret`.  Each COMMAND of the shell is a change,
 * told under the name PHASE: `revoke` waits until the broker has closed the victim's connection, any other 5 seconds.  A
 * line for each, after one for 3 seconds without any: its name, milliseconds from the command's start to the closed
 * connection or `-`, and the longest time that a live message was on its way, in milliseconds. */
#include "live.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE 60000

static void fail(const char *what)
{
	fprintf(stderr, "changes: %s\n", what);
	exit(1);
}

static int connect_as(int port, const char *name)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	unsigned char packet[256], answer[4];
	size_t length = strlen(name);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) || length > 64)
		fail("cannot connect");
	int size = snprintf((char *)packet, sizeof packet, "\x10%c%c\x04MQTT\x04\xc2%c%c%c%c%s%c%c%s%c\x06secret", (int)(22 + 2 * length), 0,
		0, 0, 0, (int)length, name, 0, (int)length, name, 0);
	if (send(fd, packet, (size_t)size, 0) != size || recv(fd, answer, 4, MSG_WAITALL) != 4 || answer[3] != 0)
		fail("the victim is not admitted");
	return fd;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc % 2 == 0)
		return 2;
	int port = atoi(argv[1]);
	live_start(port, 4, "live", "secret");
	struct pollfd victim = { .fd = connect_as(port, argv[2]), .events = POLLIN };
	sleep(1);
	size_t mark = live_mark();
	sleep(3);
	printf("idle\t-\t%.1f\n", live_since(mark).longest);
	for (int i = 3; i < argc; i += 2) {
		mark = live_mark();
		double start = seconds();
		if (system(argv[i + 1]))
			fail(argv[i + 1]);
		if (strcmp(argv[i], "revoke")) {
			sleep(5);
			printf("%s\t-\t%.1f\n", argv[i], live_since(mark).longest);
			continue;
		}
		if (poll(&victim, 1, PATIENCE) != 1)
			fail("the victim is still there after a minute");
		double gone = seconds() - start;
		sleep(3);
		printf("revoke\t%.0f\t%.1f\n", gone * 1000, live_since(mark).longest);
	}
	return 0;
}
