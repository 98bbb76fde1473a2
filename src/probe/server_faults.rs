//! Why a client would not go on with a broker: what the network, or a careful look at its certificate, says.

use std::{io, net::SocketAddr};

use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError, Error};

use super::{Cause, Question, Target, patience::is_late, tls};
use crate::{diag::shell_word, doctor::Cert};

const DOCTOR: &str = "on the broker's machine: sudo citronella doctor";
const ANEW: &str = "have a new certificate made on the broker's machine, good for every name and address of it: sudo citronella broker issue (where Citronella made none before: sudo citronella init --take-port)";
const RENEW: &str = "on the broker's machine: sudo citronella broker renew (where Citronella made none before: sudo citronella init --take-port)";

pub(super) fn unknown_host(host: &str, error: &io::Error) -> Cause {
    Cause::new("unknown-host", format!("nobody knows the name `{host}`"), error.to_string()).help(format!(
        "try the broker's address, or `{host}.local`; `ping {host}` shows whether the name is known here"
    ))
}

pub(super) fn no_connection(target: &Target, error: Option<&io::Error>) -> Cause {
    let observed = error.map(ToString::to_string).unwrap_or_default();
    let Target { host, port, .. } = target;
    match error.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => Cause::new(
            "nothing-listens",
            format!("the machine is there, and nothing listens on port {port}"),
            observed,
        )
        .help("is the broker running? On its machine: systemctl status mosquitto")
        .help("does it open this port for others? There: sudo citronella doctor (it lists the ports)"),
        _ => Cause::new("no-answer", format!("no answer from {host} on port {port}"), observed)
            .help(format!("is the machine on, is the address right, is there a firewall? `ping {host}`")),
    }
}

/// The handshake ended before the broker showed a certificate.
pub(super) fn no_tls(question: &Question, address: SocketAddr, error: Option<&io::Error>) -> Cause {
    let observed = error.map(ToString::to_string).unwrap_or_default();
    let alert = error.and_then(tls::alert);
    if alert == Some(AlertDescription::ProtocolVersion) {
        return Cause::new("tls-version", "the broker speaks neither TLS 1.2 nor 1.3", observed)
            .help("take `tls_version` out of its configuration")
            .help(DOCTOR);
    }
    if alert.is_some() {
        return Cause::new(
            "no-shared-cipher",
            "the broker has no key that goes with its certificate, or no cipher that is in use today",
            observed,
        )
        .help("certificate and key were probably not replaced together")
        .help(DOCTOR);
    }
    if tls::speaks_plain_mqtt(question, address) {
        let plain = question.target.with_tls(false);
        return Cause::new("no-tls", format!("port {} speaks MQTT without TLS", plain.port), observed)
            .help(format!("without encryption, passwords for all to read: citronella probe {plain}"))
            .help("TLS is usually on port 8883; `sudo citronella init` opens it");
    }
    if error.is_some_and(is_late) {
        return Cause::silence(question.timeout, observed);
    }
    Cause::new(
        "no-tls",
        format!("what listens on port {} does not speak TLS", question.target.port),
        observed,
    )
    .help("is it the right port? MQTT over TLS is usually on 8883")
    .help(DOCTOR)
}

/// MQTT without TLS was tried where TLS is spoken.
pub(super) fn tls_needed(question: &Question, observed: String) -> Cause {
    let secure = question.target.with_tls(true);
    Cause::new("tls-needed", format!("port {} speaks TLS", secure.port), observed)
        .help(format!("citronella probe {secure}"))
}

/// Nobody there takes up a websocket.
pub(super) fn no_websocket(question: &Question, observed: String) -> Cause {
    let target = &question.target;
    let path = target.path.as_deref().unwrap_or("/");
    let plain = Target { path: None, ..target.clone() };
    Cause::new(
        "no-websocket",
        format!("what listens on port {} takes no MQTT over websockets at `{path}`", target.port),
        observed,
    )
    .help(format!("without websockets: citronella probe {plain}"))
    .help("Mosquitto opens a port for them with `protocol websockets` below its `listener` line; a server in front of it may want a path, often /mqtt")
}

