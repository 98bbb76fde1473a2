/* The part of the boundary that only C can do: weak symbols and a variadic log function.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "citronella_broker.h"

#include <pthread.h>

/* Weak, so that a broker without the symbol still loads us (it calls dlopen with RTLD_NOW), and so that
 * the command and the tests link without any broker. */
#pragma weak mosquitto_broker_publish_copy
#pragma weak mosquitto_callback_register
#pragma weak mosquitto_callback_unregister
#pragma weak mosquitto_client_address
#pragma weak mosquitto_client_certificate
#pragma weak mosquitto_client_id
#pragma weak mosquitto_client_protocol
#pragma weak mosquitto_client_protocol_version
#pragma weak mosquitto_client_sub_count
#pragma weak mosquitto_client_username
#pragma weak mosquitto_kick_client_by_username
#pragma weak mosquitto_log_printf
#pragma weak mosquitto_set_username
#pragma weak mosquitto_strerror
#pragma weak mosquitto_client
#pragma weak mosquitto_plugin_set_info
#pragma weak mosquitto_complete_basic_auth
#pragma weak mosquitto_set_clientid

/* Newer than the oldest header we build with. Where the installed header has them too, the compiler
 * checks that these prototypes agree with it. */
struct mosquitto *mosquitto_client(const char *client_id);
int mosquitto_plugin_set_info(mosquitto_plugin_id_t *, const char *name, const char *version);
void mosquitto_complete_basic_auth(const char *client_id, int result);
int mosquitto_set_clientid(struct mosquitto *, const char *client_id);

/* The libcrypto that the broker itself runs with: a certificate of one OpenSSL must not meet another. */
typedef struct x509_st X509;
int i2d_X509(const X509 *, unsigned char **);
void X509_free(X509 *);
#pragma weak i2d_X509
#pragma weak X509_free

/* Not variadic, not NUL-terminated, and the text is never the format. The broker cuts lines at 1000 bytes. */
static void log_text(int level, const char *text, size_t len)
{
	int shown = len > 4096 ? 4096 : (int)len;
	mosquitto_log_printf(level, "%.*s", shown, text);
}

/* Retained, QoS 0, to everybody who may have it. The broker copies topic and payload (plugin_public.c). */
static int publish(const char *topic, const void *payload, int len)
{
	return mosquitto_broker_publish_copy(NULL, topic, len, payload, 0, true, NULL);
}

void citronella_broker_fill(struct citronella_broker *out)
{
	out->callback_register = mosquitto_callback_register;
	out->callback_unregister = mosquitto_callback_unregister;
	out->client_address = mosquitto_client_address;
	out->client_id = mosquitto_client_id;
	out->client_username = mosquitto_client_username;
	out->client_protocol = mosquitto_client_protocol;
	out->client_protocol_version = mosquitto_client_protocol_version;
	out->client_sub_count = mosquitto_client_sub_count;
	out->set_username = mosquitto_set_username;
	out->kick_client_by_username = mosquitto_kick_client_by_username;
	out->publish = mosquitto_broker_publish_copy ? publish : NULL;
	out->log_text = mosquitto_log_printf ? log_text : NULL;
	out->strerror = mosquitto_strerror;
	out->plugin_set_info = mosquitto_plugin_set_info;
	out->client = mosquitto_client;
	out->complete_basic_auth = mosquitto_complete_basic_auth;
	out->set_clientid = mosquitto_set_clientid;
}

enum citronella_certificate_result citronella_certificate(
	const struct mosquitto *client, unsigned char *out, size_t capacity, size_t *length)
{
	/* Each call makes a new reference (mosquitto issue 1842). A broker without TLS has no certificates. */
	X509 *certificate = mosquitto_client_certificate ? mosquitto_client_certificate(client) : NULL;
	enum citronella_certificate_result result = CITRONELLA_CERTIFICATE_UNREADABLE;
	unsigned char *end = out;
	int size;

	*length = 0;
	if (certificate == NULL)
		return CITRONELLA_CERTIFICATE_NONE;
	/* Without these there is no way to read or to free it; a leak is the lesser harm. */
	if (i2d_X509 == NULL || X509_free == NULL)
		return CITRONELLA_CERTIFICATE_UNREADABLE;
	size = i2d_X509(certificate, NULL);
	if (size > 0 && (size_t)size <= capacity && i2d_X509(certificate, &end) == size) {
		*length = (size_t)size;
		result = CITRONELLA_CERTIFICATE_OK;
	}
	X509_free(certificate);
	return result;
}

/* A tick that is due at a certain time is lost if the loop turns before it: the request is renewed only by a tick that
 * ran, and a build without websockets then sleeps for a day (loop.c, plugin_tick.c). So the tick is made due in the past,
 * which is at every turn, and the sum of the two is how long the loop may sleep. */
void citronella_tick_within(void *event, long milliseconds)
{
	struct mosquitto_evt_tick *tick = event;

#if __SIZEOF_LONG__ == 8
	tick->next_s = -2;
	tick->next_ns = 2000 + milliseconds; /* 2.1 calls it next_ms */
#else
	/* Where next_s is depends on the size of time_t that the broker was built with, and the place of next_ns does not. All
	 * known builds for such machines have websockets, and turn at least every 100 ms. */
	tick->next_ns = milliseconds;
#endif
}

uintptr_t citronella_thread(void)
{
	return (uintptr_t)pthread_self();
}
