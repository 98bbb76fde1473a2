//! What is compiled into firmware, or typed into its console.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use der::{Decode as _, Reader as _, SliceReader, asn1::OctetStringRef};
use pkcs8::PrivateKeyInfoRef;
use sha2::{Digest as _, Sha256};

use super::{KitError, Material, certificates, to_pem};
use crate::pki::{key::PrivateKey, sign::hex};
use crate::secret::Secret;

/// The bytes of a private number of P-256.
const P256_BYTES: usize = 32;
/// Longest name of a sketch.
// SOURCE: Arduino sketch specification, "Sketch root folder".
const MAX_SKETCH_CHARS: usize = 63;
/// Bytes of a digest that tell apart what would be called alike.
const DIGEST_BYTES: usize = 6;

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

/// A value of a command in Tasmota's console, if it is nothing else there.
// SOURCE: Tasmota's documentation of its commands: `;` ends one in a Backlog, `%` is filled in by MqttClient, `"` empties a
// setting, 0 and 1 empty and reset many.
pub(super) fn console_word(text: &str) -> Result<&str, KitError> {
    let special = |ch: char| matches!(ch, ';' | '%' | '"' | '\u{2028}' | '\u{2029}') || ch.is_control();
    if matches!(text, "0" | "1") || text.contains(special) {
        return Err(KitError::NotForConsole(text.to_owned()));
    }
    Ok(text)
}

/// `STEM` and `end` as the name of a sketch and its folder; what cannot stand in one becomes `_`, and a digest keeps
/// such names apart.
pub(super) fn sketch_name(stem: &str, end: &str) -> String {
    let legal = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '_' | '-' | '.');
    let room = MAX_SKETCH_CHARS.saturating_sub(end.len());
    let first = stem.starts_with(|ch: char| ch.is_ascii_alphanumeric() || ch == '_');
    if first && stem.len() <= room && stem.chars().all(legal) {
        return format!("{stem}{end}");
    }
    let digest = Sha256::digest(stem.as_bytes());
    let digest = hex(digest.get(..DIGEST_BYTES).unwrap_or_default());
    let kept: String = stem.chars().map(|ch| if legal(ch) { ch } else { '_' }).collect();
    let kept: String = kept.chars().take(room.saturating_sub(digest.len() + 2)).collect();
    format!("_{kept}-{digest}{end}")
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
