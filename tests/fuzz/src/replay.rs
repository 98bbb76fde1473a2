//! Every committed input once more, without a fuzzer: what was found stays mended.

use std::{fs, path::Path};

use arbitrary::{Arbitrary, Unstructured};

use crate::{
    certificates, citronella_toml, devices_toml, edits, import, ledger, mosquitto_conf, passwords, policy,
    topics,
};

type Target = fn(&[u8]);

/// Each target as its own file in fuzz_targets/ has it.
const TARGETS: [(&str, Target); 11] = [
    ("acl_file", |bytes| text(bytes, import::check_acl_file)),
    ("certificates", certificates::check),
    ("citronella_toml", |bytes| text(bytes, citronella_toml::check)),
    ("devices_toml", |bytes| text(bytes, devices_toml::check)),
    ("dynsec", |bytes| text(bytes, import::check_dynsec)),
    ("edits", |bytes| text(bytes, edits::check)),
    ("ledger", ledger::check),
    ("mosquitto_conf", mosquitto_conf::check),
    ("passwords", |bytes| text(bytes, passwords::check)),
    ("policy", |bytes| {
        let question = policy::Question::arbitrary_take_rest(Unstructured::new(bytes));
        let _ = question.map(|question| policy::check(&question));
    }),
    ("topics", |bytes| text(bytes, topics::check)),
];

/// The fuzzer passes over what is no text.
fn text(bytes: &[u8], check: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
}

#[test]
fn every_committed_input_still_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find_map(|folder| {
        let corpus = folder.join("tests/fuzz/corpus");
        corpus.is_dir().then_some(corpus)
    });
    let folder = folder.expect("the corpora are committed");
    let mut known: Vec<String> = names(&folder);
    known.sort_unstable();
    assert_eq!(known, TARGETS.map(|(name, _)| name), "each corpus has a target, and each target a corpus");
    for (name, check) in TARGETS {
        let inputs = names(&folder.join(name));
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
            // A failure is told after the input it is about.
            println!("{name}/{input}");
            check(&fs::read(folder.join(name).join(&input)).unwrap());
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
