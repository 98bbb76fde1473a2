//! Java's own key stores, version 2, as `sun.security.provider.JavaKeyStore` reads them.
//!
//! ```text
//! FEEDFEED 00000002 count  entry…  SHA-1(password in UTF-16BE, "Mighty Aphrodite", all before)
//! key:      00000001 alias milliseconds length EncryptedPrivateKeyInfo  count ("X.509" length DER)…
//! trusted:  00000002 alias milliseconds "X.509" length DER
//! ```
//!
//! A key is hidden by a stream of SHA-1 over password and salt, which is weak; PKCS#12 is the default.

use der::Encode;
use jiff::Timestamp;
use sha1::{Digest, Sha1};
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier};
use zeroize::Zeroizing;

use super::{KitError, Material, certificates, store_alias};
use crate::secret::Secret;

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const KEY: u32 = 1;
const TRUSTED: u32 = 2;
/// Sun's key protector.
const PROTECTOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.42.2.17.1.1");
const SALT_BYTES: usize = 20;

/// The device's key, its certificate and what leads to the authority.
pub(super) fn key_store(
    material: &Material<'_>,
    chain: &[Vec<u8>],
    password: &str,
) -> Result<Secret, KitError> {
    let mut body = head(1);
    number(&mut body, KEY);
    text(&mut body, &store_alias(material.name))?;
    now(&mut body);
    bytes(&mut body, &hidden(material.key.pkcs8(), password)?)?;
    let mut all = chain.to_vec();
    for der in certificates(material.ca_pem)? {
        if !all.contains(&der) {
            all.push(der);
        }
    }
    number(&mut body, u32::try_from(all.len()).map_err(|_| too_long())?);
    for der in all {
        certificate(&mut body, &der)?;
    }
    Ok(sealed(body, password))
}

/// The authority's certificate, as one that is trusted.
pub(super) fn trust_store(material: &Material<'_>, password: &str) -> Result<Secret, KitError> {
    let all = certificates(material.ca_pem)?;
    let mut body = head(u32::try_from(all.len()).map_err(|_| too_long())?);
    for (index, der) in all.iter().enumerate() {
        number(&mut body, TRUSTED);
        let alias = if index == 0 { "authority".to_owned() } else { format!("authority-{}", index + 1) };
        text(&mut body, &alias)?;
        now(&mut body);
        certificate(&mut body, der)?;
    }
    Ok(sealed(body, password))
}

fn head(entries: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for value in [MAGIC, VERSION, entries] {
        number(&mut body, value);
    }
    body
}

fn number(body: &mut Vec<u8>, value: u32) {
    body.extend(value.to_be_bytes());
}

fn now(body: &mut Vec<u8>) {
    body.extend(Timestamp::now().as_millisecond().to_be_bytes());
}

/// In Java's modified UTF-8, which is UTF-8 for what an alias is made of.
fn text(body: &mut Vec<u8>, value: &str) -> Result<(), KitError> {
    body.extend(u16::try_from(value.len()).map_err(|_| too_long())?.to_be_bytes());
    body.extend(value.as_bytes());
    Ok(())
}

fn bytes(body: &mut Vec<u8>, value: &[u8]) -> Result<(), KitError> {
    number(body, u32::try_from(value.len()).map_err(|_| too_long())?);
    body.extend(value);
    Ok(())
}

fn certificate(body: &mut Vec<u8>, der: &[u8]) -> Result<(), KitError> {
    text(body, "X.509")?;
    bytes(body, der)
}

fn too_long() -> KitError {
    KitError::Store("too many or too long certificates".to_owned())
}

/// The EncryptedPrivateKeyInfo of Sun's protector: salt, key XOR a stream of SHA-1, and a digest.
fn hidden(pkcs8: &[u8], password: &str) -> Result<Vec<u8>, KitError> {
    let password = utf16(password);
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| KitError::Store("no random bytes".to_owned()))?;
    let mut out = salt.to_vec();
    let mut turn = Sha1::new().chain_update(&*password).chain_update(salt).finalize();
    for block in pkcs8.chunks(turn.len()) {
        out.extend(block.iter().zip(&turn).map(|(key, stream)| key ^ stream));
        turn = Sha1::new().chain_update(&*password).chain_update(turn).finalize();
    }
    out.extend(Sha1::new().chain_update(&*password).chain_update(pkcs8).finalize());
    let refused = |error: der::Error| KitError::Store(error.to_string());
    let algorithm = AlgorithmIdentifierOwned { oid: PROTECTOR, parameters: Some(der::asn1::Null.into()) };
    let secret = der::asn1::OctetString::new(out).map_err(refused)?;
    let mut fields = algorithm.to_der().map_err(refused)?;
    fields.extend(secret.to_der().map_err(refused)?);
    der::asn1::Any::new(der::Tag::Sequence, fields).and_then(|info| info.to_der()).map_err(refused)
}

fn sealed(mut body: Vec<u8>, password: &str) -> Secret {
    let digest = Sha1::new().chain_update(&*utf16(password)).chain_update(b"Mighty Aphrodite");
    let digest = digest.chain_update(&body).finalize();
    body.extend(digest);
    Secret::new(body)
}

fn utf16(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.encode_utf16().flat_map(u16::to_be_bytes).collect())
}
