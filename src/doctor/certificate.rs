//! The broker's own certificate: what clients of today refuse about it.

use std::{net::IpAddr, path::Path};

use jiff::Timestamp;

use super::{
    Code, Exam, Finding, Listener,
    authority::keys_beside,
    listeners::commented_out,
    pem::{Cert, certificates},
    setup::is_made_by_us,
    tls,
};
use crate::{
    diag::{shell_path, shell_word},
    fs as files,
    mosquitto_conf::Directive,
    pki::LONG_DAYS,
};

pub(super) const DAY_SECONDS: i64 = 86_400;
/// So long before the end somebody should hear of it.
const NOTICE_DAYS: i64 = 30;
/// Of a listener that `citronella init` makes.
const PORT: u16 = 8883;
/// Below this OpenSSL 3 refuses a key.
const RSA_BITS: usize = 2048;

impl Exam<'_> {
    /// What is wrong with a listener's `certfile`, given its `cafile`.
    pub(super) fn certificate(&mut self, line: &Directive, chain: &[Cert], authorities: &[Cert]) {
        let Some(leaf) = chain.first() else { return };
        let view = &leaf.view;
        self.validity(
            line,
            leaf,
            (Code::CertificateExpired, "the broker's certificate", &self.anew(line, leaf, "renew")),
        );
        if view.version < 3 {
            self.fault(
                line,
                Finding::error(Code::CertificateV1, format!("the broker's certificate is X.509 v{}, as `openssl x509 -req` makes it without `-extfile`: many clients refuse it", view.version)),
                leaf,
            );
        }
        self.names(line, leaf);
        self.issuer(line, leaf, chain.iter().skip(1).chain(authorities));
        if !view.extended_key_usage.is_empty()
            && !view.extended_key_usage.iter().any(|usage| matches!(&**usage, "serverAuth" | "any"))
        {
            let message = format!(
                "the broker's certificate is made for {}, not for a server: clients refuse it",
                view.extended_key_usage.join(" and ")
            );
            self.fault(line, Finding::error(Code::WrongPurpose, message), leaf);
        }
        let days = (view.not_after.as_second() - view.not_before.as_second()) / DAY_SECONDS;
        if days > i64::from(LONG_DAYS) {
            let message = format!(
                "the broker's certificate is valid for {days} days: Apple's devices refuse more than {LONG_DAYS}"
            );
            self.fault(line, Finding::warning(Code::LongCertificate, message), leaf);
        }
        if view.subject.contains("emailAddress=") || view.subject.contains("Email=") {
            let message = format!(
                "the broker's certificate shows an e-mail address to everybody who connects: `{}`",
                view.subject
            );
            self.fault(line, Finding::warning(Code::EmailInName, message), leaf);
        }
        self.strength(line, leaf, "the broker's certificate");
    }

    fn names(&mut self, line: &Directive, leaf: &Cert) {
        let view = &leaf.view;
        let of = |kind: &str| -> Vec<&str> {
            view.alternative_names.iter().filter_map(|name| name.strip_prefix(kind)).collect()
        };
        let (names, addresses) = (of("DNS:"), of("IP:"));
        let address = |text: &str| text.parse::<IpAddr>().is_ok();
        let as_name = names.iter().copied().find(|name| address(name));
        if names.is_empty() && addresses.is_empty() {
            match view.common_names.iter().find(|name| address(name)) {
                Some(name) => {
                    let message = format!(
                        "the address {name} stands in the certificate's common name only, where clients compare names: they refuse the broker"
                    );
                    self.fault(line, Finding::error(Code::AddressAsName, message), leaf);
                }
                None => {
                    let message = "the broker's certificate has no subjectAltName: Android, Go, Python, Node and others do not look at its common name";
                    self.fault(line, Finding::error(Code::CertificateWithoutNames, message), leaf);
                }
            }
        } else if let Some(name) = as_name.filter(|name| !addresses.contains(name)) {
            let message = format!(
                "the address {name} stands in the certificate as a DNS name: clients that call the broker by it refuse it"
            );
            self.fault(line, Finding::error(Code::AddressAsName, message), leaf);
        } else if names.is_empty() {
            let message = format!(
                "the broker's certificate is good for {} only: an ESP32 cannot compare addresses and refuses it",
                addresses.join(" and ")
            );
            self.fault(line, Finding::warning(Code::OnlyAddresses, message), leaf);
        }
    }

    fn issuer<'a>(&mut self, line: &Directive, leaf: &Cert, above: impl Iterator<Item = &'a Cert>) {
        if leaf.view.self_issued {
            let found = if leaf.has_signed(leaf) == Some(true) {
                Finding::warning(
                    Code::SelfSigned,
                    "the broker's certificate is signed by itself: each client has to be given this one, and again whenever it is renewed",
                )
            } else {
                Finding::error(
                    Code::SameNameAsCa,
                    format!(
                        "the broker and its authority are both called `{}`: clients take the certificate for a self-signed one and refuse it",
                        leaf.view.subject
                    ),
                )
            };
            self.fault(line, found, leaf);
            return;
        }
        let named: Vec<&Cert> = above.filter(|issuer| issuer.is_named_by(leaf)).collect();
        let signed: Vec<Option<bool>> = named.iter().map(|issuer| issuer.has_signed(leaf)).collect();
        if !signed.is_empty() && signed.iter().all(|signed| *signed == Some(false)) {
            let message = format!(
                "the authority `{}` has been made anew since it signed the broker's certificate: it has the same name and another key, and no client gets through the handshake",
                leaf.view.issuer
            );
            self.fault(line, Finding::error(Code::CaRecreated, message), leaf);
        }
    }

    /// Dates, given the code of its end, what it is called, and what to do.
    pub(super) fn validity(
        &mut self,
        line: &Directive,
        cert: &Cert,
        (ended, what, anew): (Code, &str, &[String]),
    ) {
        let (from, until) = (cert.view.not_before.as_second(), cert.view.not_after.as_second());
        let now = self.now.0;
        let mut found = if now > until {
            Finding::error(
                ended,
                format!(
                    "{what} ended {}, {}: nobody gets through the handshake",
                    day(cert.view.not_after),
                    ago(now - until)
                ),
            )
        } else if now < from {
            Finding::error(Code::CertificateNotYetValid, format!("{what} is not valid before {}, and this machine's clock says {}", cert.view.not_before, self.now))
                .help("look at the clock of this machine, and at that of the one where the certificate was made: `timedatectl`")
        } else if until - now < notice(until - from) {
            let code = if ended == Code::CaExpired { Code::CaExpired } else { Code::CertificateExpiring };
            Finding::warning(
                code,
                format!("{what} ends {}, in {}", day(cert.view.not_after), days(until - now)),
            )
        } else {
            return;
        };
        found.help.extend_from_slice(anew);
        self.push(found.at(self.setup.place(line)));
    }

    /// Keys and signatures that OpenSSL 3 refuses at its usual level.
    pub(super) fn strength(&mut self, line: &Directive, cert: &Cert, what: &str) {
        let bits = cert.view.key.strip_prefix("RSA ").and_then(|bits| bits.parse::<usize>().ok());
        if let Some(bits) = bits.filter(|bits| *bits < RSA_BITS) {
            let message =
                format!("{what} has an RSA key of {bits} bits: OpenSSL refuses less than {RSA_BITS}");
            self.fault(line, Finding::error(Code::WeakKey, message), cert);
        }
        let signature = &cert.view.signature;
        let self_signed = cert.view.self_issued;
        let weak = ["sha1", "1.2.840.113549.1.1.4", "1.2.840.10045.4.1"]
            .iter()
            .any(|name| signature.starts_with(name));
        if weak && !self_signed {
            let message = format!("{what} is signed with {signature}: OpenSSL refuses that hash today");
            self.fault(line, Finding::error(Code::WeakSignature, message), cert);
        }
    }

    fn fault(&mut self, line: &Directive, mut found: Finding, leaf: &Cert) {
        found.help.extend(self.anew(line, leaf, "issue"));
        self.push(found.at(self.setup.place(line)));
    }

    /// How this listener gets a certificate that has none of these faults. `verb` is that of `citronella broker` for one
    /// of ours.
    fn anew(&self, line: &Directive, leaf: &Cert, verb: &str) -> Vec<String> {
        let name = leaf.name();
        let other = match name {
            _ if name.parse::<IpAddr>().is_ok() => format!("--address {name}"),
            _ if name.contains(['.', '-']) && !name.contains(' ') => format!("--name {}", shell_word(name)),
            _ => "--name NAME".to_owned(),
        };
        if is_made_by_us(line) {
            let names = if verb == "issue" {
                format!(" (for other names and addresses: {other})")
            } else {
                String::new()
            };
            return vec![format!("have it made anew and put in place: sudo citronella broker {verb}{names}")];
        }
        let listeners = &self.setup.listeners;
        let listener = listeners.iter().find(|listener| listener.get("certfile") == Some(line));
        if let (Some(ours), Some(listener)) = (listeners.iter().find(|listener| listener.is_ours()), listener)
        {
            return vec![format!(
                "{} has a good certificate: move the clients there; this takes {} out: {}",
                ours.name(),
                listener.name(),
                commented_out(listener)
            )];
        }
        let port = listener.map_or(PORT, |listener| listener.port);
        let port = if port == PORT { String::new() } else { format!(" --port {port}") };
        let mut help = vec![format!(
            "have a new one made, good for every name and address of this machine, and a listener for it in the place of this one: sudo citronella init --take-port{port}"
        )];
        help.extend(listener.and_then(keeping));
        help
    }
}

