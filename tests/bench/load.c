/* load: messages through a broker, and what they cost it.
 *
 *   load PORT PID TOPICS PASSWORD MILLISECONDS
 *
 * TOPICS has a client's name and one of its topics on each line, tab-separated.  Each client connects to the broker on
 * this machine with its name as client id and user name, subscribes to its topics and publishes to them in turn at QoS 0,
 * WINDOW messages on the way at any time: every message is asked about twice, when it comes and when it goes.  When the
 * broker, process PID, has used MILLISECONDS of CPU time after a warm-up, one line tells how many nanoseconds of it a
 * message took, and how many messages there were.
 *
 * A message that does not come back within 30 seconds is a failure: a broker that refuses everything is quick.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS 256
#define MAX_TOPICS 4096
#define WINDOW 8
#define PAYLOAD 64
#define PATIENCE_MS 30000
/* CPU time that does not count, in ns. */
#define WARM_UP 1e8

struct client {
	char *name;
	char *topics[MAX_TOPICS];
	size_t topic_count, next;
	int fd;
	unsigned char in[65536];
	size_t filled;
};

static struct client clients[MAX_CLIENTS];
static size_t client_count;

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "load: %s: %s\n", what, which);
	exit(1);
}

static void read_topics(const char *path)
{
	char *line = NULL;
	size_t room = 0;
	FILE *file = fopen(path, "r");

	if(!file) fail("cannot read", path);
	while(getline(&line, &room, file) > 0){
		char *rest = line;
		char *name = strsep(&rest, "\t");
		char *topic = strsep(&rest, "\n");
		size_t i = 0;

		if(!topic) fail("not two fields in", path);
		while(i < client_count && strcmp(clients[i].name, name)) i++;
		if(i == MAX_CLIENTS) fail("too many clients in", path);
		if(i == client_count){
			clients[i].name = strdup(name);
			client_count++;
		}
		if(clients[i].topic_count == MAX_TOPICS) fail("too many topics in", path);
		clients[i].topics[clients[i].topic_count++] = strdup(topic);
	}
	free(line);
	fclose(file);
	if(client_count == 0) fail("nothing in", path);
}

/* ---- packets (MQTT 3.1.1) ---- */

struct packet {
	unsigned char bytes[4096];
	size_t length;
};

static void add(struct packet *packet, const void *bytes, size_t length)
{
	if(packet->length + length > sizeof(packet->bytes)) fail("too long", "a packet");
	memcpy(packet->bytes + packet->length, bytes, length);
	packet->length += length;
}

static void add_text(struct packet *packet, const char *text)
{
	size_t length = strlen(text);
	unsigned char size[2] = {(unsigned char)(length >> 8), (unsigned char)length};

	add(packet, size, 2);
	add(packet, text, length);
}

static void send_packet(const struct client *client, unsigned char type, const struct packet *body)
{
	struct packet whole = {.length = 1};
	size_t rest = body->length;

	whole.bytes[0] = type;
	do{
		unsigned char digit = rest & 0x7f;

		rest >>= 7;
		if(rest) digit |= 0x80;
		add(&whole, &digit, 1);
	}while(rest);
	add(&whole, body->bytes, body->length);
	for(size_t done = 0; done < whole.length;){
		ssize_t sent = send(client->fd, whole.bytes + done, whole.length - done, MSG_NOSIGNAL);

		if(sent < 0 && errno == EINTR) continue;
		if(sent <= 0) fail("the broker has closed the connection of", client->name);
		done += (size_t)sent;
	}
}

/* Takes one packet from what has come, if a whole one has. Returns its type, or -1. */
static int take_packet(struct client *client, struct packet *body)
{
	size_t length = 0, at = 1;

	for(int shift = 0;; shift += 7){
		if(at >= client->filled) return -1;
		length |= (size_t)(client->in[at] & 0x7f) << shift;
		if(!(client->in[at++] & 0x80)) break;
	}
	if(client->filled < at + length) return -1;
	int type = client->in[0];
	body->length = 0;
	add(body, client->in + at, length);
	client->filled -= at + length;
	memmove(client->in, client->in + at + length, client->filled);
	return type;
}

