//! What openssl, keytool and rustls say of the certificates.

use std::{io::Read as _, io::Write as _, sync::Arc};

use citronella::pki::{
    Authority, BrokerName, BrokerRequest, DeviceRequest, IssueError, KeyKind, NewAuthority, Subject, inspect,
};
use jiff::Timestamp;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use crate::pki_support::{House, ITERATIONS, PASSPHRASE, accepts, device, refuses, run, secret, verify};

const NAMES: [&str; 4] = ["iotgateway1", "iotgateway1.local", "192.168.1.7", "fd00::7"];

#[test]
fn openssl_accepts_every_kind_and_key_strictly() {
    for ca in [KeyKind::P256, KeyKind::Rsa2048, KeyKind::Rsa3072] {
        let mut house = House::new(ca);
        accepts(verify(&house.ca(), &house.ca(), &["-check_ss_sig"]));
        for key in [KeyKind::P256, KeyKind::Rsa2048] {
            let broker = house.broker(&NAMES, key);
            let path = house.file("broker.crt", broker.chain_pem());
            for name in ["iotgateway1", "iotgateway1.local"] {
                accepts(verify(&house.ca(), &path, &["-purpose", "sslserver", "-verify_hostname", name]));
            }
            for address in ["192.168.1.7", "fd00::7"] {
                accepts(verify(&house.ca(), &path, &["-purpose", "sslserver", "-verify_ip", address]));
            }
            let thunder = house.device("thunder10", key);
            let path = house.file("thunder10.crt", thunder.chain_pem());
            accepts(verify(&house.ca(), &path, &["-purpose", "sslclient"]));
        }
    }
}

#[test]
fn dates_beyond_2049_are_written_as_the_standard_says() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewAuthority { days: 20_000, iterations: ITERATIONS, ..NewAuthority::new("Casa Rossi") };
    let pki = folder.path().join("pki");
    Authority::init(&pki, &new, &secret(PASSPHRASE), Timestamp::now()).unwrap();
    let root = pki.join("ca.crt");
    accepts(verify(&root, &root, &["-check_ss_sig"]));
    let parsed = accepts(run("openssl", &["asn1parse", "-in", root.to_str().unwrap()]));
    assert_eq!(
        (parsed.matches("UTCTIME").count(), parsed.matches("GENERALIZEDTIME").count()),
        (1, 1),
        "{parsed}"
    );
}

#[test]
fn openssl_refuses_what_a_certificate_is_not_for() {
    let mut house = House::new(KeyKind::P256);
    let other = House::named("Casa Rossi", KeyKind::P256);
    let broker = house.broker(&NAMES, KeyKind::P256);
    let broker = house.file("broker.crt", broker.chain_pem());
    let thunder = house.device("thunder10", KeyKind::P256);
    let thunder = house.file("thunder10.crt", thunder.chain_pem());
    refuses(verify(&house.ca(), &broker, &["-purpose", "sslclient"]), "unsuitable certificate purpose");
    refuses(verify(&house.ca(), &thunder, &["-purpose", "sslserver"]), "unsuitable certificate purpose");
    refuses(verify(&house.ca(), &broker, &["-verify_hostname", "iotgateway2"]), "hostname mismatch");
    refuses(verify(&house.ca(), &broker, &["-verify_ip", "192.168.1.8"]), "IP address mismatch");
    refuses(verify(&other.ca(), &thunder, &[]), "error");
    refuses(verify(&thunder, &broker, &[]), "error");
}

