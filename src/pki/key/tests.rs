use super::*;

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

fn error(result: Result<PrivateKey, KeyError>) -> KeyError {
    result.err().expect("this must not be read as a key")
}

#[test]
fn a_key_survives_being_written_encrypted_and_plain() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let key = PrivateKey::generate(kind).unwrap();
        let sealed = key.to_encrypted_pem(&secret("correct horse"), 1000).unwrap();
        assert!(sealed.expose().starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let opened = PrivateKey::from_pem(sealed.expose(), Some(&secret("correct horse"))).unwrap();
        assert!(opened.matches(key.public_der()));
        let plain = PrivateKey::from_pem(key.to_plain_pem().unwrap().expose(), None).unwrap();
        assert!(plain.matches(key.public_der()));
        assert!(!PrivateKey::generate(KeyKind::P256).unwrap().matches(key.public_der()));
    }
}

#[test]
fn a_wrong_passphrase_is_told_from_a_file_that_is_no_key() {
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let sealed = key.to_encrypted_pem(&secret("right"), 1).unwrap();
    // More than 256 tries, so that a padding that is right by chance is met.
    for n in 0..600 {
        let wrong = error(PrivateKey::from_pem(sealed.expose(), Some(&secret(&format!("wrong {n}")))));
        assert!(matches!(wrong, KeyError::WrongPassphrase), "{n}: {wrong}");
    }
    assert!(matches!(error(PrivateKey::from_pem(sealed.expose(), None)), KeyError::PassphraseNeeded));
    for (text, expected) in [
        ("", "this is not a private key"),
        ("hello", "this is not a private key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "this is not a private key"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "this is not a private key",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "this is a `CERTIFICATE`, not a private key",
        ),
    ] {
        assert_eq!(
            error(PrivateKey::from_pem(text.as_bytes(), Some(&secret("x")))).to_string(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_traditional_key_comes_with_the_command_that_converts_it() {
    let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert!(matches!(error(PrivateKey::from_pem(text.as_bytes(), None)), KeyError::Traditional));
}

#[test]
fn an_empty_passphrase_protects_nothing_and_is_refused() {
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    assert!(matches!(key.to_encrypted_pem(&secret(""), 1000), Err(KeyError::EmptyPassphrase)));
}
