/* host: loads a plugin as Mosquitto does, and replays access checks through the callback it registers.
 *
 *   host [--peer] PLUGIN|empty|touch EVENTS PASSES [KEY=VALUE...]
 *
 * KEY=VALUE are what `plugin_opt_KEY VALUE` lines would be.  `empty` measures the loop itself; `touch` a callback that
 * only reads the client's user name and the topic, which no plugin can do without.
 * EVENTS has one check a line, tab-separated: client id and user name (one word), access (1 receive, 2 publish,
 * 4 subscribe), topic, expected answer (0 allowed, 12 denied).  An answer that is not the expected one is a
 * failure: a plugin that refuses everything is quick.  A --peer may refuse with any code.
 *
 * Prints one line: CPU milliseconds of mosquitto_plugin_init, CPU nanoseconds per check (median of the passes), checks
 * in a pass, allowed checks, bytes on the heap that loading left there; with allocations.c also how often memory was
 * asked for while all checks were made for the first time, and in all passes after it.
 *
 * Functions about topics, UTF-8 and properties come from libmosquitto.  CPU time and not the clock, because other
 * processes of the machine are no business of a plugin.
 */
#define _GNU_SOURCE
#include "broker.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct check {
	struct mosquitto *client;
	char *topic;
	int access;
	int expected;
};

#define MAX_PASSES 101
#define MAX_OPTIONS 16
/* A pass takes no longer, but at least so many checks: some plugins need a thousand times what others do. */
#define PASS_NS 2e8
#define LEAST_CHECKS 1000

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "host: %s: %s\n", what, which);
	exit(2);
}

static void *room(size_t bytes)
{
	void *memory = malloc(bytes);

	if(!memory) fail("no memory", "for the checks");
	return memory;
}

static size_t hash_name(const char *name)
{
	size_t hash = 5381;

	while(*name) hash = hash * 33 + (unsigned char)*name++;
	return hash;
}

/* The client of a name, one for all its checks: in a broker every connection has a structure and strings of its own,
 * which were made when it came and lie where there was room, and not in the order of the messages. */
static struct mosquitto *client_of(const char *name)
{
	static struct mosquitto **table;
	static size_t slots, used;
	size_t at;

	if(2 * used >= slots){
		struct mosquitto **old = table;
		size_t old_slots = slots;

		slots = slots ? 2 * slots : 1024;
		table = calloc(slots, sizeof(*table));
		if(!table) fail("no memory", "for the clients");
		used = 0;
		for(size_t i = 0; i < old_slots; i++){
			if(!old[i]) continue;
			for(at = hash_name(old[i]->username) & (slots - 1); table[at]; at = (at + 1) & (slots - 1));
			table[at] = old[i];
			used++;
		}
		free(old);
	}
	for(at = hash_name(name) & (slots - 1); table[at]; at = (at + 1) & (slots - 1)){
		if(!strcmp(table[at]->username, name)) return table[at];
	}
	struct mosquitto *client = room(sizeof(*client));
	client->id = strdup(name);
	client->username = strdup(name);
	table[at] = client;
	used++;
	return client;
}

static struct check *read_checks(const char *path, size_t *count)
{
	size_t space = 1024;
	struct check *checks = room(space * sizeof(*checks));
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
		if(*count == space){
			space *= 2;
			checks = realloc(checks, space * sizeof(*checks));
			if(!checks) fail("no memory for", path);
		}
		checks[*count].client = client_of(name);
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

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static size_t heap_bytes(void)
{
	struct mallinfo2 heap = mallinfo2();

	return heap.uordblks + heap.hblkhd;
}

/* ---- callbacks of our own ---- */

static int empty(int event, void *data, void *userdata)
{
	(void)event;
	(void)data;
	(void)userdata;
	return MOSQ_ERR_SUCCESS;
}

static volatile char touched[2];

static void touch_text(const char *text, volatile char *to)
{
	char copy[256];
	size_t length = strlen(text);

	if(length >= sizeof(copy)) length = sizeof(copy) - 1;
	memcpy(copy, text, length);
	*to = copy[length / 2];
}

static int touch(int event, void *data, void *userdata)
{
	const struct mosquitto_evt_acl_check *check = data;

	(void)event;
	(void)userdata;
	touch_text(mosquitto_client_username(check->client), &touched[0]);
	touch_text(check->topic, &touched[1]);
	return MOSQ_ERR_SUCCESS;
}

/* ---- memory ---- */

/* How often this thread has asked for some, if somebody counts. */
__attribute__((weak)) size_t allocations(void);

static size_t count_allocations(void) { return allocations ? allocations() : 0; }

/* ---- the plugin ---- */

struct plugin {
	void *library;
	void *userdata;
	double load_ms;
	size_t heap;
};

static struct plugin load(const char *path, struct mosquitto_opt *options, int option_count)
{
	static const int offered[] = {5, 4, 3, 2};
	struct plugin plugin = {0};
	int (*version)(int, const int *);
	int (*init)(mosquitto_plugin_id_t *, void **, struct mosquitto_opt *, int);

