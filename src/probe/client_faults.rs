//! Why a broker would not go on with a client: its alerts, its CONNACK, its answers.

use rustls::AlertDescription;

use super::{Cause, Question, patience::is_late, tls};
use crate::{diag::shell_word, doctor::Cert, mqtt::MqttError};

const LOG: &str = "the broker's log has the reason, in a line that begins with `citronella:` if Citronella guards it: sudo tail /var/log/mosquitto/mosquitto.log";
const DOCTOR: &str = "on the broker's machine: sudo citronella doctor";

/// What the broker means by an alert, as OpenSSL in Mosquitto sends them.
pub(super) fn alert(question: &Question, alert: AlertDescription, asked: bool) -> Cause {
    let observed = format!("the broker's alert {alert:?}");
    let leaf = question.identity.as_ref().and_then(|identity| identity.leaf());
    let Some(leaf) = leaf else {
        return match alert {
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure if asked => {
                certificate_required(question, observed)
            }
            AlertDescription::CertificateRequired => certificate_required(question, observed),
            _ => other(observed),
        };
    };
    let view = &leaf.view;
    let name = leaf.name();
    let word = shell_word(name);
    let now = question.now.0;
    match alert {
        AlertDescription::CertificateRequired => certificate_required(question, observed),
        AlertDescription::UnknownCA => unknown_authority(question, leaf, observed),
        AlertDescription::DecryptError => recreated(name, observed),
        AlertDescription::UnsupportedCertificate => {
            let purposes = if view.extended_key_usage.is_empty() { "another purpose".to_owned() } else { view.extended_key_usage.join(" and ") };
            Cause::new("wrong-purpose", format!("the certificate of `{name}` is made for {purposes}, not for a client (clientAuth)"), observed)
                .help(format!("give the device one that is: sudo citronella cert issue {word}"))
        }
        AlertDescription::CertificateRevoked => {
            Cause::new("revoked", format!("the broker's CRL says that the certificate of `{name}` is revoked"), observed)
                .help(format!("if the device is back and trusted: sudo citronella cert issue {word} gives it a new one; a revoked one stays revoked"))
        }
        AlertDescription::CertificateExpired if view.not_after.as_second() < now => {
            Cause::new("certificate-expired", format!("the certificate of `{name}` ended at {}", view.not_after), observed)
                .help(format!("give the device the next one: sudo citronella cert issue {word}"))
        }
        AlertDescription::CertificateExpired => Cause::new(
            "crl-expired",
            format!("the broker speaks of an expired certificate, and that of `{name}` is valid until {}: what has expired is the broker's CRL, or its clock is wrong", view.not_after),
            observed,
        )
        .help("have the authority make a new CRL and reload the broker, or take `crlfile` out: Citronella revokes without one")
        .help(DOCTOR),
        AlertDescription::BadCertificate if view.not_before.as_second() > now => {
            Cause::new("certificate-not-yet-valid", format!("the certificate of `{name}` is not valid before {}", view.not_before), observed)
                .help("look at the clock of the machine where it was made: timedatectl")
        }
        AlertDescription::BadCertificate if weak(leaf) => Cause::new(
            "weak-certificate",
            format!("the certificate of `{name}` is too weak for OpenSSL of today: {}, signed with {}", view.key, view.signature),
            observed,
        )
        .help(format!("give the device the next one: sudo citronella cert issue {name}")),
        AlertDescription::BadCertificate => Cause::new(
            "crl-not-yet-valid",
            format!("nothing is wrong with the dates of the certificate of `{name}`: the broker's CRL counts from a time to come, or the broker's clock is behind"),
            observed,
        )
        .help("compare the clocks of the broker's machine and of that where the CRL was made: timedatectl")
        .help(DOCTOR),
        _ => other(observed),
    }
}

/// What OpenSSL refuses at its usual level: short RSA keys, and the hashes of yesterday.
fn weak(cert: &Cert) -> bool {
    let bits = cert.view.key.strip_prefix("RSA ").and_then(|bits| bits.parse::<u32>().ok());
    let broken = ["sha1", "md5", "1.2.840.113549.1.1.4", "1.2.840.10045.4.1"];
    bits.is_some_and(|bits| bits < 2048) || broken.iter().any(|hash| cert.view.signature.starts_with(hash))
}

