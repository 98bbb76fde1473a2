//! A conversation with a broker as a device has it, told step by step, and where it fails the cause.
//!
//! Two passes: the first accepts any certificate and shows none, to see what the broker shows; the second judges as a
//! careful client does, with the device's certificate. In TLS 1.3 a client is through with its handshake before the
//! broker has looked at the client's certificate, so the second pass goes on to CONNECT and reads: a refusal comes
//! there.
#![forbid(unsafe_code)]

mod cause;
mod client_faults;
mod identity;
mod patience;
mod server_faults;
mod target;
mod tls;
mod websocket;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use crate::{
    clock::UnixSeconds,
    doctor::Cert,
    mqtt::{Client, Connect, Connected, MqttError, Version},
    pki::inspect::CertificateView,
    secret::Secret,
};

pub use cause::Cause;
pub use identity::{Identity, IdentityError};
use patience::{Patience, Patient};
pub use target::{Target, TargetError};
pub use tls::Negotiated;

/// What is to be tried.
pub struct Question {
    /// Where the broker is.
    pub target: Target,
    /// The authorities that a careful client believes; without any the broker's certificate is shown and not judged.
    pub trust: Vec<Cert>,
    /// A device's certificate and key.
    pub identity: Option<Identity>,
    /// Who the client says it is.
    pub username: Option<String>,
    /// Sent only over TLS that was judged, or to this machine.
    pub password: Option<Secret>,
    /// May be empty: then the broker chooses one.
    pub client_id: String,
    /// A topic to which an empty message is published.
    pub publish: Option<String>,
    /// A filter that is subscribed to.
    pub subscribe: Option<String>,
    /// For each step.
    pub timeout: Duration,
    /// The time that certificates are judged by.
    pub now: UnixSeconds,
}

/// What came of it, as far as it went.
#[derive(Debug, Default)]
pub struct Answer {
    /// The address that was connected to.
    pub address: Option<SocketAddr>,
    /// Of TLS.
    pub tls: Option<Negotiated>,
    /// What the broker showed, its own certificate first.
    pub chain: Vec<CertificateView>,
    /// Whether the broker asked for a client's certificate.
    pub certificate_asked: bool,
    /// Whether the client's own was shown.
    pub certificate_shown: bool,
    /// The code of the broker's CONNACK.
    pub login: Option<Reply>,
    /// The answer to the message.
    pub publish: Option<Reply>,
    /// The answer to the subscription.
    pub subscribe: Option<Reply>,
    /// Why it went no further, or what was refused.
    pub cause: Option<Cause>,
}

/// A code of MQTT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// 5.0 or 3.1.1.
    pub version: Version,
    /// A reason or return code.
    pub code: u8,
}

impl Reply {
    /// Whether it means yes.
    #[must_use]
    pub fn is_yes(self) -> bool {
        self.code < 0x80 && (self.version == Version::V5 || self.code <= 2)
    }
}

/// Tries it.
#[must_use]
pub fn probe(question: &Question) -> Answer {
    let mut answer = Answer::default();
    if let Err(cause) = go(question, &mut answer) {
        answer.cause = Some(cause);
    }
    answer
}

