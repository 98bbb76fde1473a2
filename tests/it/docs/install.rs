//! INSTALL.md: its commands exist, and those that need neither a package nor a running broker do as they are typed.

use super::{commands_exist, page, typed};
use crate::{cli_support::Home, support::plugin};

#[test]
fn the_commands_of_the_installation_guides_exist() {
    // Taking it away is described before it is there.
    let guide = page("INSTALL.md");
    assert!(commands_exist(&guide) > 20);
    assert!(commands_exist(&page("README.ja.md")) > 8);
}

/// The fenced blocks of every language, in their order.
fn all_blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (language, block) = block.split_once('\n').unwrap();
        blocks.push((language, block.to_owned()));
    }
    blocks
}

#[test]
fn the_blocks_of_the_installation_guides_run_in_their_order() {
    for (name, enough) in [("INSTALL.md", 20), ("README.ja.md", 10)] {
        let home = Home::empty();
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/conf-examples/migration");
        // The machine's own places are this folder's.
        let here = format!(
            "citronella() {{ verb=$1; shift; case $verb in
            init) command \"$citronella\" init --plugin '{}' --mosquitto-conf m.conf \"$@\";;
            doctor) command \"$citronella\" doctor m.conf \"$@\";;
            *) command \"$citronella\" \"$verb\" \"$@\";; esac; }}",
            plugin().display()
        );
        let mut ran = 0;
        for (language, block) in all_blocks(&page(name)) {
            if language == "toml" {
                home.write("etc/citronella.toml", home.read("etc/citronella.toml") + "\n" + &block);
                continue;
            }
            for line in block.lines() {
                // A package, a broker that answers, and what has tests of its own on every broker.
                if ["apt ", "connect.txt", "--prove", "citronella uninstall"]
                    .iter()
                    .any(|part| line.contains(part))
                {
                    continue;
                }
                // What is there before, and what becomes of it.
                let line = line
                    .replace("/etc/mosquitto/conf.d/citronella.conf", "m.conf")
                    .replace("/etc/mosquitto", examples)
                    .replace("/etc/citronella", "etc");
                let outcome = typed(&home, &format!("{here}\n{line}")).run();
                // Looking and asking may say no, for there is no broker.
                let looks = ["doctor", "status", "explain"]
                    .iter()
                    .any(|verb| line.contains(&format!("citronella {verb}")));
                let fine = outcome.status == Some(0) || looks && outcome.status == Some(1);
                assert!(fine, "{name}: {line}: {outcome:?}");
                ran += 1;
            }
        }
        assert!(ran >= enough, "{name}: only {ran} commands");
        assert!(home.read("m.conf").contains("\nlistener 8884\n"), "{name}: the port for the phone");
    }
}
