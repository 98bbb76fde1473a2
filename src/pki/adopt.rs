//! Taking over an authority that others made, by openssl, easy-rsa or mkcert.
//!
//! Its certificate stays as it is to the byte, and what is issued below repeats its subject and key identifier to the
//! byte: that is what clients compare.
#![forbid(unsafe_code)]

use std::path::Path;

use der::Encode as _;
use jiff::{SignedDuration, Timestamp};
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, parse_x509_certificate};

use super::{
    anchor::Anchor,
    authority::{Authority, AuthorityError},
    create::Opened,
    issue::Issuer,
    key::PrivateKey,
    names::{BrokerName, Wildcards},
    profile::DEVICE_DAYS,
    public,
    store::{self, Store},
    subject::fleet_domain,
};
use crate::secret::Secret;

/// An authority that is to be taken over.
pub struct Adoption {
    anchor: Anchor,
    root: Option<Anchor>,
    key: PrivateKey,
    name: String,
    warnings: Vec<String>,
}

impl Adoption {
    /// Judges a certificate (PEM), its key, and the root above it if it has one; nothing is written. `path` is for
    /// messages.
    ///
    /// # Errors
    ///
    /// What would make certificates that clients refuse: X.509 version 1, no authority, a weak or another key,
    /// expired, a subject that cannot be repeated to the byte.
    pub fn judge(
        (certificate, path): (&str, &Path),
        key: PrivateKey,
        root: Option<(&str, &Path)>,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let refused = |why: String| AuthorityError::Adopt { path: path.to_owned(), why };
        let anchor = match Anchor::from_pem(certificate, path) {
            Ok(anchor) => anchor,
            Err(AuthorityError::Certificate { why, .. }) if why.contains("key identifier") => {
                return Err(refused(format!(
                    "{why}: it is X.509 version 1 or made without extensions, and many clients refuse it"
                )));
            }
            Err(error) => return Err(error),
        };
        let (_, parsed) =
            parse_x509_certificate(&anchor.der).map_err(|_| refused("it is damaged".to_owned()))?;
        if !key.matches(&anchor.public) {
            return Err(refused("the key is not this certificate's".to_owned()));
        }
        refusals(&parsed, &anchor, now).map_err(refused)?;
        let root = match root {
            Some((root, path)) => Some(above(&parsed, &Anchor::from_pem(root, path)?).map_err(refused)?),
            None if anchor.self_issued => None,
            None => {
                let issuer = parsed.issuer();
                return Err(refused(format!("it stands below `{issuer}`, whose certificate is needed too")));
            }
        };
        let attribute = |mut found: Vec<String>| found.pop();
        let text =
            |found: &x509_parser::x509::AttributeTypeAndValue<'_>| found.as_str().ok().map(str::to_owned);
        let organization = attribute(parsed.subject().iter_organization().filter_map(text).collect());
        let common_name = attribute(parsed.subject().iter_common_name().filter_map(text).collect());
        let name = common_name.clone().or(organization).unwrap_or_else(|| "authority".to_owned());
        let warnings = warnings(&parsed, &anchor, (common_name.as_deref(), now));
        Ok(Self { anchor, root, key, name, warnings })
    }