pub(super) fn no_trust(question: &Question) -> Cause {
    Cause::new(
        "not-judged",
        "the broker's certificate is shown above and was not judged: no authority was given to judge it by",
        "",
    )
    .help(format!(
        "citronella probe {} --cafile ca.crt (the authority's certificate, which each device has)",
        question.target
    ))
}

pub(super) fn setup(question: &Question, error: &Error) -> Cause {
    match error {
        Error::InvalidCertificate(_) => Cause::new(
            "not-an-authority",
            "one of the authorities that were given cannot be used as one",
            error.to_string(),
        )
        .help("--cafile is the certificate of the authority, ca.crt, not that of a device"),
        _ => Cause::new(
            "no-tls",
            format!("TLS with `{}` cannot even be tried", question.target.host),
            error.to_string(),
        ),
    }
}

/// The careful client broke the handshake off.
pub(super) fn refused(question: &Question, chain: &[Cert], error: &io::Error) -> Cause {
    let observed = error.to_string();
    let Some(leaf) = chain.first() else { return broken(&observed) };
    let Some(Error::InvalidCertificate(wrong)) = tls::inner(error) else { return broken(&observed) };
    match wrong {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            name(question, leaf, observed)
        }
        CertificateError::BadSignature => recreated(leaf, observed),
        CertificateError::UnknownIssuer => issuer(question, chain, observed),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            dates(question, chain, observed)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            dates(question, chain, observed)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Cause::new(
            "wrong-purpose",
            format!(
                "the broker shows a certificate that is made for {}, not for a server",
                leaf.view.extended_key_usage.join(" and ")
            ),
            observed,
        )
        .help(ANEW),
        other => {
            let text = format!("{other:?}");
            if text.contains("UnsupportedCertVersion") {
                Cause::new("certificate-v1", "the broker's certificate is X.509 version 1, as `openssl x509 -req` makes it without `-extfile`", observed)
                    .help(ANEW)
            } else if text.contains("CaUsedAsEndEntity") {
                self_issued(leaf, observed)
            } else if text.contains("SignatureAlgorithm") {
                // Another authority of that name, with a key of another kind.
                issuer(question, chain, observed)
            } else {
                Cause::new("bad-certificate", "the broker's certificate cannot be accepted", observed)
                    .help(DOCTOR)
            }
        }
    }
}

fn broken(observed: &str) -> Cause {
    Cause::new("handshake", "the handshake broke off", observed).help(DOCTOR)
}

fn name(question: &Question, leaf: &Cert, observed: String) -> Cause {
    let host = &question.target.host;
    let names: Vec<&str> = leaf
        .view
        .alternative_names
        .iter()
        .filter_map(|name| name.split_once(':'))
        .map(|(_, name)| name)
        .collect();
    if names.is_empty() {
        return Cause::new(
            "certificate-without-names",
            format!(
                "the broker's certificate has no subjectAltName: its common name `{}` is no longer looked at",
                leaf.name()
            ),
            observed,
        )
        .help(ANEW);
    }
    let cause = Cause::new(
        "wrong-name",
        format!("the broker's certificate is not good for `{host}`, only for {}", names.join(", ")),
        observed,
    );
    let cause = match names.first() {
        Some(name) => cause.help(format!(
            "call the broker by one of these: citronella probe mqtts://{name}:{}",
            question.target.port
        )),
        None => cause,
    };
    let mut options: Vec<String> = Vec::new();
    for name in &leaf.view.alternative_names {
        match name.split_once(':') {
            Some(("DNS", name)) => options.push(format!("--name {}", shell_word(name))),
            Some(("IP", address)) => options.push(format!("--address {}", shell_word(address))),
            _ => {}
        }
    }
    let option = if question.target.is_address() { "--address" } else { "--name" };
    options.push(format!("{option} {}", shell_word(host)));
    cause.help(format!(
        "or have one made that is good for this too, on the broker's machine: sudo citronella broker issue {}",
        options.join(" ")
    ))
}

