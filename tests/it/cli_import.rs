//! `citronella import`: what it writes, what it says, and what it refuses.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{cli_support::Home, support::Cmd};

const HASH: &str = "$6$vOyZi7l2GwoqWMq6$Ss0hpnrlJg/7z+NXLzUxmZ5rDKWtL5aKkPLq7XGFGAs6oB4Lu2DNxyLcWQXKZ4DYOCwoQvUZG0M0rQ5x3pVnkQ==";

const ACL: &str = "topic read public\nuser alice\ntopic readwrite home/#\ntopic deny home/{x}\nuser bob/x\ntopic read b\npattern write dev/%u\npattern deny home/safe/%u\npattern read home/safe/#\n";

fn home() -> Home {
    let home = Home::empty();
    home.write("acl", ACL);
    home.write("passwd", format!("alice:{HASH}\ncarol:{HASH}\n# comment\nno colon\n"));
    home
}

const FILES: [&str; 6] = ["import", "--acl-file", "acl", "--password-file", "passwd", "--output=out"];

/// It ends with status 2, says all of this, and leaves no file that was not there.
#[track_caller]
fn refuses(home: &Home, arguments: &[&str], says: &[&str]) {
    let before = home.files();
    home.fails(arguments, says);
    assert_eq!(home.files(), before, "{arguments:?} has written something");
}

#[test]
fn rules_devices_and_hashes_come_with_their_lines() {
    let home = home();
    home.ok(&FILES);
    let settings = home.read("out/citronella.toml");
    for part in [
        "# Imported from acl and passwd by",
        "wide_subscribe = \"filter\"",
        "[roles.patterns]\n",
        "    \"dev/{device}\", # acl:7: pattern write dev/%u\n",
        "    \"home/safe/{device}\", # acl:8: pattern deny home/safe/%u\n",
    ] {
        assert!(settings.contains(part), "{part} is not in\n{settings}");
    }
    let devices = home.read("out/devices.toml");
    for part in [
        format!(
            "[alice]\nrole = \"patterns\"\npassword = \"{HASH}\"\npubsub = [\n    \"home/#\", # acl:3: topic readwrite home/#\n]\n"
        ),
        "    \"home/{{x}}\", # acl:4: topic deny home/{x}\n".to_owned(),
        "[bob_x]\n".to_owned(),
        format!("[carol]\nrole = \"patterns\"\npassword = \"{HASH}\"\n"),
    ] {
        assert!(devices.contains(&part), "{part} is not in\n{devices}");
    }
    assert_eq!([home.mode("out"), home.mode("out/devices.toml")], [0o750, 0o640]);
    let explain = |name: &str, topic: &str| {
        Cmd::new(["--config", "out/citronella.toml", "explain", name, "publish", topic])
            .dir(home.dir())
            .run()
            .status
    };
    assert_eq!(explain("alice", "home/x"), Some(0));
    assert_eq!(explain("alice", "home/{x}"), Some(1));
    assert_eq!(explain("carol", "dev/carol"), Some(0));
    assert_eq!(explain("bob_x", "dev/bob_x"), Some(1), "nobody was called so");
}

#[test]
fn what_cannot_be_kept_is_told_line_by_line() {
    let home = home();
    let told = home.ok(&FILES);
    let codes: Vec<&str> = told.lines().filter_map(|line| line.split(']').next()).collect();
    assert_eq!(
        codes[..6],
        [
            "acl:1: [anonymous",
            "acl:3: [user-before-pattern",
            "passwd:4: [skipped-line",
            "acl:5: [renamed",
            "acl:7: [placeholder",
            "acl:8: [placeholder",
        ],
        "{told}"
    );
    let json = home.json(&[&FILES[..], &["--force", "--anonymous", "--mosquitto", "2.1"]].concat());
    let notes = json["notes"].as_array().unwrap();
    let seen: Vec<(&Value, &Value)> = notes.iter().map(|note| (&note["line"], &note["code"])).collect();
    assert_eq!(
        seen,
        [
            (&json!(3), &json!("user-before-pattern")),
            (&json!(4), &json!("skipped-line")),
            (&json!(5), &json!("renamed"))
        ]
    );
    assert_eq!((&json["devices"], &json["roles"]), (&json!(3), &json!(1)));
    assert!(home.read("out/citronella.toml").contains("[anonymous]\nsubscribe = [\n    \"public\","));
}

