//! The broker's questions as values, and the answers they can have.

pub use crate::login::Presented;
use crate::policy::Request;

/// Who wants to connect, or is asked about again after SIGHUP (`MOSQ_EVT_BASIC_AUTH`).
#[derive(Clone, Copy)]
pub struct BasicAuth<'a> {
    /// The broker has made one up when the client sent none.
    pub client_id: &'a str,
    /// As sent by a new client; the name we gave for a known session. Empty ones do not reach us.
    pub username: Option<&'a str>,
    /// Up to the first NUL: no broker up to 2.1.2 tells the length.
    pub password: Option<&'a [u8]>,
    /// Of the peer, in the broker's spelling; absent for sessions restored from disk.
    pub address: Option<&'a str>,
    /// The certificate of the TLS connection.
    pub certificate: Presented<'a>,
    /// Whether the session was there before; `None` where the broker cannot be asked (before 2.1).
    pub known_session: Option<bool>,
    /// Whether the client is connected through a websocket now.
    pub websocket: bool,
}

/// Whether the client may be connected, or stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthReply {
    /// Yes.
    Admit,
    /// No; every failed credential looks alike to the client.
    Refuse,
}

/// A question about a topic (`MOSQ_EVT_ACL_CHECK`).
#[derive(Clone, Copy)]
pub struct AclCheck<'a> {
    /// The name we gave; `None` for a client that was never admitted.
    pub username: Option<&'a str>,
    /// The client identifier.
    pub client_id: &'a str,
    /// What is asked.
    pub request: Request<'a>,
    /// The peer's address, looked up only when it is needed.
    pub address: &'a dyn Fn() -> Option<&'a str>,
}

/// Whether it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AclReply {
    /// Yes.
    Allow,
    /// No; the connection goes on.
    Deny,
}

/// One `plugin_opt_…` line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PluginOption {
    /// What follows `plugin_opt_`.
    pub key: String,
    /// The rest of the line as the broker gives it: blanks at the end stay (conf.c).
    pub value: Vec<u8>,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something will not work, or was strange.
    Warning,
    /// A refusal, a reload.
    Notice,
    /// A start.
    Info,
}

/// What the plugin asks of the broker besides answers. Nobody may hold a lock while calling it: writing to the
/// log and kicking can come back as another event.
pub trait Host {
    /// Whether this thread may do the two below.
    fn on_main_thread(&self) -> bool;
    /// Writes a line to the broker's log.
    fn write(&self, level: Level, line: &str);
    /// Closes all connections that have this user name, without their wills. Only from the tick: elsewhere the
    /// broker is still using the connection.
    fn kick(&self, name: &str);
}
