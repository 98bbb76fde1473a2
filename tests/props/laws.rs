//! What must hold whatever the rules are.

use proptest::{collection::vec, prelude::*};

use crate::{
    model::{self, Action, Client, Rule},
    strategies::{ask, client, config, filter, name, rule, rules},
    support::Engine,
};

/// `rules` with `rule` put in at some place.
fn with(rules: &[Rule], rule: &Rule, place: usize) -> Vec<Rule> {
    let mut more = rules.to_vec();
    more.insert(place % (rules.len() + 1), rule.clone());
    more
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_engine_is_the_model(
        rules in rules(), client in client(), (action, topic) in ask(), wide: bool,
        places in vec((0..2_usize, 0..4_usize), 6),
    ) {
        let engine = Engine::split(&rules, wide, |rule| places[rule]);
        let ask = (action, topic.as_str());
        prop_assert_eq!(engine.allows(&client, ask), model::allows(&rules, &client, ask, wide));
    }

    // Most filters of the test above are refused; these are near the border.
    #[test]
    fn the_engine_is_the_model_for_the_filters_that_rules_speak_of(
        rules in rules(), client in client(), wide: bool,
    ) {
        let engine = Engine::new(&rules, wide);
        for rule in &rules {
            let Some(filled) = model::fill(&rule.filter, &client) else { continue };
            for filter in [filled.join("/"), format!("$share/g/{}", filled.join("/"))] {
                let ask = (Action::Subscribe, filter.as_str());
                prop_assert_eq!(engine.allows(&client, ask), model::allows(&rules, &client, ask, wide), "{}", filter);
            }
        }
    }

    #[test]
    fn one_more_allow_never_refuses(
        rules in rules(), more in rule(), place: usize, client in client(), (action, topic) in ask(), wide: bool,
    ) {
        let more = Rule { allow: true, ..more };
        let ask = (action, topic.as_str());
        if Engine::new(&rules, wide).allows(&client, ask) {
            prop_assert!(Engine::new(&with(&rules, &more, place), wide).allows(&client, ask));
        }
    }

    #[test]
    fn one_more_deny_never_allows(
        rules in rules(), more in rule(), place: usize, client in client(), (action, topic) in ask(), wide: bool,
    ) {
        let more = Rule { allow: false, ..more };
        let ask = (action, topic.as_str());
        if !Engine::new(&rules, wide).allows(&client, ask) {
            prop_assert!(!Engine::new(&with(&rules, &more, place), wide).allows(&client, ask));
        }
    }

    #[test]
    fn order_and_grouping_never_matter(
        (rules, shuffled) in rules().prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        places in vec((0..2_usize, 0..4_usize), 6),
        client in client(), (action, topic) in ask(), wide: bool,
    ) {
        let ask = (action, topic.as_str());
        let plain = Engine::new(&rules, wide).allows(&client, ask);
        prop_assert_eq!(Engine::new(&shuffled, wide).allows(&client, ask), plain);
        prop_assert_eq!(Engine::split(&rules, wide, |rule| places[rule]).allows(&client, ask), plain);
    }

    #[test]
    fn a_filter_is_allowed_exactly_if_all_its_topics_are(
        rules in rules(), client in client(), filter in filter(),
    ) {
        // Receive-only rules make delivery and request differ on purpose.
        let rules: Vec<Rule> = rules.into_iter().filter(|rule| rule.about != [Action::Receive]).collect();
        let engine = Engine::new(&rules, false);
        let filled: Vec<_> = rules.iter().filter_map(|rule| model::fill(&rule.filter, &client)).collect();
        let topics = model::topics_of(&filter, &filled);
        let every = topics.iter().all(|topic| engine.allows(&client, (Action::Receive, topic)));
        prop_assert_eq!(engine.allows(&client, (Action::Subscribe, &filter)), every);
    }

    #[test]
    fn no_name_client_id_or_attribute_widens_a_rule(
        rule in rule(), device in "[ab+#/${}\u{1}]{0,3}", client_id in "[ab+#/${}\u{1}]{0,3}", site in "[ab+#/$]{0,3}",
        topic in name(), action in prop::sample::select(vec![Action::Publish, Action::Receive]),
    ) {
        let rule = Rule { allow: true, ..rule };
        let client = Client { device: Some(device), client_id, site: Some(site) };
        let levels: Vec<&str> = rule.filter.split('/').map(|level| if level.contains('{') { "+" } else { level }).collect();
        let widest = Rule { filter: levels.join("/"), ..rule.clone() };
        if !rule.filter.starts_with("$s{") && Engine::new(&[rule], false).allows(&client, (action, &topic)) {
            prop_assert!(Engine::new(&[widest], false).allows(&client, (action, &topic)));
        }
    }

    #[test]
    fn a_decision_never_panics(rules in rules(), client in client(), topic in "[a/+#$share{}\u{0}é]{0,12}", wide: bool) {
        let engine = Engine::new(&rules, wide);
        let who = crate::support::Client::new(&client);
        for action in [Action::Publish, Action::Subscribe, Action::Receive, Action::Unsubscribe] {
            let decision = engine.decide(&who, (action, &topic));
            let text = decision.to_string();
            prop_assert_eq!(text.starts_with("allowed: "), decision.is_allowed(), "{}", text);
            prop_assert!(!text.contains(['\n', '\0']), "{}", text);
        }
    }
}
