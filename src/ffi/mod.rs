//! The broker's side: the only unsafe code of Citronella.
//!
//! What Mosquitto promises and wants, in one page. File names are the broker's, 2.0.11 to 2.1.2.
//!
//! - `mosquitto_plugin_init` runs after privileges are dropped and after the last fork, once per `plugin` line
//!   (mosquitto.c). What it leaves in `*user_data` comes back in `mosquitto_plugin_cleanup`. After a failed
//!   init, 2.0 calls nothing more, 2.1 calls cleanup with whatever `*user_data` holds: it is written last.
//! - Callbacks run on the main thread; 2.1's `http_api` listener calls `BASIC_AUTH` and `ACL_CHECK` from another
//!   (http_api.c). Off the main thread only accessors of the event's own client are called.
//! - Broker functions can re-enter us: a log line with `log_dest topic` is published, and its delivery is an
//!   ACL check. No lock is held across a call into the broker, and state is only ever shared (`&Loaded`).
//! - A non-zero answer to RELOAD ends a 2.1 broker and corrupts a 2.0 broker (signals.c, security.c). It is 0.
//! - Strings of an event belong to the broker and live until the callback returns; the user name only until
//!   `mosquitto_set_username`.
//! - 2.0 closes the library after cleanup (dlclose): no thread and no exit handler of ours may be left. Its code
//!   stays mapped all the same. The first snapshot that a thread reads gives it a thread-local value of arc-swap's with
//!   a destructor, and glibc keeps a library until the threads with such values have ended; for the main thread that
//!   is the end of the process. That is as well: the destructor then runs in code that is there, and what is kept is
//!   that code and a few bytes for each thread, for cleanup takes our state back. musl never unloads anything.
//! - On armhf `struct mosquitto_evt_tick` has two layouts (32- and 64-bit `time_t`); there only the member that stands
//!   in the same place in both is written (shim.c).
//! - A client that waits for its answer (2.1) is nobody's: it has no pointer that lives until then, leaves without an
//!   event, and its id can be another's by the time (plugin_public.c, context.c).

mod api;
mod entry;
mod event;
mod guard;
mod kept;
mod sys;
#[cfg(test)]
mod tests;
