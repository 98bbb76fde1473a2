//! Why certificates are revoked.
#![forbid(unsafe_code)]

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a certificate was revoked (RFC 5280 §5.3.1); `unspecified` is written as no reason in a CRL.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// Nobody said why.
    #[default]
    Unspecified,
    /// The key may be in other hands.
    KeyCompromise,
    /// The owner's role changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// Not in use any more.
    CessationOfOperation,
    /// Rights were taken away.
    PrivilegeWithdrawn,
}

impl Reason {
    /// All of them, the default first.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// As RFC 5280 spells it, which is how the ledger does.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not one of [`Reason::ALL`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "`{0}` is no reason; there are unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation and privilegeWithdrawn"
)]
pub struct UnknownReason(String);

impl FromStr for Reason {
    type Err = UnknownReason;

    /// In any case, with dashes or without: `key-compromise` too.
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let plain: String = text.chars().filter(|ch| !matches!(ch, '-' | '_')).collect();
        let found = Self::ALL.into_iter().find(|reason| reason.name().eq_ignore_ascii_case(&plain));
        found.ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_as_it_is_written() {
        for reason in Reason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
        assert_eq!("key-compromise".parse(), Ok(Reason::KeyCompromise));
        assert!("lost".parse::<Reason>().is_err());
    }
}