fn recreated(leaf: &Cert, observed: String) -> Cause {
    Cause::new(
        "ca-recreated",
        format!("the authority `{}` was made anew: the one that was given has the same name, and is not the one that signed the broker's certificate", leaf.view.issuer),
        observed,
    )
    .help("take the authority's certificate from the broker's machine again (/etc/citronella/tls/ca.crt), or have the broker's certificate made anew by the present authority, there: sudo citronella broker issue")
}

fn self_issued(leaf: &Cert, observed: String) -> Cause {
    if leaf.has_signed(leaf) == Some(true) {
        Cause::new("self-signed", "the broker's certificate is signed by nobody but itself", observed)
            .help(ANEW)
    } else {
        Cause::new(
            "same-name-as-ca",
            format!(
                "broker and authority are both called `{}`, so the certificate looks self-signed",
                leaf.view.subject
            ),
            observed,
        )
        .help(ANEW)
    }
}

fn issuer(question: &Question, chain: &[Cert], observed: String) -> Cause {
    let Some(leaf) = chain.first() else { return broken(&observed) };
    if leaf.view.self_issued {
        return self_issued(leaf, observed);
    }
    let last = chain.last().unwrap_or(leaf);
    let same_name = question.trust.iter().any(|cert| cert.is_named_by(last) || cert.is_named_by(leaf));
    if same_name {
        return recreated(leaf, observed);
    }
    if !question.trust.iter().any(Cert::is_authority) {
        let name = question.trust.first().map_or("nobody", Cert::name);
        return Cause::new(
            "not-an-authority",
            format!("what was given as the authority is the certificate of `{name}`, which is none"),
            observed,
        )
        .help("--cafile is the certificate of the authority, ca.crt, not that of a device");
    }
    let given: Vec<&str> = question.trust.iter().map(|cert| cert.view.subject.as_str()).collect();
    let cause = Cause::new(
        "wrong-ca",
        format!("the broker's certificate is signed by `{}`, and the authority that was given is `{}`", last.view.issuer, given.join("`, `")),
        observed,
    )
    .help("give the authority's certificate of this broker: on its machine it is the `cafile`, or /etc/citronella/tls/ca.crt");
    if chain.len() == 1 {
        cause.help(format!("if `{}` stands between the two, the broker has to send its certificate along: append it to the `certfile`", leaf.view.issuer))
    } else {
        cause
    }
}

/// Outside the dates of the broker's certificate, or of one above it.
fn dates(question: &Question, chain: &[Cert], observed: String) -> Cause {
    let now = question.now.0;
    let wrong = chain
        .iter()
        .find(|cert| now > cert.view.not_after.as_second() || now < cert.view.not_before.as_second());
    let Some(view) = wrong.or(chain.first()).map(|cert| &cert.view) else { return broken(&observed) };
    let span =
        format!("valid from {} to {}; the clock here says {}", view.not_before, view.not_after, question.now);
    let cause = if now < view.not_before.as_second() {
        Cause::new(
            "certificate-not-yet-valid",
            format!("the broker's certificate is not valid yet: {span}"),
            observed,
        )
        .help("most likely a clock is wrong, here or where the certificate was made: timedatectl")
    } else {
        Cause::new("certificate-expired", format!("the broker's certificate has expired: {span}"), observed)
    };
    cause.help(format!("if the clocks are right, have the next one made, {RENEW}"))
}

/// OpenSSL looks at the authority's own dates, the library here does not.
pub(super) fn authority_ended(question: &Question) -> Option<Cause> {
    let ended = question.trust.iter().find(|cert| cert.view.not_after.as_second() < question.now.0)?;
    let until: Timestamp = ended.view.not_after;
    Some(
        Cause::new("ca-expired", format!("the authority `{}` itself ended at {until}", ended.name()), "")
            .help("make a new authority, on the broker's machine, and give all devices its certificate: sudo citronella ca rollover"),
    )
}

/// OpenSSL takes a certificate for self-signed by its names alone, the library here by its signature.
pub(super) fn looks_self_signed(chain: &[Cert]) -> Option<Cause> {
    let leaf = chain.first().filter(|leaf| leaf.view.self_issued && leaf.has_signed(leaf) != Some(true))?;
    Some(self_issued(leaf, String::new()))
}
