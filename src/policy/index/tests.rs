use std::path::Path;

use super::*;
use crate::{
    diag::Place,
    policy::{Attributes, Owner, Policy, Request, Rule, WideSubscribe},
    topic::Template,
};

fn block(templates: &[&str]) -> Arc<Block> {
    let rule = |template: &&str| Rule {
        effect: Effect::Allow,
        actions: Actions::PUBLISH,
        template: Template::parse(template).unwrap(),
        place: Place { file: Path::new("f.toml").into(), line: 1 },
    };
    Arc::new(Block {
        owner: Owner::Role("r".into()),
        limits: Limits::default(),
        rules: templates.iter().map(rule).collect(),
    })
}

#[test]
fn filters_share_the_nodes_of_their_common_beginning() {
    let index =
        Index::compile(&[block(&["a/b/c/#", "a/b", "a/b/#", "a/+/c", "a/{device}/c", "a/{username}/d"])]);
    // Not `a/b`, which is a topic; root, a, a/b, a/b/c, a/+, a/+/c, a/{}, a/{}/c, a/{}/d: `#` ends at its parent, and the placeholders are one.
    assert_eq!(index.node_count(), 9);
    assert_eq!(
        index.node(ROOT).map(|(root, _)| root.below),
        Some(Says::new(Effect::Allow, Actions::PUBLISH))
    );
}

#[test]
fn ten_thousand_devices_of_one_role_ask_one_small_index() {
    let index = Index::compile(&[block(&["sensors/{device}/#", "status/{device}"])]);
    assert_eq!(index.node_count(), 5);
    let attributes = Attributes::default();
    for number in 0..10_000 {
        let (own, other) = (format!("dev-{number}"), format!("sensors/dev-{}/t", number + 1));
        let subject = Subject { device: Some(&own), client_id: &own, attributes: &attributes };
        let topic = format!("sensors/{own}/t");
        let publish = |topic| Request::Publish { topic, qos: 0, retain: false, payload_bytes: 0 };
        let policy = Policy::new(Some(&index), None, WideSubscribe::Strict);
        assert!(policy.decide(&subject, &publish(&topic)).is_allowed());
        assert!(!policy.decide(&subject, &publish(&other)).is_allowed());
    }
}

#[test]
fn own_literal_rules_take_about_sixty_bytes_each() {
    let names: Vec<String> = (0..1_000).map(|number| format!("dev/0001/own/topic-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let index = Index::compile(&[block(&names)]);
    assert!(index.table_bytes() < 70 * names.len(), "{}", index.table_bytes());
}

#[test]
fn every_rule_is_found_by_its_number() {
    let index = Index::compile(&[block(&[]), block(&["b", "a"]), block(&[]), block(&["c"]), block(&[])]);
    let written = |number| index.rule(number).map(|found| found.template().to_string());
    assert_eq!([0, 1, 2].map(written).map(Option::unwrap), ["b", "a", "c"]);
    assert_eq!(written(3), None);
}

#[test]
fn a_thousand_children_are_told_apart() {
    let names: Vec<String> = (0..1_000).map(|number| format!("{number}/{}/#", number * 7)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let index = Index::compile(&[block(&names)]);
    let level = |text: &'static str| NameLevel {
        text: text.as_bytes(),
        hash: crate::topic::hash_level(text.as_bytes()),
    };
    let child = index.literal(ROOT, &level("13")).unwrap();
    assert!(index.literal(child, &level("91")).is_some());
    assert!(index.literal(child, &level("92")).is_none());
    assert!(index.literal(ROOT, &level("1000")).is_none());
    let (root, next) = index.node(ROOT).unwrap();
    assert_eq!(index.literals(root, next).count(), 1_000);
}

#[test]
fn no_rules_are_an_index_too() {
    let index = Index::compile(&[]);
    assert_eq!((index.node_count(), index.rule(0).is_none()), (1, true));
}
