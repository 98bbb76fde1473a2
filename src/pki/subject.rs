//! What stands in a certificate's subject beside the common name, and the device's name as a URI.
#![forbid(unsafe_code)]

use const_oid::db::{rfc2256, rfc4519};
use der::{
    Decode, Encode,
    asn1::{Any, PrintableStringRef, Utf8StringRef},
};
use thiserror::Error;
use x509_cert::{
    attr::AttributeTypeAndValue,
    name::{Name, RdnSequence, RelativeDistinguishedName},
};

/// An attribute that people may set; the common name is always ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Attribute {
    /// C, two letters of ISO 3166.
    Country,
    /// ST.
    State,
    /// L.
    Locality,
    /// O.
    Organization,
    /// OU, the only one that may stand several times.
    Unit,
}

impl Attribute {
    /// Longest value in characters.
    // SOURCE: RFC 5280 appendix A.1, ub-state-name, ub-locality-name, ub-organization-name.
    fn limit_chars(self) -> usize {
        match self {
            Self::Country => 2,
            Self::State | Self::Locality => 128,
            Self::Organization | Self::Unit => 64,
        }
    }

    fn oid(self) -> der::oid::ObjectIdentifier {
        match self {
            Self::Country => rfc4519::COUNTRY_NAME,
            Self::State => rfc2256::STATE_OR_PROVINCE_NAME,
            Self::Locality => rfc4519::LOCALITY_NAME,
            Self::Organization => rfc4519::ORGANIZATION_NAME,
            Self::Unit => rfc4519::ORGANIZATIONAL_UNIT_NAME,
        }
    }
}

/// Why a text is no subject.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SubjectError {
    /// A part without `=`.
    #[error("`{0}` in the subject is not of the form NAME=VALUE")]
    NoValue(String),
    /// Not one of ours.
    #[error("no subject field is called `{0}`; there are C, ST, L, O and OU")]
    Unknown(String),
    /// Only OU repeats.
    #[error("the subject has `{0}` twice")]
    Twice(String),
    /// The field and its limit.
    #[error("`{0}` in the subject is longer than {1} characters")]
    TooLong(String, usize),
    /// Two letters are wanted.
    #[error("`{0}` is no country; it is two letters, such as IT")]
    Country(String),
    /// Would not survive a log or a terminal.
    #[error("`{0}` in the subject has control characters")]
    Control(String),
    /// A `+` joins fields, which certificates of ours never do.
    #[error("write `\\+` for a plus sign in the subject, or a comma between fields")]
    Plus,
    /// A backslash before nothing, or half a byte.
    #[error("the subject has an unfinished escape")]
    Escape,
    /// The types of the encoder; not met with values that passed the above.
    #[error("the subject cannot be encoded")]
    Encoding,
}

/// Fields for the subject, checked, in the order C, ST, L, O, OU.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    /// INVARIANT: sorted by attribute, values within their limits.
    fields: Vec<(Attribute, String)>,
    notes: Vec<String>,
}

impl std::str::FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        Self::parse(text)
    }
}

