use std::{collections::HashSet, path::Path};

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
    for number in 0..1_000 {
        let child = index.literal(ROOT, number.to_string().as_bytes()).unwrap();
        assert!(index.literal(child, (number * 7).to_string().as_bytes()).is_some(), "{number}");
        assert!(index.literal(child, (number * 7 + 1).to_string().as_bytes()).is_none(), "{number}");
        assert!(index.literal(ROOT, (number + 1_000).to_string().as_bytes()).is_none(), "{number}");
    }
    let (root, next) = index.node(ROOT).unwrap();
    assert_eq!(index.literals(root, next).count(), 1_000);
    assert_eq!(index.slots.len(), 4_096, "at most half full");
}

#[test]
fn no_rules_are_a_tree_too() {
    assert_eq!(Tree::compile(&[]).node_count(), 1);
}

/// A search goes on from where it begins until it meets a free slot.
#[test]
fn searches_begin_all_over_the_table() {
    let begins =
        |parent, level: u32| slot_of(parent, hash_level(level.to_string().as_bytes()), u64::BITS - 11);
    let of_one: HashSet<usize> = (0..1_000).map(|level| begins(7, level)).collect();
    let of_root: HashSet<usize> = (0..1_000).map(|level| begins(ROOT, level)).collect();
    let of_one_text: HashSet<usize> = (0..1_000).map(|parent| begins(parent, 7)).collect();
    let of_few: HashSet<usize> = (0..1_000).map(|number| begins(number / 30, number % 30)).collect();
    // By chance it would be 791 of 2,048.
    for found in [of_one, of_root, of_one_text, of_few] {
        assert!(found.len() > 700, "{}", found.len());
    }
}

#[test]
fn its_tables_are_counted_whole() {
    let index = Tree::compile(&[block(&["a/{device}/b", "c/+", "c/d/#", "e/f", "e/g"])]);
    let nodes = 32 * index.nodes.len();
    let others = 8 * index.ends.len() + 12 * index.holes.len() + 4 * index.slots.len() + index.texts.len();
    assert_eq!(index.table_bytes(), nodes + others + index.literals.table_bytes());
    assert!(index.literals.table_bytes() > 6);
}
