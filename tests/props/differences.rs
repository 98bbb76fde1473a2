//! What `diff` reports is where decisions differ: all of it, and nothing else.

use citronella::{
    diff::{Change, Kind, Side, rights},
    policy::{self, Block},
    topic::{Level, Name, Template},
};
use proptest::{prelude::*, sample::select};

use crate::{
    model::{self, Action, Client, Levels, Rule},
    strategies::{self, client},
    support::{self, Engine},
};

const ACTIONS: [(Action, policy::Action); 3] = [
    (Action::Publish, policy::Action::Publish),
    (Action::Subscribe, policy::Action::Subscribe),
    (Action::Receive, policy::Action::Receive),
];

/// A filter of a report with its placeholders filled, in levels.
fn filled(filter: &str, client: &Client) -> Levels {
    let template = Template::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    let client = support::Client::new(client);
    let text = |level| match level {
        Level::Text(text) => text.into_owned(),
        Level::Plus => "+".to_owned(),
        Level::Hash => "#".to_owned(),
        Level::Hole { prefix, placeholder, suffix } => {
            let value = client.subject().value(&placeholder);
            format!("{prefix}{}{suffix}", value.unwrap_or_else(|| panic!("{filter} cannot be filled")))
        }
    };
    template.levels().map(text).collect()
}

/// A change with its filters filled.
struct Filled<'a> {
    change: &'a Change,
    filter: Levels,
    except: Vec<Levels>,
}

impl<'a> Filled<'a> {
    // A placeholder stands only where both sides have one value for it.
    fn new(change: &'a Change, client: &Client) -> Self {
        let except = change.except.iter().map(|text| filled(text, client)).collect();
        Self { change, filter: filled(&change.filter, client), except }
    }

    fn is_lost(&self) -> bool {
        self.change.kind == Kind::Lost
    }

    fn has(&self, topic: &str) -> bool {
        model::matches_topic(&self.filter, topic)
            && !self.except.iter().any(|filter| model::matches_topic(filter, topic))
    }
}

/// Every topic that could make a difference.
fn topics(old: (&[Rule], &Client), new: (&[Rule], &Client)) -> Vec<String> {
    let levels: Vec<Levels> = [old, new]
        .into_iter()
        .flat_map(|(rules, client)| rules.iter().filter_map(|rule| model::fill(&rule.filter, client)))
        .collect();
    let mut firsts: Vec<&str> = levels.iter().map(|levels| levels[0].as_str()).collect();
    firsts.retain(|text| text.starts_with('$'));
    firsts.sort_unstable();
    firsts.dedup();
    let dollars = firsts.into_iter().flat_map(|first| model::topics_of(&format!("{first}/#"), &levels));
    dollars.chain(model::topics_of("#", &levels)).collect()
}

fn changes(old: &Engine, before: &support::Client, new: &Engine, after: &support::Client) -> Vec<Change> {
    let blocks = |engine: &'_ Engine| -> Vec<std::sync::Arc<Block>> { engine.blocks() };
    let (old, new) = (blocks(old), blocks(new));
    rights(
        &Side { blocks: old.iter().map(|block| &**block).collect(), subject: before.subject() },
        &Side { blocks: new.iter().map(|block| &**block).collect(), subject: after.subject() },
    )
}

/// The report against the engine's decisions about every topic of a small world.
fn judge(old: (&[Rule], &Client), new: (&[Rule], &Client)) -> Result<(), TestCaseError> {
    let engines = (Engine::new(old.0, false), Engine::new(new.0, false));
    let clients = (support::Client::new(old.1), support::Client::new(new.1));
    let found = changes(&engines.0, &clients.0, &engines.1, &clients.1);
    let topics = topics(old, new);
    for (action, shown) in ACTIONS {
        let about = found.iter().filter(|change| change.action == shown);
        let about: Vec<Filled<'_>> = about.map(|change| Filled::new(change, new.1)).collect();
        let allowed = |topic: &str| {
            (
                engines.0.decide(&clients.0, (action, topic)).is_allowed(),
                engines.1.decide(&clients.1, (action, topic)).is_allowed(),
            )
        };
        for topic in &topics {
            let (before, after) = allowed(topic);
            let mut said = about.iter().filter(|change| change.has(topic)).map(Filled::is_lost).peekable();
            prop_assert_eq!(said.peek().is_some(), before != after, "{:?} {:?}: {:#?}", action, topic, found);
            prop_assert!(said.all(|lost| lost == before), "{:?} {:?}: {:#?}", action, topic, found);
        }
        for filled in about {
            let change = filled.change;
            prop_assert!(Name::parse(&change.witness).is_ok(), "{:?}", change);
            let (before, after) = allowed(&change.witness);
            prop_assert_eq!((before, after), (filled.is_lost(), !filled.is_lost()), "{:?}", change);
            prop_assert!(filled.has(&change.witness), "{:?}", change);
        }
    }
    Ok(())
}

/// A few rules over so few texts that all topics can be asked about.
fn rules() -> impl Strategy<Value = Vec<Rule>> {
    proptest::collection::vec(rule(), 0..5)
}

fn rule() -> impl Strategy<Value = Rule> {
    let level = vec!["", "a", "a", "b", "$s", "+", "+", "{device}", "a{attr.site}", "{clientid}"];
    let levels = (proptest::collection::vec(select(level), 0..4), any::<bool>());
    (strategies::rule(), levels).prop_map(|(rule, (mut levels, hash))| {
        // Of four levels none is `#`, so that there are at most four levels to list.
        if levels.is_empty() || (hash && levels.len() < 3) {
            levels.push("#");
        }
        let filter = levels.join("/");
        Rule { filter: if filter.is_empty() { "+".to_owned() } else { filter }, ..rule }
    })
}

/// Each case asks about thousands of topics.
fn config() -> ProptestConfig {
    let config = strategies::config();
    ProptestConfig { cases: config.cases / 40, ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_topic_is_reported_exactly_if_decisions_differ(old in rules(), new in rules(), client in client()) {
        judge((&old, &client), (&new, &client))?;
    }

    #[test]
    fn so_it_is_where_most_rules_stay(
        old in rules(), more in proptest::collection::vec(rule(), 0..3), gone: usize, client in client(),
    ) {
        let mut new: Vec<Rule> = old.iter().chain(&more).cloned().collect();
        if !new.is_empty() {
            let at = gone % new.len();
            new.remove(at);
        }
        judge((&old, &client), (&new, &client))?;
    }

    #[test]
    fn so_it_is_where_values_change(old in rules(), new in rules(), before in client(), after in client()) {
        // The name stays: another is another device.
        let after = Client { device: before.device.clone(), ..after };
        judge((&old, &before), (&new, &after))?;
        judge((&old, &before), (&old, &after))?;
    }

    #[test]
    fn nothing_is_reported_where_nothing_changed(rules in rules(), client in client()) {
        let (engine, client) = (Engine::new(&rules, false), support::Client::new(&client));
        prop_assert_eq!(changes(&engine, &client, &engine, &client), []);
    }
}
