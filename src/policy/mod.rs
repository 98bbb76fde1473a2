//! What a device may do: rules, blocks of rules, and the decision with its reason.
//!
//! Deny beats allow; order never matters; silence denies.
//!
//! ```
//! use citronella::{diag::Source, policy::*, topic::Template};
//!
//! let source = Source::new("citronella.toml", "publish = [\"sensors/{device}/#\"]");
//! let rule = Rule {
//!     effect: Effect::Allow,
//!     actions: Actions::PUBLISH,
//!     template: Template::parse("sensors/{device}/#")?,
//!     place: source.place(0),
//! };
//! let block = Block { owner: Owner::Role("sensor".into()), limits: Limits::default(), rules: vec![rule] };
//! let index = Index::compile(&[block.into()]);
//!
//! let attributes = Attributes::default();
//! let subject = Subject { device: Some("t10"), client_id: "t10", attributes: &attributes };
//! let policy = Policy::new(Some(&index), None, WideSubscribe::Strict);
//! let request = Request::Publish { topic: "sensors/t11/x", qos: 0, retain: false, payload_bytes: 1 };
//! let decision = policy.decide(&subject, &request);
//! assert_eq!(decision.to_string(), "refused: no rule allows publish to `sensors/t11/x`");
//! # Ok::<(), citronella::topic::TemplateError>(())
//! ```
#![forbid(unsafe_code)]

mod ask;
mod cover;
mod decide;
mod fill;
mod help;
mod index;
mod list;
mod meet;
mod reason;
mod says;
mod tree;
mod walk;
mod witness;

pub use ask::{Action, Message};
pub use decide::Policy;
pub use fill::fillable;
pub use index::{Identity, Index};
pub use reason::{Allowed, Asked, Broken, Decision, Denied, RuleRef};

use std::{fmt, sync::Arc};

use crate::{diag::Place, topic::Template};

/// What a client asks of the broker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request<'a> {
    /// May this message be published?
    Publish {
        /// Topic name.
        topic: &'a str,
        /// 0, 1 or 2.
        qos: u8,
        /// The retain flag.
        retain: bool,
        /// Size of the payload in bytes.
        payload_bytes: u32,
    },
    /// May this filter be subscribed to?
    Subscribe {
        /// Topic filter, `$share/GROUP/` included.
        filter: &'a str,
    },
    /// May a message on this topic be delivered?
    Receive {
        /// Topic name.
        topic: &'a str,
    },
    /// May this subscription be given up?
    Unsubscribe {
        /// Topic filter, `$share/GROUP/` included.
        filter: &'a str,
    },
}

/// A set of the three actions that rules speak of.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Actions(u8);

impl Actions {
    /// Publishing to a topic.
    pub const PUBLISH: Self = Self(1);
    /// Asking for a filter.
    pub const SUBSCRIBE: Self = Self(2);
    /// Being delivered a topic.
    pub const RECEIVE: Self = Self(4);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets share an action.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a matching rule says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Effect {
    /// Yes, unless some rule denies.
    Allow,
    /// No, whatever others say.
    Deny,
}

/// An effect, the actions it is about, and the topics.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Allow or deny.
    pub effect: Effect,
    /// `publish` is PUBLISH, `subscribe` SUBSCRIBE and RECEIVE, `pubsub` all three; `hide` denies RECEIVE alone.
    pub actions: Actions,
    /// A filter with placeholders.
    pub template: Template,
    /// Where it is written.
    pub place: Place,
}

/// Who a block of rules belongs to; how `explain` names it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Owner {
    /// `[roles.NAME]`
    Role(Box<str>),
    /// `[NAME]` in devices.toml
    Device(Box<str>),
    /// `[everyone]`
    Everyone,
    /// `[anonymous]`
    Anonymous,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(name) => write!(f, "role {name}"),
            Self::Device(name) => write!(f, "device {name}"),
            Self::Everyone => f.write_str("everyone"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// Limits on what the publish rules of one block allow. The default limits nothing.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Limits {
    /// Highest QoS: 0, 1 or 2.
    pub max_qos: Option<u8>,
    /// Whether retained messages are refused (`retain = false`).
    pub no_retain: bool,
    /// Largest payload in bytes.
    pub max_payload: Option<u32>,
}

/// Rules that stand together in a file; its limits hold for its own allow rules only.
#[derive(Clone, Debug)]
pub struct Block {
    /// Whose it is.
    pub owner: Owner,
    /// What its publish rules allow at most.
    pub limits: Limits,
    /// In the order of the file.
    pub rules: Vec<Rule>,
}

/// How a SUBSCRIBE is judged; delivery is strict in both.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WideSubscribe {
    /// Every topic of the filter must be allowed and none denied.
    #[default]
    Strict,
    /// `[compat] wide_subscribe = "filter"`: some topic must be allowed, and the filter not be wholly inside one deny.
    Filter,
}

/// A device's attributes for `{attr.NAME}`, sorted by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes(Box<[(Box<str>, Box<str>)]>);

impl Attributes {
    /// From names and values in any order; of two values of one name the last is kept.
    #[must_use]
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let sorted: std::collections::BTreeMap<String, String> = pairs.into_iter().collect();
        Self(sorted.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of `name`, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// Who asks: what placeholders are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `{device}` and `{username}`; `None` for anonymous clients.
    pub device: Option<&'a str>,
    /// `{clientid}`
    pub client_id: &'a str,
    /// `{attr.NAME}`
    pub attributes: &'a Attributes,
}

/// Blocks shared by everybody who holds them.
pub type Blocks = Vec<Arc<Block>>;
