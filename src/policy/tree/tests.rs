use std::path::Path;

use super::*;
use crate::{
    diag::Place,
    policy::{Actions, Effect, Limits, Owner, Rule},
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
        Tree::compile(&[block(&["a/b/c/#", "a/b", "a/b/#", "a/+/c", "a/{device}/c", "a/{username}/d"])]);
    // Not `a/b`, which is a topic; root, a, a/b, a/b/c, a/+, a/+/c, a/{}, a/{}/c, a/{}/d: `#` ends at its parent, and the placeholders are one.
    assert_eq!(index.node_count(), 9);
    assert_eq!(
        index.node(ROOT).map(|(root, _)| root.below),
        Some(Says::new(Effect::Allow, Actions::PUBLISH))
    );
}

#[test]
fn a_thousand_children_are_told_apart() {
    let names: Vec<String> = (0..1_000).map(|number| format!("{number}/{}/#", number * 7)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let index = Tree::compile(&[block(&names)]);
    let child = index.literal(ROOT, b"13").unwrap();
    assert!(index.literal(child, b"91").is_some());
    assert!(index.literal(child, b"92").is_none());
    assert!(index.literal(ROOT, b"1000").is_none());
    let (root, next) = index.node(ROOT).unwrap();
    assert_eq!(index.literals(root, next).count(), 1_000);
}

#[test]
fn no_rules_are_a_tree_too() {
    assert_eq!(Tree::compile(&[]).node_count(), 1);
}
