//! An authority in a folder of its own, and foreign judges.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use citronella::{
    ident::DeviceName,
    pki::{
        Authority, BrokerRequest, DeviceRequest, Issued, Issuer, KeyKind, NewAuthority,
        bundle::{self, Bundle, KeyFile, OnExisting, Try},
    },
    secret::Secret,
};
use jiff::Timestamp;
use tempfile::TempDir;

/// Few, because the tests are about other things.
pub(crate) const ITERATIONS: u32 = 1000;
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

pub(crate) fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

pub(crate) fn device(name: &str) -> DeviceName {
    DeviceName::new(name).unwrap()
}

pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) issuer: Issuer,
}

impl House {
    pub(crate) fn new(key: KeyKind) -> Self {
        Self::named("Casa Rossi", key)
    }

    pub(crate) fn named(name: &str, key: KeyKind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let new = NewAuthority { key, iterations: ITERATIONS, ..NewAuthority::new(name) };
        let issuer =
            Authority::init(&folder.path().join("pki"), &new, &secret(PASSPHRASE), Timestamp::now()).unwrap();
        Self { folder, issuer }
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.folder.path().join("pki")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.pki().join("ca.crt")
    }

    pub(crate) fn device(&mut self, name: &str, key: KeyKind) -> Issued {
        let request = DeviceRequest { key, ..DeviceRequest::new(device(name)) };
        self.issuer.issue_device(&request, Timestamp::now()).unwrap()
    }

    pub(crate) fn broker(&mut self, names: &[&str], key: KeyKind) -> Issued {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        let request = BrokerRequest { key, ..BrokerRequest::new(names) };
        self.issuer.issue_broker(&request, Timestamp::now()).unwrap()
    }

    /// Writes a text beside the authority.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn bundle(
        &self,
        parent: &Path,
        name: &str,
        issued: &Issued,
    ) -> Result<PathBuf, bundle::BundleError> {
        write_bundle(parent, (name, issued), self.issuer.authority().certificate_pem(), OnExisting::Refuse)
    }
}

pub(crate) fn write_bundle(
    parent: &Path,
    (name, issued): (&str, &Issued),
    ca_pem: &str,
    on_existing: OnExisting,
) -> Result<PathBuf, bundle::BundleError> {
    let name = device(name);
    let bundle = Bundle {
        name: &name,
        certificate: Some((issued, KeyFile::Encrypted(&issued.key, &secret(PASSPHRASE), ITERATIONS))),
        password: None,
        ca_pem,
        connect: Try { host: "iotgateway1", port: 8883, topic: "sensors/thunder10/temperature" },
    };
    bundle::write(parent, &bundle, on_existing)
}

/// What a program says and whether it is content.
pub(crate) fn run(program: &str, args: &[&str]) -> (bool, String) {
    let out = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.success(), text)
}

/// `openssl verify -x509_strict` with these arguments.
pub(crate) fn verify(ca: &Path, certificate: &Path, more: &[&str]) -> (bool, String) {
    let mut args =
        vec!["verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", ca.to_str().unwrap()];
    args.extend(more);
    args.push(certificate.to_str().unwrap());
    run("openssl", &args)
}

/// `certtool --verify` of GnuTLS for a purpose, by its OID.
pub(crate) fn judged_by_gnutls(ca: &Path, chain: &Path, purpose: &str) -> (bool, String) {
    let (ca, chain) = (ca.to_str().unwrap(), chain.to_str().unwrap());
    run(
        "certtool",
        &["--verify", "--verify-purpose", purpose, "--load-ca-certificate", ca, "--infile", chain],
    )
}

#[track_caller]
pub(crate) fn accepts((content, said): (bool, String)) -> String {
    assert!(content, "{said}");
    said
}

#[track_caller]
pub(crate) fn refuses((content, said): (bool, String), why: &str) {
    assert!(!content, "accepted: {said}");
    assert!(said.contains(why), "expected `{why}` in: {said}");
}
