/* broker: what Mosquitto offers its plugins, as far as access checks and log-ins need it. */
#ifndef BROKER_H
#define BROKER_H

#include <stddef.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

struct mosquitto {
	char *id;
	char *username;
};

/* What the plugin registered for access checks and log-ins; the host registers its own callbacks here, too. */
extern MOSQ_FUNC_generic_callback acl_check, basic_auth;
extern void *acl_userdata, *basic_auth_userdata;

/* A reference of the caller's own to a client's certificate, an OpenSSL X509; nobody has one while this is NULL. */
extern void *(*certificate_of)(const struct mosquitto *);

#endif
