//! Whether one key has signed what another certificate or a CRL says.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// Whether the key fits the signature; none where the algorithm is not known here.
pub(super) fn verifies(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    (message, signature): (&[u8], &[u8]),
) -> Option<bool> {
    let algorithm = known(key, algorithm)?;
    let key = UnparsedPublicKey::new(algorithm, &*key.subject_public_key.data);
    Some(key.verify(message, signature).is_ok())
}

/// SOURCE: RFC 3279, 4055, 5480, 5758 and 8410. A key of another kind than the signature's has not made it, and fails.
fn known(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let curve =
        key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_string());
    let curve = curve.as_deref().unwrap_or_default();
    let (p384, p521) = (curve == "1.3.132.0.34", curve == "1.3.132.0.35");
    Some(match algorithm.algorithm.to_string().as_str() {
        "1.2.840.113549.1.1.5" => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        "1.2.840.113549.1.1.11" => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        "1.2.840.113549.1.1.12" => &RSA_PKCS1_2048_8192_SHA384,
        "1.2.840.113549.1.1.13" => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        "1.2.840.10045.4.3.2" if p384 => &ECDSA_P384_SHA256_ASN1,
        "1.2.840.10045.4.3.2" if !p521 => &ECDSA_P256_SHA256_ASN1,
        "1.2.840.10045.4.3.3" if p384 => &ECDSA_P384_SHA384_ASN1,
        "1.2.840.10045.4.3.3" if !p521 => &ECDSA_P256_SHA384_ASN1,
        "1.2.840.10045.4.3.4" if p521 => &ECDSA_P521_SHA512_ASN1,
        "1.3.101.112" => &ED25519,
        _ => return None,
    })
}