fn certificate_required(question: &Question, observed: String) -> Cause {
    let cause =
        Cause::new("certificate-required", "the broker wants a client's certificate, and got none", observed)
            .help(format!(
                "citronella probe {} --from FOLDER (what `citronella device add` wrote for a device)",
                question.target
            ));
    cause
        .help("a program that has one and does not show it has not loaded it; in Java `SSLContext.init` needs a KeyManager, with `null` in its place none is shown")
        .help("clients with a password come in on a port of their own, usually 8884: sudo citronella init --password-listener")
}

fn recreated(name: &str, observed: String) -> Cause {
    Cause::new(
        "ca-recreated",
        format!("the broker's authority has the name of the one that signed the certificate of `{name}`, and another key: it was made anew"),
        observed,
    )
    .help(format!("give the device a certificate of the present one: sudo citronella cert issue {}", shell_word(name)))
}

/// From nobody that the broker believes, or nobody for whom it has a CRL.
fn unknown_authority(question: &Question, leaf: &Cert, observed: String) -> Cause {
    let name = leaf.name();
    let word = shell_word(name);
    let anew =
        format!("give the device a certificate of the broker's authority: sudo citronella cert issue {word}");
    let chain = question.identity.as_ref().map_or(&[][..], |identity| &*identity.chain);
    let mut above = question.trust.iter().chain(chain.iter().skip(1));
    if above.any(|cert| cert.has_signed(leaf) == Some(true) && cert.is_named_by(leaf)) {
        return Cause::new(
            "crl-missing",
            format!("the authority `{}` is known, so either the broker's `crlfile` has no CRL of it, or the broker believes another authority than the one that was given", leaf.view.issuer),
            observed,
        )
        .help("append a CRL of that authority to the `crlfile`, even an empty one, or take `crlfile` out: Citronella revokes without one")
        .help(DOCTOR);
    }
    if question.trust.iter().any(|cert| cert.is_named_by(leaf) && cert.has_signed(leaf) != Some(true)) {
        return recreated(name, observed);
    }
    let cause = Cause::new(
        "unknown-ca",
        format!(
            "the certificate of `{name}` is signed by `{}`, whom the broker does not believe",
            leaf.view.issuer
        ),
        observed,
    )
    .help(anew);
    if chain.len() == 1 && !leaf.view.self_issued {
        cause.help(format!("if `{}` stands between the device and the broker's authority: append its certificate to the device's, so that it is sent along", leaf.view.issuer))
    } else {
        cause
    }
}

fn other(observed: String) -> Cause {
    Cause::new("refused-by-tls", "the broker broke the connection off", observed)
        .help(DOCTOR)
        .help("its log says more: sudo tail /var/log/mosquitto/mosquitto.log")
}

/// The connection ended where the answer to CONNECT, or to a question, should have come.
pub(super) fn closed(question: &Question, error: &MqttError) -> Cause {
    let observed = error.to_string();
    if let MqttError::Io(error) = error {
        if let Some(alert) = tls::alert(error) {
            return Cause { alert: Some(alert), ..other(observed) };
        }
        if is_late(error) {
            return Cause::silence(question.timeout, observed);
        }
    }
    if let MqttError::Malformed(_) = error {
        return Cause::new("no-mqtt", "what answers on this port does not speak MQTT", observed)
            .help("is it the right port?");
    }
    Cause::new("closed", "the broker closed the connection without a word", observed)
        .help("it does so with who tries too often, and with what it takes for no MQTT")
        .help(LOG)
}

/// The connection ended after something was asked for.
pub(super) fn ended(question: &Question, topic: &str, error: &MqttError) -> Cause {
    match error {
        MqttError::Closed | MqttError::Disconnected(_) => Cause::new(
            "closed",
            format!("the broker ended the session when it was asked for `{topic}`"),
            error.to_string(),
        )
        .help(LOG),
        _ => closed(question, error),
    }
}

