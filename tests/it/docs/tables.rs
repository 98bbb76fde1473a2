//! The two tables of decisions in the README, each row asked of a real broker.

use std::collections::BTreeMap;

use super::readme;
use crate::support::{Broker, Client, DoorKind, Fleet, Login, Publish};

const NOT_AUTHORIZED: u8 = 0x87;

/// The rows of the table below this heading, each as one line.
fn rows(heading: &str, count: usize) -> Vec<String> {
    let text = readme();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<String> =
        section.lines().filter(|line| line.starts_with('|')).skip(2).map(str::to_owned).collect();
    assert_eq!(rows.len(), count, "{rows:#?}");
    rows
}

const SETTINGS: &str = r#"version = 1

[auth]
hash_budget = 1000
password_file = "passwd"

[roles.mine]
publish   = ["{device}/#"]
subscribe = ["{device}/#"]

[roles.quarantine]
publish = ["quarantine/{device}"]
"#;

const DEVICES: &str = r#"version = 1

[plain]
role = "mine"
certificates = "any"

[word]
role = "mine"
certificates = "any"
auth = "password"

[both]
role = "mine"
certificates = "any"
auth = "both"

[card]
role = "mine"
certificates = "any"
auth = "certificate"

[listed]
role = "mine"
certificates = [{ sha256 = "5f0c9a0b6f0d1e2c3b4a59687786a5b4c3d2e1f00112233445566778899aabbc" }]

[revoked]
role = "mine"
certificates = "any"
revoked = ["REVOKED"]

[off]
role = "mine"
certificates = "any"
state = "disabled"

[gone]
role = "mine"
certificates = "any"
state = "retired"

[sick]
role = "mine"
certificates = "any"
state = "quarantined"
"#;

const PASSWORD: &str = "right horse";

/// A way in: the certificate's name (`""` for none), the user name, the password.
type Way<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

broker_test!(who_may_connect_is_as_the_readme_says, |kind| {
    let fleet = Fleet::new(SETTINGS, "version = 1\n");
    let authority = fleet.authority();
    let revoked = authority.device("revoked");
    fleet.write("devices.toml", &DEVICES.replace("REVOKED", &revoked.fingerprint()));
    for name in ["plain", "word", "both", "card", "listed", "revoked", "off", "gone", "sick"] {
        fleet.password(kind, name, PASSWORD);
    }
    let start = || {
        Broker::conf(kind)
            .line("allow_anonymous false")
            .guarded_by(&fleet.config())
            .tls("tls", authority, "require_certificate true")
            .listener("in", DoorKind::Tcp, "")
            .start()
    };
    let mut broker = start();
    let credentials: BTreeMap<&str, _> =
        ["plain", "word", "both", "card", "listed", "off", "gone", "sick", "stranger"]
            .map(|name| (name, authority.device(name)))
            .into_iter()
            .chain([
                ("revoked", revoked),
                ("two names", authority.client("two", "/CN=plain/CN=card", &[])),
                ("no name", authority.client("none", "/O=nobody", &[])),
                ("expired", authority.expired("plain")),
            ])
            .collect();
    let enter = |broker: &Broker, (certificate, user, password): Way<'_>| {
        let door = match credentials.get(certificate) {
            Some(credential) => broker.door("tls").showing(credential),
            None => broker.door("in").clone(),
        };
        let mut login = Login::new("");
        login.username = user.map(str::to_owned);
        login.password = password.map(|password| password.as_bytes().to_vec());
        Client::open(&door, &login)
    };
    let right = Some(PASSWORD);
    let wrong = Some("wrong");

    for row in rows("Who may connect", 9) {
        let (admitted, refused): (&[Way<'_>], &[Way<'_>]) = match row.as_str() {
            "| names D, and is one of D's | none, or user name D | D, unless D's `auth` asks for a password |" => {
                (
                    &[("plain", None, None), ("plain", Some("plain"), None), ("card", None, None)],
                    &[("word", None, None), ("both", Some("both"), None)],
                )
            }
            "| names D, and is one of D's | a password, with user name D or none | both must be right |" => (
                &[
                    ("plain", Some("plain"), right),
                    ("plain", None, right),
                    ("both", Some("both"), right),
                    ("word", None, right),
                ],
                &[("plain", Some("plain"), wrong), ("plain", None, wrong), ("both", None, wrong)],
            ),
            "| names D | another user name | refused |" => (
                &[],
                &[
                    ("plain", Some("card"), None),
                    ("plain", Some("card"), right),
                    ("plain", Some("stranger"), None),
                ],
            ),
            "| names D but is not one of D's, revoked or expired; names nobody known; is malformed | anything | refused, even with a right password |" => {
                (
                    &[],
                    &[
                        ("listed", None, None),
                        ("listed", Some("listed"), right),
                        ("revoked", None, None),
                        ("revoked", Some("revoked"), right),
                        ("expired", None, None),
                        ("expired", Some("plain"), right),
                        ("stranger", None, None),
                        ("stranger", Some("plain"), right),
                        ("two names", None, None),
                        ("two names", Some("plain"), right),
                        ("no name", None, None),
                        ("no name", Some("plain"), right),
                    ],
                )
            }
            "| none | user name D, the right password | D, unless D's `auth` asks for a certificate |" => (
                &[("", Some("plain"), right), ("", Some("word"), right), ("", Some("listed"), right)],
                &[("", Some("card"), right), ("", Some("both"), right)],
            ),
            "| none | user name D, no password or a wrong one | refused |" => {
                (&[], &[("", Some("plain"), None), ("", Some("plain"), wrong), ("", Some("plain"), Some(""))])
            }
            "| none | none | what `[anonymous]` gives, if it is there; else refused |" => {
                assert!(enter(&broker, ("", None, None)).is_err());
                fleet.write("citronella.toml", &format!("{SETTINGS}\n[anonymous]\npublish = [\"guests\"]\n"));
                broker.reload();
                let mut guest = enter(&broker, ("", None, None)).expect(&row);
                assert!(guest.publish(&Publish::to("guests")) < 0x80);
                assert_eq!(guest.publish(&Publish::to("plain/x")), NOT_AUTHORIZED);
                fleet.write("citronella.toml", SETTINGS);
                drop(broker);
                broker = start();
                (&[], &[])
            }
            "| any | D is disabled or retired, or nobody knows D | refused, after the time a wrong password takes |" => {
                (
                    &[],
                    &[
                        ("off", None, None),
                        ("off", Some("off"), right),
                        ("", Some("off"), right),
                        ("gone", None, None),
                        ("", Some("gone"), right),
                        ("", Some("nobody"), right),
                        ("", Some("~anonymous"), right),
                    ],
                )
            }
            "| any | D is quarantined | connects, and has only what `[roles.quarantine]` gives |" => {
                for way in [("sick", None, None), ("", Some("sick"), right)] {
                    let mut sick = enter(&broker, way).expect(&row);
                    assert!(sick.publish(&Publish::to("quarantine/sick")) < 0x80, "{row}");
                    assert_eq!(sick.publish(&Publish::to("sick/x")), NOT_AUTHORIZED, "{row}");
                }
                (&[], &[])
            }
            other => panic!("no test asks about {other}"),
        };
        for way in admitted {
            let client = enter(&broker, *way);
            let mut client = client.unwrap_or_else(|why| panic!("{row}\n{way:?} is refused: {why:?}"));
            // Who it is shows in what it may.
            let name = if way.0.is_empty() { way.1.unwrap() } else { way.0 };
            assert!(client.publish(&Publish::to(&format!("{name}/x"))) < 0x80, "{row}\n{way:?}");
            assert_eq!(client.publish(&Publish::to("other/x")), NOT_AUTHORIZED, "{row}\n{way:?}");
        }
        for way in refused {
            assert!(enter(&broker, *way).is_err(), "{row}\n{way:?} is admitted");
        }
    }
});

