//! Pointers become values here, once, and are lent: what a handler is given cannot outlive the callback.

use core::ffi::{c_char, c_int, c_void};

use thiserror::Error;

use super::{
    api::{Broker, bytes},
    sys,
};
use crate::{
    plugin::{AclCheck, BasicAuth, Host as _, Newcomer, Session},
    policy::Request,
};

/// A part of an event that is missing or is not what the broker promises.
#[derive(Debug, Error, Eq, PartialEq)]
pub(super) enum BadEvent {
    /// A pointer that has to be there.
    #[error("the broker gave no {0}")]
    Null(&'static str),
    /// Text that is not UTF-8 (MQTT 5.0 section 1.5.4).
    #[error("the {0} is not UTF-8")]
    NotText(&'static str),
    /// A kind of access that no known broker asks about.
    #[error("access {0} is unknown")]
    Access(c_int),
}

/// Reads `MOSQ_EVT_BASIC_AUTH` and lends it to `handle`.
///
/// # Errors
///
/// The first part of the event that is missing or not text.
///
/// # Safety
///
/// `data` is null, or what the broker passes with that event, alive until this returns.
pub(super) unsafe fn basic_auth<R>(
    broker: &Broker,
    data: *mut c_void,
    handle: impl FnOnce(BasicAuth<'_>, &dyn Newcomer) -> R,
) -> Result<R, BadEvent> {
    // SAFETY: null or, by this function's contract, a live event.
    let event = unsafe { data.cast::<sys::mosquitto_evt_basic_auth>().as_ref() };
    let event = event.ok_or(BadEvent::Null("event"))?;
    let client = event.client;
    if client.is_null() {
        return Err(BadEvent::Null("client"));
    }
    // SAFETY: the broker keeps the client during the callback.
    let id = unsafe { broker.client_id(client) };
    // SAFETY: as above; `id` is this client's.
    let session = unsafe { broker.session(client, id) };
    // SAFETY: as above.
    let peer = unsafe { broker.whence(client) }.peer();
    // SAFETY: as above.
    let websocket = unsafe { broker.is_websocket(client) };

    // A name of its own, because `mosquitto_set_username` frees the event's.
    // SAFETY: a C string of the broker, or null.
    let username = unsafe { optional_text(event.username, "user name") }?.map(str::to_owned);
    // A copy too, because `mosquitto_set_clientid` frees the client's.
    // SAFETY: the identifier lives as long as the client, and nothing changes it meanwhile.
    let client_id = unsafe { text(id, "client id") }?.to_owned();
    let session_of = match session {
        Session::New => broker.session_of(&client_id),
        Session::Known | Session::Undecided => None,
    };
    // SAFETY: a C string of the broker, or null. Passwords are bytes (MQTT 5.0 section 3.1.3.6).
    let password = unsafe { bytes(event.password) };
    // SAFETY: as above.
    let mqtt5 = unsafe { broker.is_mqtt5(client) };
    let newcomer = Client { broker, client };

    // SAFETY: as above.
    Ok(unsafe {
        broker.certificate(client, |certificate| {
            let event = BasicAuth {
                client_id: &client_id,
                username: username.as_deref(),
                password,
                peer,
                certificate,
                session,
                websocket,
                mqtt5,
                session_of: session_of.as_deref(),
            };
            handle(event, &newcomer)
        })
    })
}

/// The client of an event that goes on.
struct Client<'a> {
    broker: &'a Broker,
    client: *mut sys::mosquitto,
}

impl Newcomer for Client<'_> {
    fn rename(&self, name: &str) -> Result<(), String> {
        // SAFETY: made by `basic_auth` for its event's client, and lent for the time of that event.
        unsafe { self.broker.set_username(self.client, name) }.map_err(|error| error.to_string())
    }

    fn take_id(&self, client_id: &str) -> Result<(), String> {
        // SAFETY: as above.
        unsafe { self.broker.set_clientid(self.client, client_id) }.map_err(|error| error.to_string())
    }
}

/// Reads `MOSQ_EVT_ACL_CHECK` and lends it to `handle`.
///
/// # Errors
///
/// The first part of the event that is missing, not text or unknown.
///
/// # Safety
///
/// As for [`basic_auth`].
pub(super) unsafe fn acl_check<R>(
    broker: &Broker,
    data: *mut c_void,
    handle: impl FnOnce(AclCheck<'_>) -> R,
) -> Result<R, BadEvent> {
    // SAFETY: null or, by this function's contract, a live event.
    let event = unsafe { data.cast::<sys::mosquitto_evt_acl_check>().as_ref() };
    let event = event.ok_or(BadEvent::Null("event"))?;
    let client = event.client.cast_const();
    if client.is_null() {
        return Err(BadEvent::Null("client"));
    }
    // SAFETY: the broker keeps the client during the callback.
    let username = unsafe { broker.client_username(client) };
    // SAFETY: as above.
    let id = unsafe { broker.client_id(client) };
    // SAFETY: C strings of the client, which nothing changes during the callback.
    let username = unsafe { optional_text(username, "user name") }?;
    if id.is_null() {
        return Err(BadEvent::Null("client id"));
    }
    // SAFETY: the broker owns the topic until the callback returns.
    let topic = unsafe { text(event.topic, "topic") }?;
    let request = match event.access.cast_unsigned() {
        sys::MOSQ_ACL_WRITE => {
            Request::Publish { topic, qos: event.qos, retain: event.retain, payload_bytes: event.payloadlen }
        }
        sys::MOSQ_ACL_READ => Request::Receive { topic },
        sys::MOSQ_ACL_SUBSCRIBE => Request::Subscribe { filter: topic },
        sys::MOSQ_ACL_UNSUBSCRIBE => Request::Unsubscribe { filter: topic },
        _ => return Err(BadEvent::Access(event.access)),
    };
    // SAFETY: a C string of the client, as its user name.
    let client_id = || unsafe { text(id, "client id") }.ok();
    // SAFETY: as above.
    let whence = || unsafe { broker.whence(client) };
    Ok(handle(AclCheck { username, client_id: &client_id, request, whence: &whence }))
}

/// Text that has to be there.
///
/// # Safety
///
/// As for [`bytes`].
unsafe fn text<'a>(text: *const c_char, what: &'static str) -> Result<&'a str, BadEvent> {
    // SAFETY: by this function's contract.
    unsafe { optional_text(text, what) }?.ok_or(BadEvent::Null(what))
}

