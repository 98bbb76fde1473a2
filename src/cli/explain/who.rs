//! `explain --who`: everybody that may, by the rule that lets them.

use std::{collections::HashMap, fmt};

use citronella::{
    diag::Visible,
    ident,
    policy::{Allowed, Decision, Identity, Message, Request, RuleRef},
    snapshot::Snapshot,
    topic::{Filter, Name, TopicError},
};
use serde::Serialize;

use super::{
    super::{
        Answer as Ended, check,
        output::{Failure, Outcome, Output},
        world::World,
    },
    Action,
    answer::Cited,
};

/// What everybody is asked.
pub(super) struct Question<'a> {
    action: Action,
    topic: &'a str,
    message: Message,
}

impl<'a> Question<'a> {
    /// Reads the action as it was typed.
    pub(super) fn new(action: &str, topic: &'a str, message: Message) -> Result<Self, Failure> {
        let action = match action {
            "publish" => Action::Publish,
            "subscribe" => Action::Subscribe,
            "receive" => Action::Receive,
            _ => {
                return Err(Failure::new(format!("`--who` cannot ask about `{action}`"))
                    .help("write `--who publish TOPIC`, `--who subscribe FILTER` or `--who receive TOPIC`"));
            }
        };
        Ok(Self { action, topic, message })
    }

    fn request(&self) -> Request<'a> {
        self.action.request(self.topic, self.message)
    }

    /// Why nobody at all may: it is no topic.
    fn mistake(&self) -> Option<TopicError> {
        match self.action {
            Action::Subscribe | Action::Unsubscribe => Filter::parse(self.topic).err(),
            Action::Publish | Action::Receive => Name::parse(self.topic).err(),
        }
    }
}

pub(super) fn run(world: &World, output: &Output, question: &Question<'_>) -> Ended {
    let snapshot = check::load(world)?;
    let found = ask(&snapshot, question);
    let outcome = if found.groups.is_empty() { Outcome::No } else { Outcome::Yes };
    let json = Json {
        action: question.action,
        topic: question.topic,
        allowed: found.allowed(),
        refused: found.refused,
        anonymous: found.anonymous,
        rules: &found.groups,
    };
    output.verdict(outcome, &Human { question, found: &found }, &json)?;
    Ok(outcome)
}

/// Those whom one rule lets.
#[derive(Serialize)]
struct Group<'a> {
    rule: Cited<'a>,
    /// The rule allows part of the filter, and others the rest.
    together: bool,
    /// In the order of their names.
    devices: Vec<&'a str>,
}

struct Found<'a> {
    /// In the order of the files.
    groups: Vec<Group<'a>>,
    /// How many devices may not.
    refused: usize,
    /// Whether clients without a name may; `None` where they cannot even connect.
    anonymous: Option<bool>,
}

impl Found<'_> {
    /// How many devices may.
    fn allowed(&self) -> usize {
        let all: usize = self.groups.iter().map(|group| group.devices.len()).sum();
        all - usize::from(self.anonymous == Some(true))
    }
}

fn ask<'a>(snapshot: &'a Snapshot, question: &Question<'a>) -> Found<'a> {
    let request = question.request();
    let mut by_rule: HashMap<(Identity, bool), Group<'a>> = HashMap::new();
    let mut refused = 0;
    let mut anonymous = snapshot.admits_anonymous().then_some(false);
    let names = snapshot.devices().map(|device| device.name().as_str());
    for name in names.chain(anonymous.map(|_| ident::ANONYMOUS)) {
        let (rule, together): (RuleRef<'a>, bool) = match snapshot.authorize(name, name, &request) {
            Decision::Allow(Allowed::Rule(rule)) => (rule, false),
            Decision::Allow(Allowed::Together(rule)) => (rule, true),
            // Giving a subscription up is not asked here.
            Decision::Allow(Allowed::Unsubscribe) => continue,
            Decision::Deny(_) => {
                refused += usize::from(name != ident::ANONYMOUS);
                continue;
            }
        };
        if name == ident::ANONYMOUS {
            anonymous = Some(true);
        }
        by_rule
            .entry((rule.identity(), together))
            .or_insert_with(|| Group { rule: Cited(rule), together, devices: Vec::new() })
            .devices
            .push(name);
    }
    let mut groups: Vec<Group<'a>> = by_rule.into_values().collect();
    groups.sort_by_cached_key(Group::order);
    groups.iter_mut().for_each(|group| group.devices.sort_unstable());
    Found { groups, refused, anonymous }
}

impl Group<'_> {
    fn order(&self) -> impl Ord + use<> {
        let rule = self.rule.0.rule().into_owned();
        (rule.place.file, rule.place.line, rule.template.as_str().to_owned(), self.together)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    action: Action,
    topic: &'a str,
    allowed: usize,
    refused: usize,
    anonymous: Option<bool>,
    rules: &'a [Group<'a>],
}

struct Human<'a> {
    question: &'a Question<'a>,
    found: &'a Found<'a>,
}

impl fmt::Display for Human<'_> {
    /// ```text
    /// sensors/{device}/# (role sensor, citronella.toml:7)
    ///   lamp
    ///   thunder10
    /// 2 of 14 devices may publish to `sensors/x`
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.found.groups {
            let others = if group.together { " together with other rules" } else { "" };
            writeln!(f, "{}{others}", group.rule.0)?;
            for name in &group.devices {
                writeln!(f, "  {}", Visible(name))?;
            }
        }
        let allowed = self.found.allowed();
        let all = allowed + self.found.refused;
        match allowed {
            0 => f.write_str("no device")?,
            _ => write!(f, "{allowed} of {all} device{}", if all == 1 { "" } else { "s" })?,
        }
        let verb = match self.question.action {
            Action::Publish => "publish to",
            Action::Subscribe => "subscribe to",
            Action::Receive => "receive",
            Action::Unsubscribe => "unsubscribe from",
        };
        write!(f, " may {verb} `{}`", Visible(self.question.topic))?;
        match (self.found.anonymous, self.question.mistake()) {
            (_, Some(mistake)) => write!(f, ": {mistake}"),
            (Some(true), None) => f.write_str(", and clients without a name may"),
            (Some(false) | None, None) => Ok(()),
        }
    }
}
