//! The `crlfile`: an old one refuses everybody, and a broken one lets the revoked in again.

use std::path::Path;

use x509_parser::{
    certificate::X509Certificate, extensions::ParsedExtension, parse_x509_crl,
    revocation_list::CertificateRevocationList,
};

use super::{
    Code, Exam, Finding, Listener,
    authority::{day, days, is_ending, issues_devices},
    pem::{self, Cert},
    signature,
};
use crate::{diag::shell_path, mosquitto_conf::Directive};

impl Exam<'_> {
    /// What is wrong with a listener's `crlfile`, given its authorities.
    pub(super) fn crl(&mut self, listener: &Listener, line: &Directive, authorities: &[Cert]) {
        let path = Path::new(&line.value);
        let place = self.setup.place(line);
        if !listener.is_on("require_certificate") {
            let found = Finding::warning(
                Code::CrlUnused,
                "nobody is asked for a certificate here, so nothing can be revoked",
            )
            .help("write `require_certificate true` below it, or take the line out");
            self.push(found.at(place));
            return;
        }
        if listener.get("protocol").is_some_and(|line| line.value.starts_with("websockets")) {
            let found = Finding::warning(Code::CrlOnWebsockets, "Mosquitto 2.0 does not look at the CRL for websockets: the revoked come in here")
                .help("let Citronella refuse them, on every listener: `citronella cert revoke`, or `revoked` in devices.toml");
            self.push(found.at(place.clone()));
        }
        let Some(bytes) = self.read(line, path) else { return };
        let lists = pem::revocation_lists(&bytes).filter(|lists| !lists.is_empty());
        let parsed = lists.as_ref().and_then(|lists| {
            lists.iter().map(|der| parse_x509_crl(der).ok().map(|(_, list)| list)).collect::<Option<Vec<_>>>()
        });
        let Some(parsed) = parsed else {
            let message = format!(
                "`{}` is no CRL in PEM: the broker does not start, and at a reload Mosquitto 2.0 goes on without any CRL, so that the revoked come in again",
                path.display()
            );
            let found = Finding::error(Code::CrlBroken, message)
                .help(format!("if it is DER: `openssl crl -inform DER -in {0} -out {0}.pem`", path.display()))
                .help("else have the authority make it anew, and write it beside the old one before you rename it");
            self.push(found.at(place));
            return;
        };
        for (at, list) in parsed.iter().enumerate() {
            let fresh = parsed.iter().enumerate().any(|(other, better)| {
                other != at && better.issuer().as_raw() == list.issuer().as_raw() && ends(better) > ends(list)
            });
            if !fresh {
                self.crl_dates(line, list);
            }
            self.crl_issuer(line, list, authorities);
        }
        for authority in issues_devices(authorities) {
            let covered = parsed.iter().any(|list| is_of(list, authority));
            if !covered {
                let message = format!(
                    "there is no CRL of the authority `{}` in it: the broker refuses every client of it, as if it did not know the authority",
                    authority.name()
                );
                let found = Finding::error(Code::CrlMissing, message)
                    .help(format!(
                        "append one, even if it revokes nothing: `cat ITS.crl | sudo tee -a {}`",
                        shell_path(path)
                    ))
                    .help("or take the line out and let Citronella refuse the revoked: it needs no CRL");
                self.push(found.at(self.setup.place(line)));
            }
        }
    }

    fn crl_dates(&mut self, line: &Directive, list: &CertificateRevocationList<'_>) {
        let now = self.now.0;
        let from = list.last_update().timestamp();
        let stamp = |seconds| jiff::Timestamp::from_second(seconds).unwrap_or_default();
        let renew = "have its authority make a new one, then `sudo systemctl reload mosquitto`";
        let instead =
            "or take the line out and let Citronella refuse the revoked: its registry never runs out";
        let found = if now < from {
            Finding::error(Code::CrlExpired, format!("the CRL counts from {} on, which is not yet: the broker refuses every client", stamp(from)))
                .help("look at the clock of this machine, and at that of the one where the CRL was made: `timedatectl`")
        } else {
            let Some(until) = ends(list) else { return };
            if now > until {
                Finding::error(Code::CrlExpired, format!("the CRL ended {}, {} ago: the broker refuses every client, revoked or not, and tells them that their certificate has expired", day(stamp(until)), days(now - until)))
                    .help(renew)
                    .help(instead)
            } else if is_ending(from, until, now) {
                Finding::warning(
                    Code::CrlExpiring,
                    format!(
                        "the CRL ends {}, in {}; then the broker refuses every client",
                        day(stamp(until)),
                        days(until - now)
                    ),
                )
                .help(renew)
                .help(instead)
            } else {
                return;
            }
        };
        self.push(found.at(self.setup.place(line)));
    }

    fn crl_issuer(&mut self, line: &Directive, list: &CertificateRevocationList<'_>, authorities: &[Cert]) {
        let of_name: Vec<&Cert> = authorities.iter().filter(|cert| names(list, cert)).collect();
        let message = if of_name.is_empty() {
            format!("the CRL is of `{}`, which is none of the authorities of this listener", list.issuer())
        } else if of_name.iter().all(|cert| !is_of(list, cert)) {
            format!(
                "the CRL is of another authority that was also called `{}`: the broker does not find one for the present one, and refuses every client",
                list.issuer()
            )
        } else {
            return;
        };
        let found = Finding::error(Code::CrlMismatch, message)
            .help("put the CRL there that the authority in `cafile` has made");
        self.push(found.at(self.setup.place(line)));
    }
}

fn ends(list: &CertificateRevocationList<'_>) -> Option<i64> {
    list.next_update().map(|time| time.timestamp())
}

fn names(list: &CertificateRevocationList<'_>, authority: &Cert) -> bool {
    authority.parsed().is_some_and(|cert| cert.subject().as_raw() == list.issuer().as_raw())
}

/// Whether that authority has signed it; where the algorithm is unknown here its name is all there is.
fn is_of(list: &CertificateRevocationList<'_>, authority: &Cert) -> bool {
    let Some(cert) = authority.parsed() else { return false };
    let signed = signature::verifies(
        cert.public_key(),
        &list.signature_algorithm,
        (list.tbs_cert_list.as_ref(), &list.signature_value.data),
    );
    let same_key_id = match (key_id(list), own_key_id(&cert)) {
        (Some(of), Some(own)) => of == own,
        _ => true,
    };
    names(list, authority) && signed.unwrap_or(true) && same_key_id
}

/// The key id of the authority that made it.
fn key_id(list: &CertificateRevocationList<'_>) -> Option<Vec<u8>> {
    list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => {
            found.key_identifier.as_ref().map(|id| id.0.to_vec())
        }
        _ => None,
    })
}

fn own_key_id(authority: &X509Certificate<'_>) -> Option<Vec<u8>> {
    authority.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}
