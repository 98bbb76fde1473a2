/* tls: connections or messages through a broker, and what they cost it.
 *
 *   tls PORT PID full|resumed|message plain|1.2|1.3 FOLDER MILLISECONDS
 *
 * full and resumed: one connection after the other, each up to the broker's CONNACK, so that the broker has judged the
 * certificate that is shown (FOLDER/client.crt and .key; FOLDER/ca.crt is believed).  resumed takes up the session of the
 * connection before, and it is a failure if the broker does not.
 * message: one connection that subscribes to a topic and publishes to it at QoS 0, WINDOW messages on the way at any time.
 *
 * When the broker, process PID, has used MILLISECONDS of CPU time after a warm-up, one line tells how many nanoseconds of
 * it one of them took, and how many there were.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 8
#define PAYLOAD 64
#define PATIENCE_S 30
/* CPU time that does not count, in ns. */
#define WARM_UP 1e8

static SSL_CTX *context;
static SSL_SESSION *last;
static int resume;
static struct sockaddr_in broker = {.sin_family = AF_INET};

struct connection {
	int fd;
	SSL *ssl;
};

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "tls: %s: %s\n", what, which);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static double cpu_ns(pid_t process)
{
	struct timespec now;
	clockid_t clock;

	if(clock_getcpuclockid(process, &clock) || clock_gettime(clock, &now)) fail("has ended", "the broker");
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(last);
	last = session;
	return 1;
}

static void prepare(const char *version, const char *folder)
{
	char path[4096];
	int number = strcmp(version, "1.2") ? TLS1_3_VERSION : TLS1_2_VERSION;

	if(!strcmp(version, "plain")) return;
	context = SSL_CTX_new(TLS_client_method());
	if(!context) fail("no context", version);
	SSL_CTX_set_min_proto_version(context, number);
	SSL_CTX_set_max_proto_version(context, number);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, keep_session);
	snprintf(path, sizeof(path), "%s/ca.crt", folder);
	if(SSL_CTX_load_verify_locations(context, path, NULL) != 1) fail("cannot read", path);
	snprintf(path, sizeof(path), "%s/client.crt", folder);
	if(SSL_CTX_use_certificate_chain_file(context, path) != 1) fail("cannot read", path);
	snprintf(path, sizeof(path), "%s/client.key", folder);
	if(SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1) fail("cannot read", path);
}

static void write_all(const struct connection *to, const void *bytes, size_t length)
{
	for(size_t done = 0; done < length;){
		const char *rest = (const char *)bytes + done;
		ssize_t sent = to->ssl ? SSL_write(to->ssl, rest, (int)(length - done)) : send(to->fd, rest, length - done, MSG_NOSIGNAL);

		if(sent <= 0) fail("cannot write to", "the broker");
		done += (size_t)sent;
	}
}

static void read_all(const struct connection *from, void *bytes, size_t length)
{
	for(size_t done = 0; done < length;){
		char *rest = (char *)bytes + done;
		ssize_t got = from->ssl ? SSL_read(from->ssl, rest, (int)(length - done)) : recv(from->fd, rest, length - done, 0);

		if(got <= 0) fail("the broker does not answer, or has closed", "the connection");
		done += (size_t)got;
	}
}

/* Up to the broker's CONNACK (MQTT 3.1.1). */
static struct connection join(void)
{
	static const unsigned char connect_packet[] = {0x10, 17, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 5, 'b', 'e', 'n', 'c', 'h'};
	static uint32_t count;
	struct sockaddr_in own = {.sin_family = AF_INET};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	struct connection it = {0};
	unsigned char answer[4];
	int yes = 1, again = resume && last;

	it.fd = socket(AF_INET, SOCK_STREAM, 0);
	/* From many addresses: the ports of one are soon used up. */
	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + count++ % 200);
	if(it.fd < 0 || bind(it.fd, (struct sockaddr *)&own, sizeof(own))) fail("cannot bind", "an address");
	if(connect(it.fd, (struct sockaddr *)&broker, sizeof(broker))) fail("cannot connect to", "the broker");
	setsockopt(it.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	setsockopt(it.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if(context){
		it.ssl = SSL_new(context);
		if(again) SSL_set_session(it.ssl, last);
		SSL_set_fd(it.ssl, it.fd);
		if(SSL_connect(it.ssl) != 1) fail("no handshake with", "the broker");
		if(again && !SSL_session_reused(it.ssl)) fail("does not take up a session", "the broker");
	}
	write_all(&it, connect_packet, sizeof(connect_packet));
	read_all(&it, answer, sizeof(answer));
	if(answer[0] != 0x20 || answer[3] != 0) fail("not admitted by", "the broker");
	return it;
}

static void leave(struct connection *it)
{
	write_all(it, "\xe0", 2);
	if(it->ssl){
		SSL_shutdown(it->ssl);
		SSL_free(it->ssl);
	}
	close(it->fd);
}

int main(int argc, char **argv)
{
	uint64_t turns = 0, counted_from = 0;
	unsigned char publish[2 + 3 + PAYLOAD] = {0x30, 3 + PAYLOAD, 0, 1, 't'}, back[sizeof(publish)], suback[5];
	struct connection one = {0};
	double begun, warm = 0;

	if(argc != 7) fail("usage", "tls PORT PID full|resumed|message plain|1.2|1.3 FOLDER MILLISECONDS");
	pid_t process = (pid_t)atol(argv[2]);
	int message = !strcmp(argv[3], "message");
	double wanted = atof(argv[6]) * 1e6;
	broker.sin_port = htons((uint16_t)atoi(argv[1]));
	broker.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	resume = !strcmp(argv[3], "resumed");
	prepare(argv[4], argv[5]);
	if(message){
		one = join();
		write_all(&one, "\x82\x06\x00\x01\x00\x01t\x00", 8);
		read_all(&one, suback, sizeof(suback));
		for(int sent = 0; sent < WINDOW; sent++) write_all(&one, publish, sizeof(publish));
	}
	begun = cpu_ns(process);
	for(;; turns++){
		if(message){
			read_all(&one, back, sizeof(back));
			if(memcmp(back, publish, sizeof(back))) fail("another packet than expected from", "the broker");
			write_all(&one, publish, sizeof(publish));
			if(turns % 64) continue;
		}else{
			one = join();
			leave(&one);
		}
		double now = cpu_ns(process);
		if(!counted_from && now - begun > WARM_UP){
			counted_from = turns;
			warm = now;
		}
		if(counted_from && now - warm > wanted){
			printf("%.0f %llu\n", (now - warm) / (double)(turns - counted_from), (unsigned long long)(turns - counted_from));
			return 0;
		}
	}
}
