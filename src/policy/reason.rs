//! A decision and its reason: one text for `explain`, the log and the audit.

use std::{borrow::Cow, fmt};

use super::{Actions, Effect, Identity, Index, Owner, Policy, Request, Rule, Subject, witness};
use crate::{
    diag::{Place, Visible},
    topic::{Filter, Placeholder, TopicError},
};

/// Yes or no, and why.
///
/// ```text
/// allowed: sensors/{device}/# (role sensor, citronella.toml:12)
/// refused: `sensors/#` also matches `sensors/secret`, denied by devices.toml:14 (deny `sensors/secret`)
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub enum Decision<'a> {
    /// Yes.
    Allow(Allowed<'a>),
    /// No.
    Deny(Denied<'a>),
}

/// Why something is allowed.
#[derive(Clone, Copy, Debug)]
pub enum Allowed<'a> {
    /// This rule allows all that was asked.
    Rule(RuleRef<'a>),
    /// Only several rules together allow all that was asked; this is the first of them.
    Together(RuleRef<'a>),
    /// A client may give up whatever it subscribed to.
    Unsubscribe,
}

/// Why something is refused.
#[derive(Clone, Copy, Debug)]
pub enum Denied<'a> {
    /// A rule denies it, or some topic of the filter.
    Rule {
        /// The earliest that does.
        rule: RuleRef<'a>,
        /// For the witness.
        asked: Asked<'a>,
    },
    /// No rule allows it, or some topic of the filter.
    NoRule {
        /// For the witness.
        asked: Asked<'a>,
        /// How many levels the witness has.
        levels: usize,
    },
    /// Rules allow the topic, but none allows the message.
    Limit {
        /// The earliest of these rules.
        rule: RuleRef<'a>,
        /// What of its block's limits is exceeded.
        broken: Broken,
        /// What was asked.
        asked: Asked<'a>,
    },
    /// No topic name or no topic filter.
    Malformed(TopicError),
    /// A deny rule speaks of a value that this client does not have or that cannot stand in a topic.
    Unfillable {
        /// The deny rule.
        rule: Option<RuleRef<'a>>,
        /// The value.
        placeholder: &'a Placeholder,
    },
    /// Refused before any rule was asked, in the words of whoever did: "the device is disabled".
    Outside(&'static str),
}

/// A limit that a publish exceeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Broken {
    /// `max_qos`
    Qos {
        /// The highest allowed.
        max: u8,
    },
    /// `retain = false`
    Retain,
    /// `max_payload`
    Payload {
        /// The largest allowed, in bytes.
        max_bytes: u32,
    },
}

/// A rule and whose it is. It is looked up only when somebody reads it.
#[derive(Clone, Copy, Debug)]
pub struct RuleRef<'a> {
    pub(super) index: &'a Index,
    /// In that index, where it is.
    pub(super) number: u32,
}

/// What a refusal remembers of the question, so that its witness is made only if somebody reads it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub(super) policy: Policy<'a>,
    pub(super) subject: Subject<'a>,
    pub(super) request: Request<'a>,
}

impl<'a> Decision<'a> {
    /// Whether it is a yes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The rule that decided, if one did.
    #[must_use]
    pub fn rule(&self) -> Option<RuleRef<'a>> {
        match *self {
            Self::Allow(Allowed::Rule(rule) | Allowed::Together(rule)) => Some(rule),
            Self::Allow(Allowed::Unsubscribe) => None,
            Self::Deny(Denied::Rule { rule, asked }) => Some(asked.earliest_denial().unwrap_or(rule)),
            Self::Deny(Denied::Limit { rule, .. }) => Some(rule),
            Self::Deny(Denied::Unfillable { rule, .. }) => rule,
            Self::Deny(Denied::NoRule { .. } | Denied::Malformed(_) | Denied::Outside(_)) => None,
        }
    }

    /// For a refused filter with wildcards: a topic that it matches and that is denied, or that no rule allows.
    /// Made on demand, at the cost of a look at every rule.
    #[must_use]
    pub fn witness(&self) -> Option<String> {
        match self {
            Self::Deny(Denied::Rule { asked, .. }) => {
                Some(witness::common(asked, asked.wild_filter()?, &self.rule()?.rule()))
            }
            Self::Deny(Denied::NoRule { asked, levels }) => {
                let filter = asked.wild_filter().filter(|filter| !asked.policy.is_wide(*filter))?;
                Some(witness::uncovered(asked, filter, *levels))
            }
            Self::Allow(_)
            | Self::Deny(
                Denied::Limit { .. } | Denied::Malformed(_) | Denied::Unfillable { .. } | Denied::Outside(_),
            ) => None,
        }
    }
}

impl<'a> RuleRef<'a> {
    /// Whose block it stands in.
    #[must_use]
    pub fn owner(&self) -> Cow<'a, Owner> {
        self.written().0
    }

    /// The rule as it was read. One of a device's own is made for whoever asks.
    #[must_use]
    pub fn rule(&self) -> Cow<'a, Rule> {
        self.written().1
    }

    fn written(&self) -> (Cow<'a, Owner>, Cow<'a, Rule>) {
        #[expect(clippy::expect_used, reason = "whoever makes one was told the number by that index")]
        self.index.written(self.number).expect("the number of a rule")
    }

    /// Whether another is of the same rule.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.index.identity(self.number)
    }

    /// The file and line it stands in.
    #[must_use]
    pub fn place(&self) -> Place {
        self.rule().place.clone()
    }
}

