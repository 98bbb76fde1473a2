/* host: loads a plugin as Mosquitto does, and replays access checks through the callback it registers.
 *
 *   host PLUGIN|- EVENTS PASSES [KEY=VALUE...]
 *
 * KEY=VALUE are what `plugin_opt_KEY VALUE` lines would be.  `-` measures the loop itself, with an empty callback.
 * EVENTS has one check a line, tab-separated: client id and user name (one word), access (1 receive, 2 publish,
 * 4 subscribe), topic, expected answer (0 allowed, 12 denied).  An answer that is not the expected one is a
 * failure: a plugin that refuses everything is quick.
 *
 * Prints one line: milliseconds of mosquitto_plugin_init, nanoseconds per check (median of the passes), checks,
 * allowed checks, kilobytes of memory that loading took.
 *
 * Functions about topics, UTF-8 and properties come from libmosquitto.  Compile with -DBROKER_2_1 for plugins
 * that want what only Mosquitto 2.1 has.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

struct mosquitto {
	char *name;
};

struct check {
	struct mosquitto *client;
	char *topic;
	int access;
	int expected;
};

#define MAX_PASSES 101
#define MAX_OPTIONS 16

static MOSQ_FUNC_generic_callback acl_check;
static void *acl_userdata;

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "host: %s: %s\n", what, which);
	exit(2);
}

/* ---- what a broker offers its plugins ---- */