impl Subject {
    /// Reads `C=IT,O=Rossi,OU=Lab` (RFC 4514, in either order) or `/C=IT/O=Rossi/OU=Lab` (openssl).
    ///
    /// Empty fields, the common name and mail addresses are left out; [`Subject::notes`] says so.
    ///
    /// # Errors
    ///
    /// The first field that cannot stand in a certificate.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        Self::of_fields(&split(text)?)
    }

    /// From names and values without escapes.
    pub(crate) fn of_fields(fields: &[(String, String)]) -> Result<Self, SubjectError> {
        let mut subject = Self::default();
        for (name, value) in fields {
            subject.add(name, value)?;
        }
        subject.fields.sort_by_key(|(attribute, _)| *attribute);
        Ok(subject)
    }

    /// Only an organization.
    ///
    /// # Errors
    ///
    /// Too long, or with control characters.
    pub fn organization(value: &str) -> Result<Self, SubjectError> {
        let mut subject = Self::default();
        subject.add("O", value)?;
        Ok(subject)
    }

    /// What was left out and why, one sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether nothing but the common name would stand in the certificate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), SubjectError> {
        let value = value.trim();
        let attribute = match name.to_ascii_uppercase().as_str() {
            "C" | "COUNTRYNAME" => Attribute::Country,
            "ST" | "S" | "STATEORPROVINCENAME" => Attribute::State,
            "L" | "LOCALITYNAME" => Attribute::Locality,
            "O" | "ORGANIZATIONNAME" => Attribute::Organization,
            "OU" | "ORGANIZATIONALUNITNAME" => Attribute::Unit,
            "CN" | "COMMONNAME" => {
                self.notes.push(
                    "the common name in the subject is left out: it is always the name itself".to_owned(),
                );
                return Ok(());
            }
            "EMAILADDRESS" | "E" | "EMAIL" => {
                self.notes
                    .push("the mail address in the subject is left out: nothing reads it there".to_owned());
                return Ok(());
            }
            _ => return Err(SubjectError::Unknown(name.to_owned())),
        };
        if value.is_empty() {
            self.notes.push(format!("`{name}` in the subject is empty and left out"));
            return Ok(());
        }
        if value.chars().any(char::is_control) {
            return Err(SubjectError::Control(name.to_owned()));
        }
        if attribute == Attribute::Country
            && !(value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic()))
        {
            return Err(SubjectError::Country(value.to_owned()));
        }
        if value.chars().count() > attribute.limit_chars() {
            return Err(SubjectError::TooLong(name.to_owned(), attribute.limit_chars()));
        }
        if attribute != Attribute::Unit && self.fields.iter().any(|(found, _)| *found == attribute) {
            return Err(SubjectError::Twice(name.to_owned()));
        }
        let value =
            if attribute == Attribute::Country { value.to_ascii_uppercase() } else { value.to_owned() };
        self.fields.push((attribute, value));
        Ok(())
    }

    /// The subject with this common name last, one attribute per RDN, UTF8String except for the country.
    ///
    /// # Errors
    ///
    /// When the encoder refuses, which checked values do not cause.
    pub(crate) fn with_common_name(&self, common_name: &str) -> Result<Name, SubjectError> {
        let mut fields = Vec::with_capacity(self.fields.len() + 1);
        for (attribute, value) in &self.fields {
            let value = match attribute {
                Attribute::Country => PrintableStringRef::new(value).map(Any::from),
                _ => Utf8StringRef::new(value).map(Any::from),
            };
            fields.push((attribute.oid(), value.map_err(|_| SubjectError::Encoding)?));
        }
        let common_name = Utf8StringRef::new(common_name).map_err(|_| SubjectError::Encoding)?;
        fields.push((rfc4519::COMMON_NAME, Any::from(common_name)));
        encode(fields).map_err(|_| SubjectError::Encoding)
    }
}

/// One RDN per field. A [`Name`] has no constructor of its own, so it goes through its DER.
fn encode(fields: Vec<(der::oid::ObjectIdentifier, Any)>) -> der::Result<Name> {
    let mut sequence = RdnSequence::default();
    for (oid, value) in fields {
        sequence.push(RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue { oid, value }])?);
    }
    Name::from_der(&sequence.to_der()?)
}

/// The fields of either spelling with their escapes undone.
fn split(text: &str) -> Result<Vec<(String, String)>, SubjectError> {
    let slashes = text.trim().strip_prefix('/');
    let separators: &[char] = if slashes.is_some() { &['/'] } else { &[',', ';'] };
    let mut bytes: Vec<u8> = Vec::new();
    let mut parts = Vec::new();
    let mut chars = slashes.unwrap_or(text.trim()).chars();
    while let Some(ch) = chars.next() {
        if ch == '\\' {
            bytes.extend(escaped(&mut chars)?);
        } else if separators.contains(&ch) {
            parts.push(std::mem::take(&mut bytes));
        } else if ch == '+' && slashes.is_none() {
            return Err(SubjectError::Plus);
        } else {
            bytes.extend(ch.encode_utf8(&mut [0; 4]).bytes());
        }
    }
    parts.push(bytes);
    parts
        .into_iter()
        .map(|part| String::from_utf8(part).map_err(|_| SubjectError::Escape))
        .filter(|part| !part.as_ref().is_ok_and(|part| part.trim().is_empty()))
        .map(|part| {
            let part = part?;
            let (name, value) = part.split_once('=').ok_or_else(|| SubjectError::NoValue(part.clone()))?;
            Ok((name.trim().to_owned(), value.to_owned()))
        })
        .collect()
}

