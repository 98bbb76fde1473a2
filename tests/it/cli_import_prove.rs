//! `citronella import --prove`: what was imported, and the broker that reads the source, asked the same.

use crate::{
    cli_support::Home,
    support::{Kind, Outcome},
};

/// Users with lists of their own, none, and names that no device can have; patterns of every shape.
const ACL: &str = "\
# for clients without a name
topic read public/#
topic deny public/secret
topic write in/+/x

user alice
topic readwrite home/#
topic deny home/secret/#
topic read $SYS/#
topic write $own/x
topic read a//b
user bob/x
topic read sensors/+/temp
topic write sensors/a/#
user carol
topic +/c
topic deny cmd/#
user a+b
topic read home/#
user Alice
topic read {home}/#
user eve\u{a0}
topic write root/#
user eve
topic read x\u{a0}

pattern write devices/%u/+
pattern read cmd/%u/#
pattern deny home/safe
pattern deny cmd/%u/no
pattern deny cmd/+/never/#
pattern read x/dev-%u
pattern read id/%c/#
pattern write id/%c/%u
pattern readwrite %u/own
pattern read two/%u-%c
pattern read open/#
pattern deny open/%u/shut
";

const DYNSEC: &str = r##"{
  "defaultACLAccess": { "publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true },
  "anonymousGroup": "guests",
  "roles": [
    { "rolename": "sensor", "acls": [
      { "acltype": "publishClientSend", "topic": "sensors/#", "priority": 0, "allow": true },
      { "acltype": "publishClientSend", "topic": "sensors/secret/#", "priority": 5, "allow": false },
      { "acltype": "publishClientSend", "topic": "sensors/secret/open", "priority": 9, "allow": true },
      { "acltype": "publishClientSend", "topic": "elsewhere/#", "priority": 0, "allow": false },
      { "acltype": "subscribePattern", "topic": "cmd/#", "priority": 0, "allow": true },
      { "acltype": "subscribeLiteral", "topic": "cmd/#", "priority": 0, "allow": false },
      { "acltype": "unsubscribePattern", "topic": "cmd/#", "priority": 0, "allow": false }
    ] },
    { "rolename": "viewer", "acls": [
      { "acltype": "subscribePattern", "topic": "sensors/private/#", "priority": 2, "allow": false },
      { "acltype": "subscribePattern", "topic": "sensors/#", "priority": 1, "allow": true },
      { "acltype": "subscribeLiteral", "topic": "news/+", "priority": 1, "allow": true },
      { "acltype": "publishClientReceive", "topic": "sensors/+/hidden", "priority": 1, "allow": false },
      { "acltype": "publishClientReceive", "topic": "sensors/x/#", "priority": 2, "allow": true }
    ] },
    { "rolename": "blocked", "acls": [
      { "acltype": "publishClientSend", "topic": "sensors/a/#", "allow": false },
      { "acltype": "subscribePattern", "topic": "#", "allow": false }
    ] },
    { "rolename": "admin", "acls": [
      { "acltype": "subscribePattern", "topic": "#", "allow": true },
      { "acltype": "subscribePattern", "topic": "$own/#", "allow": true },
      { "acltype": "publishClientSend", "topic": "$own/#", "allow": true },
      { "acltype": "publishClientSend", "topic": "+/b", "allow": true }
    ] },
    { "rolename": "a/b", "acls": [ { "acltype": "publishClientSend", "topic": "slash", "allow": true } ] }
  ],
  "groups": [
    { "groupname": "guests", "roles": [ { "rolename": "viewer" } ], "clients": [] },
    { "groupname": "low", "roles": [ { "rolename": "blocked", "priority": 1 } ], "clients": [ { "username": "first", "priority": 1 } ] },
    { "groupname": "high", "roles": [ { "rolename": "blocked" } ], "clients": [ { "username": "second" } ] }
  ],
  "clients": [
    { "username": "first", "roles": [ { "rolename": "sensor", "priority": 3 }, { "rolename": "viewer" } ], PASSWORD },
    { "username": "second", "roles": [ { "rolename": "admin", "priority": -5 } ], PASSWORD },
    { "username": "third/x", "textname": "third", "roles": [ { "rolename": "blocked", "priority": 9 }, { "rolename": "sensor" }, { "rolename": "a/b" } ], PASSWORD },
    { "username": "off", "disabled": true, "roles": [ { "rolename": "admin" } ], PASSWORD },
    { "username": "bound", "clientid": "only-this", "roles": [ { "rolename": "viewer" } ], PASSWORD },
    { "username": "without", "roles": [ { "rolename": "admin" } ] }
  ]
}"##;