#[test]
fn the_text_that_openssl_prints_is_that_of_the_profiles() {
    let mut house = House::new(KeyKind::P256);
    let text = |path: &std::path::Path| {
        accepts(run(
            "openssl",
            &["x509", "-in", path.to_str().unwrap(), "-noout", "-text", "-nameopt", "RFC2253"],
        ))
    };
    let root = text(&house.ca());
    let broker = house.broker(&NAMES, KeyKind::Rsa2048);
    let broker = text(&house.file("broker.crt", broker.chain_pem()));
    let thunder = house.device("thunder10", KeyKind::P256);
    let path = house.file("thunder10.crt", thunder.chain_pem());
    let device = text(&path);
    for (text, expected) in [
        (&root, "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0"),
        (&root, "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign"),
        (&broker, "X509v3 Basic Constraints: critical\n                CA:FALSE"),
        (&broker, "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment\n"),
        (&broker, "X509v3 Extended Key Usage: \n                TLS Web Server Authentication\n"),
        (
            &broker,
            "DNS:iotgateway1, DNS:iotgateway1.local, IP Address:192.168.1.7, IP Address:FD00:0:0:0:0:0:0:7",
        ),
        (&broker, "Subject: CN=iotgateway1,O=Casa Rossi"),
        (&device, "X509v3 Key Usage: critical\n                Digital Signature\n"),
        (&device, "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n"),
        (&device, "URI:spiffe://casa-rossi/device/thunder10"),
        (&device, "Subject: CN=thunder10,O=Casa Rossi"),
        (&device, "Version: 3 (0x2)"),
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    for absent in ["Authority Key Identifier", "Extended Key Usage", "Alternative Name"] {
        assert!(!root.contains(absent), "{absent} is in {root}");
    }
    let after =
        |text: &str, label: &str| text.split_once(label).unwrap().1.trim().lines().next().unwrap().to_owned();
    assert_eq!(
        after(&root, "Subject Key Identifier:"),
        after(&device, "Authority Key Identifier:"),
        "the authority key id is the issuer's key id"
    );
    // A second opinion on times and on the serial's length.
    let parsed = accepts(run("openssl", &["asn1parse", "-in", path.to_str().unwrap()]));
    assert_eq!(parsed.matches("UTCTIME").count(), 2, "{parsed}");
    let view = inspect::certificate(&thunder.certificate).unwrap();
    assert_eq!(view.serial.len(), 32);
    assert!(('4'..='7').contains(&view.serial.chars().next().unwrap()), "{}", view.serial);
    let days = view.not_after.duration_since(view.not_before).as_hours();
    assert_eq!(days, 730 * 24 + 1);
}

#[test]
fn openssl_computes_the_key_id_that_we_wrote() {
    let mut house = House::new(KeyKind::Rsa2048);
    let key = house.device("thunder10", KeyKind::P256);
    let id = inspect::certificate(&key.certificate).unwrap().subject_key_id.unwrap();
    let path = house.file("k.pem", key.key.to_plain_pem().unwrap().expose());
    let request = house.folder.path().join("self.crt");
    accepts(run(
        "openssl",
        &[
            "req",
            "-x509",
            "-new",
            "-subj",
            "/CN=x",
            "-key",
            path.to_str().unwrap(),
            "-out",
            request.to_str().unwrap(),
        ],
    ));
    let theirs = inspect::certificates(&std::fs::read(request).unwrap()).unwrap();
    assert_eq!(theirs.first().unwrap().subject_key_id.as_deref(), Some(id.as_str()));
}

#[test]
fn openssl_opens_the_encrypted_keys_and_only_with_the_passphrase() {
    let mut house = House::new(KeyKind::P256);
    let thunder = house.device("thunder10", KeyKind::Rsa2048);
    let sealed = thunder.key.to_encrypted_pem(&secret(PASSPHRASE), 1000).unwrap();
    let sealed = house.file("thunder10.key", sealed.expose());
    for path in [house.pki().join("ca.key"), sealed] {
        let path = path.to_str().unwrap();
        accepts(run(
            "openssl",
            &["pkey", "-in", path, "-passin", &format!("pass:{PASSPHRASE}"), "-noout", "-check"],
        ));
        assert!(!run("openssl", &["pkey", "-in", path, "-passin", "pass:wrong", "-noout"]).0);
        let parsed = accepts(run("openssl", &["asn1parse", "-in", path]));
        for part in ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc"] {
            assert!(parsed.contains(part), "{part} is not in {parsed}");
        }
    }
}

