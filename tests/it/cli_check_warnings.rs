//! `citronella check`: each warning appears where it should, and not for its clean neighbour.

use serde_json::Value;

use crate::cli_support::Home;

/// Of no password that anybody knows; argon2id as `password set` makes it, and weaker ones.
const STRONG: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2E$dGhpcnR5LXR3byBieXRlcyBvZiBub3RoaW5nIGF0IGFsbCE";
const SHA512: &str = "$6$c2FsdHNhbHRzYWx0$UJzwhk0wOKEH9rqVh5wfmp9uRVHTMFcrVSzV6T63dHuPYoqJkzJ+fVD07EhJlkM03bbAYU2OiByi9OmeHDSw8g==";

/// Files without a mistake: these settings after `version`, and these devices.
fn home(settings: &str, devices: &str) -> Home {
    let home = Home::empty();
    home.write("etc/citronella.toml", format!("version = 1\n{settings}"));
    home.write("etc/devices.toml", format!("version = 1\n{devices}"));
    home
}

/// Kind, file, line and column of every warning, in the order in which they are told.
fn told(home: &Home, more: &[&str]) -> Vec<String> {
    let found = home.json(&[&["check"], more].concat());
    assert_eq!(found["usable"], true, "{found}");
    let one = |one: &Value| {
        let file = one["file"].as_str().unwrap_or("-").rsplit('/').next().unwrap().to_owned();
        assert!(!one["help"].as_str().unwrap_or_default().is_empty(), "no help: {one}");
        format!("{} {file}:{}:{}", one["code"].as_str().unwrap(), one["line"], one["column"])
    };
    found["findings"].as_array().unwrap().iter().map(one).collect()
}

const LAMP: &str = "[lamp]\nrole = \"a\"\ncertificates = \"any\"\n";

#[track_caller]
fn warns(settings: &str, devices: &str, expected: &[&str]) {
    let home = home(settings, devices);
    assert_eq!(told(&home, &[]), expected, "{settings}{devices}{:?}", home.run(&["check"]));
}

/// The rules of the one role of the one device.
#[track_caller]
fn rules(rules: &str, expected: &[&str]) {
    warns(&format!("[roles.a]\n{rules}\n"), LAMP, expected);
}

#[test]
fn rules_that_give_more_than_most_mean() {
    rules("subscribe = [\"a\", \"#\"]", &["allow-everything citronella.toml:3:19"]);
    rules("publish = [\"+/#\"]", &["allow-everything citronella.toml:3:12"]);
    rules("pubsub = ['+/+/#']", &["allow-everything citronella.toml:3:11"]);
    rules("subscribe = [\"+\", \"+/+\", \"a/#\", \"+/a/#\", \"/#\"]", &[]);
    rules("deny = [\"#\"]", &[]);
    rules("subscribe = [\"$SYS/#\"]", &["allow-sys citronella.toml:3:14"]);
    rules("subscribe = [\"$SYS/+/#\"]", &["allow-sys citronella.toml:3:14"]);
    rules("subscribe = [\"$SYS/broker/#\"]", &[]);
    rules("publish = [\"$CONTROL/dynamic-security/v1\"]", &["allow-control citronella.toml:3:12"]);
    rules("deny = [\"$CONTROL/#\"]", &[]);
    rules("publish = [\"$SYS/monitor\"]", &["sys-publish citronella.toml:3:12"]);
    rules("publish = [\"$SYS/broker/connection/{device}/state\"]", &[]);
    rules("publish = [\"x/{clientid}/y\"]", &["client-id-rule citronella.toml:3:12"]);
    rules("deny = [\"x/{clientid}/y\"]", &[]);
    let mine = "[identity]\nclient_id = \"device\"\n[roles.a]\npublish = [\"x/{clientid}\"]\n";
    warns(mine, LAMP, &[]);
    warns("[anonymous]\nsubscribe = [\"#\"]\n", "", &["allow-everything citronella.toml:3:14"]);
    let own = "[lamp]\ncertificates = \"any\"\nsubscribe = [\"#\"]\n";
    warns("", own, &["allow-everything devices.toml:4:14"]);
}

