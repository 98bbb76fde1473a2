/* live: a client that sends itself 200 messages a second and measures how long each is on its way, in a thread of its own,
 * so that what the rest of a benchmark does is not measured with it. */
#ifndef LIVE_H
#define LIVE_H

#include <stddef.h>

struct live_times {
	size_t count;
	double median, p99, longest; /* milliseconds */
};

/* Connects to 127.0.0.1 as `name`, which is client id and user name, and subscribes to the topic `live`.  VERSION is that of
 * MQTT: 4 or 5.  Returns when messages are on their way; ends the process where that cannot be. */
void live_start(int port, int version, const char *name, const char *password);

/* The present moment, for live_since. */
size_t live_mark(void);

/* The times of what was sent since `mark` and has arrived.  Waits until the last of it is there. */
struct live_times live_since(size_t mark);

/* Seconds of a clock that never goes back. */
double seconds(void);

#endif