/// Text, or null.
///
/// # Safety
///
/// As for [`bytes`].
unsafe fn optional_text<'a>(text: *const c_char, what: &'static str) -> Result<Option<&'a str>, BadEvent> {
    // SAFETY: by this function's contract.
    let Some(bytes) = (unsafe { bytes(text) }) else { return Ok(None) };
    // Most names and topics are ASCII, which is found out in a tenth of the time.
    if is_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        return Ok(Some(unsafe { core::str::from_utf8_unchecked(bytes) }));
    }
    core::str::from_utf8(bytes).map(Some).map_err(|_| BadEvent::NotText(what))
}

/// Whether all bytes are ASCII. The library goes through the end of a text byte by byte; here its last word overlaps the
/// one before it.
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let Some(last) = bytes.last_chunk() else { return bytes.is_ascii() };
    let words = bytes.as_chunks().0.iter();
    words.fold(u64::from_ne_bytes(*last), |all, word| all | u64::from_ne_bytes(*word)) & HIGH == 0
}

#[cfg(test)]
mod tests {
    use super::is_ascii;

    #[test]
    fn no_byte_is_overlooked() {
        for length in 0..40 {
            let mut bytes = vec![0x7f; length];
            assert!(is_ascii(&bytes), "{length}");
            for at in 0..length {
                bytes[at] = 0x80;
                assert!(!is_ascii(&bytes), "{at} of {length}");
                bytes[at] = 0;
            }
        }
    }
}