#[test]
fn names_go_through_a_table_that_people_may_edit() {
    let home = home();
    home.ok(&FILES);
    let table = home.read("out/renames.toml");
    assert!(table.contains("\"bob/x\" = \"bob_x\"\n"), "{table}");
    home.write("out/renames.toml", table.replace("bob_x", "robert"));
    refuses(&home, &FILES, &["`out/citronella.toml` is there already", "--force"]);
    home.ok(&[&FILES[..], &["--force"]].concat());
    assert!(home.read("out/devices.toml").contains("\n[robert]\n"));
    assert_eq!(home.read("out/renames.toml"), table.replace("bob_x", "robert"));
    home.write("out/renames.toml", table.replace("bob_x", "alice"));
    home.ok(&[&FILES[..], &["--force"]].concat());
    let devices = home.read("out/devices.toml");
    assert!(
        devices.contains("\n[alice]\nsubscribe = [\n    \"b\",") && devices.contains("\n[alice-2]\n"),
        "{devices}"
    );
    home.write("out/renames.toml", table.replace("bob_x", "a/b"));
    refuses(&home, &[&FILES[..], &["--force"]].concat(), &["`bob/x` cannot be called `a/b`"]);
}

#[test]
fn mistakes_are_all_told_with_their_lines_and_nothing_is_written() {
    let home = home();
    home.write("acl", "user\ntopic read a/#/b\ntopics x\n");
    home.write("passwd", format!("a:hunter2\nb:{HASH}\nb:{HASH}\n"));
    refuses(
        &home,
        &FILES,
        &[
            "nothing was imported",
            "acl:1:1: error: `user` without a name",
            "acl:2:1: error: `a/#/b` is no filter",
            "acl:3:1: error: unknown word `topics`",
            "passwd:1:1: error: the entry of `a`",
            "passwd:3:1: error: `b` stands here a second time, first in line 2",
        ],
    );
    let said = home.run(&FILES).stderr;
    assert!(!said.contains("hunter2") && !said.contains("vOyZ"), "{said}");
    let swapped = home.run(&["import", "--acl-file", "passwd", "--output", "out"]);
    assert!(
        swapped.status == Some(2) && swapped.stderr.contains("passwd:1:1: error: unknown word"),
        "{swapped:?}"
    );
    assert!(!swapped.stderr.contains("hunter2") && !swapped.stderr.contains("vOyZ"), "{swapped:?}");
    refuses(&home, &["import", "--output", "out"], &["--acl-file"]);
    refuses(&home, &["import", "--acl-file", "nowhere", "--output", "out"], &["`nowhere` cannot be read"]);
    refuses(
        &home,
        &["import", "--acl-file", "acl", "--dynsec", "acl", "--output", "out"],
        &["cannot be used with"],
    );
}

#[test]
fn mistakes_in_json_have_lines_and_show_no_hash() {
    let home = Home::empty();
    for (text, says) in [
        ("{\n  \"clients\": [\n", "dynsec.json:3:1: error: EOF"),
        ("{\n  \"clents\": []\n}", "dynsec.json:2:1: error: unknown field `clents`"),
        (
            "{\"roles\":[\n{\"rolename\":\"a\",\"acls\":[\n{\"acltype\":\"publish\",\"topic\":\"a\"}]}]}",
            "dynsec.json:3:1: error: there is no acltype `publish`",
        ),
        (
            "{\"roles\":[{\"rolename\":\"a\"},\n{\"rolename\":\"a\"}]}",
            "dynsec.json:2:1: error: the role `a` stands here a second time, first in line 1",
        ),
        (
            "{\"clients\":[\n{\"username\":\"a\",\"encoded_password\":\"hunter2\"}]}",
            "dynsec.json:2:1: error: the password of `a`",
        ),
        ("{\"clients\":[\n{\"username\":\"a\",\"Disabled\":true}]}", "dynsec.json:2:"),
        ("{\"clients\":[\n{\"username\":\"a\",\"username\":\"b\"}]}", "duplicate field `username`"),
        (
            "{\"clients\":[\n{\"username\":\"a\",\"roles\":[{\"rolename\":\"r\",\"priority\":100001}]}]}",
            "dynsec.json:2:",
        ),
        (
            "{\"roles\":[{\"rolename\":\"a\",\"acls\":[\n{\"acltype\":\"publishClientSend\",\"topic\":\"a/#\",\"allow\":true},\n{\"acltype\":\"publishClientSend\",\"topic\":\"a/#\",\"priority\":10}]}]}",
            "dynsec.json:3:1: error: another entry for `a/#` stands in line 2",
        ),
        ("[]", "dynsec.json:1:"),
    ] {
        home.write("dynsec.json", text);
        refuses(
            &home,
            &["import", "--dynsec", "dynsec.json", "--output", "out"],
            &["nothing was imported", says],
        );
        assert!(
            !home.run(&["import", "--dynsec", "dynsec.json", "--output", "out"]).stderr.contains("hunter2")
        );
    }
}