/// One hash as the two releases write it.
const OLD: &str = r#""password": "2w9d3WZsPOeABWErn7VEPazbdAK6ONkbal8s8F2BKAQz5wRgTD4BLRV56adoprq4IU1aeb6JP7zBoCtPueborQ==", "salt": "AAAAAAAAAAAAAAAA", "iterations": 1"#;
const NEW: &str = r#""encoded_password": "$7$1$AAAAAAAAAAAAAAAA$2w9d3WZsPOeABWErn7VEPazbdAK6ONkbal8s8F2BKAQz5wRgTD4BLRV56adoprq4IU1aeb6JP7zBoCtPueborQ==""#;

fn series(kind: Kind) -> &'static str {
    if kind.at_least(2, 1, 0) { "2.1" } else { "2.0" }
}

/// Imports what is there and proves it.
fn prove(home: &Home, kind: Kind, source: &str, more: &[&str]) -> Outcome {
    let (broker, plugin) =
        (kind.program("mosquitto"), kind.own_plugin("mosquitto_dynamic_security.so").unwrap());
    let mut arguments =
        vec!["import", "--output", "out", "--force", "--prove", "--broker", broker.to_str().unwrap(), source];
    if source == "--dynsec" {
        arguments.extend(["dynsec.json", "--dynsec-plugin", plugin.to_str().unwrap()]);
    } else {
        arguments.push("acl");
    }
    arguments.extend(more);
    home.run(&arguments)
}

/// The numbers of announced and of other differences, and whether enough was asked.
#[track_caller]
fn differences(outcome: &Outcome, least: u32) -> (u32, u32) {
    let line = outcome.stdout.lines().find(|line| line.contains(" questions: "));
    let line = line.unwrap_or_else(|| panic!("nothing was proved: {outcome:?}"));
    let mut numbers = line.split(' ').filter_map(|word| word.parse::<u32>().ok());
    let mut next = || numbers.next().unwrap();
    let (questions, announced, others) = (next(), next(), next());
    assert!(questions >= least, "{line}");
    assert_eq!(outcome.status, Some(i32::from(others > 0)), "{outcome:?}");
    (announced, others)
}

broker_test!(an_acl_file_comes_out_as_its_broker_reads_it, |kind| {
    let home = Home::empty();
    home.write("acl", ACL);
    for anonymous in [&[][..], &["--anonymous"]] {
        let exact = prove(&home, kind, "--acl-file", &[anonymous, &["--mosquitto", series(kind)]].concat());
        let (_, others) = differences(&exact, 1000);
        assert_eq!(others, 0, "{}", exact.stdout);
        let both = prove(&home, kind, "--acl-file", anonymous);
        let (announced, others) = differences(&both, 1000);
        assert!(announced > 0 && others == 0, "{}", both.stdout);
    }
});

broker_test!(a_dynamic_security_file_comes_out_as_its_plugin_reads_it, |kind| {
    let home = Home::empty();
    for password in [OLD, NEW] {
        let new = password == NEW;
        if new && !kind.at_least(2, 1, 0) {
            continue;
        }
        home.write("dynsec.json", DYNSEC.replace("PASSWORD", password));
        for more in [&[][..], &["--anonymous", "--unbound", "--mosquitto", series(kind)]] {
            let outcome = prove(&home, kind, "--dynsec", more);
            let (announced, others) = differences(&outcome, 500);
            assert!(announced > 0 && others == 0, "{}", outcome.stdout);
            assert!(
                outcome.stdout.contains("not asked, for they cannot connect to the source: off, without\n")
            );
        }
    }
});

