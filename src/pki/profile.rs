//! What stands in each kind of certificate. The kinds are fixed; there is nothing to tick.
//!
//! | | root | issuing | broker | device |
//! |---|---|---|---|---|
//! | life | 3650 days, 7300 over an issuing one | 1825 days | 397 days | 730 days |
//! | basicConstraints | CA, pathlen 0, or 1 over an issuing one | CA, pathlen 0 | no CA | no CA |
//! | keyUsage | keyCertSign, cRLSign | the same | digitalSignature (RSA: keyEncipherment too) | digitalSignature |
//! | extKeyUsage | – | – | serverAuth | clientAuth |
//! | subjectAltName | – | – | DNS names and addresses | one URI |
//!
//! The first two extensions are critical. Leaves are valid from an hour before they are made, for clocks
//! that run behind, and never outlive their issuer.
#![forbid(unsafe_code)]

use aws_lc_rs::digest;
use const_oid::{
    ObjectIdentifier,
    db::rfc5280::{
        ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE,
        ID_CE_SUBJECT_ALT_NAME, ID_CE_SUBJECT_KEY_IDENTIFIER, ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH,
    },
};
use der::{
    Encode,
    asn1::{Ia5String, OctetString},
    flagset::FlagSet,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use spki::SubjectPublicKeyInfoRef;
use x509_cert::{
    TbsCertificate,
    builder::{self, profile::BuilderProfile},
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
            SubjectKeyIdentifier, name::GeneralName,
        },
    },
    name::Name,
};

use super::{names::BrokerName, when};

/// Ten years: the root stands in devices' firmware, and replacing it means touching each.
pub const ROOT_DAYS: u32 = 3650;
/// Twenty years for a root over an issuing authority: its key is used once in five.
pub const LONG_ROOT_DAYS: u32 = 7300;
/// Five years: one can be made anew without a word to any device.
pub const ISSUING_DAYS: u32 = 1825;
/// The limit of public authorities, kept here because a year and a month fits a yearly habit.
pub const BROKER_DAYS: u32 = 397;
/// Two years, what the guides people know give.
pub const DEVICE_DAYS: u32 = 730;
/// Beyond this, Apple's systems refuse a server's certificate even from a private authority.
pub const LONG_DAYS: u32 = 825;

/// How far back validity begins, for clocks that run behind.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);

/// What a certificate is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The authority itself.
    Ca,
    /// A broker's own.
    Broker,
    /// A device's.
    Device,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ca => "ca",
            Self::Broker => "broker",
            Self::Device => "device",
        })
    }
}

/// What tells the kinds of certificates apart.
#[derive(Debug)]
pub(crate) enum Profile {
    /// Signs itself, and has so many authorities below it.
    Root(u8),
    /// Below a root, and above leaves only.
    Issuing,
    /// Not empty.
    Broker(Vec<BrokerName>),
    /// With its URI.
    Device(String),
}

/// A profile with the names and the key that sign it.
pub(crate) struct Template {
    pub(crate) profile: Profile,
    pub(crate) subject: Name,
    pub(crate) issuer: Name,
    /// The issuer's SKI as it stands in its certificate, never computed anew; `None` for a root.
    pub(crate) issuer_key_id: Option<Vec<u8>>,
}

impl BuilderProfile for Template {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        own_key: SubjectPublicKeyInfoRef<'_>,
        _issuer_key: SubjectPublicKeyInfoRef<'_>,
        _certificate: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let constraints = match self.profile {
            Profile::Root(below) => BasicConstraints { ca: true, path_len_constraint: Some(below) },
            Profile::Issuing => BasicConstraints { ca: true, path_len_constraint: Some(0) },
            Profile::Broker(_) | Profile::Device(_) => {
                BasicConstraints { ca: false, path_len_constraint: None }
            }
        };
        let mut list = vec![
            extension(ID_CE_BASIC_CONSTRAINTS, Critical::Yes, &constraints)?,
            extension(ID_CE_KEY_USAGE, Critical::Yes, &KeyUsage(self.usages(&own_key)))?,
        ];
        if let Some(purpose) = self.purpose() {
            list.push(extension(ID_CE_EXT_KEY_USAGE, Critical::No, &ExtendedKeyUsage(vec![purpose]))?);
        }
        if let Some(names) = self.alternative_names()? {
            list.push(extension(ID_CE_SUBJECT_ALT_NAME, Critical::No, &SubjectAltName(names))?);
        }
        let own = SubjectKeyIdentifier(OctetString::new(key_id(&own_key))?);
        list.push(extension(ID_CE_SUBJECT_KEY_IDENTIFIER, Critical::No, &own)?);
        if let Some(issuer) = &self.issuer_key_id {
            let issuer = AuthorityKeyIdentifier {
                key_identifier: Some(OctetString::new(issuer.as_slice())?),
                authority_cert_issuer: None,
                authority_cert_serial_number: None,
            };
            list.push(extension(ID_CE_AUTHORITY_KEY_IDENTIFIER, Critical::No, &issuer)?);
        }
        Ok(list)
    }
}

