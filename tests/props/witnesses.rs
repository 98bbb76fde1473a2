//! Witnesses are real topics that really show the refusal.

use citronella::topic::{Filter, Name};
use proptest::prelude::*;

use crate::{
    model::{Action, Rule},
    strategies::{client, config, rules, subscription},
    support::{Client, Engine},
};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_witness_is_a_topic_of_the_filter_that_is_refused(
        rules in rules(), client in client(), text in subscription(), wide: bool,
    ) {
        let engine = Engine::new(&rules, wide);
        let client = Client::new(&client);
        let decision = engine.decide(&client, (Action::Subscribe, &text));
        let Some(witness) = decision.witness() else { return Ok(()) };
        prop_assert!(!decision.is_allowed());
        let filter = Filter::parse(&text).unwrap();
        prop_assert!(Name::parse(&witness).is_ok_and(|name| filter.matches(name)), "{}", witness);
        let shared = filter.group().map_or(witness.clone(), |group| format!("$share/{group}/{witness}"));
        prop_assert!(!engine.decide(&client, (Action::Subscribe, &shared)).is_allowed(), "{}", witness);
        // Rules about delivery alone can allow what may not be asked for.
        if !rules.iter().any(|rule| rule.allow && rule.about == [Action::Receive]) {
            prop_assert!(!engine.decide(&client, (Action::Receive, &witness)).is_allowed(), "{}", witness);
        }
    }

    #[test]
    fn every_refused_wild_filter_has_one(rules in rules(), client in client(), text in subscription()) {
        let engine = Engine::new(&rules, false);
        let client = Client::new(&client);
        let decision = engine.decide(&client, (Action::Subscribe, &text));
        let wild = Filter::parse(&text).is_ok_and(Filter::is_wild);
        if wild && !decision.is_allowed() && !decision.to_string().contains("no usable value") {
            prop_assert!(decision.witness().is_some(), "{}", decision);
        }
    }
}

#[test]
fn free_levels_get_a_text_that_nobody_mentions() {
    let rule = |allow, filter: &str| Rule {
        allow,
        about: &[Action::Subscribe, Action::Receive],
        filter: filter.to_owned(),
    };
    let engine = Engine::new(&[rule(true, "a/x"), rule(true, "a/{device}"), rule(true, "a")], false);
    let client = crate::model::Client { device: Some("y".into()), client_id: "c".into(), site: None };
    let client = Client::new(&client);
    let decision = engine.decide(&client, (Action::Subscribe, "a/+"));
    assert_eq!(decision.to_string(), "refused: `a/+` also matches `a/z`, which no rule allows");
    let decision = engine.decide(&client, (Action::Subscribe, "a/#"));
    assert_eq!(decision.witness().as_deref(), Some("a/z"));
}
