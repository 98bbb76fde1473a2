#include "broker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

MOSQ_FUNC_generic_callback acl_check, basic_auth;
void *acl_userdata, *basic_auth_userdata;
void *(*certificate_of)(const struct mosquitto *);

int mosquitto_callback_register(mosquitto_plugin_id_t *id, int event, MOSQ_FUNC_generic_callback callback,
	const void *data, void *userdata)
{
	(void)id;
	(void)data;
	if(event == MOSQ_EVT_ACL_CHECK){
		acl_check = callback;
		acl_userdata = userdata;
	}else if(event == MOSQ_EVT_BASIC_AUTH){
		basic_auth = callback;
		basic_auth_userdata = userdata;
	}
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_callback_unregister(mosquitto_plugin_id_t *id, int event, MOSQ_FUNC_generic_callback callback,
	const void *data)
{
	(void)id;
	(void)event;
	(void)callback;
	(void)data;
	return MOSQ_ERR_SUCCESS;
}

void mosquitto_log_printf(int level, const char *format, ...)
{
	va_list arguments;

	if(!(level & (MOSQ_LOG_ERR | MOSQ_LOG_WARNING)) && !getenv("HOST_VERBOSE")) return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

void *mosquitto_malloc(size_t size) { return malloc(size); }
void *mosquitto_calloc(size_t count, size_t size) { return calloc(count, size); }
void *mosquitto_realloc(void *memory, size_t size) { return realloc(memory, size); }
void mosquitto_free(void *memory) { free(memory); }
char *mosquitto_strdup(const char *text) { return text ? strdup(text) : NULL; }

const char *mosquitto_client_id(const struct mosquitto *client) { return client->id; }
const char *mosquitto_client_username(const struct mosquitto *client) { return client->username; }
const char *mosquitto_client_address(const struct mosquitto *client) { (void)client; return "127.0.0.1"; }
bool mosquitto_client_clean_session(const struct mosquitto *client) { (void)client; return true; }
int mosquitto_client_keepalive(const struct mosquitto *client) { (void)client; return 60; }
void *mosquitto_client_certificate(const struct mosquitto *client) { return certificate_of ? certificate_of(client) : NULL; }
int mosquitto_client_protocol(const struct mosquitto *client) { (void)client; return 0; }
int mosquitto_client_protocol_version(const struct mosquitto *client) { (void)client; return 5; }
int mosquitto_client_sub_count(const struct mosquitto *client) { (void)client; return 0; }

int mosquitto_set_username(struct mosquitto *client, const char *name)
{
	free(client->username);
	client->username = mosquitto_strdup(name);
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_kick_client_by_clientid(const char *id, bool will) { (void)id; (void)will; return 0; }
int mosquitto_kick_client_by_username(const char *name, bool will) { (void)name; (void)will; return 0; }

int mosquitto_broker_publish(const char *id, const char *topic, int length, void *payload, int qos, bool retain,
	mosquitto_property *properties)
{
	(void)id;
	(void)topic;
	(void)length;
	(void)payload;
	(void)qos;
	(void)retain;
	(void)properties;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_broker_publish_copy(const char *id, const char *topic, int length, const void *payload, int qos,
	bool retain, mosquitto_property *properties)
{
	(void)payload;
	return mosquitto_broker_publish(id, topic, length, NULL, qos, retain, properties);
}

/* ---- what 2.1 has besides; the header that we compile with need not know it ---- */

struct mosquitto *mosquitto_client(const char *id);
int mosquitto_plugin_set_info(mosquitto_plugin_id_t *id, const char *name, const char *version);
int mosquitto_apply_on_all_clients(int (*apply)(const struct mosquitto *, void *), void *userdata);
void mosquitto_control_command_reply(void *command, const char *error);
int mosquitto_control_generic_callback(void *event, const char *response_topic, void *userdata, void *command);

struct mosquitto *mosquitto_client(const char *id) { (void)id; return NULL; }

int mosquitto_plugin_set_info(mosquitto_plugin_id_t *id, const char *name, const char *version)
{
	(void)id;
	(void)name;
	(void)version;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_apply_on_all_clients(int (*apply)(const struct mosquitto *, void *), void *userdata)
{
	(void)apply;
	(void)userdata;
	return MOSQ_ERR_SUCCESS;
}

void mosquitto_control_command_reply(void *command, const char *error) { (void)command; (void)error; }

int mosquitto_control_generic_callback(void *event, const char *response_topic, void *userdata, void *command)
{
	(void)event;
	(void)response_topic;
	(void)userdata;
	(void)command;
	return MOSQ_ERR_SUCCESS;
}