broker_test!(defaults_of_dynamic_security_come_out_as_its_plugin_reads_them, |kind| {
    let home = Home::empty();
    for bits in 0..8 {
        let bit = |at: u32| (bits >> at & 1 == 1).to_string();
        let text = DYNSEC.replace("PASSWORD", OLD).replace(
            r#""publishClientSend": false, "publishClientReceive": true, "subscribe": false"#,
            &format!(
                r#""publishClientSend": {}, "publishClientReceive": {}, "subscribe": {}"#,
                bit(0),
                bit(1),
                bit(2)
            ),
        );
        home.write("dynsec.json", text);
        let outcome = prove(&home, kind, "--dynsec", &["--anonymous", "--unbound", "--questions", "4000"]);
        assert_eq!(differences(&outcome, 200).1, 0, "{bits}: {}", outcome.stdout);
    }
});

broker_test!(what_came_out_wrong_is_listed_with_its_rule, |kind| {
    let home = Home::empty();
    home.write("acl", "user bob\ntopic read a\npattern read dev-%u/x\n");
    // Read as the other release reads it, which nobody announces.
    let other = if series(kind) == "2.0" { "2.1" } else { "2.0" };
    let outcome = prove(&home, kind, "--acl-file", &["--mosquitto", other]);
    assert_eq!(differences(&outcome, 10), (0, 2), "{}", outcome.stdout);
    let (gained, lost) = if other == "2.1" { ("dev-%u/x", "dev-bob/x") } else { ("dev-bob/x", "dev-%u/x") };
    for says in [
        format!(
            "bob: receive `{lost}`: source allows, here refuses: NOT ANNOUNCED: refused: no rule allows delivery of `{lost}`"
        ),
        format!("bob: receive `{gained}`: source refuses, here allows: NOT ANNOUNCED: allowed: "),
    ] {
        assert!(outcome.stdout.contains(&says), "{says} is not in {}", outcome.stdout);
    }
});

broker_test!(the_example_of_a_migration_holds_its_proof, |kind| {
    let home = Home::empty();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf-examples/migration");
    for (name, copy) in [("acl", "acl"), ("passwd", "passwd"), ("dynamic-security.json", "dynsec.json")] {
        home.write(copy, std::fs::read(folder.join(name)).unwrap());
    }
    let outcome = prove(&home, kind, "--acl-file", &["--password-file", "passwd"]);
    assert_eq!(differences(&outcome, 200).1, 0, "{}", outcome.stdout);
    if kind.at_least(2, 1, 0) {
        let outcome = prove(&home, kind, "--dynsec", &["--unbound"]);
        assert_eq!(differences(&outcome, 50), (0, 0), "{}", outcome.stdout);
    }
});

broker_test!(a_role_that_refuses_wildcards_does_so_for_those_after_it, |kind| {
    if kind.at_least(2, 1, 0) {
        let home = Home::empty();
        let text = |subscribe| {
            format!(
                r#"{{"defaultACLAccess":{{"publishClientReceive":true,"subscribe":{subscribe}}},
                "roles":[{{"rolename":"none","allowwildcardsubs":false}},
                {{"rolename":"some","acls":[{{"acltype":"subscribeLiteral","topic":"a/+","allow":true}},{{"acltype":"subscribePattern","topic":"b/#","allow":true}},{{"acltype":"subscribePattern","topic":"c/d","allow":true}}]}}],
                "clients":[{{"username":"bob","roles":[{{"rolename":"none","priority":2}},{{"rolename":"some","priority":1}}],{OLD}}}]}}"#
            )
        };
        for subscribe in [false, true] {
            home.write("dynsec.json", text(subscribe));
            let outcome = prove(&home, kind, "--dynsec", &[]);
            let (announced, others) = differences(&outcome, 10);
            assert!(announced > 0 && others == 0, "{}", outcome.stdout);
            assert!(outcome.stdout.contains("[wildcard-subscriptions]"), "{}", outcome.stdout);
        }
    }
});