#[test]
fn java_reads_them_too() {
    let mut house = House::new(KeyKind::P256);
    let request = DeviceRequest {
        subject: Some(Subject::parse("/C=IT/ST=RM/L=Roma/O=Caffè Rossi/OU=Lab").unwrap()),
        ..DeviceRequest::new(device("Küche 1"))
    };
    let kitchen = house.issuer.issue_device(&request, Timestamp::now()).unwrap();
    let path = house.file("kitchen.crt", kitchen.chain_pem());
    let said =
        accepts(run("keytool", &["-J-Dfile.encoding=UTF-8", "-printcert", "-file", path.to_str().unwrap()]));
    for part in ["clientAuth", "CA:false", "spiffe://casa-rossi/device/K%C3%BCche%201", "SHA256withECDSA"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let compact: String = said.to_lowercase().replace(':', "");
    assert!(compact.contains(&kitchen.sha256()), "{} is not in {said}", kitchen.sha256());
    let view = inspect::certificate(&kitchen.certificate).unwrap();
    assert_eq!(view.subject, "C=IT, ST=RM, L=Roma, O=Caffè Rossi, OU=Lab, CN=Küche 1");
    assert_eq!(view.common_names, ["Küche 1"]);
}

#[test]
fn a_leaf_never_outlives_the_authority_and_says_so() {
    let mut house = House::new(KeyKind::P256);
    let end = house.issuer.authority().period().not_after;
    let request = DeviceRequest { days: 5000, ..DeviceRequest::new(device("thunder10")) };
    let long = house.issuer.issue_device(&request, Timestamp::now()).unwrap();
    assert!(long.shortened);
    assert_eq!(long.period.not_after, end);
    assert!(!house.device("thunder11", KeyKind::P256).shortened);
    let later = end + jiff::SignedDuration::from_secs(1);
    assert!(matches!(house.issuer.issue_device(&request, later), Err(IssueError::AuthorityExpired(_))));
}

#[test]
fn requests_that_would_make_a_bad_certificate_are_refused() {
    let mut house = House::new(KeyKind::P256);
    let now = Timestamp::now();
    let name = |text: &str| DeviceRequest::new(device(text));
    assert!(house.issuer.issue_device(&name(&"ü".repeat(64)), now).is_ok());
    assert!(matches!(
        house.issuer.issue_device(&name(&"x".repeat(65)), now),
        Err(IssueError::NameTooLong(_))
    ));
    let zero = DeviceRequest { days: 0, ..name("a") };
    assert!(matches!(house.issuer.issue_device(&zero, now), Err(IssueError::Days(0))));
    assert!(matches!(
        house.issuer.issue_broker(&BrokerRequest::new(Vec::new()), now),
        Err(IssueError::NoNames)
    ));
    // Clients take a certificate with the authority's own subject for self-signed.
    let root = house.issuer.authority().list().first().unwrap().name.clone();
    assert!(matches!(house.issuer.issue_device(&name(&root), now), Err(IssueError::SameSubject(_))));
    let address: BrokerName = "10.0.0.1".parse().unwrap();
    let only = house.issuer.issue_broker(&BrokerRequest::new(vec![address]), now).unwrap();
    assert_eq!(inspect::certificate(&only.certificate).unwrap().alternative_names, ["IP:10.0.0.1"]);
}

#[test]
fn rustls_shakes_hands_with_them() {
    for key in [KeyKind::P256, KeyKind::Rsa2048] {
        let mut house = House::new(KeyKind::P256);
        let broker = house.broker(&NAMES, key);
        let thunder = house.device("thunder10", key);
        for host in NAMES {
            assert_eq!(handshake(&house, (&broker, &thunder), host), Ok(()), "{host}");
        }
        let wrong = handshake(&house, (&broker, &thunder), "iotgateway2").unwrap_err();
        assert!(wrong.contains("NotValidForName"), "{wrong}");
        let swapped = handshake(&house, (&broker, &broker), "iotgateway1").unwrap_err();
        assert!(
            swapped.contains("InvalidPurpose") || swapped.contains("UnsupportedCertificate"),
            "{swapped}"
        );
    }
}

type Issued = citronella::pki::Issued;

/// A mutual TLS handshake in memory, with one message each way.
fn handshake(house: &House, (broker, device): (&Issued, &Issued), host: &str) -> Result<(), String> {
    let der = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    let key =
        |issued: &Issued| PrivateKeyDer::from_pem_slice(issued.key.to_plain_pem().unwrap().expose()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der(house.issuer.authority().certificate_pem())).unwrap();
    let roots = Arc::new(roots);
    let client_judge = WebPkiClientVerifier::builder(Arc::clone(&roots)).build().unwrap();
    let server = ServerConfig::builder()
        .with_client_cert_verifier(client_judge)
        .with_single_cert(vec![der(broker.chain_pem())], key(broker))
        .unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![der(device.chain_pem())], key(device))
        .unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    client.writer().write_all(b"hello").unwrap();
    let mut heard = Vec::new();
    for _ in 0..20 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| format!("{error:?}"))?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| format!("{error:?}"))?;
        let _ = server.reader().read_to_end(&mut heard);
        if heard == b"hello" {
            return Ok(());
        }
    }
    Err("the message never arrived".to_owned())
}