int mosquitto_callback_register(mosquitto_plugin_id_t *id, int event, MOSQ_FUNC_generic_callback callback,
	const void *data, void *userdata)
{
	(void)id;
	(void)data;
	if(event == MOSQ_EVT_ACL_CHECK){
		acl_check = callback;
		acl_userdata = userdata;
	}
	return event <= MOSQ_EVT_DISCONNECT ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOT_SUPPORTED;
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

const char *mosquitto_client_id(const struct mosquitto *client) { return client->name; }
const char *mosquitto_client_username(const struct mosquitto *client) { return client->name; }
const char *mosquitto_client_address(const struct mosquitto *client) { (void)client; return "127.0.0.1"; }
bool mosquitto_client_clean_session(const struct mosquitto *client) { (void)client; return true; }
int mosquitto_client_keepalive(const struct mosquitto *client) { (void)client; return 60; }
void *mosquitto_client_certificate(const struct mosquitto *client) { (void)client; return NULL; }
int mosquitto_client_protocol(const struct mosquitto *client) { (void)client; return 0; }
int mosquitto_client_protocol_version(const struct mosquitto *client) { (void)client; return 5; }
int mosquitto_client_sub_count(const struct mosquitto *client) { (void)client; return 0; }

int mosquitto_set_username(struct mosquitto *client, const char *name)
{
	(void)client;
	(void)name;
	return MOSQ_ERR_NOT_SUPPORTED;
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

#ifdef BROKER_2_1
int mosquitto_plugin_set_info(mosquitto_plugin_id_t *id, const char *name, const char *version);
int mosquitto_plugin_set_info(mosquitto_plugin_id_t *id, const char *name, const char *version)
{
	(void)id;
	(void)name;
	(void)version;
	return MOSQ_ERR_SUCCESS;
}
#endif

/* ---- checks ---- */

static int nothing(int event, void *data, void *userdata)
{
	(void)event;
	(void)data;
	(void)userdata;
	return MOSQ_ERR_SUCCESS;
}

static struct check *read_checks(const char *path, size_t *count)
{
	size_t room = 0;
	struct check *checks = NULL;
	char *line = NULL;
	size_t line_room = 0;
	FILE *file = fopen(path, "r");

	if(!file) fail("cannot read", path);
	*count = 0;
	while(getline(&line, &line_room, file) > 0){
		char *rest = line;
		char *name = strsep(&rest, "\t");
		char *access = strsep(&rest, "\t");
		char *topic = strsep(&rest, "\t");
		char *expected = strsep(&rest, "\t\n");

		if(!expected) fail("not four fields in", path);
		if(*count == room){
			room = room ? room * 2 : 1024;
			checks = realloc(checks, room * sizeof(*checks));
			if(!checks) fail("no memory for", path);
		}
		/* A client each: in a broker, too, every connection has a structure and strings of its own. */
		struct mosquitto *client = malloc(sizeof(*client));
		if(!client) fail("no memory for", path);
		client->name = strdup(name);
		checks[*count].client = client;
		checks[*count].topic = strdup(topic);
		checks[*count].access = atoi(access);
		checks[*count].expected = atoi(expected);
		(*count)++;
	}
	free(line);
	fclose(file);
	if(*count == 0) fail("no checks in", path);
	return checks;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static long memory_kb(void)
{
	long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if(!file) return 0;
	if(fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static int ask(const struct check *check)
{
	struct mosquitto_evt_acl_check event;

	memset(&event, 0, sizeof(event));
	event.client = check->client;
	event.topic = check->topic;
	event.access = check->access;
	event.payload = "x";
	event.payloadlen = 1;
	event.qos = 1;
	return acl_check(MOSQ_EVT_ACL_CHECK, &event, acl_userdata);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const int offered[] = {5, 4, 3, 2};
	struct mosquitto_opt options[MAX_OPTIONS];
	int option_count = 0;
	double times[MAX_PASSES];
	size_t count, allowed = 0;
	void *library = NULL, *userdata = NULL;
	double load_ms = 0;
	long kb = 0;

	if(argc < 4) fail("usage", "host PLUGIN|- EVENTS PASSES [KEY=VALUE...]");
	int passes = atoi(argv[3]);
	if(passes < 1 || passes > MAX_PASSES) fail("bad number of passes", argv[3]);
	for(int i = 4; i < argc && option_count < MAX_OPTIONS; i++){
		char *value = strchr(argv[i], '=');

		if(!value) fail("not KEY=VALUE", argv[i]);
		*value = '\0';
		options[option_count].key = argv[i];
		options[option_count].value = value + 1;
		option_count++;
	}
	struct check *checks = read_checks(argv[2], &count);

	if(!strcmp(argv[1], "-")){
		acl_check = nothing;
	}else{
		int (*version)(int, const int *);
		int (*init)(mosquitto_plugin_id_t *, void **, struct mosquitto_opt *, int);

		library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
		if(!library) fail("cannot load", dlerror());
		*(void **)&version = dlsym(library, "mosquitto_plugin_version");
		*(void **)&init = dlsym(library, "mosquitto_plugin_init");
		if(!version || !init) fail("no Mosquitto plugin", argv[1]);
		if(version(4, offered) != 5) fail("does not speak plugin interface 5", argv[1]);
		kb = memory_kb();
		double before = now_ns();
		int rc = init((mosquitto_plugin_id_t *)&options, &userdata, options, option_count);
		load_ms = (now_ns() - before) / 1e6;
		kb = memory_kb() - kb;
		if(rc != MOSQ_ERR_SUCCESS) fail("mosquitto_plugin_init refuses", mosquitto_strerror(rc));
		if(!acl_check) fail("no callback for access checks", argv[1]);
	}

	/* Once for the answers, which also warms up; then for the time. */
	for(size_t i = 0; i < count; i++){
		int answer = ask(&checks[i]);

		allowed += answer == MOSQ_ERR_SUCCESS;
		if(library && answer != checks[i].expected){
			fprintf(stderr, "host: `%s` access %d `%s`: answer %d, expected %d\n", checks[i].client->name,
				checks[i].access, checks[i].topic, answer, checks[i].expected);
			return 1;
		}
	}
	for(int pass = 0; pass < passes; pass++){
		double before = now_ns();

		for(size_t i = 0; i < count; i++) ask(&checks[i]);
		times[pass] = (now_ns() - before) / (double)count;
	}
	qsort(times, (size_t)passes, sizeof(*times), by_size);
	printf("%.1f %.1f %zu %zu %ld\n", load_ms, times[passes / 2], count, allowed, kb);

	if(library){
		int (*cleanup)(void *, struct mosquitto_opt *, int);

		*(void **)&cleanup = dlsym(library, "mosquitto_plugin_cleanup");
		if(cleanup) cleanup(userdata, options, option_count);
	}
	return 0;
}