const RULES: &str = r#"version = 1

[giver]
certificates = "any"
publish     = ["a/#", "c"]
max_qos     = 1
retain      = false
max_payload = 5
deny_publish = ["a/never"]

[taker]
certificates = "any"
subscribe      = ["a/#", "b/+"]
deny_subscribe = ["b/never"]
hide           = ["a/hidden"]
"#;

broker_test!(what_a_device_may_do_is_as_the_readme_says, |kind| {
    let fleet = Fleet::new("version = 1\n", RULES);
    let broker = Broker::conf(kind)
        .line("allow_anonymous false")
        .guarded_by(&fleet.config())
        .tls("tls", fleet.authority(), "require_certificate true")
        .start();
    let enter = |name: &str| {
        let door = broker.door("tls").showing(&fleet.authority().device(name));
        Client::welcome(&door, &Login::new(name))
    };
    let (mut giver, mut taker) = (enter("giver"), enter("taker"));
    for row in rows("What a device may do", 4) {
        match row.split('|').nth(1).unwrap().trim() {
            "publish T" => {
                assert!(row.contains("some rule allows T, its limits hold (`max_qos`, `retain = false`, `max_payload`), and none denies it"), "{row}");
                let allowed = [Publish::to("a/x"), Publish::to("c"), Publish::to("a/x").payload("12345")];
                let denied = [
                    Publish::to("b"),
                    Publish::to("a/never"),
                    Publish::to("a/x").payload("123456"),
                    Publish::to("a/x").qos(2),
                    Publish::to("a/x").retained(),
                ];
                for publish in allowed {
                    assert!(giver.publish(&publish) < 0x80, "{row}\n{publish:?}");
                }
                for publish in denied {
                    assert_eq!(giver.publish(&publish), NOT_AUTHORIZED, "{row}\n{publish:?}");
                }
            }
            "subscribe F" => {
                assert!(
                    row.contains("**every** topic that F can match is allowed, and **none** is denied"),
                    "{row}"
                );
                for (filter, allowed) in [
                    ("a/#", true),
                    ("a/+/x", true),
                    ("b/x", true),
                    ("#", false),
                    ("+/x", false),
                    ("b/+", false),
                    ("b/#", false),
                    ("b/never", false),
                ] {
                    assert_eq!(taker.subscribe(filter) < 0x80, allowed, "{row}\n{filter}");
                }
            }
            "delivery of T" => {
                assert!(row.contains("T may be subscribed to, and is neither denied nor hidden"), "{row}");
                for topic in ["a/hidden", "a/seen"] {
                    assert!(giver.publish(&Publish::to(topic)) < 0x80, "{row}");
                }
                assert_eq!(taker.receive().topic, "a/seen", "{row}");
            }
            "unsubscribe" => {
                assert!(row.ends_with("| always |"), "{row}");
                assert!(taker.unsubscribe("never/subscribed/#") < 0x80, "{row}");
            }
            other => panic!("no test asks about {other}"),
        }
    }
});
