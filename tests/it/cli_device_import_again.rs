//! `citronella device import` over folders that an earlier run has left.

use crate::cli_support::Home;

/// Two devices with folders, of which the registry knows nothing any more.
fn left(more: &[&str]) -> Home {
    let home = Home::empty();
    home.init(&["--name", "gw.lan"]).ok();
    home.write("two.csv", "name,role,credentials\nlamp,sensor,certificate\nphone,viewer,password\n");
    home.write("word", "marker-key\n");
    home.ok(&[&["device", "import", "two.csv"], more].concat());
    home.write("etc/devices.toml", "version = 1\n");
    home
}

#[test]
fn what_is_taken_up_is_told() {
    let home = left(&[]);
    let key = home.read("lamp/lamp.key");
    let would = home.ok(&["device", "import", "two.csv", "--dry-run"]);
    assert_eq!(would.matches("made by an earlier run").count(), 2, "{would}");
    let said = home.ok(&["device", "import", "two.csv"]);
    assert!(said.contains("2 devices taken up from an earlier run") && said.contains("--force"), "{said}");
    assert_eq!(home.read("lamp/lamp.key"), key);

    home.write("etc/devices.toml", "version = 1\n");
    home.write("two.csv", home.read("two.csv") + "vase,sensor,certificate\n");
    let all = home.json(&["device", "import", "two.csv"]);
    let told: Vec<bool> =
        all["devices"].as_array().unwrap().iter().map(|one| one["taken_up"].as_bool().unwrap()).collect();
    assert_eq!(told, [true, true, false], "{all}");
    let said = home.ok(&["device", "import", "two.csv"]);
    assert!(!said.contains("taken up"), "{said}");
}

#[test]
fn a_key_that_is_not_as_asked_for_is_not_taken_up() {
    let (plain, open) = (left(&[]), left(&[]));
    let encrypted = left(&["--key-passphrase-file", "word"]);
    let long = left(&["--days", "300"]);
    for (home, options, says) in [
        (&plain, &["--key", "rsa2048"][..], "p256, and rsa2048 is asked for"),
        (&open, &["--key-passphrase-file", "word"], "not encrypted, and a passphrase is asked for"),
        (&encrypted, &[], "encrypted, and no passphrase is asked for"),
        (&long, &["--days", "5"], "for more than 5 days"),
    ] {
        let before = home.files();
        let all = [&["device", "import", "two.csv"], options].concat();
        home.fails(&all, &["two.csv:2:1: error: ./lamp has a key of an earlier run", says, "--force"]);
        home.fails(&[&all[..], &["--dry-run"]].concat(), &[says]);
        assert!(home.files() == before, "something was changed");
        let key = home.read("lamp/lamp.key");
        home.ok(&[&all[..], &["--force"]].concat());
        assert_ne!(home.read("lamp/lamp.key"), key);
    }
    // As it was asked for, it is.
    let again = left(&["--key-passphrase-file", "word", "--key", "p384", "--days", "30"]);
    let key = again.read("lamp/lamp.key");
    again.ok(&[
        "device",
        "import",
        "two.csv",
        "--key-passphrase-file",
        "word",
        "--key",
        "p384",
        "--days",
        "30",
    ]);
    assert_eq!(again.read("lamp/lamp.key"), key);
}
