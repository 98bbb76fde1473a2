//! What a warning is called: the names that `[check] allow` and `citronella check --explain` take.

use std::fmt;

/// A kind of warning. Its name never changes; a kind that is no longer given keeps its name and its explanation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Code {
    /// An allow rule that matches every topic there is.
    AllowEverything,
    /// An allow rule for what the broker is told to do.
    AllowControl,
    /// An allow rule for all that the broker tells about itself.
    AllowSys,
    /// A listed certificate that the device can no longer show.
    CertificateExpired,
    /// One that it soon cannot.
    CertificateExpiring,
    /// A rule that trusts what a client calls itself.
    ClientIdRule,
    /// A device whose name owns the client ids that software makes up.
    CommonClientId,
    /// A denial that refuses a subscription which the device's own rules name.
    DenyMeetsSubscription,
    /// A denial with a wildcard first, which passes over topics with `$`.
    DenyMissesDollar,
    /// A limit beside which nothing may be published.
    LimitWithoutPublish,
    /// A name that no certificate can carry.
    LongName,
    /// An allow rule whose every topic is denied.
    NeverApplies,
    /// A placeholder that nobody who has the rule has a value for.
    NeverFilled,
    /// A device that has not what it must show.
    NoCredentials,
    /// A private key that others can read.
    ReadableKey,
    /// A line of the password file that says nothing.
    SkippedLine,
    /// A subscription that `wide_subscribe = "filter"` accepts and the strict rule would not.
    StrictRefuses,
    /// A publish that the broker refuses whatever we say.
    SysPublish,
    /// A user of the password file who is no device.
    UnlistedUser,
    /// A file that the broker's user cannot read.
    UnreadableFile,
    /// An allowance that allows nothing.
    UnusedAllowance,
    /// A role that nobody has.
    UnusedRole,
    /// A folder in which the broker's user cannot write what it is for.
    UnwritableState,
    /// A hash that is quickly guessed.
    WeakHash,
    /// A file with hashes that everybody can read.
    WorldReadable,
}

impl Code {
    /// All of them, in alphabetical order of their names.
    pub const ALL: [Self; 25] = [
        Self::AllowControl,
        Self::AllowEverything,
        Self::AllowSys,
        Self::CertificateExpired,
        Self::CertificateExpiring,
        Self::ClientIdRule,
        Self::CommonClientId,
        Self::DenyMeetsSubscription,
        Self::DenyMissesDollar,
        Self::LimitWithoutPublish,
        Self::LongName,
        Self::NeverApplies,
        Self::NeverFilled,
        Self::NoCredentials,
        Self::ReadableKey,
        Self::SkippedLine,
        Self::StrictRefuses,
        Self::SysPublish,
        Self::UnlistedUser,
        Self::UnreadableFile,
        Self::UnusedAllowance,
        Self::UnusedRole,
        Self::UnwritableState,
        Self::WeakHash,
        Self::WorldReadable,
    ];

    /// Its name: words in lower case with hyphens between.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowEverything => "allow-everything",
            Self::AllowControl => "allow-control",
            Self::AllowSys => "allow-sys",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateExpiring => "certificate-expiring",
            Self::ClientIdRule => "client-id-rule",
            Self::CommonClientId => "common-client-id",
            Self::DenyMeetsSubscription => "deny-meets-subscription",
            Self::DenyMissesDollar => "deny-misses-dollar",
            Self::LimitWithoutPublish => "limit-without-publish",
            Self::LongName => "long-name",
            Self::NeverApplies => "never-applies",
            Self::NeverFilled => "never-filled",
            Self::NoCredentials => "no-credentials",
            Self::ReadableKey => "readable-key",
            Self::SkippedLine => "skipped-line",
            Self::StrictRefuses => "strict-refuses",
            Self::SysPublish => "sys-publish",
            Self::UnlistedUser => "unlisted-user",
            Self::UnreadableFile => "unreadable-file",
            Self::UnusedAllowance => "unused-allowance",
            Self::UnusedRole => "unused-role",
            Self::UnwritableState => "unwritable-state",
            Self::WeakHash => "weak-hash",
            Self::WorldReadable => "world-readable",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_with_hyphens_in_order_and_each_is_found_again() {
        let names: Vec<&str> = Code::ALL.into_iter().map(Code::as_str).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        for (name, code) in names.iter().zip(Code::ALL) {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert_eq!(Code::find(name), Some(code));
        }
        assert_eq!(Code::find("allow_sys"), None);
    }
}
