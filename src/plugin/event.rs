//! The broker's questions as values, and the answers they can have.

pub use crate::login::Presented;
use std::{fmt, net::IpAddr};

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
    /// Where the client is.
    pub peer: Peer,
    /// The certificate of the TLS connection.
    pub certificate: Presented<'a>,
    /// Whether the session was there before.
    pub session: Session,
    /// Whether the client is connected through a websocket now.
    pub websocket: bool,
    /// Whether the client speaks MQTT 5.
    pub mqtt5: bool,
    /// The name that the session of this client id was given, if there is one and the broker can be asked.
    pub session_of: Option<&'a str>,
}

/// What the broker lets us know of whether a client is new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Session {
    /// It is not in the broker's table of sessions yet.
    New,
    /// It is there, or has a subscription, which no client has before it is admitted.
    Known,
    /// A 2.0 broker cannot be asked, and there is no subscription to tell by.
    Undecided,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Peer {
    /// The address of its connection, or of the one that a session had last.
    Address(IpAddr),
    /// A websocket of a 2.0 broker, which takes the address from a header that the client writes (X-Forwarded-For): good
    /// enough to tell clients apart who do not lie, and not to be shown.
    Websocket(Option<IpAddr>),
    /// The listener `http_api` of 2.1, which asks from a thread of its own and tells no address: all its callers are one.
    Http,
    /// A socket without an address, or a session restored from disk.
    Unknown,
}

/// Where a client is, in the broker's words; they become a [`Peer`] only if somebody asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Whence<'a> {
    /// Which of its kinds the peer is.
    pub way: Way,
    /// Its address as the broker writes it; nothing if there is none.
    pub text: &'a [u8],
}

/// How a client came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// See [`Peer::Address`].
    Socket,
    /// See [`Peer::Websocket`].
    Websocket,
    /// See [`Peer::Http`].
    Http,
}

impl Whence<'_> {
    /// The same as a value.
    #[must_use]
    pub fn peer(self) -> Peer {
        let address = || str::from_utf8(self.text).ok()?.parse::<IpAddr>().ok();
        let address = || address().map(|address| address.to_canonical());
        match self.way {
            Way::Socket => address().map_or(Peer::Unknown, Peer::Address),
            Way::Websocket => Peer::Websocket(address()),
            Way::Http => Peer::Http,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Websocket(_) => f.write_str("websocket"),
            Self::Http => f.write_str("http_api"),
            Self::Unknown => f.write_str("no address"),
        }
    }
}

/// Whether the client may be connected, or stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthReply {
    /// Yes.
    Admit,
    /// No; every failed credential looks alike to the client.
    Refuse,
    /// Not now, as MQTT 5 says it (0x89).
    Busy,
    /// Not now: closed without a word, because the words there are would mean that the password is wrong.
    Close,
    /// The broker waits for [`Host::complete`]; the answer only where [`Host::can_delay`].
    Delay,
}

/// How soon the broker's loop must turn again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wake {
    /// At once: something is under way.
    Soon,
    /// When it likes.
    Later,
}

/// What can be done with a client while the broker asks about it.
pub trait Newcomer {
    /// Gives it another user name.
    ///
    /// # Errors
    ///
    /// The broker refused.
    fn rename(&self, name: &str) -> Result<(), String>;

    /// Gives it another client id (2.1).
    ///
    /// # Errors
    ///
    /// The broker refused, or cannot.
    fn take_id(&self, client_id: &str) -> Result<(), String>;
}

/// A question about a topic (`MOSQ_EVT_ACL_CHECK`).
#[derive(Clone, Copy)]
pub struct AclCheck<'a> {
    /// The name we gave; `None` for a client that was never admitted.
    pub username: Option<&'a str>,
    /// The client identifier, read only when it is needed: few policies speak of it.
    pub client_id: &'a dyn Fn() -> Option<&'a str>,
    /// What is asked.
    pub request: Request<'a>,
    /// Where the client is, looked up only when it is needed.
    pub whence: &'a dyn Fn() -> Whence<'a>,
}

/// Whether it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AclReply {
    /// Yes.
    Allow,
    /// No; the connection goes on.
    Deny,
    /// No, and the connection ends; for a publish or a subscription.
    Close,
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
    /// Whether a session that is offline may be refused: up to 2.0.22 that corrupts the broker's memory (mosquitto
    /// issues 3341 and 3418).
    fn may_refuse_offline_sessions(&self) -> bool;
    /// Whether the tick comes with `per_listener_settings true` too: in 2.0.11 it does not (plugin.c).
    fn ticks_with_per_listener_settings(&self) -> bool;
    /// Which kind of broker this is: `2.0.11`, `2.0` or `2.1`.
    fn kind(&self) -> &'static str {
        match (self.may_refuse_offline_sessions(), self.ticks_with_per_listener_settings()) {
            (true, _) => "2.1",
            (false, true) => "2.0",
            (false, false) => "2.0.11",
        }
    }
    /// Whether this thread may do the two below.
    fn on_main_thread(&self) -> bool;
    /// Whether a new client may wait for its answer (2.1).
    fn can_delay(&self) -> bool {
        false
    }
    /// Answers a client that waits, if there is one with this client id. Only from the tick.
    fn complete(&self, _client_id: &str, _admit: bool) {}
    /// Whether the broker can be asked whose a session is (2.1).
    fn knows_sessions(&self) -> bool {
        false
    }
    /// The user name of the session of this client id, if there is one and the broker can be asked.
    fn session_of(&self, _client_id: &str) -> Option<String> {
        None
    }
    /// Writes a line to the broker's log.
    fn write(&self, level: Level, line: &str);
    /// Closes all connections that have this user name, without their wills. Only from the tick: elsewhere the
    /// broker is still using the connection.
    fn kick(&self, name: &str);
    /// Publishes a retained message to all who subscribe to its topic and may have it. Only from the tick: elsewhere the
    /// broker is in the middle of something.
    fn publish(&self, topic: &str, payload: &str);
}
