use std::collections::HashSet;

use super::*;

/// A search goes on from where it begins until it meets a free slot.
#[test]
fn searches_begin_all_over_the_table() {
    let begins = |number: u32| first_slot(format!("home/room{number}/lamp").as_bytes(), 2_048);
    let found: HashSet<usize> = (0..1_000).map(begins).collect();
    // By chance it would be 791.
    assert!(found.len() > 700, "{}", found.len());
}
