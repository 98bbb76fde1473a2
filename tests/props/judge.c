/* Answers lines "RULE<TAB>FILTER" with 1 or 0, as libmosquitto decides, or with ! if it takes one of them for no filter. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	/* SOURCE: libmosquitto.h of Mosquitto 2.1. */
	int (*matches)(const char *, const char *, bool *);
	void *library = dlopen("libmosquitto.so.1", RTLD_NOW);
	char line[1024];

	if(!library || !(*(void **)&matches = dlsym(library, "mosquitto_sub_matches_acl"))){
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	while(fgets(line, sizeof line, stdin)){
		bool result = false;
		char *filter = strchr(line, '\t');
		if(!filter) return 1;
		*filter++ = '\0';
		filter[strcspn(filter, "\n")] = '\0';
		puts(matches(line, filter, &result) ? "!" : result ? "1" : "0");
	}
	return 0;
}
