//! More judges that are not ours: NSS (Firefox, Chrome), strongSwan, Botan, Python's cryptography, and the linter of the
//! standard itself. Each accepts what is for a purpose, and refuses what is not.

use std::path::{Path, PathBuf};

use citronella::pki::{Authority, CrlLife, KeyKind, Reason};
use jiff::Timestamp;
use serde_json::Value;

use crate::pki_support::{House, accepts, refuses, run};

/// An authority with a broker, a device, and a device that is revoked; certificates and the list in files.
pub(crate) struct Fleet {
    pub(crate) house: House,
    pub(crate) broker: PathBuf,
    pub(crate) lamp: PathBuf,
    pub(crate) lost: PathBuf,
    /// DER.
    list: PathBuf,
}

impl Fleet {
    pub(crate) fn new(authority: KeyKind, leaf: KeyKind) -> Self {
        let mut house = House::new(authority);
        let broker = house.broker(&["broker.lan", "192.168.1.7"], leaf);
        let broker = house.file("broker.crt", broker.chain_pem());
        let lamp = house.device("lamp", leaf);
        let lamp = house.file("lamp.crt", lamp.chain_pem());
        let gone = house.device("lost", leaf);
        let lost = house.file("lost.crt", gone.chain_pem());
        let mut authority = Authority::open(&house.pki()).unwrap();
        authority.revoke(&gone.entry.serial, Reason::KeyCompromise, Timestamp::now()).unwrap();
        let crl = house.issuer.crl(CrlLife::Authority, Timestamp::now()).unwrap();
        let pem = house.file("crl.pem", crl.pem);
        let list = house.folder.path().join("crl.der");
        accepts(run("openssl", &["crl", "-in", text(&pem), "-outform", "DER", "-out", text(&list)]));
        Self { house, broker, lamp, lost, list }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.house.folder.path().join(name)
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Keys of the authority and of what it signs; Ed25519 is left out where the judge does not know it.
pub(crate) const KINDS: [(KeyKind, KeyKind); 3] =
    [(KeyKind::P256, KeyKind::P256), (KeyKind::P384, KeyKind::Rsa2048), (KeyKind::Rsa3072, KeyKind::P256)];

#[test]
fn nss_goes_by_purpose_and_by_the_revocation_list() {
    for (authority, leaf) in KINDS {
        let fleet = Fleet::new(authority, leaf);
        let store = format!("sql:{}", fleet.path("nss").display());
        std::fs::create_dir(fleet.path("nss")).unwrap();
        accepts(run("certutil", &["-N", "-d", &store, "--empty-password"]));
        let ca = fleet.house.ca();
        for (name, trust, path) in [
            ("root", "CT,,", &ca),
            ("broker", ",,", &fleet.broker),
            ("lamp", ",,", &fleet.lamp),
            ("lost", ",,", &fleet.lost),
        ] {
            accepts(run("certutil", &["-A", "-d", &store, "-n", name, "-t", trust, "-a", "-i", text(path)]));
        }
        let judged = |name: &str, usage: &str| {
            // What certutil thinks stands in what it says; its status is 0 in some versions whatever that is.
            let (_, said) = run("certutil", &["-V", "-d", &store, "-n", name, "-u", usage]);
            (said.contains("certificate is valid"), said)
        };
        accepts(judged("lost", "C"));
        accepts(run("crlutil", &["-I", "-d", &store, "-i", text(&fleet.list), "-t", "1"]));
        accepts(judged("broker", "V"));
        accepts(judged("lamp", "C"));
        refuses(judged("broker", "C"), "certificate is invalid");
        refuses(judged("lamp", "V"), "certificate is invalid");
        refuses(judged("lost", "C"), "revoked");
    }
}

#[test]
fn strongswan_goes_by_the_chain_and_the_revocation_list() {
    for (authority, leaf) in KINDS.into_iter().chain([(KeyKind::Ed25519, KeyKind::Ed25519)]) {
        let (fleet, other) = (Fleet::new(authority, leaf), House::new(authority));
        let judged = |path: &Path, ca: &Path, more: &[&str]| {
            run("pki", &[&["--verify", "--in", text(path), "--cacert", text(ca)], more].concat())
        };
        let (ca, list) = (fleet.house.ca(), ["--crl", text(&fleet.list)]);
        for path in [&fleet.broker, &fleet.lamp] {
            accepts(judged(path, &ca, &[]));
            let said = accepts(judged(path, &ca, &list));
            assert!(said.contains("certificate not revoked"), "{said}");
            assert!(!judged(path, &other.ca(), &[]).0, "another authority of the same name");
        }
        refuses(judged(&fleet.lost, &ca, &list), "reason: key compromise");
    }
}

#[test]
fn botan_goes_by_the_chain() {
    for (authority, leaf) in KINDS {
        let (fleet, other) = (Fleet::new(authority, leaf), House::new(authority));
        let judged = |path: &Path, ca: &Path| {
            // Its status is 0 whatever it finds.
            let (_, said) = run("botan", &["cert_verify", text(path), text(ca)]);
            (said.contains("passes validation checks"), said)
        };
        for path in [&fleet.broker, &fleet.lamp] {
            accepts(judged(path, &fleet.house.ca()));
            refuses(judged(path, &other.ca()), "did not validate");
        }
    }
}

/// What tests/host/judges has fetched.
fn python(program: &[&str]) -> (bool, String) {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("judges/python");
    assert!(folder.join("pkilint").is_dir(), "`make test-deps` fetches pkilint");
    let folder = format!("PYTHONPATH={}", folder.display());
    run("env", &[&[&*folder, "python3"], program].concat())
}

const VERIFY: &str = "\
import sys
from cryptography import x509
from cryptography.x509 import verification
ca, leaf = (x509.load_pem_x509_certificate(open(path, 'rb').read()) for path in sys.argv[1:3])
policy = verification.PolicyBuilder().store(verification.Store([ca]))
if sys.argv[3] == 'client':
    print(policy.build_client_verifier().verify(leaf, []).subjects)
else:
    print(policy.build_server_verifier(x509.DNSName(sys.argv[3])).verify(leaf, []))
";

#[test]
fn pythons_verifier_goes_by_name_and_purpose() {
    for (authority, leaf) in KINDS {
        let (fleet, other) = (Fleet::new(authority, leaf), House::new(authority));
        let judged =
            |path: &Path, ca: &Path, purpose: &str| python(&["-c", VERIFY, text(ca), text(path), purpose]);
        let ca = fleet.house.ca();
        accepts(judged(&fleet.broker, &ca, "broker.lan"));
        let subjects = accepts(judged(&fleet.lamp, &ca, "client"));
        assert!(subjects.contains("/device/lamp"), "{subjects}");
        refuses(judged(&fleet.broker, &ca, "other.lan"), "VerificationError");
        refuses(judged(&fleet.broker, &ca, "client"), "VerificationError");
        refuses(judged(&fleet.lamp, &ca, "broker.lan"), "VerificationError");
        refuses(judged(&fleet.lamp, &other.ca(), "client"), "VerificationError");
    }
}

/// What the linter may find, and why it stays.
const ALLOWED: [(&str, &str); 1] = [
    // A device's URI begins with the name of the house, which is no name of the Internet: SPIFFE's trust domains are none.
    ("pkix.invalid_uri_syntax", "spiffe://"),
];

#[test]
fn the_linter_of_the_standard_finds_nothing() {
    for (authority, leaf) in KINDS.into_iter().chain([(KeyKind::Ed25519, KeyKind::Ed25519)]) {
        let fleet = Fleet::new(authority, leaf);
        let ca = fleet.house.ca();
        for (linter, path) in [
            ("pkilint.bin.lint_pkix_cert", &ca),
            ("pkilint.bin.lint_pkix_cert", &fleet.broker),
            ("pkilint.bin.lint_pkix_cert", &fleet.lamp),
            ("pkilint.bin.lint_crl", &fleet.list),
        ] {
            let crl: &[&str] = if linter.ends_with("crl") { &["-t", "CRL", "-p", "PKIX"] } else { &[] };
            let (_, said) =
                python(&[&["-m", linter, "lint"], crl, &["-s", "NOTICE", "-f", "JSON", text(path)]].concat());
            let found: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
            let mut findings = Vec::new();
            codes(&found, &mut findings);
            findings.retain(|(code, message)| {
                !ALLOWED.iter().any(|(known, part)| code == known && message.contains(part))
            });
            assert!(findings.is_empty(), "{}: {findings:?}", path.display());
        }
    }
}

/// Every finding in the linter's report.
fn codes(value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            if let Some(code) = fields.get("code").and_then(Value::as_str) {
                into.push((
                    code.to_owned(),
                    fields.get("message").map_or_else(String::new, Value::to_string),
                ));
            }
            fields.values().for_each(|inner| codes(inner, into));
        }
        Value::Array(items) => items.iter().for_each(|inner| codes(inner, into)),
        _ => {}
    }
}
