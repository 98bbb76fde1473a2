//! Listeners and bridges with TLS: which of the other examinations each of their files gets.

use std::{io, path::Path};

use super::{
    Code, Exam, Finding, Listener,
    fix::Fix,
    pem::{self, Cert},
};
use crate::{
    fs::{self as files, ReadError},
    mosquitto_conf::Directive,
};

/// Larger than any of these files has to be; a mistaken path can lead to anything.
pub(super) const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// What the broker's `tls_version` may be.
const TLS_VERSIONS: [&str; 3] = ["tlsv1.3", "tlsv1.2", "tlsv1.1"];

impl Exam<'_> {
    pub(super) fn tls(&mut self) {
        let setup = self.setup;
        for listener in &setup.listeners {
            self.tls_version(listener);
            if listener.has_tls() {
                self.listener_files(listener);
            } else {
                self.incomplete(listener);
            }
        }
        for bridge in &setup.bridges {
            let get = |key: &str| bridge.directives.iter().rfind(|line| line.key == key);
            let chain = get("bridge_certfile").and_then(|line| Some((self.certificates(line)?, line)));
            if let Some(line) = get("bridge_keyfile") {
                let leaf = chain.as_ref().and_then(|(chain, line)| Some((chain.first()?, *line)));
                self.key(line, leaf);
            }
            if let Some((chain, line)) = &chain
                && let Some(leaf) = chain.first()
            {
                let help = ["have the other broker's authority make a new one".to_owned()];
                self.validity(line, leaf, (Code::CertificateExpired, "the bridge's certificate", &help));
            }
            if let Some(line) = get("bridge_cafile") {
                self.certificates(line);
            }
        }
    }

    fn listener_files(&mut self, listener: &Listener) {
        let authorities = listener.get("cafile").and_then(|line| Some((self.certificates(line)?, line)));
        let trusted = authorities.as_ref().map_or(&[][..], |(certs, _)| certs);
        let chain = listener.get("certfile").and_then(|line| Some((self.certificates(line)?, line)));
        if let Some((chain, line)) = &chain {
            self.certificate(line, chain, trusted);
        }
        if let Some(line) = listener.get("keyfile") {
            let leaf = chain.as_ref().and_then(|(chain, line)| Some((chain.first()?, *line)));
            self.key(line, leaf);
        }
        if let Some((certs, line)) = &authorities {
            self.authorities(line, certs);
            self.asked(listener, line);
        }
        if let Some(line) = listener.get("crlfile") {
            self.crl(listener, line, trusted);
        }
    }

    /// Whether anybody is asked for the certificates that the authorities are there for.
    fn asked(&mut self, listener: &Listener, line: &Directive) {
        // Who wrote `false` has thought of it; only a CRL shows that it was not meant.
        if listener.get("require_certificate").is_some() {
            return;
        }
        let message = format!(
            "{} asks no client for a certificate: whoever reaches it may try passwords, and devices' certificates count for nothing",
            listener.name()
        );
        let found = Finding::warning(Code::NoClientCertificate, message)
            .help("write `require_certificate true` below it if every client has a certificate")
            .help("write `require_certificate false` below it if clients come with passwords, and this is as it should be");
        self.push(found.at(self.setup.place(line)));
    }

    fn tls_version(&mut self, listener: &Listener) {
        let Some(line) = listener.get("tls_version") else { return };
        let version = line.value.trim();
        let found = if !TLS_VERSIONS.contains(&version) {
            Finding::error(
                Code::TlsVersion,
                format!(
                    "the broker does not start: it knows no `tls_version {version}`, only {}",
                    TLS_VERSIONS.join(", ")
                ),
            )
        } else if version == "tlsv1.1" {
            Finding::warning(
                Code::TlsVersion,
                "TLS 1.1 is broken, and this line opens the door to it".to_owned(),
            )
        } else {
            return;
        };
        let found = found
            .help("take the line out: without it the broker speaks TLS 1.2 and 1.3")
            .fix(Fix::comment(line));
        self.push(found.at(self.setup.place(line)));
    }

    /// Some lines of TLS, and no TLS.
    fn incomplete(&mut self, listener: &Listener) {
        if listener.get("psk_hint").is_some() {
            return;
        }
        let keys = ["certfile", "keyfile", "require_certificate", "crlfile", "cafile", "capath"];
        let Some(line) = keys.iter().find_map(|key| listener.get(key)) else { return };
        let missing = match (listener.get("certfile"), listener.get("keyfile")) {
            (Some(_), _) => "`keyfile`",
            (None, Some(_)) => "`certfile`",
            (None, None) => "`certfile` and `keyfile`",
        };
        let message = format!(
            "{} is not encrypted, and asks for no certificate, whatever this line says: {missing} is missing below it",
            listener.name()
        );
        let found = Finding::error(Code::TlsIncomplete, message)
            .help(format!("write {missing} below it, with the broker's certificate and its key; `sudo citronella init` makes both"));
        self.push(found.at(self.setup.place(line)));
    }

    /// The certificates in the file of a line; none if there are none, which is told.
    pub(super) fn certificates(&mut self, line: &Directive) -> Option<Vec<Cert>> {
        let path = Path::new(&line.value);
        let bytes = self.read(line, path)?;
        let certs = pem::certificates(&bytes);
        if !certs.is_empty() {
            return Some(certs);
        }
        let der = crate::pki::inspect::certificate(&bytes).is_some();
        let message = if der {
            format!("`{}` is a certificate in DER, and the broker reads PEM only", path.display())
        } else {
            format!("there is no certificate in `{}`", path.display())
        };
        let found = Finding::error(Code::NotACertificate, format!("the broker does not start: {message}"));
        let found = if der {
            found.help(format!(
                "`openssl x509 -inform DER -in {0} -out {0}.pem`, and write `{1} {0}.pem`",
                path.display(),
                line.key
            ))
        } else {
            found.help(format!("`{}` names a file that begins with `-----BEGIN CERTIFICATE-----`", line.key))
        };
        self.push(found.at(self.setup.place(line)));
        None
    }

    /// The content of a file that is there; why there is none is told elsewhere, but for a lack of rights.
    pub(super) fn read(&mut self, line: &Directive, path: &Path) -> Option<Vec<u8>> {
        match files::read_bytes(path, MAX_BYTES) {
            Ok(bytes) => Some(bytes),
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                self.not_examined(line, path);
                None
            }
            _ => None,
        }
    }
}