impl Rule {
    /// The key it is written under.
    #[must_use]
    pub fn keyword(&self) -> &'static str {
        let (publish, subscribe, receive) = (
            self.actions.meets(Actions::PUBLISH),
            self.actions.meets(Actions::SUBSCRIBE),
            self.actions.meets(Actions::RECEIVE),
        );
        match (self.effect, publish, subscribe, receive) {
            (Effect::Allow, true, true, _) => "pubsub",
            (Effect::Allow, true, false, _) => "publish",
            (Effect::Allow, false, ..) => "subscribe",
            (Effect::Deny, true, true, _) => "deny",
            (Effect::Deny, true, false, _) => "deny_publish",
            (Effect::Deny, false, true, _) => "deny_subscribe",
            (Effect::Deny, false, false, _) => "hide",
        }
    }
}

impl<'a> Asked<'a> {
    /// The filter asked for, if there is one with wildcards.
    pub(super) fn wild_filter(&self) -> Option<Filter<'a>> {
        match self.request {
            Request::Subscribe { filter } => Filter::parse(filter).ok().filter(|filter| filter.is_wild()),
            Request::Publish { .. } | Request::Receive { .. } | Request::Unsubscribe { .. } => None,
        }
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told_with(self.witness().as_deref()).fmt(f)
    }
}

impl Decision<'_> {
    /// Its text for whoever has its [`witness`](Self::witness) already, which is dear.
    pub fn told_with<'w>(&'w self, witness: Option<&'w str>) -> impl fmt::Display + 'w {
        fmt::from_fn(move |f| self.write(f, witness))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, witness: Option<&str>) -> fmt::Result {
        let asked = match self {
            Self::Allow(allowed) => return write!(f, "allowed: {allowed}"),
            Self::Deny(Denied::Rule { asked, .. } | Denied::NoRule { asked, .. }) => asked,
            Self::Deny(denied) => return write!(f, "refused: {denied}"),
        };
        match (witness, self) {
            (Some(witness), Self::Deny(Denied::Rule { rule, .. })) => write!(
                f,
                "refused: `{}` also matches `{}`, denied by {}",
                Visible(asked.request.topic()),
                Visible(witness),
                self.rule().unwrap_or(*rule).cited()
            ),
            (Some(witness), _) => write!(
                f,
                "refused: `{}` also matches `{}`, which no rule allows",
                Visible(asked.request.topic()),
                Visible(witness)
            ),
            (None, Self::Deny(denied)) => write!(f, "refused: {denied}"),
            (None, Self::Allow(_)) => Ok(()),
        }
    }
}

impl fmt::Display for Allowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "{rule}"),
            Self::Together(rule) => write!(f, "{rule} together with other rules"),
            Self::Unsubscribe => f.write_str("a client may give up any subscription"),
        }
    }
}

impl fmt::Display for Denied<'_> {
    /// Without the witness, which belongs to the decision.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { rule, asked } => {
                let rule = asked.earliest_denial().unwrap_or(*rule);
                write!(f, "{} is denied by {}", asked.request, rule.cited())
            }
            Self::NoRule { asked, .. } if asked.wild_filter().is_some() => {
                write!(f, "no rule allows any topic of `{}`", Visible(asked.request.topic()))
            }
            Self::NoRule { asked, .. } => write!(f, "no rule allows {}", asked.request),
            Self::Limit { rule, broken, asked } => {
                write!(f, "{} is allowed by {rule} {broken}", asked.request)
            }
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Unfillable { rule: Some(rule), placeholder } => {
                write!(f, "`{placeholder}` has no usable value here, and {} needs one", rule.cited())
            }
            Self::Unfillable { rule: None, placeholder } => {
                write!(f, "`{placeholder}` has no usable value here, and a deny rule needs one")
            }
            Self::Outside(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qos { max } => write!(f, "only up to QoS {max}"),
            Self::Retain => f.write_str("only if it is not retained"),
            Self::Payload { max_bytes } => write!(f, "only up to {max_bytes} bytes"),
        }
    }
}

impl RuleRef<'_> {
    /// `devices.toml:14 (deny `sensors/secret`)`
    fn cited(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            let rule = self.rule();
            write!(f, "{} ({} `{}`)", rule.place, rule.keyword(), Visible(rule.template.as_str()))
        })
    }
}

impl fmt::Display for RuleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, rule) = self.written();
        write!(f, "{} ({owner}, {})", Visible(rule.template.as_str()), rule.place)
    }
}

impl<'a> Request<'a> {
    /// The topic name or filter it is about.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        match *self {
            Self::Publish { topic, .. } | Self::Receive { topic } => topic,
            Self::Subscribe { filter } | Self::Unsubscribe { filter } => filter,
        }
    }
}

impl fmt::Display for Request<'_> {
    /// As part of a sentence: ``publish to `a/b` ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Self::Publish { .. } => "publish to",
            Self::Subscribe { .. } => "subscribe to",
            Self::Receive { .. } => "delivery of",
            Self::Unsubscribe { .. } => "unsubscribe from",
        };
        write!(f, "{verb} `{}`", Visible(self.topic()))
    }
}
