//! `citronella explain --who`: everybody that may, by the rule that lets them.

use serde_json::json;

use crate::cli_support::Home;

const SETTINGS: &str = r#"version = 1

[roles.sensor]
publish = ["sensors/{device}/#"]
max_qos = 1

[roles.viewer]
subscribe = ["sensors/#"]

[roles.pieces]
subscribe = ["sensors", "sensors/+/#"]
"#;

const DEVICES: &str = r#"version = 1

[lamp]
role = "sensor"

[b-viewer]
role = "viewer"

[a-viewer]
role = "viewer"

[patient]
role = "pieces"

[kept-out]
role = "viewer"
deny = ["sensors/secret"]

[own]
subscribe = ["sensors/#"]

[off]
role  = "viewer"
state = "disabled"
"#;

fn home() -> Home {
    Home::with_files(SETTINGS, DEVICES)
}

#[test]
fn devices_stand_below_the_rule_that_lets_them() {
    let home = home();
    let expected = "\
sensors/# (role viewer, citronella.toml:8)
  a-viewer
  b-viewer
sensors (role pieces, citronella.toml:11) together with other rules
  patient
sensors/# (device own, devices.toml:20)
  own
4 of 7 devices may subscribe to `sensors/#`
";
    assert_eq!(home.ok(&["explain", "--who", "subscribe", "sensors/#"]), expected);
    assert_eq!(
        home.ok(&["explain", "--who", "publish", "sensors/lamp/x", "--qos", "1"]).lines().last().unwrap(),
        "1 of 7 devices may publish to `sensors/lamp/x`"
    );
    let path = |name: &str| home.path("etc").join(name).display().to_string();
    assert_eq!(
        home.json(&["explain", "--who", "receive", "sensors/secret"]),
        json!({
            "action": "receive", "topic": "sensors/secret", "allowed": 4, "refused": 3, "anonymous": null,
            "rules": [
                { "rule": { "file": path("citronella.toml"), "line": 8, "filter": "sensors/#", "owner": "role viewer" },
                  "together": false, "devices": ["a-viewer", "b-viewer"] },
                { "rule": { "file": path("citronella.toml"), "line": 11, "filter": "sensors/+/#", "owner": "role pieces" },
                  "together": false, "devices": ["patient"] },
                { "rule": { "file": path("devices.toml"), "line": 20, "filter": "sensors/#", "owner": "device own" },
                  "together": false, "devices": ["own"] },
            ],
        })
    );
}

#[test]
fn nobody_is_status_1() {
    let home = home();
    for (question, says) in [
        (&["publish", "sensors/lamp/x", "--qos", "2"][..], "no device may publish to `sensors/lamp/x`\n"),
        (&["receive", "-other"], "no device may receive `-other`\n"),
        (
            &["receive", "sensors/#"],
            "no device may receive `sensors/#`: the name of a topic cannot contain `+` or `#`\n",
        ),
        (&["subscribe", "a\u{1b}[2J"], "no device may subscribe to `a\\u{1b}[2J`\n"),
    ] {
        let outcome = home.run(&[&["explain", "--who"], question].concat());
        assert_eq!((outcome.status, &*outcome.stdout), (Some(1), says), "{outcome:?}");
    }
}

#[test]
fn clients_without_a_name_are_counted_apart() {
    let home = home();
    home.write("etc/citronella.toml", format!("{SETTINGS}\n[anonymous]\nsubscribe = [\"sensors/open\"]\n"));
    let told = home.json(&["explain", "--who", "receive", "sensors/open"]);
    assert_eq!(
        (&told["allowed"], &told["refused"], &told["anonymous"]),
        (&json!(5), &json!(2), &json!(true))
    );
    assert_eq!(told["rules"][2]["rule"]["owner"], "anonymous");
    let told = home.ok(&["explain", "--who", "receive", "sensors/open"]);
    assert!(told.contains("\n  ~anonymous\n"), "{told}");
    assert!(
        told.ends_with("5 of 7 devices may receive `sensors/open`, and clients without a name may\n"),
        "{told}"
    );
    assert_eq!(home.json(&["explain", "--who", "receive", "sensors/a"])["anonymous"], false);
}

#[test]
fn what_cannot_be_asked_is_status_2() {
    let home = home();
    home.fails(
        &["explain", "--who", "unsubscribe", "a"],
        &["cannot ask about `unsubscribe`", "--who publish TOPIC"],
    );
    home.fails(&["explain", "--who", "publish"], &["2 values"]);
    home.fails(&["explain", "--who", "publish", "a", "lamp", "publish", "a"], &["cannot be used with"]);
    home.fails(&["explain", "--who", "publish", "a", "--client-id", "x"], &["cannot be used with"]);
    home.fails(&["explain", "--who", "publish", "a", "--batch"], &["cannot be used with"]);
}

#[test]
fn a_hundred_thousand_devices_are_asked_at_once() {
    let home = home();
    let names = (0..100_000).map(|number| format!("[dev-{number:06}]\nrole = \"viewer\"\n"));
    home.write("etc/devices.toml", format!("version = 1\n{}", names.collect::<String>()));
    let told = home.json(&["explain", "--who", "subscribe", "sensors/+/x"]);
    assert_eq!((&told["allowed"], &told["refused"]), (&json!(100_000), &json!(0)));
    assert_eq!(told["rules"].as_array().unwrap().len(), 1);
    assert_eq!(told["rules"][0]["devices"][99_999], "dev-099999");
}
