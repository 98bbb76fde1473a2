//! Tiny alphabets, so that collisions are the rule and not luck.

use proptest::{prelude::*, sample::select};

use crate::model::{Action, Client, Rule};

/// 2,000 cases, or as many as `PROPTEST_CASES` says.
pub(crate) fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(2_000), failure_persistence: None, ..ProptestConfig::default() }
}

/// Topic names of up to four levels, a few of them none.
pub(crate) fn name() -> impl Strategy<Value = String> {
    joined(vec!["", "a", "a", "b", "ab", "é", "$s", "x"], 1..5, false)
}

/// Filters of up to three levels and `#`.
pub(crate) fn filter() -> impl Strategy<Value = String> {
    joined(vec!["", "a", "a", "b", "ab", "é", "$s", "+", "+"], 0..4, true)
}

/// What is subscribed to: filters, some of them shared, some malformed.
pub(crate) fn subscription() -> impl Strategy<Value = String> {
    let share =
        select(vec!["", "", "", "", "$share/g/", "$share/g/", "$share/+/", "$share//", "$share/g/$share/h/"]);
    (share, filter()).prop_map(|(share, filter)| format!("{share}{filter}"))
}

/// What a rule speaks of, with placeholders.
fn template() -> impl Strategy<Value = String> {
    let level = vec![
        "",
        "a",
        "a",
        "b",
        "ab",
        "é",
        "$s",
        "+",
        "+",
        "+",
        "{device}",
        "a{device}",
        "{clientid}",
        "{attr.site}b",
        "$s{username}",
    ];
    joined(level, 0..4, true)
}

fn joined(
    level: Vec<&'static str>,
    count: std::ops::Range<usize>,
    with_hash: bool,
) -> impl Strategy<Value = String> {
    (proptest::collection::vec(select(level), count), any::<bool>()).prop_map(move |(mut levels, hash)| {
        if hash && with_hash {
            levels.push("#");
        }
        let text = levels.join("/");
        // A rule or a filter has some text; names may have none.
        if text.is_empty() && with_hash { "#".to_owned() } else { text }
    })
}

/// A few rules; more allows than denies, so that both answers are common.
pub(crate) fn rules() -> impl Strategy<Value = Vec<Rule>> {
    proptest::collection::vec(rule(), 0..6)
}

pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let about: Vec<&'static [Action]> = vec![
        &[Action::Publish],
        &[Action::Subscribe, Action::Receive],
        &[Action::Subscribe, Action::Receive],
        &[Action::Publish, Action::Subscribe, Action::Receive],
        &[Action::Receive],
    ];
    (prop::bool::weighted(0.75), select(about), template()).prop_map(|(allow, about, filter)| Rule {
        allow,
        about,
        filter,
    })
}

/// Usable names mostly, and all kinds of unusable ones.
pub(crate) fn client() -> impl Strategy<Value = Client> {
    let value = || {
        select(vec!["a", "b", "a", "b", "é", "ab", "a", "b", "$s", "+", "#", "a/b", "", "\u{1}", "{device}"])
    };
    (prop::option::weighted(0.95, value()), value(), prop::option::weighted(0.9, value())).prop_map(
        |(device, client_id, site)| Client {
            device: device.map(str::to_owned),
            client_id: client_id.to_owned(),
            site: site.map(str::to_owned),
        },
    )
}

/// An action with a topic or a filter that goes with it.
pub(crate) fn ask() -> impl Strategy<Value = (Action, String)> {
    prop_oneof![
        (select(vec![Action::Publish, Action::Receive]), prop_oneof![4 => name(), 1 => subscription()]),
        (Just(Action::Subscribe), subscription()),
        (Just(Action::Subscribe), filter()),
        (Just(Action::Unsubscribe), subscription()),
    ]
}