fn go(question: &Question, answer: &mut Answer) -> Result<(), Cause> {
    let address = connect(question, answer)?.0;
    if !question.target.tls {
        let failed = |error| server_faults::no_connection(&question.target, Some(&error));
        let stream = Patient::connect(address, question.timeout).map_err(failed)?;
        let patience = stream.patience();
        return converse(question, (stream, patience), answer).map_err(|cause| {
            let says_nothing = matches!(cause.code, "closed" | "no-mqtt" | "no-answer" | "no-websocket");
            if says_nothing && !tls::describe(question, address).chain.is_empty() {
                server_faults::tls_needed(question, cause.observed)
            } else {
                cause
            }
        });
    }
    let seen = tls::describe(question, address);
    answer.chain = seen.chain.iter().map(|cert| cert.view.clone()).collect();
    answer.tls = seen.negotiated;
    answer.certificate_asked = seen.certificate_asked;
    if seen.chain.is_empty() {
        return Err(server_faults::no_tls(question, address, seen.error.as_ref()));
    }
    if question.trust.is_empty() {
        return Err(server_faults::no_trust(question));
    }
    let overlooked =
        server_faults::authority_ended(question).or_else(|| server_faults::looks_self_signed(&seen.chain));
    if let Some(cause) = overlooked {
        return Err(cause);
    }
    let config = tls::careful(question).map_err(|error| server_faults::setup(question, &error))?;
    let first = tls::handshake(question, address, &config);
    let stream = first.map_err(|error| {
        let alert = tls::alert(&error);
        match alert {
            Some(alert) => {
                // The broker has seen it: whoever does not believe the broker ends without an alert of it.
                answer.certificate_shown = config.asked() && question.identity.is_some();
                client_faults::alert(question, alert, config.asked())
            }
            None => server_faults::refused(question, &seen.chain, &error),
        }
    })?;
    answer.tls = Some(stream.negotiated.clone());
    answer.certificate_asked = config.asked();
    answer.certificate_shown = config.asked() && question.identity.is_some();
    converse(question, (stream.stream, stream.patience), answer).map_err(|cause| match cause.alert {
        Some(alert) => client_faults::alert(question, alert, config.asked()),
        None => cause,
    })?;
    if let Some(negotiated) = &mut answer.tls {
        negotiated.resumed = tls::resumed(question, address, &config);
    }
    Ok(())
}

fn connect(question: &Question, answer: &mut Answer) -> Result<(SocketAddr, TcpStream), Cause> {
    let Target { host, port, .. } = &question.target;
    let addresses = (host.as_str(), *port)
        .to_socket_addrs()
        .map_err(|error| server_faults::unknown_host(host, &error))?;
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, question.timeout) {
            Ok(stream) => {
                answer.address = Some(address);
                return Ok((address, stream));
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(server_faults::no_connection(&question.target, failed.as_ref()))
}

/// Talks, in frames if that is asked for.
fn converse<S: Read + Write>(
    question: &Question,
    (stream, patience): (S, Patience),
    answer: &mut Answer,
) -> Result<(), Cause> {
    patience.next_step();
    match question.target.path {
        Some(_) => talk(question, (websocket::open(question, stream)?, patience), answer),
        None => talk(question, (stream, patience), answer),
    }
}

/// Logs in and asks.
fn talk<S: Read + Write>(
    question: &Question,
    (stream, patience): (S, Patience),
    answer: &mut Answer,
) -> Result<(), Cause> {
    let version = Version::V5;
    let secure = question.target.tls || answer.address.is_some_and(|address| address.ip().is_loopback());
    let password = question.password.as_ref().filter(|_| secure).map(Secret::expose);
    let login = Connect {
        version,
        client_id: &question.client_id,
        username: question.username.as_deref(),
        password,
        keep_alive_s: 30,
    };
    patience.next_step();
    let mut client = match Client::connect(stream, &login) {
        Ok(Connected::Yes(client)) => client,
        Ok(Connected::No(code)) => {
            answer.login = Some(Reply { version, code });
            return Err(client_faults::connack(question, code, answer.certificate_shown));
        }
        Err(error) => return Err(client_faults::closed(question, &error)),
    };
    answer.login = Some(Reply { version, code: 0 });
    client.ignore_messages();
    let mut refused = None;
    if let Some(filter) = &question.subscribe {
        patience.next_step();
        let codes =
            client.subscribe(&[filter], 0).map_err(|error| client_faults::ended(question, filter, &error))?;
        let code = codes.first().copied().unwrap_or(0x80);
        answer.subscribe = Some(Reply { version, code });
        if code >= 0x80 {
            refused = Some(client_faults::not_allowed(question, ("subscribe", filter), code));
        }
    }
    if let Some(topic) = &question.publish {
        patience.next_step();
        let code =
            client.publish(topic, b"").map_err(|error| client_faults::ended(question, topic, &error))?;
        answer.publish = Some(Reply { version, code });
        if code >= 0x80 {
            refused.get_or_insert(client_faults::not_allowed(question, ("publish", topic), code));
        }
    }
    // Whoever asked nothing has still to see that the session lives: a certificate may be judged late.
    patience.next_step();
    client.ping().map_err(|error| client_faults::closed(question, &error))?;
    let _: Result<(), MqttError> = client.disconnect();
    refused.map_or(Ok(()), Err)
}

/// So long a step took.
fn since(start: Instant) -> Duration {
    start.elapsed()
}
