//! `citronella device import` and `export`: fleets in one file, whole or not at all, interrupted and gone on with.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    cli_support::Home,
    pki_support::{accepts, run, verify},
    support::{Cmd, wait_for},
};

const FLEET: &str = "\
name,role,attr.site,auth,state,credentials
thunder10,sensor,rome,,,
phone,viewer,,password,,
gw-7,controller;sensor,\"Roma, nord\",both,,
spare,sensor,,,disabled,none
old,,,,retired,
guest,viewer,,,,any-certificate
";

fn home() -> Home {
    let home = Home::empty();
    home.init(&["--name", "gw.lan"]).ok();
    home.write("fleet.csv", FLEET);
    home
}

/// One line of JSON, one device of it.
fn told<'a>(all: &'a Value, name: &str) -> &'a Value {
    let found = all["devices"].as_array().unwrap().iter().find(|device| device["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {all}"))
}

#[test]
fn a_file_becomes_devices_with_all_they_connect_with() {
    let home = home();
    fs::create_dir(home.path("stick")).unwrap();
    let all = home.json(&["device", "import", "fleet.csv", "--out", "stick"]);
    assert_eq!(all["devices"].as_array().unwrap().len(), 6, "{all}");
    for (file, mode) in [
        ("stick/thunder10", 0o700),
        ("stick/thunder10/thunder10.key", 0o600),
        ("stick/thunder10/thunder10.crt", 0o644),
        ("stick/phone/phone.password", 0o600),
        ("stick/phone/ca.crt", 0o644),
        ("stick/gw-7/gw-7.key", 0o600),
        ("stick/gw-7/gw-7.password", 0o600),
    ] {
        assert_eq!(format!("{:o}", home.mode(file)), format!("{mode:o}"), "{file}");
    }
    for absent in [
        "stick/spare",
        "stick/old",
        "stick/guest",
        "stick/phone/phone.crt",
        "stick/thunder10/thunder10.password",
    ] {
        assert!(!home.path(absent).exists(), "{absent}");
    }
    for name in ["thunder10", "gw-7"] {
        let certificate = home.path(&format!("stick/{name}/{name}.crt"));
        accepts(verify(&home.path("etc/tls/ca.crt"), &certificate, &["-purpose", "sslclient"]));
        let shown = home.json(&["device", "show", name]);
        assert_eq!(shown["certificates"][0]["sha256"], told(&all, name)["sha256"]);
    }
    for name in ["phone", "gw-7"] {
        let password = home.read(&format!("stick/{name}/{name}.password"));
        assert_eq!(home.cmd(&["password", "verify", name]).stdin(password).run().status, Some(0), "{name}");
    }
    assert!(home.read("stick/thunder10/connect.txt").contains("-h gw.lan -p 8883 --cafile ca.crt --cert"));
    assert!(
        home.read("stick/thunder10/connect.txt").contains("-t sensors/thunder10/"),
        "a topic of its role"
    );
    let line = "-p 8884 --cafile ca.crt -u phone -P \"$(cat phone.password)\" -t ";
    assert!(home.read("stick/phone/connect.txt").contains(line), "{}", home.read("stick/phone/connect.txt"));
    assert!(
        home.read("stick/gw-7/connect.txt").contains("--key gw-7.key -u gw-7 -P \"$(cat gw-7.password)\"")
    );
    let gateway = home.json(&["device", "show", "gw-7"]);
    assert_eq!((&gateway["auth"], &gateway["attributes"]["site"]), (&"both".into(), &"Roma, nord".into()));
    assert_eq!(home.json(&["device", "show", "spare"])["state"], "disabled");
    assert_eq!(home.json(&["device", "show", "old"])["state"], "retired");
    assert_eq!(home.json(&["device", "show", "guest"])["any_certificate"], true);
    assert_eq!(home.run(&["check"]).status, Some(0));
}