/// CONNACK with a code that means no. SOURCE: MQTT 5.0 section 3.2.2.2 and 3.1.1 section 3.2.2.3.
pub(super) fn connack(question: &Question, code: u8, certificate_shown: bool) -> Cause {
    let observed = format!("CONNACK with code {code:#04x}");
    let meaning = match code {
        4 | 5 | 0x86 | 0x87 => {
            let not_shown = question.identity.as_ref().filter(|_| !certificate_shown);
            return match not_shown.filter(|_| question.password.is_none()) {
                Some(identity) => not_shown_here(question, identity.name(), observed),
                None => not_authorised(question, observed),
            };
        }
        1 | 0x84 => ("mqtt-version", "the broker does not speak MQTT 5.0"),
        2 | 0x85 => ("client-id", "the broker does not accept the client id"),
        3 | 0x88 | 0x89 => {
            ("not-now", "the broker refuses for now: it is busy, or this address has failed too often")
        }
        0x8a => ("banned", "the broker has locked this client out"),
        0x97 => ("not-now", "a quota of the broker is used up"),
        _ => ("refused", "the broker refuses the connection"),
    };
    let cause = Cause::new(meaning.0, meaning.1, observed);
    match meaning.0 {
        "client-id" => cause.help("choose one with --client-id"),
        "not-now" => cause.help("wait a minute and try again").help(LOG),
        _ => cause.help(LOG),
    }
}

fn not_authorised(question: &Question, observed: String) -> Cause {
    let cause = |code, message: String| Cause::new(code, message, observed.clone());
    let Some(identity) = &question.identity else {
        let given = question.password.is_some();
        return match &question.username {
            Some(name) if given => {
                cause("not-authorised", format!("user name and password of `{name}` are not accepted"))
                    .help(format!(
                        "is the password right? On the broker's machine: sudo citronella password verify {}",
                        shell_word(name)
                    ))
                    .help(LOG)
            }
            Some(name) => {
                cause("not-authorised", format!("`{name}` came without a password and is not let in"))
                    .help("give it with --password-file FILE")
                    .help(LOG)
            }
            None => cause(
                "not-authorised",
                "nobody is let in here without a name: neither a certificate nor a user name was shown"
                    .to_owned(),
            )
            .help(
                "--from FOLDER shows a device's certificate, --username NAME --password-file FILE a password",
            ),
        };
    };
    let Some(name) = identity.name() else {
        return cause(
            "no-common-name",
            "the certificate has no common name, so it names nobody: TLS was fine".to_owned(),
        )
        .help(
            "give the device a certificate that is called like the device: sudo citronella cert issue NAME",
        );
    };
    if let Some(user) = question.username.as_deref().filter(|user| *user != name) {
        return cause(
            "not-authorised",
            format!("the certificate is that of `{name}`, and the user name is `{user}`"),
        )
        .help("leave the user name out, or let it be that of the certificate");
    }
    cause("not-authorised", format!("TLS was fine, and the broker does not let `{name}` in"))
        .help(format!("is it in the registry, active, and is this certificate one of its own? On the broker's machine: sudo citronella device show {}", shell_word(name)))
        .help(LOG)
}

/// The device's certificate was not asked for, and nothing else was to be shown.
fn not_shown_here(question: &Question, name: Option<&str>, observed: String) -> Cause {
    let name = name.unwrap_or("the device");
    let port = question.target.port;
    let why = if question.target.tls { "asks for no certificate" } else { "has no TLS" };
    Cause::new(
        "certificate-not-asked",
        format!("port {port} {why}, so that of `{name}` was not shown, and a password was not given"),
        observed,
    )
    .help("devices with a certificate come in on another port, usually 8883 (8884 is for passwords); on the broker's machine `sudo citronella doctor` lists the ports")
    .help("with a password: --username NAME --password-file FILE")
}

/// A message or a subscription was refused.
pub(super) fn not_allowed(question: &Question, (verb, topic): (&str, &str), code: u8) -> Cause {
    let name =
        question.identity.as_ref().and_then(|identity| identity.name()).or(question.username.as_deref());
    let name = name.unwrap_or("NAME");
    Cause::new(
        "not-allowed",
        format!("`{name}` may not {verb} `{topic}`"),
        format!("reason code {code:#04x}"),
    )
    .help(format!(
        "why, and what would allow it: sudo citronella explain {} {verb} {}",
        shell_word(name),
        shell_word(topic)
    ))
}
