/* storm PORT PID CLIENTS VERSION: many clients with passwords connect at once, and AGAIN times more, and then SIGHUP, beside the
 * live client of live.h.  VERSION is that of MQTT: 4 or 5.
 *
 * Each client comes from an address of its own in 127/8 and is called dNUMBER; the live one is called live; all have the
 * password `secret`.  Who is refused for now comes again after 0.5 to 1.5 s.  A line for each phase: its name, the
 * milliseconds until everybody was in, and the live messages' median, 99th percentile and longest time in milliseconds;
 * of the later storms, which are alike, the median of each figure: one of them has some 200 live messages. */
#include "live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE 600.0
#define AGAIN 9
#define FIGURES 5

struct client {
	int fd;
	int in;
	double again; /* when to try again; 0 while a try is under way */
	unsigned char bytes[256];
	size_t have;
};

static int port, version, clients_in, refusals;
static struct client *clients;
static int loop;

static void die(const char *what)
{
	fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t text(unsigned char *out, const char *text)
{
	size_t length = strlen(text);
	out[0] = (unsigned char)(length >> 8);
	out[1] = (unsigned char)length;
	memcpy(out + 2, text, length);
	return length + 2;
}

static void knock(struct client *client, const char *name, unsigned number)
{
	struct sockaddr_in own = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	unsigned char packet[128], *end = packet + 2;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
	int on = 1;

	own.sin_addr.s_addr = htonl(0x7f010001 + number);
	to.sin_addr.s_addr = htonl(0x7f000001);
	to.sin_port = htons((uint16_t)port);
	client->fd = socket(AF_INET, SOCK_STREAM, 0);
	client->have = 0;
	client->again = 0;
	if (client->fd < 0)
		die("socket");
	if (bind(client->fd, (struct sockaddr *)&own, sizeof own))
		die("bind");
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	/* Waits in the broker's backlog; what is written is read when it is accepted. */
	fcntl(client->fd, F_SETFL, O_NONBLOCK);
	if (connect(client->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
		die("connect");
	end += text(end, "MQTT");
	*end++ = (unsigned char)version;
	*end++ = 0xc2;
	*end++ = 0;
	*end++ = 0;
	if (version == 5)
		*end++ = 0;
	end += text(end, name);
	end += text(end, name);
	end += text(end, "secret");
	packet[0] = 0x10;
	packet[1] = (unsigned char)(end - packet - 2);
	/* The CONNECT goes out once the connection is there. */
	client->have = (size_t)(end - packet);
	memcpy(client->bytes, packet, client->have);
	event.events = EPOLLOUT;
	if (epoll_ctl(loop, EPOLL_CTL_ADD, client->fd, &event))
		die("epoll");
}

static void leave(struct client *client)
{
	close(client->fd);
	client->fd = -1;
	clients_in -= client->in;
	client->in = 0;
}

static void later(struct client *client)
{
	leave(client);
	refusals++;
	client->again = seconds() + 0.5 + (double)(rand() % 1000) / 1000;
}

static void readable(struct client *client)
{
	ssize_t got = read(client->fd, client->bytes + client->have, sizeof client->bytes - client->have);
	if (got <= 0 && (got == 0 || errno != EAGAIN)) {
		if (client->in) {
			fprintf(stderr, "storm: somebody who was in was thrown out\n");
			exit(1);
		}
		later(client);
		return;
	}
	if (got > 0)
		client->have += (size_t)got;
	while (client->have >= 2 && client->have >= 2 + (size_t)client->bytes[1]) {
		size_t length = 2 + (size_t)client->bytes[1];
		if (client->bytes[0] == 0x20 && client->bytes[3] == 0) {
			client->in = 1;
			clients_in++;
		} else if (client->bytes[0] == 0x20 && client->bytes[3] == 0x89) {
			later(client);
			return;
		} else if (client->bytes[0] == 0x20) {
			fprintf(stderr, "storm: refused with %#x\n", client->bytes[3]);
			exit(1);
		}
		memmove(client->bytes, client->bytes + length, client->have - length);
		client->have -= length;
	}
}

static void turn(struct client *client, uint32_t events)
{
	if (events & EPOLLOUT) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
		if (write(client->fd, client->bytes, client->have) != (ssize_t)client->have) {
			later(client);
			return;
		}
		client->have = 0;
		epoll_ctl(loop, EPOLL_CTL_MOD, client->fd, &event);
	} else {
		readable(client);
	}
}

/* Lets things happen until everybody is in and `least` seconds are over: how the live client fared, as it is printed. */
static void phase(double figures[FIGURES], int wanted, double least)
{
	struct epoll_event events[256];
	size_t mark = live_mark();
	double start = seconds(), done = -1;
	refusals = 0;
	for (;;) {
		double moment = seconds();
		if (done < 0 && clients_in >= wanted)
			done = moment - start;
		if (done >= 0 && moment - start >= least)
			break;
		if (moment - start > PATIENCE) {
			fprintf(stderr, "storm: %d of %d are in\n", clients_in, wanted);
			exit(1);
		}
		for (int i = 0; clients_in < wanted && i < wanted; i++) {
			if (clients[i].again > 0 && clients[i].again <= moment) {
				char name[16];
				snprintf(name, sizeof name, "d%d", i);
				knock(&clients[i], name, (unsigned)i);
			}
		}
		int count = epoll_wait(loop, events, 256, 1);
		for (int i = 0; i < count; i++)
			turn(events[i].data.ptr, events[i].events);
	}
	struct live_times times = live_since(mark);
	figures[0] = done * 1000;
	figures[1] = times.median;
	figures[2] = times.p99;
	figures[3] = times.longest;
	figures[4] = refusals;
}

static void show(const char *name, const double figures[FIGURES])
{
	printf("%s\t%.0f\t%.1f\t%.1f\t%.1f\t%.0f\n", name, figures[0], figures[1], figures[2], figures[3], figures[4]);
	fflush(stdout);
}

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

/* Everybody comes at once. */
static void storm(double figures[FIGURES], int wanted)
{
	for (int i = 0; i < wanted; i++)
		clients[i].again = 1e-9;
	phase(figures, wanted, 1);
}

/* Everybody leaves and comes again, AGAIN times. */
static void later_storms(double medians[FIGURES], int wanted)
{
	double each[FIGURES][AGAIN], figures[FIGURES];
	for (int time = 0; time < AGAIN; time++) {
		for (int i = 0; i < wanted; i++)
			leave(&clients[i]);
		sleep(1);
		storm(figures, wanted);
		for (int figure = 0; figure < FIGURES; figure++)
			each[figure][time] = figures[figure];
	}
	for (int figure = 0; figure < FIGURES; figure++) {
		qsort(each[figure], AGAIN, sizeof(double), ascending);
		medians[figure] = each[figure][AGAIN / 2];
	}
}

int main(int argc, char **argv)
{
	struct rlimit files = { 20000, 20000 };
	if (argc != 5)
		return 2;
	port = atoi(argv[1]);
	version = atoi(argv[4]);
	int wanted = atoi(argv[3]);
	setrlimit(RLIMIT_NOFILE, &files);
	clients = calloc((size_t)wanted, sizeof *clients);
	loop = epoll_create1(0);
	if (clients == NULL || loop < 0)
		die("start");
	live_start(port, version, "live", "secret");
	usleep(500000);
	double figures[FIGURES];
	phase(figures, 0, 3);
	show("idle", figures);
	storm(figures, wanted);
	show("first storm", figures);
	later_storms(figures, wanted);
	show("later storms", figures);
	if (kill((pid_t)atoi(argv[2]), SIGHUP))
		die("SIGHUP");
	phase(figures, wanted, 3);
	show("SIGHUP", figures);
	return 0;
}