/// How the authority stays that clients know already, if it can.
fn keeping(listener: &Listener) -> Option<String> {
    let path = Path::new(listener.get("cafile")?.value.trim_end());
    let authorities = certificates(&files::read_bytes(path, tls::MAX_BYTES).ok()?);
    let [authority] = &*authorities else { return None };
    if !authority.is_authority() || authority.view.version < 3 || !authority.view.self_issued {
        return None;
    }
    let key = keys_beside(path, &authorities).into_iter().next();
    let key = key.map_or_else(|| "KEY".to_owned(), |(key, _)| shell_path(&key));
    let what = if key == "KEY" { " (KEY is its key)" } else { "" };
    Some(format!(
        "to keep the authority `{}`, so that clients need no other, take it over before that{what}: sudo citronella ca adopt {} {key}",
        authority.name(),
        shell_path(path)
    ))
}

fn notice(lifetime_seconds: i64) -> i64 {
    (NOTICE_DAYS * DAY_SECONDS).min(lifetime_seconds / 3)
}

pub(super) fn day(at: Timestamp) -> String {
    at.to_string().split('T').next().unwrap_or_default().to_owned()
}

pub(super) fn days(seconds: i64) -> String {
    match seconds / DAY_SECONDS {
        0 => format!("{} hours", seconds / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn ago(seconds: i64) -> String {
    format!("{} ago", days(seconds))
}

/// Whether what lasts so long (all in seconds) is near its end.
pub(super) fn is_ending(from: i64, until: i64, now: i64) -> bool {
    until - now < notice(until - from)
}
