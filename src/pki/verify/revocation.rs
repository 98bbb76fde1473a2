//! What revocation lists say of a certificate.
// SOURCE: OpenSSL, x509_vfy.c: get_crl_sk.

use jiff::Timestamp;
use x509_parser::{
    certificate::X509Certificate, parse_x509_crl, pem::Pem, revocation_list::CertificateRevocationList,
};

use super::{Fault, fault};
use crate::pki::{inspect, public, sign::hex};

/// Judges `leaf` by the lists in a file.
pub(super) fn of_leaf(
    leaf: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
    (crl, at): (&[u8], Timestamp),
    faults: &mut Vec<Fault>,
) {
    if !inspect::is_pem(crl) && parse_x509_crl(crl).is_ok() {
        faults.push(fault(
            "crl-der",
            "the revocation list is in DER, and a broker with it does not start: Mosquitto takes PEM",
            "turn it into PEM: openssl crl -inform DER -in FILE -out crl.pem",
        ));
        return;
    }
    let name = issuer.subject();
    let blocks = Pem::iter_from_buffer(crl).filter_map(Result::ok).filter(|block| block.label == "X509 CRL");
    let blocks: Vec<Vec<u8>> = blocks.map(|block| block.contents).collect();
    let lists: Vec<_> =
        blocks.iter().filter_map(|der| parse_x509_crl(der).ok()).map(|(_, list)| list).collect();
    let second = at.as_second();
    let begun = |list: &CertificateRevocationList<'_>| list.last_update().timestamp() <= second;
    let ended =
        |list: &CertificateRevocationList<'_>| list.next_update().is_some_and(|end| end.timestamp() < second);
    // One in date counts more than any that is not, and then the newest.
    let rank =
        |list: &CertificateRevocationList<'_>| (begun(list) && !ended(list), list.last_update().timestamp());
    let signed: Vec<_> = lists.iter().filter(|list| is_of(list, issuer)).collect();
    let Some(list) = signed.iter().max_by_key(|list| rank(list)) else {
        let message = format!(
            "there is no revocation list of `{name}`, so a broker with this list refuses all below it"
        );
        faults.push(fault("crl-missing", message, "make it with `citronella ca crl`"));
        return;
    };
    if let Ok(Some(usage)) = issuer.key_usage()
        && !usage.value.crl_sign()
    {
        let message = format!("`{name}` may not sign revocation lists (keyUsage without cRLSign)");
        faults.push(fault("no-crl-sign", message, "make the authority anew"));
    }
    if ended(list) {
        let message = format!("the revocation list of `{name}` has expired, so a broker refuses everybody");
        faults.push(fault("crl-expired", message, "renew it with `citronella ca crl`"));
    }
    if !begun(list) {
        let message =
            format!("the revocation list of `{name}` begins in the future, so a broker refuses everybody");
        faults.push(fault("crl-future", message, "is the clock right?"));
    }
    // Of several that begin in the same second a broker takes the first; nobody can know which is meant.
    let names = |list: &CertificateRevocationList<'_>| {
        list.iter_revoked_certificates().any(|entry| entry.raw_serial() == leaf.raw_serial())
    };
    if signed.iter().filter(|other| rank(other) == rank(list)).any(|other| names(other)) {
        let message = format!("it is revoked (serial {})", hex(leaf.raw_serial()));
        faults.push(fault("revoked", message, "issue another one"));
    }
}

fn is_of(list: &CertificateRevocationList<'_>, issuer: &X509Certificate<'_>) -> bool {
    let signature = &list.signature_value.data;
    let body = list.tbs_cert_list.as_ref();
    list.issuer().as_raw() == issuer.subject().as_raw()
        && public::check_signature(issuer.public_key(), &list.signature_algorithm, body, signature).is_ok()
}
