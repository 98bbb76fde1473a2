use std::collections::HashSet;

use super::*;
use crate::policy::{Actions, Effect};

/// A list of rules that allow, each in a line of its own.
fn list(templates: &[&str]) -> Option<Box<[u8]>> {
    let file: Arc<Path> = Path::new("f.toml").into();
    let rule = |(template, line): (&&str, u32)| Rule {
        effect: Effect::Allow,
        actions: Actions::PUBLISH,
        template: Template::parse(template).unwrap(),
        place: Place { file: Arc::clone(&file), line },
    };
    let rules = templates.iter().zip(1..).map(rule).collect();
    compile(&[Arc::new(Block { owner: Owner::Everyone, limits: Limits::default(), rules })], "")
}

/// The numbers of the rules that spell `name`.
fn spelled(list: &[u8], name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    List::of(list).spelled(name.as_bytes(), &mut |end: &End| found.push(end.rule));
    found
}

/// A search goes on from where it begins until it meets a free slot.
#[test]
fn searches_begin_all_over_the_table() {
    let begins = |number: u32| first_slot(format!("home/room{number}/lamp").as_bytes(), 2_048);
    let found: HashSet<usize> = (0..1_000).map(begins).collect();
    // By chance it would be 791.
    assert!(found.len() > 700, "{}", found.len());
}

#[test]
fn at_most_half_of_the_slots_are_taken() {
    let names: Vec<String> = (0..200).map(|number| format!("home/room{number}/lamp")).collect();
    for count in 1..names.len() {
        let some: Vec<&str> = names.iter().take(count).map(String::as_str).collect();
        let list = list(&some).unwrap();
        assert!(List::of(&list).slots() >= 2 * count, "{count}");
        for (name, number) in some.iter().zip(0..) {
            assert_eq!(spelled(&list, name), [number]);
        }
    }
}

#[test]
fn doubled_braces_are_not_for_a_list() {
    for template in ["a{{b", "a}}b", "a{{b/+", "{{device}}/#", "{device}/{{"] {
        assert!(list(&[template]).is_none(), "{template}");
    }
    assert!(list(&["a/{device}/#", "b"]).is_some());
}

/// A slot has 16 bits for where a row begins and for that it is taken.
#[test]
fn a_row_begins_no_further_than_a_slot_can_say() {
    // Rows of 65,536 bytes.
    let names: Vec<String> = ["a", "b", "c"].map(|name| name.repeat(STEP * 16_384 - ROW)).into();
    let with = |last: usize| {
        let fourth = "d".repeat(last);
        let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
        all.extend([fourth.as_str(), "e"]);
        list(&all).map(|list| spelled(&list, "e"))
    };
    let fourth = STEP * 16_384 - ROW;
    assert_eq!(with(fourth - 2 * STEP), Some(vec![4]));
    assert_eq!(with(fourth - STEP), None, "it would begin at 65,535");
    assert_eq!(with(fourth), None);
}
