//! Mistakes in files as people see them: each folder of `tests/golden` holds files and, in `expected.txt`, every
//! word that is said about them. `UPDATE_GOLDEN=1 cargo test --test it golden` writes the expectations anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops by panicking")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use citronella::snapshot::{Permissions, Snapshot};

/// Relative to the package, so that what is said about the files names no machine's folders.
const CASES: &str = "tests/golden";

#[test]
fn every_mistake_is_told_in_the_words_that_were_agreed() {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() > 10, "the cases were not found: {cases:?}");
    for case in cases {
        let said = say(&case);
        let expected = case.join("expected.txt");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{} now says:\n{said}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_said_never_shows_a_hash_or_a_password() {
    for case in cases() {
        let said = say(&case);
        for secret in ["hunter2", "ChWYqL", "c29tZXNhbHR"] {
            assert!(!said.contains(secret), "{}: {said}", case.display());
        }
    }
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(CASES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

/// Everything that `check` would print, and whether the files can be used.
fn say(case: &Path) -> String {
    let loaded = Snapshot::load(&case.join("citronella.toml"), Permissions::Ignore);
    let mut said: String = loaded.report.iter().map(|found| format!("{found:#}\n")).collect();
    let (errors, warnings) = loaded.report.count();
    assert_eq!(loaded.snapshot.is_none(), errors > 0, "{}: {said}", case.display());
    said.push_str(&format!("{errors} errors, {warnings} warnings\n"));
    said
}
