//! What a finding is called: the names that `citronella doctor --explain` takes.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A kind of finding. Its name never changes.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them, in alphabetical order of their names.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name: words in lower case with hyphens between.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    /// An address stands where only names are compared.
    AddressAsName = "address-as-name",
    /// Anybody may do anything.
    Anonymous = "anonymous",
    /// A hash that the broker's own password file cannot hold.
    Argon2Unread = "argon2-unread",
    /// A bridge that trusts whoever answers.
    BridgeInsecure = "bridge-insecure",
    /// The authority's time is over, or nearly.
    CaExpired = "ca-expired",
    /// An intermediate without what is above it.
    CaIncomplete = "ca-incomplete",
    /// The key that makes devices lies on the broker.
    CaKeyOnBroker = "ca-key-on-broker",
    /// Named like a host.
    CaNamedLikeHost = "ca-named-like-host",
    /// Made anew: of the same name, with another key.
    CaRecreated = "ca-recreated",
    /// Without the extension that says what its key is for.
    CaWithoutKeyUsage = "ca-without-key-usage",
    /// Its time is over.
    CertificateExpired = "certificate-expired",
    /// Its time is nearly over.
    CertificateExpiring = "certificate-expiring",
    /// The devices' names are not looked at.
    CertificateNameUnused = "certificate-name-unused",
    /// Its time has not begun.
    CertificateNotYetValid = "certificate-not-yet-valid",
    /// X.509 version 1.
    CertificateV1 = "certificate-v1",
    /// No name that clients look at.
    CertificateWithoutNames = "certificate-without-names",
    /// The clock of this machine cannot be right.
    Clock = "clock",
    /// The broker cannot read it as a CRL.
    CrlBroken = "crl-broken",
    /// Refuses every client.
    CrlExpired = "crl-expired",
    /// Will soon refuse every client.
    CrlExpiring = "crl-expiring",
    /// Of an authority that is not here, or has another key.
    CrlMismatch = "crl-mismatch",
    /// An authority without a CRL: all its clients are refused.
    CrlMissing = "crl-missing",
    /// Websockets of Mosquitto 2.0 do not look at it.
    CrlOnWebsockets = "crl-on-websockets",
    /// Nobody is asked for a certificate that could be revoked.
    CrlUnused = "crl-unused",
    /// A value that may stand once stands twice.
    DuplicateOption = "duplicate-option",
    /// An e-mail address in a subject.
    EmailInName = "email-in-name",
    /// With it the broker never asks the plugin who comes in.
    IdentityOption = "identity-option",
    /// Certificate and key are no pair.
    KeyMismatch = "key-mismatch",
    /// A key that opens only with a passphrase.
    KeyPassphrase = "key-passphrase",
    /// A private key that others can read.
    KeyReadable = "key-readable",
    /// Two listeners want one port.
    ListenerTwice = "listener-twice",
    /// Longer valid than some clients accept.
    LongCertificate = "long-certificate",
    /// The path of a file leads nowhere.
    MissingFile = "missing-file",
    /// Rules are asked about other topics than clients write.
    MountPoint = "mount-point",
    /// `include_dir` in an included file.
    NestedInclude = "nested-include",
    /// Certificates that nobody is asked for.
    NoClientCertificate = "no-client-certificate",
    /// What the broker would ask if no plugin had answered.
    NoEffect = "no-effect",
    /// A listener that lets nobody in.
    NoWayIn = "no-way-in",
    /// A file for certificates that holds none.
    NotACertificate = "not-a-certificate",
    /// A file for a key that holds none.
    NotAKey = "not-a-key",
    /// A file for authorities that holds none.
    NotAnAuthority = "not-an-authority",
    /// What this user may not read.
    NotExamined = "not-examined",
    /// The broker runs, and without the plugin.
    NotGuarded = "not-guarded",
    /// The broker decides by other files than those that are there.
    NotInForce = "not-in-force",
    /// Some boards can check addresses in certificates not at all.
    OnlyAddresses = "only-addresses",
    /// A line with which Mosquitto 2.1 does not start.
    PasswordLine = "password-line",
    /// Hashes that others can read.
    PasswordsReadable = "passwords-readable",
    /// Plugins guard single listeners.
    PerListenerSettings = "per-listener-settings",
    /// Citronella is set up and the broker does not load it.
    PluginNotLoaded = "plugin-not-loaded",
    /// Another plugin decides before ours.
    PluginOrder = "plugin-order",
    /// The listener without a line of its own.
    PortLine = "port-line",
    /// The broker was started before its files were changed.
    RestartNeeded = "restart-needed",
    /// Subject and issuer are called alike.
    SameNameAsCa = "same-name-as-ca",
    /// Signed by nobody but itself.
    SelfSigned = "self-signed",
    /// The only record of what an authority has signed.
    SerialFile = "serial-file",
    /// citronella.toml or devices.toml have mistakes.
    Settings = "settings",
    /// Some lines of TLS, and no TLS.
    TlsIncomplete = "tls-incomplete",
    /// A version that the broker does not start with, or that is broken.
    TlsVersion = "tls-version",
    /// A word that no Mosquitto knows.
    UnknownOption = "unknown-option",
    /// The user that the broker is to become is not there.
    UnknownUser = "unknown-user",
    /// Passwords go over the network for all to read.
    UnprotectedListener = "unprotected-listener",
    /// The broker's user cannot read it.
    UnreadableFile = "unreadable-file",
    /// The broker's user cannot write there.
    UnwritableFolder = "unwritable-folder",
    /// Too small a key for TLS of today.
    WeakKey = "weak-key",
    /// A passphrase that is quickly tried out.
    WeakKeyEncryption = "weak-key-encryption",
    /// Signed with a hash that OpenSSL refuses.
    WeakSignature = "weak-signature",
    /// Not made for what it is used for.
    WrongPurpose = "wrong-purpose",
}

impl Code {
    /// The kind of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
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
        let names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        for (name, code) in names.iter().zip(Code::ALL) {
            let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.bytes().all(word), "{name}");
            assert_eq!(Code::find(name), Some(*code));
        }
        assert_eq!(Code::find("tls_version"), None);
    }
}
