//! `citronella status`: what it says of a plugin that runs, of one that does not, and of files that differ.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use citronella::status::{Attempt, Claim, InForce, Kicks, Status, VERSION, now_ms};

use crate::{cli_support::Home, support::Outcome};

const SETTINGS: &str = "version = 1\n[state]\ndirectory = '../state'\n[everyone]\npublish = ['a']\n";

const DEVICES: &str = "version = 1
[thunder10]
certificates = [{ sha256 = '5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c', not_after = 2999-01-01T00:00:00Z }]
[lost]
state = 'disabled'
certificates = [{ sha256 = '6f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c', not_after = 2001-01-01T00:00:00Z }]
[phone]
password = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2E$dGhpcnR5LXR3byBieXRlcyBvZiBub3RoaW5nIGF0IGFsbCE'
";

const METRICS: &str = "\
# HELP citronella_log_ins_total New clients.
# TYPE citronella_log_ins_total counter
citronella_log_ins_total{credential=\"password\",result=\"admitted\"} 1200
citronella_log_ins_total{credential=\"certificate\",result=\"admitted\"} 34
citronella_log_ins_total{credential=\"password\",result=\"refused\"} 2
# HELP citronella_hash_seconds Hashes.
# TYPE citronella_hash_seconds histogram
citronella_hash_seconds_sum 2.500000
citronella_hash_seconds_count 100
";

fn home() -> Home {
    let home = Home::with_files(SETTINGS, DEVICES);
    fs::create_dir(home.path("state")).unwrap();
    home
}

/// A plugin that runs with these files, as far as anybody can see.
fn plugin(home: &Home, revision: &str, attempt: Attempt) -> Claim {
    let claim = Claim::new(&home.path("state")).unwrap();
    let status = Status {
        version: VERSION,
        plugin: env!("CARGO_PKG_VERSION").to_owned(),
        broker: "2.1".to_owned(),
        pid: 712,
        config: home.config(),
        started_ms: now_ms() - 3 * 86_400_000,
        in_force: InForce { revision: revision.to_owned(), since_ms: now_ms() - 7_300_000, devices: 3 },
        attempt,
        sighups: 0,
        kicks: Kicks::default(),
    };
    claim.write(&status).unwrap();
    fs::write(home.path("state/metrics.prom"), METRICS).unwrap();
    claim
}

fn loaded() -> Attempt {
    Attempt::Loaded { at_ms: now_ms() }
}

fn revision(home: &Home) -> String {
    home.json(&["status"])["files"]["revision"].as_str().unwrap().to_owned()
}

#[track_caller]
fn says(outcome: &Outcome, status: i32, parts: &[&str]) {
    assert_eq!(outcome.status, Some(status), "{outcome:?}");
    for part in parts {
        assert!(outcome.stdout.contains(part), "`{part}` is not in\n{}", outcome.stdout);
    }
    for line in outcome.stdout.lines() {
        assert!(line.chars().count() <= 80 || !line.trim().contains(' '), "{line}");
    }
}

#[test]
fn all_is_fine_when_the_files_are_in_force_and_nothing_ends() {
    let home = home();
    let _plugin = plugin(&home, &revision(&home), loaded());
    let parts = [
        "Plugin        running for 3 days in Mosquitto 2.1, version",
        ", for 2 hours\n",
        "Devices       3: 2 active, 1 disabled\n",
        "Credentials   1 with certificate, 1 with password\n",
        "Next to end   thunder10  2999-01-01  in 3",
        "Log-ins       1,234 admitted, 2 refused\n",
        "Passwords     100 hashed, 25.0 ms each, 0 remembered\n",
        "\nfine: nothing needs doing\n",
    ];
    says(&home.run(&["status"]), 0, &parts);
    let json = home.json(&["status"]);
    assert_eq!(json["fine"], true);
    assert_eq!(json["plugin"]["running"], true);
    assert_eq!(json["plugin"]["status"]["broker"], "2.1");
    assert_eq!(json["counters"]["log_ins_admitted"], 1_234);
    assert_eq!(json["files"]["certificates"][0]["name"], "thunder10");
}

#[test]
fn the_numbers_say_from_when_they_are() {
    let home = home();
    let _plugin = plugin(&home, &revision(&home), loaded());
    let file = fs::File::options().write(true).open(home.path("state/metrics.prom")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    let shown = home.ok(&["status"]);
    let words: Vec<&str> = shown.split_whitespace().collect();
    let words = words.join(" ");
    assert!(words.contains("Numbers as of 22:13:20 UTC, "), "{shown}");
    assert!(words.contains(" days ago; what has happened since is shown within 30 seconds"), "{shown}");
    assert_eq!(home.json(&["status"])["counters"]["as_of_ms"], 1_700_000_000_000_u64);
}

#[test]
fn what_is_not_as_it_should_be_is_told_with_what_to_do() {
    let home = home();
    says(
        &home.run(&["status"]),
        1,
        &["not running", "! no plugin runs with these files", "→ `systemctl status", "\n1 problem\n"],
    );

    let changed = plugin(&home, "0123456789ab", loaded());
    says(
        &home.run(&["status"]),
        1,
        &["! the files are not what is in force", "→ `systemctl reload mosquitto`"],
    );
    drop(changed);

    let mistake = "devices.toml:3:1: error: unknown key `rle`".to_owned();
    let refused = plugin(&home, &revision(&home), Attempt::refused(now_ms(), 2, &[mistake]));
    let parts = ["; a change failed ", "! a change was not loaded because of 2 error(s)", "unknown key"];
    says(&home.run(&["status"]), 1, &parts);
    drop(refused);

    let reason = "it removes more than half of the devices".to_owned();
    let held = Attempt::Waiting { at_ms: now_ms(), revision: "0".to_owned(), reason };
    let _waiting = plugin(&home, &revision(&home), held);
    says(&home.run(&["status"]), 1, &["! a change waits: it removes more than half of the devices"]);

    home.write("etc/devices.toml", "version = 1\n[a]\nrle = 'x'\n");
    let parts = [
        "running for 3 days",
        ", not usable\n",
        "! the files cannot be used, 1 error(s):",
        "unknown key `rle`",
    ];
    says(&home.run(&["status"]), 1, &parts);
    // Where the plugin writes is known all the same.
    home.write("etc/citronella.toml", SETTINGS.to_owned() + "[roles.x]\npublsh = []\n");
    says(&home.run(&["status"]), 1, &["running for 3 days", "the files cannot be used", "`publsh`"]);
}

/// Whoever is neither root nor in the broker's group.
#[test]
fn who_may_read_nothing_is_told_so() {
    let home = home();
    fs::set_permissions(home.path("etc"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(home.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    // The command itself may stand where a stranger cannot reach it.
    let outcome = home.shell("exec 9< $(command -v $citronella) && setpriv --reuid 65534 --clear-groups /proc/self/fd/9 status").run();
    assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
    assert!(
        outcome.stderr.contains("nothing can be read") && outcome.stderr.contains("run it with sudo"),
        "{outcome:?}"
    );
}

#[test]
fn certificates_that_end_soon_are_problems() {
    let home = Home::new();
    home.ok(&["device", "add", "thunder10", "--role", "sensor", "--days", "40"]);
    let problems = |expiring: &str| -> Vec<String> {
        let json = home.json(&["status", "--expiring", expiring]);
        let problems = json["problems"].as_array().unwrap().iter();
        problems.map(|problem| problem["message"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(problems("30d"), ["no plugin runs with these files"]);
    let soon = problems("41d");
    assert!(soon.iter().any(|it| it.starts_with("the certificate of `thunder10` expires in ")), "{soon:?}");
    let all = problems("9999");
    assert!(all.iter().any(|it| it.starts_with("the broker's own certificate expires in ")), "{all:?}");
    assert!(all.iter().any(|it| it.starts_with("the authority's certificate expires in ")), "{all:?}");
    home.fails(&["status", "--expiring", "soon"], &["it is a number of days, such as `30d`"]);
}

#[test]
fn what_the_brokers_user_may_put_there_is_named_and_not_followed() {
    let home = home();
    let _plugin = plugin(&home, &revision(&home), loaded());
    let (metrics, secret) = (home.path("state/metrics.prom"), home.path("secret"));
    fs::write(&secret, "marker-secret\n").unwrap();
    for put in [
        |metrics: &PathBuf, secret: &PathBuf| std::os::unix::fs::symlink(secret, metrics).unwrap(),
        |metrics: &PathBuf, _: &PathBuf| fs::create_dir(metrics).unwrap(),
        |metrics: &PathBuf, _: &PathBuf| fs::write(metrics, "\u{1b}[2J marker-secret").unwrap(),
    ] {
        let _ = fs::remove_file(&metrics).or_else(|_| fs::remove_dir(&metrics));
        put(&metrics, &secret);
        let outcome = home.run(&["status"]);
        says(&outcome, 0, &["Not read      ", "metrics.prom"]);
        assert!(!format!("{outcome:?}").contains("marker-secret") && !outcome.stdout.contains('\u{1b}'));
    }
    let before = home.files();
    home.run(&["status"]);
    assert_eq!(home.files(), before, "it writes nothing");
}
