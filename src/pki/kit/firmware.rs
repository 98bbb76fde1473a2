//! What is compiled into firmware, or typed into its console.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use der::{Decode as _, Reader as _, SliceReader, asn1::OctetStringRef};
use pkcs8::PrivateKeyInfoRef;

use super::{KitError, Material, certificates, to_pem};
use crate::pki::key::PrivateKey;
use crate::secret::Secret;

/// The bytes of a private number of P-256.
const P256_BYTES: usize = 32;

/// A C header with authority, chain and key as PEM texts, and a guard against compiling it twice.
pub(super) fn header(material: &Material<'_>) -> Result<Secret, KitError> {
    let mut ca = String::new();
    for der in certificates(material.ca_pem)? {
        ca.push_str(&to_pem(&der)?);
    }
    let mut chain = String::new();
    for der in certificates(material.chain_pem)? {
        chain.push_str(&to_pem(&der)?);
    }
    let key = material.key.to_plain_pem()?;
    let key = std::str::from_utf8(key.expose()).unwrap_or_default();
    let mut text = String::from(
        "// Whoever has this file is the device: keep it out of repositories and chats.\n\
         #ifndef CITRONELLA_H\n#define CITRONELLA_H\n\n",
    );
    let parts = [
        ("The authority: whom to trust.", "CITRONELLA_CA", &*ca),
        ("The device's certificate, and what leads to the authority.", "CITRONELLA_CERTIFICATE", &*chain),
        ("The device's key, not encrypted.", "CITRONELLA_KEY", key),
    ];
    for (comment, name, pem) in parts {
        text.push_str(&format!("// {comment}\nstatic const char {name}[] =\n"));
        for line in pem.lines() {
            text.push_str(&format!("    \"{line}\\n\"\n"));
        }
        text.truncate(text.trim_end().len());
        text.push_str(";\n\n");
    }
    text.push_str("#endif\n");
    Ok(Secret::from(text))
}

/// The private number of a P-256 key (RFC 5915), for Tasmota's `TLSKey1`.
pub(super) fn tasmota_key(key: &PrivateKey) -> Result<String, KitError> {
    let info = PrivateKeyInfoRef::from_der(key.pkcs8()).map_err(|_| KitError::NotP256)?;
    let number = |inner: &[u8]| -> der::Result<Vec<u8>> {
        let mut reader = SliceReader::new(inner)?;
        reader.sequence(|fields| {
            let _version: u8 = fields.decode()?;
            let number: &OctetStringRef = fields.decode()?;
            // Parameters and public key, if they are there.
            fields.drain(fields.remaining_len())?;
            Ok::<_, der::Error>(number.as_bytes().to_vec())
        })
    };
    match number(info.private_key.as_bytes()) {
        Ok(number) if number.len() == P256_BYTES => Ok(base64(&number)),
        _ => Err(KitError::NotP256),
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