static void receive(struct client *client)
{
	ssize_t got = recv(client->fd, client->in + client->filled, sizeof(client->in) - client->filled, 0);

	if(got < 0 && errno == EINTR) return;
	if(got <= 0) fail("the broker has closed the connection of", client->name);
	client->filled += (size_t)got;
}

static void expect(struct client *client, int type, struct packet *body)
{
	for(int got; (got = take_packet(client, body)) != type;){
		struct pollfd ready = {.fd = client->fd, .events = POLLIN};

		if(got != -1) fail("another packet than expected comes to", client->name);
		if(poll(&ready, 1, PATIENCE_MS) <= 0) fail("no answer to", client->name);
		receive(client);
	}
}

static void join(struct client *client, const char *port, const char *password)
{
	static const unsigned char header[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 0xc2, 0, 0};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct packet body = {0};
	int yes = 1;

	address.sin_port = htons((uint16_t)atoi(port));
	client->fd = socket(AF_INET, SOCK_STREAM, 0);
	if(client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address))) fail(strerror(errno), port);
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	add(&body, header, sizeof(header));
	add_text(&body, client->name);
	add_text(&body, client->name);
	add_text(&body, password);
	send_packet(client, 0x10, &body);
	expect(client, 0x20, &body);
	if(body.length != 2 || body.bytes[1] != 0) fail("not admitted", client->name);
	for(size_t i = 0; i < client->topic_count; i++){
		body.length = 0;
		add(&body, "\0\1", 2);
		add_text(&body, client->topics[i]);
		add(&body, "\0", 1);
		send_packet(client, 0x82, &body);
		expect(client, 0x90, &body);
		if(body.length != 3 || body.bytes[2] != 0) fail("may not subscribe to", client->topics[i]);
	}
}

static void publish(struct client *client)
{
	static const char payload[PAYLOAD];
	struct packet body = {0};

	add_text(&body, client->topics[client->next++ % client->topic_count]);
	add(&body, payload, sizeof(payload));
	send_packet(client, 0x30, &body);
}

static double cpu_ns(pid_t process)
{
	struct timespec now;
	clockid_t clock;

	if(clock_getcpuclockid(process, &clock) || clock_gettime(clock, &now)) fail("has ended", "the broker");
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
	struct pollfd ready[MAX_CLIENTS];
	struct packet body;
	uint64_t messages = 0, counted_from = 0;
	double begun, warm = 0;

	if(argc != 6) fail("usage", "load PORT PID TOPICS PASSWORD MILLISECONDS");
	pid_t broker = (pid_t)atol(argv[2]);
	double wanted = atof(argv[5]) * 1e6;
	read_topics(argv[3]);
	for(size_t i = 0; i < client_count; i++){
		join(&clients[i], argv[1], argv[4]);
		ready[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
	}
	begun = cpu_ns(broker);
	for(size_t i = 0; i < client_count; i++){
		for(int sent = 0; sent < WINDOW; sent++) publish(&clients[i]);
	}
	for(uint64_t turn = 0;; turn++){
		if(poll(ready, client_count, PATIENCE_MS) <= 0) fail("a message does not come back", argv[3]);
		for(size_t i = 0; i < client_count; i++){
			if(!ready[i].revents) continue;
			receive(&clients[i]);
			for(int type; (type = take_packet(&clients[i], &body)) != -1;){
				if(type != 0x30) fail("another packet than expected comes to", clients[i].name);
				messages++;
				publish(&clients[i]);
			}
		}
		if(turn % 64) continue;
		double now = cpu_ns(broker);
		if(!counted_from && now - begun > WARM_UP){
			counted_from = messages;
			warm = now;
		}
		if(counted_from && now - warm > wanted){
			printf("%.0f %llu\n", (now - warm) / (double)(messages - counted_from),
				(unsigned long long)(messages - counted_from));
			return 0;
		}
	}
}
