//! What the plugin asks of the broker, in the broker's words.

use core::ffi::c_int;
use std::ffi::CString;

use super::{Broker, bytes, current_thread};
use crate::{
    ffi::{entry::is_alone, sys},
    plugin::{Host, Level},
};

/// `MOSQ_ERR_AUTH`
const REFUSED: c_int = 11;

impl Host for Broker {
    fn on_main_thread(&self) -> bool {
        current_thread() == self.main_thread
    }

    fn may_refuse_offline_sessions(&self) -> bool {
        self.client_by_id.is_some()
    }

    fn ticks_with_per_listener_settings(&self) -> bool {
        self.client_by_id.is_some() || !self.exports_everything
    }

    fn can_delay(&self) -> bool {
        self.complete_basic_auth.is_some() && is_alone()
    }

    fn complete(&self, client_id: &str, admit: bool) {
        let Some(complete) = self.complete_basic_auth else { return };
        let Ok(client_id) = CString::new(client_id) else { return };
        // SAFETY: a C string; the broker looks it up among those who wait and keeps nothing (plugin_public.c). Nobody there
        // is no error.
        unsafe { complete(client_id.as_ptr(), if admit { 0 } else { REFUSED }) };
    }

    fn knows_sessions(&self) -> bool {
        self.client_by_id.is_some()
    }

    fn session_of(&self, client_id: &str) -> Option<String> {
        let client_by_id = self.client_by_id.filter(|_| self.on_main_thread())?;
        let client_id = CString::new(client_id).ok()?;
        // SAFETY: a C string, which the broker looks up (plugin_public.c).
        let session = unsafe { client_by_id(client_id.as_ptr()) };
        if session.is_null() {
            return None;
        }
        // SAFETY: not null, and a session of the broker's, whose only thread this is.
        let name = unsafe { self.client_username(session) };
        // SAFETY: a C string of that session, or null; copied before the broker is called again.
        let name = unsafe { bytes(name) }?;
        core::str::from_utf8(name).ok().map(str::to_owned)
    }

    fn write(&self, level: Level, line: &str) {
        let level = match level {
            Level::Error => sys::MOSQ_LOG_ERR,
            Level::Warning => sys::MOSQ_LOG_WARNING,
            Level::Notice => sys::MOSQ_LOG_NOTICE,
            Level::Info => sys::MOSQ_LOG_INFO,
        };
        let level = c_int::try_from(level).unwrap_or(1);
        // SAFETY: the shim reads `len` bytes and never takes the text for a format.
        unsafe { (self.log_text)(level, line.as_ptr().cast(), line.len()) };
    }

    fn kick(&self, name: &str) {
        // A null name would mean every anonymous client; a name with a NUL in it is nobody's.
        let Ok(name) = CString::new(name) else { return };
        // SAFETY: a C string; the broker walks its table of open sockets and keeps nothing (plugin_public.c).
        // Nobody there is no error.
        unsafe { (self.kick_by_username)(name.as_ptr(), false) };
    }

    fn publish(&self, topic: &str, payload: &str) {
        let (Ok(topic), Ok(length)) = (CString::new(topic), c_int::try_from(payload.len())) else { return };
        // SAFETY: a C string and `length` bytes; the broker copies both and queues the message (plugin_public.c). That it
        // has no memory for it, it says itself.
        unsafe { (self.publish)(topic.as_ptr(), payload.as_ptr().cast(), length) };
    }
}
