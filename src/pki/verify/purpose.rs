//! What a certificate may be used for, and what those below an authority may.
// SOURCE: OpenSSL, v3_purp.c: check_purpose_ssl_client and check_purpose_ssl_server, which look at every certificate of a chain.

use x509_parser::{certificate::X509Certificate, extensions::ExtendedKeyUsage};

use super::{Fault, Purpose, fault};

/// For everything (anyExtendedKeyUsage) is for nothing in OpenSSL's eyes, which are the broker's.
fn names(usage: &ExtendedKeyUsage<'_>, purpose: Purpose) -> bool {
    match purpose {
        Purpose::Broker => usage.server_auth,
        Purpose::Device => usage.client_auth,
    }
}

pub(super) fn of_leaf(leaf: &X509Certificate<'_>, purpose: Purpose, faults: &mut Vec<Fault>) {
    if let Ok(Some(usage)) = leaf.extended_key_usage()
        && !names(usage.value, purpose)
    {
        let wanted = match purpose {
            Purpose::Broker => "a broker's (serverAuth)",
            Purpose::Device => "a device's (clientAuth)",
        };
        let message = format!("it is not {wanted}: its extendedKeyUsage says otherwise");
        faults.push(fault("purpose", message, "brokers and devices need certificates of their own kind"));
    }
    if let Ok(Some(usage)) = leaf.key_usage() {
        let usage = usage.value;
        let signs = usage.digital_signature() || usage.key_agreement();
        let (fits, message) = match purpose {
            Purpose::Broker => (
                signs || usage.key_encipherment(),
                "its key may not be a broker's: its keyUsage has none of digitalSignature, keyEncipherment and keyAgreement",
            ),
            Purpose::Device => (
                signs,
                "its key may not be a device's: its keyUsage has neither digitalSignature nor keyAgreement",
            ),
        };
        if !fits {
            faults.push(fault("key-usage", message, "have it issued with keyUsage digitalSignature"));
        }
    }
}

/// What stands above it, roots too.
pub(super) fn of_issuer(issuer: &X509Certificate<'_>, purpose: Purpose, faults: &mut Vec<Fault>) {
    if let Ok(Some(usage)) = issuer.extended_key_usage()
        && !names(usage.value, purpose)
    {
        let below = match purpose {
            Purpose::Broker => "brokers' certificates (its extendedKeyUsage is without serverAuth)",
            Purpose::Device => "devices' certificates (its extendedKeyUsage is without clientAuth)",
        };
        let message = format!("`{}` may have no {below} below it", issuer.subject());
        faults.push(fault("issuer-purpose", message, "have it issued by an authority for that purpose"));
    }
}
