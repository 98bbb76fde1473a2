//! What an import could not keep as it was.

use std::fmt;

use serde::Serialize;

/// Something in the source that means another thing here, or nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// Which kind; its words do not change.
    pub code: Code,
    /// The file, by its name without folders.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// In one sentence.
    pub message: String,
    /// What is refused here and was allowed there.
    pub losses: Vec<Loss>,
}

/// Topics that were allowed and are refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loss {
    /// Of whom, as the source calls them; `None` for everybody.
    pub who: Option<String>,
    /// As a filter in which a level with a placeholder is `+`; `$` alone stands for all topics that begin with it.
    pub filter: String,
    /// Whether sending is lost.
    pub publish: bool,
    /// Whether getting is lost.
    pub receive: bool,
}

impl fmt::Display for Note {
    /// `acl:12: [priority] …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.file, self.line, self.code, self.message)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Kinds of notes.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

codes! {
    /// What was allowed to a user before a pattern denied it is denied now.
    UserBeforePattern = "user-before-pattern",
    /// What an entry of higher priority allowed before another denied it is denied now.
    Priority = "priority",
    /// Releases read the placeholders of a filter differently.
    Placeholder = "placeholder",
    /// A level has two placeholders, which no rule here can have.
    TwoPlaceholders = "two-placeholders",
    /// A filter that cannot be written here, and that no topic matches.
    UnusableFilter = "unusable-filter",
    /// A rule for clients without a name, who are not admitted unless that is asked for.
    Anonymous = "anonymous",
    /// A line of a password file that says nothing.
    SkippedLine = "skipped-line",
    /// A name that cannot stay.
    Renamed = "renamed",
    /// A denial that takes nothing away.
    NoEffect = "no-effect",
    /// What is allowed where nothing else is said.
    DefaultAccess = "default-access",
    /// A rule about giving subscriptions up, which is always allowed here.
    Unsubscribe = "unsubscribe",
    /// A denied subscription, whose topics came with wider ones.
    DeniedSubscription = "denied-subscription",
    /// A denied filter with wildcards, which was denied only as spelled.
    LiteralWildcard = "literal-wildcard",
    /// A filter that begins with a wildcard and covered topics that begin with `$`.
    DollarTopics = "dollar-topics",
    /// A role that refuses filters with wildcards.
    WildcardSubscriptions = "wildcard-subscriptions",
    /// What is subscribed to and not delivered.
    NeverDelivered = "never-delivered",
    /// A rule about shared subscriptions, which are allowed here where their filter is.
    SharedSubscriptions = "shared-subscriptions",
    /// A client that may only use one client id.
    ClientId = "client-id",
    /// A client that is disabled.
    Disabled = "disabled",
    /// A client, a role or a group that is named and not there.
    Dangling = "dangling",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The file's own name, as places are printed.
pub(super) fn file_name(source: &crate::diag::Source) -> String {
    let path = source.path();
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
