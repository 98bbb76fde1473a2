/* login: what a log-in costs through the plugin's callback.
 *
 *   login PLUGIN CONFIG FOLDER DEVICES LOGINS
 *
 * FOLDER/dN/dN.crt are the certificates of the devices d0 to d(DEVICES-1), as `device import --out FOLDER` leaves them; the
 * last device is `phone`, without one, with the password `secret`.  LOGINS devices at random log in by certificate, then
 * the phone logs in as often: the first time its password is hashed, then it is remembered.  Prints for each the median of
 * 9 passes in microseconds of CPU time; a refusal is a failure.
 */
#include "broker.h"

#include <dlfcn.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASSES 9

struct comer {
	struct mosquitto client;
	X509 *certificate;
};

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "login: %s: %s\n", what, which);
	exit(2);
}

static double cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void *lend(const struct mosquitto *client)
{
	X509 *certificate = ((const struct comer *)client)->certificate;

	if(certificate) X509_up_ref(certificate);
	return certificate;
}

static X509 *read_certificate(const char *folder, int number)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/d%d/d%d.crt", folder, number, number);
	FILE *file = fopen(path, "r");
	if(!file) fail("cannot read", path);
	X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
	if(!certificate) fail("no certificate", path);
	fclose(file);
	return certificate;
}

static void load(const char *path, char *config)
{
	struct mosquitto_opt option = {.key = "config", .value = config};
	void *userdata = NULL;
	int (*init)(mosquitto_plugin_id_t *, void **, struct mosquitto_opt *, int);
	void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);

	if(!library) fail("cannot load", dlerror());
	*(void **)&init = dlsym(library, "mosquitto_plugin_init");
	if(!init) fail("no Mosquitto plugin", path);
	if(init((mosquitto_plugin_id_t *)&userdata, &userdata, &option, 1)) fail("mosquitto_plugin_init refuses", config);
	if(!basic_auth) fail("no callback for log-ins", path);
}

/* What is measured, under a name that callgrind can be told. */
__attribute__((noinline)) void log_in(struct comer *comers, size_t count, char *password)
{
	for(size_t i = 0; i < count; i++){
		struct mosquitto_evt_basic_auth event = {
			.client = &comers[i].client, .username = comers[i].client.username, .password = password};
		int answer = basic_auth(MOSQ_EVT_BASIC_AUTH, &event, basic_auth_userdata);

		if(answer){
			fprintf(stderr, "login: `%s` is answered with %d\n", comers[i].client.id, answer);
			exit(1);
		}
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Everybody comes anew in each pass, as a connection does. */
static void measure(const char *what, struct comer *comers, size_t count, const char *user, char *password)
{
	double times[PASSES];

	for(int pass = 0; pass < PASSES; pass++){
		for(size_t i = 0; i < count; i++){
			free(comers[i].client.username);
			comers[i].client.username = user ? strdup(user) : NULL;
		}
		double before = cpu_us();
		log_in(comers, count, password);
		times[pass] = (cpu_us() - before) / (double)count;
	}
	qsort(times, PASSES, sizeof(*times), by_size);
	printf("%s\t%.2f\n", what, times[PASSES / 2]);
}

int main(int argc, char **argv)
{
	if(argc != 6) fail("usage", "login PLUGIN CONFIG FOLDER DEVICES LOGINS");
	int devices = atoi(argv[4]);
	size_t count = (size_t)atoi(argv[5]);
	struct comer *comers = calloc(count, sizeof(*comers));
	char secret[] = "secret", id[32];

	if(!comers || devices < 1) fail("usage", "DEVICES and LOGINS are numbers above 0");
	certificate_of = lend;
	load(argv[1], argv[2]);
	for(size_t i = 0; i < count; i++){
		int number = rand() % devices;

		snprintf(id, sizeof(id), "d%d", number);
		comers[i].client.id = strdup(id);
		comers[i].certificate = read_certificate(argv[3], number);
	}
	measure("certificate", comers, count, NULL, NULL);
	for(size_t i = 0; i < count; i++){
		X509_free(comers[i].certificate);
		comers[i].certificate = NULL;
		free(comers[i].client.id);
		comers[i].client.id = strdup("phone");
	}
	measure("remembered password", comers, count, "phone", secret);
	/* Whoever measures it wants no threads of the plugin's any more: nothing is left to clean up. */
	fflush(stdout);
	_Exit(0);
}
