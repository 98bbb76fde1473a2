//! How Tasmota knows a broker by its key, without an authority.
#![forbid(unsafe_code)]

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use x509_parser::{public_key::PublicKey, x509::SubjectPublicKeyInfo};

/// What its `MqttFingerprint` takes for a broker with this key: 20 bytes as `AB CD …`. `None` for keys that it does
/// not take, which are all but RSA and P-256.
// SOURCE: Tasmota, WiFiClientSecureLightBearSSL.cpp, since version 8.4: SHA-1 over fields, each behind its length.
pub(crate) fn fingerprint(info: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    const P256_POINT_BYTES: usize = 65;
    let without_zeros = |number: &[u8]| {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        number.get(start..).unwrap_or_default().to_vec()
    };
    let fields: Vec<Vec<u8>> = match info.parsed().ok()? {
        PublicKey::RSA(key) => {
            vec![b"ssh-rsa".to_vec(), without_zeros(key.exponent), without_zeros(key.modulus)]
        }
        PublicKey::EC(point)
            if super::inspect::key(info) == "P-256" && point.data().len() == P256_POINT_BYTES =>
        {
            vec![b"ecdsa-sha2-nistp256".to_vec(), point.data().to_vec()]
        }
        _ => return None,
    };
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for field in fields {
        context.update(&u32::try_from(field.len()).ok()?.to_be_bytes());
        context.update(&field);
    }
    let bytes = context.finish();
    let pairs: Vec<String> = bytes.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    Some(pairs.join(" "))
}