/// What follows a backslash: two hexadecimal digits are a byte, anything else stands for itself.
fn escaped(chars: &mut std::str::Chars<'_>) -> Result<Vec<u8>, SubjectError> {
    let first = chars.next().ok_or(SubjectError::Escape)?;
    let Some(high) = first.to_digit(16) else {
        return Ok(first.encode_utf8(&mut [0; 4]).as_bytes().to_vec());
    };
    let low = chars.next().and_then(|ch| ch.to_digit(16)).ok_or(SubjectError::Escape)?;
    Ok(vec![u8::try_from(high * 16 + low).map_err(|_| SubjectError::Escape)?])
}

/// The authority's name as the domain of its devices' URIs: lower case, `-` for what a trust domain cannot have.
// SOURCE: SPIFFE-ID 2.1, trust domain: [a-z0-9.-_], at most 255 bytes.
#[must_use]
pub fn fleet_domain(name: &str) -> String {
    let mut domain = String::new();
    for ch in name.chars().flat_map(char::to_lowercase).take(200) {
        if ch.is_ascii_alphanumeric() || matches!(ch, '.' | '_') {
            domain.push(ch);
        } else if !domain.ends_with('-') {
            domain.push('-');
        }
    }
    let domain = domain.trim_matches(|ch| matches!(ch, '-' | '.'));
    if domain.is_empty() { "fleet".to_owned() } else { domain.to_owned() }
}

/// `spiffe://FLEET/device/NAME`; what is not unreserved in RFC 3986 §2.3 is percent-encoded, byte by byte.
#[must_use]
pub fn device_uri(fleet: &str, name: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = format!("spiffe://{fleet}/device/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        Subject::parse(text).unwrap().with_common_name("thunder10").unwrap().to_string()
    }

    #[test]
    fn both_spellings_give_the_same_subject_in_one_order() {
        let expected = "CN=thunder10,OU=Lab,O=Rossi e Figli,L=Roma,ST=RM,C=IT";
        assert_eq!(name("/C=it/ST=RM/L=Roma/O=Rossi e Figli/OU=Lab"), expected);
        assert_eq!(name("OU=Lab, O=Rossi e Figli, L=Roma, ST=RM, C=IT"), expected);
    }

    #[test]
    fn escapes_keep_separators_in_values() {
        assert_eq!(name(r"O=Rossi\, Bianchi\+Figli"), r"CN=thunder10,O=Rossi\, Bianchi\+Figli");
        assert_eq!(name(r"/O=A\/B+C"), r"CN=thunder10,O=A/B\+C");
        assert_eq!(name(r"O=K\C3\BCche"), "CN=thunder10,O=Küche");
    }

    #[test]
    fn what_is_left_out_is_said() {
        let subject = Subject::parse("/C=IT/ST=/CN=other/emailAddress=a@b.c").unwrap();
        assert_eq!(subject.fields, [(Attribute::Country, "IT".to_owned())]);
        assert_eq!(subject.notes().len(), 3);
    }

    #[test]
    fn what_no_certificate_can_carry_is_refused() {
        for (text, error) in [
            ("O", SubjectError::NoValue("O".to_owned())),
            ("DC=x", SubjectError::Unknown("DC".to_owned())),
            ("O=a,O=b", SubjectError::Twice("O".to_owned())),
            ("C=ITA", SubjectError::Country("ITA".to_owned())),
            ("C=1T", SubjectError::Country("1T".to_owned())),
            ("O=a\u{7}b", SubjectError::Control("O".to_owned())),
            ("OU=a+CN=b", SubjectError::Plus),
            ("O=a\\", SubjectError::Escape),
            (&format!("O={}", "x".repeat(65)), SubjectError::TooLong("O".to_owned(), 64)),
        ] {
            assert_eq!(Subject::parse(text), Err(error), "{text}");
        }
        assert!(Subject::parse("OU=a,OU=b").is_ok());
    }

    #[test]
    fn a_uri_carries_every_name() {
        assert_eq!(device_uri("home", "living room"), "spiffe://home/device/living%20room");
        assert_eq!(device_uri("home", "Küche:1"), "spiffe://home/device/K%C3%BCche%3A1");
        assert_eq!(fleet_domain("Casa Rossi, Roma"), "casa-rossi-roma");
        assert_eq!(fleet_domain("日本"), "fleet");
    }
}