impl Template {
    fn usages(&self, key: &SubjectPublicKeyInfoRef<'_>) -> FlagSet<KeyUsages> {
        match self.profile {
            Profile::Root(_) | Profile::Issuing => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
            // TLS 1.2 with RSA key exchange encrypts to the broker's key.
            Profile::Broker(_) if key.algorithm.oid == const_oid::db::rfc5912::RSA_ENCRYPTION => {
                KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment
            }
            Profile::Broker(_) | Profile::Device(_) => KeyUsages::DigitalSignature.into(),
        }
    }

    fn purpose(&self) -> Option<ObjectIdentifier> {
        match self.profile {
            Profile::Root(_) | Profile::Issuing => None,
            Profile::Broker(_) => Some(ID_KP_SERVER_AUTH),
            Profile::Device(_) => Some(ID_KP_CLIENT_AUTH),
        }
    }

    fn alternative_names(&self) -> der::Result<Option<Vec<GeneralName>>> {
        Ok(match &self.profile {
            Profile::Root(_) | Profile::Issuing => None,
            Profile::Broker(names) => Some(names.iter().map(general_name).collect::<der::Result<_>>()?),
            Profile::Device(uri) => {
                Some(vec![GeneralName::UniformResourceIdentifier(Ia5String::new(uri.as_str())?)])
            }
        })
    }
}

fn general_name(name: &BrokerName) -> der::Result<GeneralName> {
    Ok(match name {
        BrokerName::Dns(name) => GeneralName::DnsName(Ia5String::new(name.as_str())?),
        BrokerName::Address(address) => GeneralName::from(*address),
    })
}

enum Critical {
    Yes,
    No,
}

fn extension(oid: ObjectIdentifier, critical: Critical, value: &impl Encode) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: oid,
        critical: matches!(critical, Critical::Yes),
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

/// SHA-1 of the key's BIT STRING without its tag, length and unused bits (RFC 5280 §4.2.1.2, method 1).
/// It is a name, not a protection.
fn key_id(key: &SubjectPublicKeyInfoRef<'_>) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.subject_public_key.raw_bytes()).as_ref().to_vec()
}

/// From when to when, in whole seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Period {
    /// First second.
    #[serde(with = "when")]
    pub not_before: Timestamp,
    /// Last second.
    #[serde(with = "when")]
    pub not_after: Timestamp,
}

impl Period {
    /// An hour before `now` until `days` after it; `None` for no days or beyond the calendar.
    #[must_use]
    pub fn of_days(days: u32, now: Timestamp) -> Option<Self> {
        let now = Timestamp::from_second(now.as_second()).ok()?;
        let life = SignedDuration::from_hours(i64::from(days) * 24);
        let period =
            Self { not_before: now.checked_sub(BACKDATE).ok()?, not_after: now.checked_add(life).ok()? };
        (days > 0).then_some(period)
    }

    /// The part of it within the issuer's.
    #[must_use]
    pub fn within(self, issuer: Self) -> Self {
        Self {
            not_before: self.not_before.max(issuer.not_before),
            not_after: self.not_after.min(issuer.not_after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_lives_within_its_issuer() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let issuer = Period { not_before: at("2026-01-01T00:00:00Z"), not_after: at("2027-01-01T00:00:00Z") };
        let asked = Period::of_days(730, at("2026-06-01T12:00:00.5Z")).unwrap();
        assert_eq!(asked.not_before, at("2026-06-01T11:00:00Z"));
        assert_eq!(asked.not_after, at("2028-05-31T12:00:00Z"));
        assert_eq!(asked.within(issuer).not_after, issuer.not_after);
        assert_eq!(Period::of_days(0, at("2026-06-01T12:00:00Z")), None);
        assert_eq!(Period::of_days(u32::MAX, at("2026-06-01T12:00:00Z")), None);
    }
}