#[test]
fn what_is_there_is_left_alone_and_a_dry_run_changes_nothing() {
    let home = home();
    let empty = home.files();
    let said = home.ok(&["device", "import", "fleet.csv", "--dry-run"]);
    assert!(home.files() == empty, "a dry run changed something");
    for part in
        ["register  thunder10  certificate\n", "register  gw-7  both\n", "6 devices would be registered"]
    {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let said = home.ok(&["device", "import", "fleet.csv"]);
    assert!(said.contains("6 devices are registered\n"), "{said}");
    let full = home.files();
    let said = home.ok(&["device", "import", "fleet.csv"]);
    assert_eq!(said, "0 devices are registered, 6 are there already\n");
    home.write("more.csv", FLEET.to_owned() + "lamp,sensor,,,,\n");
    let outcome = home.locked(&["device", "import", "fleet.csv"]).run();
    assert_eq!(outcome.status, Some(0), "no passphrase is needed for nothing: {outcome:?}");
    fs::remove_file(home.path("more.csv")).unwrap();
    assert!(home.files() == full, "doing it again changed something");
    home.write("more.csv", FLEET.to_owned() + "lamp,sensor,,,,\n");
    let all = home.json(&["device", "import", "more.csv"]);
    assert_eq!(
        (&told(&all, "lamp")["outcome"], &told(&all, "phone")["outcome"]),
        (&"registered".into(), &"there".into())
    );
}

#[test]
fn all_mistakes_are_told_with_their_lines_and_nothing_changes() {
    let home = home();
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    home.ok(&["device", "add", "vase", "--no-certificate"]);
    home.ok(&["device", "add", "bare", "--role", "viewer", "--no-certificate"]);
    home.ok(&["password", "generate", "bare"]);
    fs::create_dir(home.path("taken")).unwrap();
    let long = "x".repeat(65);
    home.write(
        "wrong.csv",
        format!(
            "name,role,attr.site,auth,credentials\n\
             good,sensor,,,\n\
             a/b,sensor,,,\n\
             unsound,sensr,,,\n\
             GOOD,sensor,,,\n\
             lamp,viewer,,,\n\
             VASE,sensor,,,\n\
             odd,sensor,,sometimes,\n\
             {long},sensor,,,\n\
             taken,sensor,,,\n\
             few,sensor\n\
             bare,viewer,,,certificate\n\
             twice,viewr,,any,bth\n"
        ),
    );
    let before = home.files();
    home.fails(
        &["device", "import", "wrong.csv"],
        &[
            "nothing was changed because of 12 mistakes",
            "wrong.csv:3:1: error: no device can be called `a/b`",
            "wrong.csv:4:9: error: no role is called `sensr`",
            "did you mean `sensor`?",
            "wrong.csv:5:1: error: `GOOD` stands here a second time, first in line 2",
            "wrong.csv:6:1: error: `lamp` is registered already, with other roles",
            "wrong.csv:7:1: error: `VASE` is registered as `vase`",
            "wrong.csv:8:13: error: `sometimes` is no value of `auth`",
            "any, certificate, password, both",
            "wrong.csv:9:1: error: `xxx",
            "wrong.csv:10:1: error: ./taken exists already",
            "wrong.csv:11:1: error: this line has 2 fields, and the header 5",
            "wrong.csv:12:1: error: `bare` is registered already, without such a certificate",
            // All that is wrong in a line.
            "wrong.csv:13:7: error: no role is called `viewr`\n  | twice,viewr,,any,bth\n  |       ^^^^^\n",
            "wrong.csv:13:18: error: `bth` is no value of `credentials`\n  | twice,viewr,,any,bth\n  |                  ^^^\n",
        ],
    );
    assert!(home.files() == before, "something was changed");
    for (file, says) in [("missing.csv", "missing.csv"), ("etc", "is not a regular file")] {
        home.fails(&["device", "import", file], &[says]);
    }
    home.write("binary.csv", b"name\n\xff\xfe\n");
    home.fails(&["device", "import", "binary.csv"], &["is not UTF-8: line 2"]);
    home.fails(&["device", "import", "fleet.csv", "--out", "no/folder"], &["no folder no/folder"]);
    home.fails(&["device", "import", "fleet.csv", "--days", "0"], &["0 days"]);
}

#[test]
fn an_attribute_that_a_deny_needs_is_asked_for_at_the_row() {
    let home = home();
    let settings = home.read("etc/citronella.toml") + "\n[roles.picky]\ndeny = [\"site/{attr.site}/#\"]\n";
    home.write("etc/citronella.toml", settings);
    home.write("picky.csv", "name,role\nlamp,sensor\nvase,picky\n");
    home.fails(
        &["device", "import", "picky.csv"],
        &["picky.csv:3:1: error: `vase` lacks the attribute `site`"],
    );
    home.write("picky.csv", "name,role,attr.site\nlamp,sensor,\nvase,picky,rome\n");
    home.ok(&["device", "import", "picky.csv"]);
}

#[test]
fn an_interrupted_add_is_completed() {
    let home = home();
    home.ok(&["device", "add", "thunder10", "--role", "sensor", "--attr", "site=rome", "--no-certificate"]);
    home.ok(&["device", "add", "phone", "--role", "viewer", "--auth", "password", "--no-certificate"]);
    let all = home.json(&["device", "import", "fleet.csv"]);
    assert_eq!(told(&all, "thunder10")["outcome"], "completed");
    assert_eq!(told(&all, "phone")["outcome"], "completed");
    assert_eq!(
        home.json(&["device", "show", "thunder10"])["certificates"][0]["sha256"],
        told(&all, "thunder10")["sha256"]
    );
    let password = home.read("phone/phone.password");
    assert_eq!(home.cmd(&["password", "verify", "phone"]).stdin(password).run().status, Some(0));
}

#[test]
fn export_and_import_are_each_others_inverse() {
    let home = home();
    home.ok(&["device", "import", "fleet.csv"]);
    let exported = home.ok(&["device", "export"]);
    home.write("exported.csv", &exported);
    let before = home.files();
    home.ok(&["device", "import", "exported.csv"]);
    assert!(home.files() == before, "importing what was exported changed something");

    let other = self::home();
    other.write("exported.csv", &exported);
    other.ok(&["device", "import", "exported.csv"]);
    assert_eq!(other.ok(&["device", "export"]), exported);
    for secret in ["$6$", "sha256", "PRIVATE"] {
        assert!(!exported.contains(secret), "{exported}");
    }

    home.ok(&["device", "export", "--output", "new.csv"]);
    assert_eq!(home.read("new.csv"), exported);
    home.fails(&["device", "export", "--output", "new.csv"], &["new.csv exists already", "--force"]);
    home.ok(&["device", "export", "--output", "new.csv", "--force"]);
    let json = home.json(&["device", "export"]);
    assert_eq!((&json["csv"], &json["devices"]), (&exported.into(), &6.into()));
}

#[test]
fn export_says_what_it_leaves_out() {
    let home = home();
    let own = "version = 1\n[lamp]\nrole = \"sensor\"\nattr = { empty = \"\", site = \"rome\" }\npublish = [\"own/#\"]\n[vase]\n";
    home.write("etc/devices.toml", own);
    let outcome = home.run(&["device", "export"]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert_eq!(
        outcome.stdout,
        "name,role,attr.site,auth,state,credentials\nlamp,sensor,rome,any,active,none\nvase,,,any,active,none\n"
    );
    for part in [
        "`lamp` has rules of its own, which are left out; they are at devices.toml:2",
        "the attribute `empty` of `lamp`",
    ] {
        assert!(outcome.stderr.contains(part), "{outcome:?}");
    }
}

#[test]
fn standard_input_encrypted_keys_and_sudo_work_as_for_one_device() {
    let home = home();
    // Only root can work for somebody else.
    let root = nix::unistd::geteuid().is_root();
    let (uid, gid) = if root {
        (34_567, 34_567)
    } else {
        (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    };
    fs::create_dir(home.path("mine")).unwrap();
    fs::set_permissions(home.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(home.path("mine"), Some(uid), Some(gid)).unwrap();
    let done = home
        .cmd(&["device", "import", "-", "--out", "mine", "--subject", "C=IT,O=Rossi"])
        .env("CITRONELLA_KEY_PASSPHRASE", "marker-key")
        .env("SUDO_UID", uid.to_string())
        .env("SUDO_GID", gid.to_string())
        .stdin("\u{feff}name;role\r\none;sensor\r\n\"two; 2\";sensor\r\n")
        .run();
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(!format!("{done:?}").contains("marker-key"), "{done:?}");
    for name in ["one", "two; 2"] {
        let key = home.path(&format!("mine/{name}/{name}.key"));
        let found = fs::metadata(&key).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (uid, 0o600), "{name}");
        let opened = |phrase: &str| {
            run("openssl", &["pkey", "-noout", "-in", key.to_str().unwrap(), "-passin", phrase])
        };
        accepts(opened("pass:marker-key"));
        assert!(!opened("pass:other").0);
    }
    assert_eq!(home.json(&["cert", "show", "one"])[0]["subject"], "C=IT, O=Rossi, CN=one");
}

/// So many devices in one file, a few with a password too.
fn many(count: usize) -> String {
    let row = |n| format!("d{n},sensor,,{}\n", if n % 10 == 0 { "both" } else { "certificate" });
    "name,role,attr.site,credentials\n".to_owned() + &(0..count).map(row).collect::<String>()
}

/// `make faults` asks for more.
const KILLS: &str = "CITRONELLA_TEST_KILLS";

#[test]
fn a_kill_at_any_instant_is_made_good_by_doing_it_again() {
    kills(std::env::var(KILLS).map_or(10, |count| count.parse().unwrap()), 300);
}

/// Kills imports of fleets that many times; each fleet is killed a few times and then completed.
fn kills(wanted: usize, devices: usize) {
    let ledger = |home: &Home| fs::metadata(home.path("etc/pki/ledger")).map_or(0, |found| found.len());
    let begun = |home: &Home| home.path("d0").exists();
    let (mut hits, mut amid) = (0, 0);
    while hits < wanted {
        let home = home();
        home.write("many.csv", many(devices));
        for _ in 0..5 {
            // Somewhere in its work, however slow the machine is today.
            let goal = ledger(&home) + random(u64::try_from(devices).unwrap() * 200);
            let mut child = home.cmd(&["device", "import", "many.csv"]).spawn();
            let over = wait_for(|| {
                let status = child.try_wait().unwrap();
                (status.is_some() || ledger(&home) >= goal).then_some(status.is_some())
            });
            thread::sleep(Duration::from_micros(random(60_000)));
            child.kill().unwrap();
            child.wait().unwrap();
            assert_serials_are_unique(&home);
            if over.expect("it gets on") {
                break;
            }
            hits += 1;
            amid += usize::from(begun(&home));
        }
        let all = home.json(&["device", "import", "many.csv"]);
        assert_eq!(all["devices"].as_array().unwrap().len(), devices);
        assert_complete(&home, devices);
    }
    assert!(amid > 0, "all {hits} kills came before the first folder");
    eprintln!("{hits} kills, {amid} of them with folders there already");
}

fn random(below: u64) -> u64 {
    u64::from(getrandom::u32().unwrap()) % below
}

fn assert_serials_are_unique(home: &Home) {
    let ledger = home.read("etc/pki/ledger");
    let lines = ledger.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut seen = HashSet::new();
    for line in lines.filter(|line| line["event"] == "reserved") {
        assert!(seen.insert(line["serial"].as_str().unwrap().to_owned()), "{line} twice");
    }
}

/// Every device has a folder, a certificate that the registry lists and the ledger has as valid, a key that fits, and
/// a password that is right.
fn assert_complete(home: &Home, devices: usize) {
    let listed = home.json(&["device", "list"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), devices);
    let issued = home.json(&["cert", "list"]);
    let valid: HashSet<&str> = issued
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["state"] == "valid")
        .filter_map(|entry| entry["sha256"].as_str())
        .collect();
    for device in listed {
        let name = device["name"].as_str().unwrap();
        let sha256 = device["certificates"][0]["sha256"].as_str().unwrap();
        assert!(valid.contains(sha256), "{name}");
        let pem = home.read(&format!("{name}/{name}.crt"));
        let view = citronella::pki::inspect::certificates(pem.as_bytes()).unwrap().remove(0);
        assert_eq!(view.sha256, sha256, "{name}");
        let key = home.read(&format!("{name}/{name}.key"));
        let key = citronella::pki::PrivateKey::from_pem(key.as_bytes(), None).unwrap();
        assert_eq!(key.public_sha256(), view.public_sha256, "{name}");
        let both = home.path(&format!("{name}/{name}.password")).exists();
        assert_eq!(both, !device["password"].is_null(), "{name}");
    }
    let password = home.read("d0/d0.password");
    assert_eq!(home.cmd(&["password", "verify", "d0"]).stdin(password).run().status, Some(0));
    let litter: Vec<String> = fs::read_dir(home.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".citronella-"))
        .collect();
    assert!(litter.is_empty(), "{litter:?}");
}

#[test]
fn help_names_the_columns() {
    let help = Cmd::new(["device", "import", "--help"]).ok();
    for part in ["attr.NAME", "credentials", "--dry-run", "doing it again"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
}
