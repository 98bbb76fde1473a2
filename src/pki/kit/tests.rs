#![allow(clippy::unwrap_used, reason = "a test stops by panicking")]

use super::*;

#[test]
fn what_is_filled_in_is_not_filled_again() {
    let name = DeviceName::new("lamp").unwrap();
    let key = PrivateKey::generate(super::super::KeyKind::P256).unwrap();
    let material = Material {
        name: &name,
        chain_pem: "",
        ca_pem: "",
        key: &key,
        passphrase: None,
        connect: Try { host: "gw@PORT@.lan", port: 8883, topic: "a/@HOST@/\"b\"" },
    };
    let words = Words::new(&material, Target::Python);
    assert_eq!(words.fill("@HOST@:@PORT@ @NOBODY@ a@b @"), "gw@PORT@.lan:8883 @NOBODY@ a@b @");
    assert_eq!(words.fill("t = @\"TOPIC\"@"), r#"t = "a/@HOST@/\"b\"""#);
}

#[test]
fn the_words_of_targets_come_back() {
    for (word, target) in Target::WORDS {
        assert_eq!(word.parse::<Target>().unwrap(), target);
        assert_eq!(target.to_string(), word);
    }
    assert!("palm".parse::<Target>().is_err());
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let name = DeviceName::new("lamp").unwrap();
    let key = PrivateKey::generate(super::super::KeyKind::P256).unwrap();
    let connect = Try { host: "gw", port: 8883, topic: "a" };
    let material =
        Material { name: &name, chain_pem: "nonsense", ca_pem: "", key: &key, passphrase: None, connect };
    let found = files(&material, Target::Mosquitto, Store::Modern);
    assert!(matches!(found, Err(KitError::NotACertificate)));
}