	if(!strcmp(path, "empty") || !strcmp(path, "touch")){
		acl_check = path[0] == 'e' ? empty : touch;
		return plugin;
	}
	plugin.library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
	if(!plugin.library) fail("cannot load", dlerror());
	*(void **)&version = dlsym(plugin.library, "mosquitto_plugin_version");
	*(void **)&init = dlsym(plugin.library, "mosquitto_plugin_init");
	if(!version || !init) fail("no Mosquitto plugin", path);
	if(version(4, offered) != 5) fail("does not speak plugin interface 5", path);

	size_t heap = heap_bytes();
	double before = cpu_ns();
	int rc = init((mosquitto_plugin_id_t *)&plugin, &plugin.userdata, options, option_count);
	plugin.load_ms = (cpu_ns() - before) / 1e6;
	plugin.heap = heap_bytes() - heap;
	if(rc != MOSQ_ERR_SUCCESS) fail("mosquitto_plugin_init refuses", mosquitto_strerror(rc));
	if(!acl_check) fail("no callback for access checks", path);
	return plugin;
}

static void unload(struct plugin *plugin, struct mosquitto_opt *options, int option_count)
{
	int (*cleanup)(void *, struct mosquitto_opt *, int);

	if(!plugin->library) return;
	*(void **)&cleanup = dlsym(plugin->library, "mosquitto_plugin_cleanup");
	if(cleanup) cleanup(plugin->userdata, options, option_count);
}

/* ---- checks ---- */

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

/* What is measured, under a name that callgrind can be told. */
__attribute__((noinline)) void replay(const struct check *checks, size_t count)
{
	for(size_t i = 0; i < count; i++) ask(&checks[i]);
}

/* Once for the answers, which also warms up. Returns how many are yes. */
static size_t compare(const struct check *checks, size_t count, int peer)
{
	size_t allowed = 0;

	for(size_t i = 0; i < count; i++){
		int answer = ask(&checks[i]);
		int right = peer ? (answer == 0) == (checks[i].expected == 0) : answer == checks[i].expected;

		allowed += answer == MOSQ_ERR_SUCCESS;
		if(!right){
			fprintf(stderr, "host: `%s` access %d `%s`: answer %d, expected %d\n", checks[i].client->username,
				checks[i].access, checks[i].topic, answer, checks[i].expected);
			exit(1);
		}
	}
	return allowed;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct mosquitto_opt options[MAX_OPTIONS];
	int option_count = 0;
	double times[MAX_PASSES];
	size_t count, allowed = 0;
	int peer = argc > 1 && !strcmp(argv[1], "--peer");

	argc -= peer;
	argv += peer;
	if(argc < 4) fail("usage", "host [--peer] PLUGIN|empty|touch EVENTS PASSES [KEY=VALUE...]");
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
	struct plugin plugin = load(argv[1], options, option_count);

	size_t first = count_allocations();
	double before = cpu_ns();
	if(plugin.library) allowed = compare(checks, count, peer);
	double each = (cpu_ns() - before) / (double)count;
	first = count_allocations() - first;
	if(each * (double)count > PASS_NS && count > LEAST_CHECKS){
		count = (size_t)(PASS_NS / each);
		if(count < LEAST_CHECKS) count = LEAST_CHECKS;
	}
	size_t later = count_allocations();
	for(int pass = 0; pass < passes; pass++){
		before = cpu_ns();
		replay(checks, count);
		times[pass] = (cpu_ns() - before) / (double)count;
	}
	later = count_allocations() - later;
	qsort(times, (size_t)passes, sizeof(*times), by_size);
	printf("%.1f %.1f %zu %zu %zu", plugin.load_ms, times[passes / 2], count, allowed, plugin.heap);
	if(allocations) printf(" %zu %zu", first, later);
	putchar('\n');
	unload(&plugin, options, option_count);
	return 0;
}
