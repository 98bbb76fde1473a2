//! The signing itself: serial numbers, dates, signatures, and what a certificate is called by afterwards.
#![forbid(unsafe_code)]

use aws_lc_rs::digest;
use der::{
    Decode,
    pem::{self, LineEnding},
};
use jiff::Timestamp;
use x509_cert::{
    Certificate,
    builder::{Builder as _, CertificateBuilder},
    serial_number::SerialNumber,
    spki::SubjectPublicKeyInfoOwned,
    time::{Time, Validity},
};

use super::{
    issue::IssueError,
    key::{PrivateKey, Signed},
    profile::{Period, Template},
};

/// Bytes of a serial number; the top bits are 01, so that it is positive and always of this length.
// SOURCE: RFC 5280 §4.1.2.2 takes up to 20.
const SERIAL_BYTES: usize = 16;

/// What of a certificate is neither a name nor an extension.
pub(crate) struct Ground<'a> {
    pub(crate) serial: &'a [u8],
    pub(crate) period: Period,
    /// The DER of the SubjectPublicKeyInfo.
    pub(crate) public: &'a [u8],
}

/// Builds and signs.
pub(crate) fn sign(
    template: Template,
    ground: Ground<'_>,
    key: &PrivateKey,
) -> Result<Certificate, IssueError> {
    let serial = SerialNumber::new(ground.serial)?;
    let validity = Validity::new(time(ground.period.not_before)?, time(ground.period.not_after)?);
    let public = SubjectPublicKeyInfoOwned::from_der(ground.public)?;
    let builder = CertificateBuilder::new(template, serial, validity, public)?;
    Ok(builder.build::<_, Signed>(key)?)
}

/// UTCTime up to 2049, GeneralizedTime after (RFC 5280 §4.1.2.5).
pub(crate) fn time(at: Timestamp) -> der::Result<Time> {
    let seconds = u64::try_from(at.as_second()).map_err(|_| der::Error::from(der::ErrorKind::DateTime))?;
    Ok(Time::from(der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))?))
}

/// Random, positive, of full length, and one that `taken` does not know.
pub(crate) fn fresh_serial(taken: impl Fn(&str) -> bool) -> Result<[u8; SERIAL_BYTES], IssueError> {
    loop {
        let mut serial = [0; SERIAL_BYTES];
        getrandom::fill(&mut serial).map_err(|_| IssueError::Random)?;
        let [first, ..] = &mut serial;
        *first = *first & 0b0011_1111 | 0b0100_0000;
        if !taken(&hex(&serial)) {
            return Ok(serial);
        }
    }
}

/// In PEM.
pub(crate) fn certificate_pem(der: &[u8]) -> Result<String, IssueError> {
    pem::encode_string("CERTIFICATE", LineEnding::LF, der)
        .map_err(|error| IssueError::from(der::Error::from(error)))
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case, without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_positive_of_full_length_and_never_taken_ones() {
        for _ in 0..200 {
            let serial = fresh_serial(|_| false).unwrap();
            assert_eq!(serial.first().unwrap() & 0b1100_0000, 0b0100_0000);
        }
        let refused = std::cell::Cell::new(3);
        fresh_serial(|_| refused.replace(refused.get() - 1) > 0).unwrap();
        assert_eq!(refused.get(), -1);
    }
}
