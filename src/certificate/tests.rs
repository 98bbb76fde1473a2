use super::*;

/// One value in DER: tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut value = vec![tag];
    match content.len() {
        length @ 0..=0x7f => value.push(length as u8),
        length => value.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    value.extend(content);
    value
}

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const UTF8: u8 = 0x0c;
const BMP: u8 = 0x1e;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;

/// A certificate with these common names, and these bytes for the value of its subjectAltName if there is to be
/// one. Its signature is nonsense, which is the broker's business.
fn certificate(common_names: &[(u8, &[u8])], alternative: Option<&[u8]>) -> Vec<u8> {
    let sha256_with_rsa = der(SEQUENCE, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00");
    let rsa = der(SEQUENCE, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00");
    let subject: Vec<u8> = common_names
        .iter()
        .flat_map(|(tag, text)| {
            let pair = [b"\x06\x03\x55\x04\x03".to_vec(), der(*tag, text)].concat();
            der(0x31, &der(SEQUENCE, &pair))
        })
        .collect();
    let validity = [der(0x17, b"200101000000Z"), der(0x17, b"300101000000Z")].concat();
    let key = [rsa, der(0x03, b"\x00\x00")].concat();
    let extensions = alternative.map_or_else(Vec::new, |value| {
        let extension = [b"\x06\x03\x55\x1d\x11".to_vec(), der(OCTETS, value)].concat();
        der(0xa3, &der(SEQUENCE, &der(SEQUENCE, &extension)))
    });
    let signed = [
        der(0xa0, b"\x02\x01\x02"),
        der(0x02, b"\x01"),
        sha256_with_rsa.clone(),
        der(SEQUENCE, b""),
        der(SEQUENCE, &validity),
        der(SEQUENCE, &subject),
        der(SEQUENCE, &key),
        extensions,
    ]
    .concat();
    der(SEQUENCE, &[der(SEQUENCE, &signed), sha256_with_rsa, der(0x03, b"\x00\x00")].concat())
}

fn name(
    common_name: &str,
    alternatives: &[(u8, &[u8])],
    sources: &[IdentitySource],
) -> Result<String, CertificateError> {
    let names: Vec<u8> = alternatives.iter().flat_map(|(tag, text)| der(*tag, text)).collect();
    let value = (!alternatives.is_empty()).then(|| der(SEQUENCE, &names));
    let der = certificate(&[(UTF8, common_name.as_bytes())], value.as_deref());
    Certificate::parse(&der, sources).map(|read| read.name)
}

fn urn() -> IdentitySource {
    IdentitySource::SanUri { prefix: "urn:dev:".into() }
}

#[test]
fn the_first_source_that_is_present_decides() {
    let sources = [IdentitySource::SanDns, urn(), IdentitySource::CommonName];
    let (dns, uri, other): (_, _, (_, &[u8])) = ((DNS, &b"a"[..]), (URI, &b"urn:dev:b"[..]), (URI, b"x:b"));
    assert_eq!(name("c", &[uri, dns], &sources).as_deref(), Ok("a"));
    assert_eq!(name("c", &[other, uri], &sources).as_deref(), Ok("b"));
    assert_eq!(name("c", &[other], &sources).as_deref(), Ok("c"));
    assert_eq!(name("c", &[], &sources).as_deref(), Ok("c"));
    assert_eq!(name("c", &[other], &sources[..2]), Err(CertificateError::NoName));
}

#[test]
fn an_alternative_name_that_cannot_be_decoded_is_present_and_refused() {
    let with_cn = |source| [source, IdentitySource::CommonName];
    let (dns, uri) = (with_cn(IdentitySource::SanDns), with_cn(urn()));
    let encoding = |found| Err(CertificateError::Encoding(found));
    assert_eq!(name("victim", &[(DNS, b"mallory\xff")], &dns), encoding(Found::DnsName));
    assert_eq!(name("victim", &[(URI, b"urn:dev:mallory\xff")], &uri), encoding(Found::Uri));
    // A text that does not start with the prefix was never meant for us, decodable or not.
    assert_eq!(name("victim", &[(URI, b"http://\xff")], &uri).as_deref(), Ok("victim"));
    // Nor is what another source would have taken.
    assert_eq!(name("victim", &[(URI, b"urn:dev:\xff")], &dns).as_deref(), Ok("victim"));
}

#[test]
fn an_alternative_name_that_cannot_be_decoded_counts_among_several() {
    let several = |found| Err(CertificateError::Several(found));
    let dns: [(u8, &[u8]); 2] = [(DNS, b"mallory\xff"), (DNS, b"victim")];
    assert_eq!(name("c", &dns, &[IdentitySource::SanDns]), several(Found::DnsName));
    let uri: [(u8, &[u8]); 2] = [(URI, b"urn:dev:victim"), (URI, b"urn:dev:\xff")];
    assert_eq!(name("c", &uri, &[urn()]), several(Found::Uri));
}

#[test]
fn alternative_names_that_are_no_list_at_all_are_refused() {
    for value in [&b"\xff\xff"[..], b"", &der(OCTETS, b"a"), &der(SEQUENCE, b"\x82\x05a")] {
        let der = certificate(&[(UTF8, b"victim")], Some(value));
        let read = Certificate::parse(&der, &[IdentitySource::SanDns, IdentitySource::CommonName]);
        assert_eq!(read, Err(CertificateError::Malformed), "{value:?}");
    }
}

#[test]
fn a_common_name_is_one_and_in_an_encoding_that_says_which_characters_it_has() {
    let read = |names: &[(u8, &[u8])]| {
        Certificate::parse(&certificate(names, None), &[IdentitySource::CommonName]).map(|read| read.name)
    };
    assert_eq!(read(&[(UTF8, "Küche".as_bytes())]).as_deref(), Ok("Küche"));
    assert_eq!(read(&[(BMP, b"\0a\0b")]), Err(CertificateError::Encoding(Found::CommonName)));
    assert_eq!(read(&[(UTF8, b"a\xff")]), Err(CertificateError::Encoding(Found::CommonName)));
    assert_eq!(read(&[(UTF8, b"a"), (UTF8, b"b")]), Err(CertificateError::Several(Found::CommonName)));
    assert_eq!(read(&[]), Err(CertificateError::NoName));
}