#[test]
fn rules_that_a_denial_undoes_for_all_who_have_them() {
    rules("publish = [\"a/b\"]\ndeny = [\"a/+\"]", &["never-applies citronella.toml:3:12"]);
    rules("publish = [\"a/#\"]\ndeny = [\"a/#\"]", &["never-applies citronella.toml:3:12"]);
    rules(
        "publish = [\"a/{device}/x\"]\ndeny_publish = [\"a/+/#\"]",
        &["never-applies citronella.toml:3:12"],
    );
    rules("publish = [\"a\"]\ndeny = [\"a/#\"]", &["never-applies citronella.toml:3:12"]);
    rules("subscribe = [\"a/b\"]\nhide = [\"a/#\"]", &["never-applies citronella.toml:3:14"]);
    // Something is left of each of these.
    rules("publish = [\"a/b\"]\ndeny_subscribe = [\"a/+\"]", &[]);
    rules("publish = [\"a/#\"]\ndeny = [\"a/+\"]", &[]);
    rules("publish = [\"a/#\"]\ndeny = [\"a/+/#\"]", &[]);
    rules("publish = [\"a/{device}\"]\ndeny = [\"a/lamp2\"]", &[]);
    rules("pubsub = [\"a/b\"]\ndeny_publish = [\"a/#\"]", &[]);
    rules("subscribe = [\"$SYS/broker/x\"]\ndeny_publish = [\"#\"]", &[]);
    // Those who have `a` without `b` have the rule.
    let two = "[roles.a]\npublish = [\"x/y\"]\n[roles.b]\ndeny = [\"x/#\"]\n";
    let both = "[lamp]\nroles = [\"a\", \"b\"]\ncertificates = \"any\"\n";
    warns(two, both, &["never-applies citronella.toml:3:12"]);
    warns(two, &format!("{both}[other]\nrole = \"a\"\ncertificates = \"any\"\n"), &[]);
    // A device's own denial takes from it what others keep; its own allowance under a denial is a slip.
    let own = format!("{LAMP}publish = [\"x/y\", \"z\"]\n");
    warns("[roles.a]\ndeny = [\"x/#\"]\n", &own, &["never-applies devices.toml:5:12"]);
}

#[test]
fn a_denial_that_passes_over_dollar_topics() {
    let monitor = "subscribe = [\"$SYS/broker/#\"]\n";
    rules(&format!("{monitor}deny = [\"#\"]"), &["deny-misses-dollar citronella.toml:4:9"]);
    rules(&format!("{monitor}deny = [\"+/x\"]"), &[]);
    rules(&format!("{monitor}hide = [\"$SYS/broker/load/#\"]"), &[]);
}

#[test]
fn a_denial_that_meets_the_devices_own_subscription_tells_its_witness() {
    let trap = "subscribe = [\"s/#\"]\ndeny = [\"s/secret\"]";
    rules(trap, &["deny-meets-subscription citronella.toml:3:14"]);
    rules("subscribe = [\"s/#\"]\nhide = [\"s/secret\"]", &[]);
    rules("subscribe = [\"s/#\"]\ndeny_publish = [\"s/secret\"]", &[]);
    rules("subscribe = [\"s/#\"]\ndeny = [\"t/secret\"]", &[]);
    let home = home(&format!("[roles.a]\n{trap}\n"), LAMP);
    let said = home.ok(&["check"]);
    assert!(
        said.contains("`s/#` also matches `s/secret`, denied by citronella.toml:4 (deny `s/secret`)"),
        "{said}"
    );
    // Values of devices decide whether they meet.
    let filled = "[roles.a]\nsubscribe = [\"x/{attr.room}/#\"]\ndeny = [\"x/attic/safe\"]\n";
    let device = |room: &str| format!("{LAMP}attr = {{ room = \"{room}\" }}\n");
    warns(filled, &device("attic"), &["deny-meets-subscription citronella.toml:3:14"]);
    warns(filled, &device("hall"), &[]);
    // One line for a role, however many have it; a denial of one device's own is told as well.
    let many: String = (0..50).map(|n| LAMP.replace("lamp", &format!("lamp{n}"))).collect();
    warns(&format!("[roles.a]\n{trap}\n"), &many, &["deny-meets-subscription citronella.toml:3:14"]);
    let own = format!("{LAMP}deny_subscribe = [\"s/safe\"]\n");
    warns("[roles.a]\nsubscribe = [\"s/#\"]\n", &own, &["deny-meets-subscription citronella.toml:3:14"]);
}

#[test]
fn what_strict_would_refuse_is_told_when_asked_for() {
    let settings = "[roles.a]\nsubscribe = [\"s/#\", \"t/#\"]\ndeny = [\"s/secret\"]\n";
    let wide = format!("{settings}[compat]\nwide_subscribe = \"filter\"\n");
    let imported = home(&wide, LAMP);
    assert_eq!(told(&imported, &[]), [""; 0]);
    assert_eq!(told(&imported, &["--strict-subscribe"]), ["strict-refuses citronella.toml:3:14"]);
    let denied = imported.run(&["check", "--strict-subscribe", "--deny-warnings"]);
    assert!(denied.status == Some(1) && denied.stdout.contains("also matches `s/secret`"), "{denied:?}");
    let strict = home(settings, LAMP);
    assert_eq!(told(&strict, &["--strict-subscribe"]), ["deny-meets-subscription citronella.toml:3:14"]);
}