    /// What is not as it should be and yet no reason to refuse it.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The common name of its subject, or the organization.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The root, if it is one and has signed the certificate.
fn above(below: &X509Certificate<'_>, root: &Anchor) -> Result<Anchor, String> {
    let (_, parsed) = parse_x509_certificate(&root.der).map_err(|_| "the root is damaged".to_owned())?;
    if parsed.subject().as_raw() != below.issuer().as_raw() {
        return Err(format!("it stands below `{}`, not below `{}`", below.issuer(), parsed.subject()));
    }
    if !root.self_issued {
        return Err(format!("`{}` is no root: it stands below another one", parsed.subject()));
    }
    let signature = &below.signature_value.data;
    public::check_signature(
        parsed.public_key(),
        &below.signature_algorithm,
        below.tbs_certificate.as_ref(),
        signature,
    )
    .map_err(|error| format!("`{}` has not signed it: {error}", parsed.subject()))?;
    Ok(root.clone())
}

fn refusals(parsed: &X509Certificate<'_>, anchor: &Anchor, now: Timestamp) -> Result<(), String> {
    if parsed.version().0 != 2 {
        return Err("it is X.509 version 1, which many clients refuse; make a new authority with `ca init`"
            .to_owned());
    }
    match parsed.basic_constraints() {
        Ok(Some(found)) if found.value.ca => {}
        _ => return Err("it may not sign certificates (no basicConstraints CA:TRUE)".to_owned()),
    }
    if let Ok(Some(usage)) = parsed.key_usage()
        && !usage.value.key_cert_sign()
    {
        return Err("it may not sign certificates (keyUsage without keyCertSign)".to_owned());
    }
    public::judge(parsed.public_key()).map_err(|error| error.to_string())?;
    if parsed.subject().iter().next().is_none() {
        return Err("it has no subject".to_owned());
    }
    if anchor.subject.to_der().ok().as_deref() != Some(parsed.subject().as_raw()) {
        return Err("its subject is encoded in a way that could not be repeated to the byte".to_owned());
    }
    if now > anchor.period.not_after {
        return Err(format!("it expired on {}", anchor.period.not_after));
    }
    if now < anchor.period.not_before {
        return Err(format!("it is not valid before {}; is the clock right?", anchor.period.not_before));
    }
    Ok(())
}

fn warnings(
    parsed: &X509Certificate<'_>,
    anchor: &Anchor,
    (common_name, now): (Option<&str>, Timestamp),
) -> Vec<String> {
    let mut found = Vec::new();
    match parsed.key_usage() {
        Ok(Some(usage)) if !usage.value.crl_sign() => {
            found.push("its keyUsage lacks cRLSign: strict clients refuse its revocation lists".to_owned());
        }
        Ok(Some(_)) => {}
        _ => found.push("it has no keyUsage: strict clients (openssl -x509_strict) refuse it".to_owned()),
    }
    if parsed.basic_constraints().is_ok_and(|found| found.is_some_and(|found| !found.critical)) {
        found.push("its basicConstraints are not critical: strict clients refuse it".to_owned());
    }
    let algorithm = super::inspect::algorithm(&parsed.signature_algorithm);
    if algorithm.contains("sha1") || algorithm.contains("1.2.840.113549.1.1.4") {
        found.push(format!("it is signed with {algorithm}, which is broken; some clients refuse it"));
    }
    let device = SignedDuration::from_hours(i64::from(DEVICE_DAYS) * 24);
    if anchor.period.not_after.duration_since(now) < device {
        found
            .push(format!("it ends on {}, before a new device's certificate would", anchor.period.not_after));
    }
    let host = |name: &str| name.contains('.') && BrokerName::parse(name, Wildcards::Refuse).is_ok();
    if common_name.is_some_and(host) {
        found
            .push("it is called like a host: a broker of that name must not get the same subject".to_owned());
    }
    if parsed.subject().iter_email().next().is_some() {
        found.push("a mail address stands in its subject, where nothing reads it".to_owned());
    }
    for extension in parsed.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::NameConstraints(_) => found.push(
                "it has name constraints: mbedTLS and wolfSSL cannot read it, and others refuse names outside".to_owned(),
            ),
            ParsedExtension::ExtendedKeyUsage(usage) if !(usage.server_auth && usage.client_auth) => {
                found.push("its extendedKeyUsage does not allow both brokers and devices".to_owned());
            }
            _ => {}
        }
    }
    found
}

impl Authority {
    /// Takes an authority over into `directory`, its key encrypted with `passphrase`; PBKDF2 turns `iterations` times.
    ///
    /// # Errors
    ///
    /// An authority is there, or the file system refuses.
    pub fn adopt(
        directory: &Path,
        adoption: Adoption,
        (passphrase, iterations): (&Secret, u32),
        now: Timestamp,
    ) -> Result<Issuer, AuthorityError> {
        let Adoption { anchor, root, key, name, .. } = adoption;
        let store = Store::at(directory);
        let path = store.first_key();
        let sealed = key
            .to_encrypted_pem(passphrase, iterations)
            .map_err(|source| AuthorityError::Key { path: path.clone(), source })?;
        let mut opened = Opened::new(&store, &fleet_domain(&name), now)?;
        if let Some(root) = &root {
            opened.record(root.serial.clone(), &root.subject.to_string(), (root.period, &root.der))?;
            store::replace(&store.root_certificate(), root.pem.as_bytes(), store::PUBLIC)?;
        }
        opened.record(anchor.serial.clone(), &name, (anchor.period, &anchor.der))?;
        store::replace(&path, sealed.expose(), store::PRIVATE)?;
        store::replace(&store.certificate(), anchor.pem.as_bytes(), store::PUBLIC)?;
        drop(opened);
        Ok(Issuer::new(Self::open(directory)?, key, Vec::new()))
    }
}