/// dynamic-security compares `$share/GROUP/FILTER` as it is spelled; here the filter in it counts.
#[test]
fn shared_subscriptions_are_told_where_they_are_allowed_or_lost() {
    let home = Home::empty();
    let import = |acls: &str| {
        home.write(
            "dynsec.json",
            format!("{{\"defaultACLAccess\":{{\"publishClientReceive\":true}},\"roles\":[{{\"rolename\":\"r\",\"acls\":[\n{acls}\n]}}]}}"),
        );
        let told = home.ok(&["import", "--dynsec", "dynsec.json", "--output", "out", "--force"]);
        (told, home.read("out/citronella.toml"))
    };
    let acl = |kind: &str, topic: &str, allow: bool| {
        format!("{{\"acltype\":\"{kind}\",\"topic\":\"{topic}\",\"allow\":{allow}}}")
    };
    let denied = [
        acl("subscribePattern", "$share/#", false),
        acl("subscribePattern", "a/#", true),
        acl("subscribeLiteral", "$share/g/c", true),
    ];
    let (told, settings) = import(&denied.join(",\n"));
    for line in [
        "dynsec.json:2: [shared-subscriptions] `deny subscribePattern $share/#` is left out",
        "dynsec.json:3: [shared-subscriptions] `allow subscribePattern a/#` and others like it did not",
        "dynsec.json:4: [shared-subscriptions] `allow subscribeLiteral $share/g/c` is left out: allow its filter",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    assert!(settings.contains("subscribe = [\n    \"a/#\","), "{settings}");
    assert!(!told.contains("[no-effect]") && !settings.contains("\"$share"), "{told}{settings}");
    let (told, _) = import(&acl("publishClientSend", "a/#", true));
    assert!(!told.contains("[shared-subscriptions]"), "{told}");
}

#[test]
fn clients_bound_to_their_own_names_stay_bound() {
    let home = Home::empty();
    let client =
        |name: &str, id: &str| format!("{{\"username\":\"{name}\",\"clientid\":\"{id}\",\"roles\":[]}}");
    let import = |clients: &str, more: &[&str]| {
        home.write("dynsec.json", format!("{{\"clients\":[{clients}]}}"));
        let told =
            home.ok(&[&["import", "--dynsec", "dynsec.json", "--output", "out", "--force"], more].concat());
        (told, home.read("out/citronella.toml"), home.read("out/devices.toml"))
    };
    let (told, settings, devices) = import(&[client("a", "a"), client("b", "b")].join(","), &[]);
    assert!(
        settings.contains("client_id = \"device\"") && !devices.contains("disabled"),
        "{settings}{devices}"
    );
    assert!(told.contains("dynsec.json:1: [client-id] each client was bound"), "{told}");
    let (told, settings, devices) = import(&[client("a", "a"), client("b", "x")].join(","), &[]);
    assert!(
        !settings.contains("client_id") && devices.matches("state = \"disabled\"").count() == 2,
        "{devices}"
    );
    assert!(told.contains("dynsec.json:1: [client-id] `b` may only use the client id `x`"), "{told}");
    let (_, _, devices) = import(&[client("a", "a"), client("b", "x")].join(","), &["--unbound"]);
    assert!(!devices.contains("disabled"), "{devices}");
}

/// `conf-examples/migration`: what its README says was run, run again.
#[test]
fn the_example_of_a_migration_is_what_comes_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf-examples/migration");
    let home = Home::empty();
    for name in ["acl", "passwd", "dynamic-security.json"] {
        home.write(name, fs::read(folder.join(name)).unwrap());
    }
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("citronella ")).collect();
    assert_eq!(commands.len(), 3);
    for command in &commands[..2] {
        Cmd::new(command.split(' ')).dir(home.dir()).ok();
    }
    for made in ["from-acl", "from-dynsec"] {
        for name in ["citronella.toml", "devices.toml", "renames.toml"] {
            let name = format!("{made}/{name}");
            let text = fs::read_to_string(folder.join(&name)).unwrap();
            assert_eq!(home.read(&name), text, "{name} is not what comes out");
        }
        let config = format!("{made}/citronella.toml");
        Cmd::new(["--config", &config, "check"]).dir(home.dir()).ok();
    }
}
