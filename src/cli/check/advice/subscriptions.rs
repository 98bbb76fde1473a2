//! Subscriptions that the rules name and that are refused all the same, because a denial meets them.

use std::{collections::HashSet, ptr};

use citronella::{
    diag::Code,
    policy::{
        Actions, Attributes, Decision, Denied, Effect, Index, Policy, Request, Rule, Subject, WideSubscribe,
    },
    registry::{Device, State},
    snapshot::Snapshot,
    topic::Level,
};

use super::{
    super::cited::{Cited, Warning},
    sets::{Set, called, name_of},
    shadow::Dead,
};

/// So many devices of a set are asked; more of them differ in names and attributes alone.
const ASKED: usize = 1_000;

/// Which subscriptions are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// Those that the policy refuses.
    AsItIs,
    /// Of a policy with `wide_subscribe = "filter"` those that it would refuse without that.
    AsIfStrict,
}

/// Allow rules for subscriptions whose filter, asked for as it stands, is refused by a denial; each once.
pub(super) fn warnings(
    snapshot: &Snapshot,
    (sets, dead, look): (&[Set<'_>], Dead, Look),
    cited: &mut Cited,
) -> Vec<Warning> {
    let code = match (snapshot.settings().wide_subscribe, look) {
        (WideSubscribe::Strict, _) => Code::DenyMeetsSubscription,
        (WideSubscribe::Filter, Look::AsIfStrict) => Code::StrictRefuses,
        (WideSubscribe::Filter, Look::AsItIs) => return Vec::new(),
    };
    let mut asking = Asking { code, told: dead, found: Vec::new(), cited };
    for set in sets {
        let mut asked = 0;
        for device in &set.devices {
            let own = snapshot.indexes(device.name().as_str()).and_then(|(_, own)| own);
            asked += usize::from(own.is_none());
            if own.is_some() || asked <= ASKED {
                asking.ask((set.shared, own), &subject(device));
            }
        }
    }
    let quarantined =
        sets.iter().flat_map(|set| &set.devices).filter(|device| device.state() == State::Quarantined);
    for device in quarantined.take(ASKED) {
        asking.ask((snapshot.quarantine(), None), &subject(device));
    }
    if let Some(index) = snapshot.anonymous() {
        let attributes = Attributes::default();
        asking.ask((index, None), &Subject { device: None, client_id: "client", attributes: &attributes });
    }
    asking.found
}

fn subject(device: &Device) -> Subject<'_> {
    let name = device.name().as_str();
    Subject { device: Some(name), client_id: name, attributes: device.attributes() }
}

struct Asking<'c> {
    code: Code,
    /// Rules that have been told of.
    told: HashSet<*const Rule>,
    found: Vec<Warning>,
    cited: &'c mut Cited,
}

impl Asking<'_> {
    /// Asks for the filters of all rules of these indexes.
    fn ask(&mut self, (shared, own): (&Index, Option<&Index>), subject: &Subject<'_>) {
        let blocks = || shared.blocks().iter().chain(own.into_iter().flat_map(Index::blocks));
        let refuses = |rule: &Rule| rule.effect == Effect::Deny && rule.actions.meets(Actions::SUBSCRIBE);
        if !blocks().any(|block| block.rules.iter().any(refuses)) {
            return;
        }
        let policy = Policy::new(Some(shared), own, WideSubscribe::Strict);
        for block in blocks() {
            for rule in &block.rules {
                let asks = rule.effect == Effect::Allow && rule.actions.meets(Actions::SUBSCRIBE);
                if !asks || self.told.contains(&ptr::from_ref(rule)) {
                    continue;
                }
                let Some(filter) = filled(rule, subject) else { continue };
                let request = Request::Subscribe { filter: &filter };
                let decision = policy.decide(subject, &request);
                if !matches!(decision, Decision::Deny(Denied::Rule { .. })) {
                    continue;
                }
                self.told.insert(ptr::from_ref(rule));
                let said = decision.to_string();
                let why = said.strip_prefix("refused: ").unwrap_or(&said);
                let (when, help) = match self.code {
                    Code::StrictRefuses => (
                        "would be refused without `wide_subscribe = \"filter\"`",
                        "before you take that line out, let the device ask for narrower filters, or write `hide` for the denial",
                    ),
                    _ => (
                        "is refused",
                        "write `hide` for a denial that is to leave the subscription alone and keep the messages back, or allow \
                         narrower filters",
                    ),
                };
                let who = called(block);
                let message = format!("a subscription to the filter that {who} is given here {when}: {why}");
                let warning = self.cited.rule(self.code, (name_of(block), rule), message);
                self.found.push(warning.help(help));
            }
        }
    }
}

/// The filter that a rule comes to for somebody, if all its placeholders have values.
fn filled(rule: &Rule, subject: &Subject<'_>) -> Option<String> {
    let levels = rule.template.levels().map(|level| {
        Some(match level {
            Level::Text(text) => text.into_owned(),
            Level::Hole { prefix, placeholder, suffix } => {
                format!("{prefix}{}{suffix}", subject.value(&placeholder)?)
            }
            Level::Plus => "+".to_owned(),
            Level::Hash => "#".to_owned(),
        })
    });
    Some(levels.collect::<Option<Vec<String>>>()?.join("/"))
}
