//! The man pages of the files, held against the readers: every key that is read is explained, and no other.

use std::{collections::BTreeSet, fs, path::Path};

use citronella::{config::BLOCK_KEYS, registry::read::KEYS as DEVICE_KEYS};

use crate::cli_support::Home;

/// Where a key may stand in citronella.toml, with one that nobody knows; the heading of its part of the page, and keys
/// that are explained elsewhere.
const PLACES: [(&str, &str); 10] = [
    ("[registry]", "registry"),
    ("[auth]", "auth"),
    ("[identity]", "identity"),
    ("[limits]", "limits"),
    ("[state]", "state"),
    ("[audit]", "audit"),
    ("[metrics]", "metrics"),
    ("[roles.x]", "roles.NAME"),
    ("[compat]", "compat"),
    ("[check]", "check"),
];

const UNKNOWN: &str = "zzzzzzzz";

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/pages").join(name)).unwrap()
}

/// The keys that the page explains under a heading that begins so: the line after `.TP`.
fn explained(page: &str, heading: &str) -> BTreeSet<String> {
    let part = page
        .split("\n.S")
        .find(|part| part.strip_prefix("S ").and_then(|part| part.strip_prefix(heading)).is_some());
    let part = part.unwrap_or_else(|| panic!("the page has no part `{heading}`"));
    part.split("\n.TP\n.B ").skip(1).map(|entry| entry.lines().next().unwrap().to_owned()).collect()
}

/// What the reader says that it knows where this stands.
fn known(settings: &str, found: &str) -> BTreeSet<String> {
    let home = Home::with_files(settings, "version = 1\n");
    let outcome = home.run(&["check"]);
    let help = outcome.stdout.split(found).nth(1).and_then(|rest| rest.split("known here: ").nth(1));
    let help = help.unwrap_or_else(|| panic!("{outcome:?}")).lines().next().unwrap();
    help.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

#[test]
fn every_key_of_the_settings_has_its_place_in_the_man_page() {
    let page = page("citronella.toml.5");
    let unknown = format!("unknown key `{UNKNOWN}`");
    for (header, heading) in PLACES {
        let mut known = known(&format!("version = 1\n{header}\n{UNKNOWN} = 1\n"), &unknown);
        if heading == "check" {
            let item = format!("version = 1\n[check]\nallow = [{{ {UNKNOWN} = 1 }}]\n");
            known.extend(self::known(&item, &unknown));
        }
        assert_eq!(explained(&page, &format!("[{heading}]")), known, "citronella.toml(5), {header}");
    }
    let sections = known(&format!("version = 1\n{UNKNOWN} = 1\n"), &unknown);
    for section in sections.iter().filter(|section| *section != "version") {
        let heading = page.lines().filter(|line| line.starts_with(".SS ")).any(|line| {
            line.contains(&format!("[{section}]")) || line.contains(&format!("[{section}.NAME]"))
        });
        assert!(heading, "citronella.toml(5) has no part for [{section}]");
    }
}

#[test]
fn every_key_of_the_registry_has_its_place_in_the_man_page() {
    let page = page("devices.toml.5");
    let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(explained(&page, "Keys of a device"), set(&DEVICE_KEYS), "devices.toml(5)");
    let inner = ["sha256", "serial", "not_after", "hash", "generated"];
    assert_eq!(explained(&page, "In the tables"), set(&inner), "devices.toml(5)");
    let rules = page.split("\n.SS Rules of a device").nth(1).unwrap();
    for key in BLOCK_KEYS {
        assert!(rules.split([' ', '\n', ',']).any(|word| word == key), "devices.toml(5) does not name {key}");
    }
}
