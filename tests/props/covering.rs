//! Which filters a rule covers, against what libmosquitto 2.1 decides for the broker's own `acl_file` and dynamic security.
//!
//! It is exact but for one thing: it takes the empty text, which no topic is, for a topic that `#` matches.

use std::{
    collections::BTreeSet,
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use citronella::topic::Filter;

use crate::{
    model::{Action, Client, Rule},
    support::Engine,
};

/// Every filter of up to three levels over these texts.
fn filters() -> Vec<String> {
    const LEVELS: [&str; 5] = ["a", "b", "", "+", "$x"];
    let mut all = vec!["#".to_owned()];
    let mut prefixes = vec![String::new()];
    for depth in 1..=3 {
        let longer = prefixes.iter().flat_map(|prefix| LEVELS.map(|level| format!("{prefix}{level}")));
        let longer: Vec<String> = longer.collect();
        all.extend(longer.iter().cloned());
        if depth < 3 {
            all.extend(longer.iter().map(|filter| format!("{filter}/#")));
        }
        prefixes = longer.into_iter().map(|filter| filter + "/").collect();
    }
    all.retain(|filter| Filter::parse(filter).is_ok());
    all
}

/// The files of Mosquitto 2.1, whose libraries need a C library of their own.
fn root() -> PathBuf {
    let cache = env::var_os("CITRONELLA_BROKER_CACHE").filter(|path| !path.is_empty());
    let brokers =
        cache.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/brokers"), PathBuf::from);
    brokers.join("2.1/root")
}

/// What the library says about each pair of rule and filter.
fn judged(pairs: &[(&String, &String)]) -> Vec<bool> {
    let folder = tempfile::tempdir().unwrap();
    let judge = folder.path().join("judge");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/props/judge.c");
    assert!(Command::new("cc").arg("-o").args([&judge, &source]).arg("-ldl").status().unwrap().success());
    let root = root();
    let architecture = std::fs::read_dir(root.join("usr/lib")).unwrap().map(|entry| entry.unwrap().path());
    let libraries: Vec<PathBuf> =
        architecture.filter(|folder| folder.join("libmosquitto.so.1").exists()).collect();
    let libraries = libraries.first().expect("`make brokers` fetches Mosquitto 2.1");
    // As its own programs are started.
    let loaders: Vec<PathBuf> =
        ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1", "lib/ld-linux-armhf.so.3"]
            .map(|loader| root.join(loader))
            .into_iter()
            .filter(|loader| loader.exists())
            .collect();
    let mut running = Command::new(loaders.first().expect("Mosquitto 2.1 has a loader of its own"))
        .args(["--inhibit-cache", "--library-path"])
        .args([libraries, &judge])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text: String = pairs.iter().map(|(rule, filter)| format!("{rule}\t{filter}\n")).collect();
    let mut questions = running.stdin.take().unwrap();
    let asking = std::thread::spawn(move || questions.write_all(text.as_bytes()));
    let answered = running.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    assert!(answered.status.success());
    let lines = String::from_utf8(answered.stdout).unwrap();
    let answer = |(line, pair): (&str, &(&String, &String))| match line {
        "0" => false,
        "1" => true,
        _ => panic!("{pair:?}: {line}"),
    };
    assert_eq!(lines.lines().count(), pairs.len());
    lines.lines().zip(pairs).map(answer).collect()
}

#[test]
fn a_rule_covers_the_filters_that_it_covers_for_the_library_on_2_1() {
    let filters = filters();
    let pairs: Vec<(&String, &String)> =
        filters.iter().flat_map(|rule| filters.iter().map(move |filter| (rule, filter))).collect();
    assert!(pairs.len() > 30_000, "{}", pairs.len());
    let client = Client { device: None, client_id: String::new(), site: None };
    let mut different = BTreeSet::new();
    for (of_rule, theirs) in pairs.chunk_by(|one, next| one.0 == next.0).zip({
        let all = judged(&pairs);
        all.chunks(filters.len()).map(<[bool]>::to_vec).collect::<Vec<_>>()
    }) {
        let rule = Rule { allow: true, about: &[Action::Subscribe], filter: of_rule[0].0.clone() };
        let engine = Engine::new(&[rule], false);
        for ((rule, filter), theirs) in of_rule.iter().zip(theirs) {
            let ours = engine.allows(&client, (Action::Subscribe, filter));
            if ours != theirs {
                different.insert((rule.as_str(), filter.as_str(), ours));
            }
        }
    }
    // Without the empty text each of these rules matches all that its filter does.
    let known = [("+/#", "#", true), ("+/+/#", "/#", true), ("/+/#", "/#", true)];
    assert_eq!(different, BTreeSet::from(known));
}
