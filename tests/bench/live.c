#define _GNU_SOURCE
#include "live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL 0.005
/* An hour and a half of them. */
#define MAX_MESSAGES 1000000

static int broker, version;
static float times[MAX_MESSAGES];
static atomic_size_t sent, arrived;

static void die(const char *what)
{
	fprintf(stderr, "live: %s: %s\n", what, errno ? strerror(errno) : "the broker closed the connection");
	exit(1);
}

double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned char *text(unsigned char *end, const char *text)
{
	size_t length = strlen(text);
	*end++ = (unsigned char)(length >> 8);
	*end++ = (unsigned char)length;
	memcpy(end, text, length);
	return end + length;
}

/* Sends what lies between `packet` and `end`, with a first byte and the length before it. */
static void send_packet(unsigned char first, unsigned char *packet, const unsigned char *end)
{
	packet[0] = first;
	packet[1] = (unsigned char)(end - packet - 2);
	errno = 0;
	if (send(broker, packet, (size_t)(end - packet), MSG_NOSIGNAL) != end - packet)
		die("cannot send");
}

static void receive(unsigned char *bytes, size_t length)
{
	errno = 0;
	for (ssize_t got; length > 0; bytes += got, length -= (size_t)got)
		if ((got = recv(broker, bytes, length, 0)) <= 0)
			die("cannot receive");
}

/* Reads the answer to CONNECT or SUBSCRIBE: its last byte. */
static int answer(unsigned char first)
{
	unsigned char packet[257];
	receive(packet, 2);
	receive(packet + 2, packet[1]);
	if (packet[0] != first) {
		fprintf(stderr, "live: the broker answers with %#x\n", packet[0]);
		exit(1);
	}
	return packet[0] == 0x20 ? packet[3] : packet[packet[1] + 1];
}

static void take(const unsigned char *end)
{
	double then;
	size_t place = atomic_load(&arrived);
	memcpy(&then, end - sizeof then, sizeof then);
	if (place < MAX_MESSAGES)
		times[place] = (float)((seconds() - then) * 1000);
	atomic_store(&arrived, place + 1);
}

static _Noreturn void *live(void *unused)
{
	unsigned char in[4096], packet[64];
	size_t have = 0;
	double next = seconds();
	struct pollfd waits = { .fd = broker, .events = POLLIN };
	(void)unused;
	for (;;) {
		double moment = seconds();
		if (moment >= next) {
			unsigned char *end = text(packet + 2, "live");
			if (version == 5)
				*end++ = 0;
			memcpy(end, &moment, sizeof moment);
			atomic_fetch_add(&sent, 1);
			send_packet(0x30, packet, end + sizeof moment);
			next += INTERVAL;
			continue;
		}
		struct timespec rest = { .tv_nsec = (long)((next - moment) * 1e9) };
		if (ppoll(&waits, 1, &rest, NULL) <= 0)
			continue;
		errno = 0;
		ssize_t got = recv(broker, in + have, sizeof in - have, 0);
		if (got <= 0)
			die("cannot receive");
		have += (size_t)got;
		unsigned char *at = in;
		for (; have >= 2 && have >= 2 + (size_t)at[1]; have -= 2 + (size_t)at[1], at += 2 + (size_t)at[1])
			if (at[0] == 0x30)
				take(at + 2 + at[1]);
		memmove(in, at, have);
	}
}

void live_start(int port, int mqtt, const char *name, const char *password)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	unsigned char packet[256], *end = text(packet + 2, "MQTT");
	pthread_t thread;
	int on = 1, code;

	version = mqtt;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	broker = socket(AF_INET, SOCK_STREAM, 0);
	if (broker < 0 || connect(broker, (struct sockaddr *)&to, sizeof to))
		die("cannot connect");
	setsockopt(broker, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	*end++ = (unsigned char)version;
	*end++ = 0xc2;
	*end++ = 0;
	*end++ = 0;
	if (version == 5)
		*end++ = 0;
	send_packet(0x10, packet, text(text(text(end, name), name), password));
	if ((code = answer(0x20)) != 0) {
		fprintf(stderr, "live: refused with %#x\n", code);
		exit(1);
	}
	end = packet + 2;
	*end++ = 0;
	*end++ = 1;
	if (version == 5)
		*end++ = 0;
	end = text(end, "live");
	*end++ = 0;
	send_packet(0x82, packet, end);
	if ((code = answer(0x90)) != 0) {
		fprintf(stderr, "live: SUBSCRIBE is refused with %#x\n", code);
		exit(1);
	}
	if (pthread_create(&thread, NULL, live, NULL))
		die("cannot make a thread");
}

size_t live_mark(void)
{
	return atomic_load(&sent);
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

struct live_times live_since(size_t mark)
{
	size_t last = atomic_load(&sent);
	if (last > MAX_MESSAGES) {
		fprintf(stderr, "live: more messages than there is room for\n");
		exit(1);
	}
	while (atomic_load(&arrived) < last)
		usleep(1000);
	size_t count = last - mark;
	float *sorted = malloc((count + 1) * sizeof *sorted);
	if (sorted == NULL)
		die("no memory");
	memcpy(sorted, times + mark, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, compare);
	struct live_times all = { .count = count };
	if (count > 0) {
		all.median = sorted[count / 2];
		all.p99 = sorted[count * 99 / 100];
		all.longest = sorted[count - 1];
	}
	free(sorted);
	return all;
}
