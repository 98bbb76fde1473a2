/* broker: what Mosquitto offers its plugins, as far as access checks need it. */
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

/* What the plugin registered for access checks; the host registers its own callbacks here, too. */
extern MOSQ_FUNC_generic_callback acl_check;
extern void *acl_userdata;

#endif
