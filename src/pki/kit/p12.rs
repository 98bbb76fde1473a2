//! PKCS#12 (RFC 7292) key stores and trust stores.

use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey, PrivateKeyChain,
};

use super::{KitError, Material, Store, certificates, store_alias};
use crate::secret::Secret;

/// How often a password is turned. What opens the store with a wrong one opens nothing; Java's own stores turn
/// 10,000 times.
const ITERATIONS: u32 = 100_000;
/// Old readers take no more, and some take seconds for this.
const COMPATIBLE_ITERATIONS: u32 = 2_048;

/// The device's key, its certificate and what leads to the authority.
pub(super) fn key_store(
    material: &Material<'_>,
    chain: &[Vec<u8>],
    password: &str,
    store: Store,
) -> Result<Secret, KitError> {
    let key = PrivateKey::from_der(material.key.pkcs8()).map_err(refused)?;
    let mut parsed = Vec::new();
    for der in chain.iter().chain(&certificates(material.ca_pem)?) {
        let certificate = Certificate::from_der(der).map_err(refused)?;
        if !parsed.contains(&certificate) {
            parsed.push(certificate);
        }
    }
    let mut entries = KeyStore::new();
    let alias = store_alias(material.name);
    entries.add_entry(
        &alias,
        KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(b"citronella".as_slice(), key, parsed)),
    );
    encode(&entries, password, store)
}

/// The authority's certificate, as one that is trusted.
pub(super) fn trust_store(material: &Material<'_>, password: &str, store: Store) -> Result<Secret, KitError> {
    let mut entries = KeyStore::new();
    for (index, der) in certificates(material.ca_pem)?.iter().enumerate() {
        let alias = if index == 0 { "authority".to_owned() } else { format!("authority-{}", index + 1) };
        entries.add_entry(&alias, KeyStoreEntry::Certificate(Certificate::from_der(der).map_err(refused)?));
    }
    encode(&entries, password, store)
}

fn encode(entries: &KeyStore, password: &str, store: Store) -> Result<Secret, KitError> {
    let (cipher, mac, iterations) = match store {
        Store::Modern | Store::Jks => {
            (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256, ITERATIONS)
        }
        Store::Compatible => (
            EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
            MacAlgorithm::HmacSha1,
            COMPATIBLE_ITERATIONS,
        ),
    };
    let writer = entries.writer(password).encryption_algorithm(cipher).encryption_iterations(iterations);
    let bytes = writer.mac_algorithm(mac).mac_iterations(iterations).write().map_err(refused)?;
    Ok(Secret::new(bytes))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: p12_keystore::error::Error) -> KitError {
    KitError::Store(error.to_string())
}
