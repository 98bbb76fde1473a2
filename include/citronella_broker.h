/* What Citronella uses of the broker, as one table: bindgen reads this file, src/ffi/shim.c fills the table.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef CITRONELLA_BROKER_H
#define CITRONELLA_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 2.0.11's mosquitto_plugin.h includes neither of the other two. */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

/* A member is NULL when the running broker does not have the function. */
struct citronella_broker {
	/* since 2.0.0 */
	int (*callback_register)(mosquitto_plugin_id_t *, int, MOSQ_FUNC_generic_callback, const void *, void *);
	int (*callback_unregister)(mosquitto_plugin_id_t *, int, MOSQ_FUNC_generic_callback, const void *);
	const char *(*client_address)(const struct mosquitto *);
	const char *(*client_id)(const struct mosquitto *);
	const char *(*client_username)(const struct mosquitto *);
	int (*client_protocol)(const struct mosquitto *);
	int (*client_protocol_version)(const struct mosquitto *);
	int (*client_sub_count)(const struct mosquitto *);
	int (*set_username)(struct mosquitto *, const char *);
	int (*kick_client_by_username)(const char *username, bool with_will);
	int (*publish)(const char *topic, const void *payload, int len);
	void (*log_text)(int level, const char *text, size_t len);

	/* not for plugins: Debian's 2.0.11 shows it, 2.0.21 does not */
	const char *(*strerror)(int);

	/* since 2.1.0 */
	int (*plugin_set_info)(mosquitto_plugin_id_t *, const char *name, const char *version);
	struct mosquitto *(*client)(const char *client_id);
	void (*complete_basic_auth)(const char *client_id, int result);
	int (*set_clientid)(struct mosquitto *, const char *client_id);
};

void citronella_broker_fill(struct citronella_broker *out);

/* How citronella_certificate() ended. */
enum citronella_certificate_result {
	CITRONELLA_CERTIFICATE_NONE = 0,       /* no TLS, none presented, or the session is offline */
	CITRONELLA_CERTIFICATE_OK = 1,
	CITRONELLA_CERTIFICATE_UNREADABLE = 2, /* no libcrypto in this process, no memory, or longer than the buffer */
};

/* Writes the client's certificate as DER into `out`, which has room for `capacity` bytes, and its length
 * into `*length`. The broker's reference is given back before this returns. */
enum citronella_certificate_result citronella_certificate(
	const struct mosquitto *client, unsigned char *out, size_t capacity, size_t *length);

/* Asks the broker for another tick within `milliseconds`, at most 1000. `event` is that of MOSQ_EVT_TICK of a broker
 * since 2.1.0. */
void citronella_tick_within(void *event, long milliseconds);

/* Which thread this is; only equality means anything. */
uintptr_t citronella_thread(void);

/* The types that mosquitto_plugin.h gives our exports; src/ffi/entry.rs must fit them. */
typedef __typeof__(&mosquitto_plugin_version) citronella_version_fn;
typedef __typeof__(&mosquitto_plugin_init) citronella_init_fn;
typedef __typeof__(&mosquitto_plugin_cleanup) citronella_cleanup_fn;

#endif