#[test]
fn placeholders_that_nobody_fills_and_roles_that_nobody_has() {
    let room = "[roles.a]\npublish = [\"x/{attr.room}\", \"y\"]\n";
    warns(room, LAMP, &["never-filled citronella.toml:3:12"]);
    let filled =
        format!("[other]\nrole = \"a\"\ncertificates = \"any\"\nattr = {{ room = \"hall\" }}\n{LAMP}");
    warns(room, &filled, &[]);
    warns(room, &filled.replace("hall", "a/b"), &["never-filled citronella.toml:3:12"]);
    let own = "[lamp]\ncertificates = \"any\"\npublish = [\"x/{attr.room}\"]\n";
    warns("", own, &["never-filled devices.toml:4:12"]);
    let roles = "[roles.a]\ninclude = [\"b\"]\n[roles.b]\n[roles.quarantine]\n[roles.\"c d\"]\n[roles.d]\n";
    warns(roles, LAMP, &["unused-role citronella.toml:6:1", "unused-role citronella.toml:7:1"]);
    warns(roles, "", &[]);
    // Who comes no more has no role.
    warns("[roles.a]\n", &format!("{LAMP}state = \"retired\"\n"), &[]);
    let retired = format!("{LAMP}state = \"retired\"\n[x]\ncertificates = \"any\"\n");
    warns("[roles.a]\n", &retired, &["unused-role citronella.toml:2:1"]);
}

#[test]
fn hashes_that_are_quickly_tried_out() {
    let device = |password: &str| format!("[phone]\npassword = {password}\n");
    let quoted = |hash: &str| device(&format!("\"{hash}\""));
    let weak = ["weak-hash devices.toml:3:1"];
    let body = SHA512.strip_prefix("$6$").unwrap();
    warns("", &quoted(SHA512), &weak);
    warns("", &quoted(&format!("$7$101${body}")), &weak);
    warns("", &quoted(&format!("$7$210000${body}")), &[]);
    warns("", &quoted(STRONG), &[]);
    warns("", &quoted(&STRONG.replace("t=2", "t=1")), &weak);
    warns("", &quoted(&STRONG.replace("m=19456,t=2", "m=47104,t=1")), &[]);
    warns("", &device(&format!("{{ hash = \"{SHA512}\", generated = true }}")), &[]);
    warns("", &format!("{}state = \"disabled\"\n", quoted(SHA512)), &[]);
    let home = home("[auth]\npassword_file = \"passwd\"\n", "[phone]\n");
    home.write("etc/passwd", format!("# people\nphone:{SHA512}\n"));
    assert_eq!(told(&home, &[]), ["weak-hash passwd:2:1"]);
    let said = home.ok(&["check"]);
    assert!(said.contains("  | phone\n  | ^^^^^\n") && !said.contains(&body[..12]), "{said}");
}

#[test]
fn names_that_own_what_software_calls_itself() {
    for name in ["mosq", "auto", "paho", "mqttjs", "esp32"] {
        let device = format!("[{name}]\ncertificates = \"any\"\n");
        warns("", &device, &["common-client-id devices.toml:2:1"]);
        warns("[identity]\nclient_id = \"any\"\n", &device, &[]);
    }
    warns("", "[esp32-kitchen]\ncertificates = \"any\"\n", &[]);
}

#[test]
fn certificates_that_end() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let day = |days: i64| {
        let at = i64::try_from(now).unwrap() + days * 86_400;
        citronella::clock::UnixSeconds(at).to_string()
    };
    let listed = |certificates: &[(char, Option<i64>)]| {
        let items: Vec<String> = certificates
            .iter()
            .map(|(digit, days)| {
                let end = days.map(|days| format!(", not_after = {}", day(days))).unwrap_or_default();
                format!("{{ sha256 = \"{}\"{end} }}", digit.to_string().repeat(64))
            })
            .collect();
        format!("[lamp]\ncertificates = [{}]\n", items.join(", "))
    };
    let expired = ["certificate-expired devices.toml:3:1"];
    let expiring = ["certificate-expiring devices.toml:3:1"];
    warns("", &listed(&[('a', Some(-1))]), &expired);
    warns("", &listed(&[('a', Some(29))]), &expiring);
    warns("", &listed(&[('a', Some(31))]), &[]);
    warns("", &listed(&[('a', Some(-1)), ('b', Some(400))]), &[]);
    warns("", &listed(&[('a', Some(-1)), ('b', None)]), &[]);
    let revoked =
        format!("{}revoked = [\"{}\"]\n", listed(&[('a', Some(-1)), ('b', Some(400))]), "b".repeat(64));
    warns("", &revoked, &expired);
    warns("", &format!("{}state = \"disabled\"\n", listed(&[('a', Some(-1))])), &[]);
}
