//! A refusal says what to ask for or to write instead.

use serde_json::Value;

use crate::cli_support::Home;

const SETTINGS: &str = r#"version = 1

[roles.sensor]
publish     = ["sensors/{device}/#"]
subscribe   = ["cmd/{device}/#", "cmd/all"]
max_payload = 10

[roles.viewer]
subscribe = ["sensors/#"]

[roles.quarantine]
publish = ["quarantine/{device}"]
"#;

const DEVICES: &str = r#"version = 1

[thunder10]
role = "sensor"

[phone]
role = "viewer"
deny = ["sensors/secret"]

[off]
role  = "sensor"
state = "disabled"

[gone]
state = "retired"

[sick]
role  = "sensor"
state = "quarantined"
"#;

fn home() -> Home {
    Home::with_files(SETTINGS, DEVICES)
}

#[test]
fn it_stands_below_the_reason_and_in_the_json() {
    let home = home();
    for (question, help) in [
        (
            &["thunder10", "subscribe", "cmd/#"][..],
            Some("it may subscribe to `cmd/all`, `cmd/thunder10/#` instead"),
        ),
        (
            &["thunder10", "publish", "sensor/thunder10/x"],
            Some("a rule such as `publish = [\"sensor/{device}/x\"]` in role sensor would allow it"),
        ),
        (
            &["phone", "receive", "alarm"],
            Some("a rule such as `subscribe = [\"alarm\"]` of device phone would allow it"),
        ),
        (
            &["thunder10", "publish", "sensors/thunder10/x", "--payload-size", "11"],
            Some("publish 10 bytes at most, or raise `max_payload` of role sensor (citronella.toml:4)"),
        ),
        (
            &["phone", "receive", "sensors/secret"],
            Some("no allow beats a deny: `sensors/secret` at devices.toml:8 would have to be narrower or go"),
        ),
        (&["thundr10", "publish", "x"], Some("did you mean `thunder10`?")),
        (&["off", "publish", "x"], Some("`citronella device enable off` admits it again")),
        (&["gone", "publish", "x"], Some("a retired device stays out; its successor needs another name")),
        (
            &["sick", "publish", "sensors/sick/x"],
            Some("the device is quarantined: it has only what `[roles.quarantine]` gives"),
        ),
        (&["~anonymous", "publish", "x"], Some("a section `[anonymous]` in the settings would admit them")),
        (&["thunder10", "subscribe", "a#"], None),
        (&["thunder10", "subscribe", "cmd/all"], None),
    ] {
        let question = [&["explain"], question].concat();
        let told = home.json(&question);
        assert_eq!(told["help"], help.map_or(Value::Null, Into::into), "{question:?}");
        let reason = told["reason"].as_str().unwrap();
        let human = match help {
            Some(help) => format!("{reason}\n  = help: {help}\n"),
            None => format!("{reason}\n"),
        };
        assert_eq!(home.run(&question).stdout, human);
    }
}

#[test]
fn the_rule_it_proposes_allows_what_was_refused() {
    let home = home();
    let question = ["explain", "thunder10", "publish", "sensor/thunder10/x"];
    let help = home.json(&question)["help"].as_str().unwrap().to_owned();
    let rule = help.split('`').nth(1).unwrap();
    home.write("etc/citronella.toml", SETTINGS.replace("publish     = [\"sensors/{device}/#\"]", rule));
    home.ok(&question);
    // With `hide`, as proposed, the filter is accepted and the topic stays back.
    let wide = ["explain", "phone", "subscribe", "sensors/#"];
    let help = home.json(&wide)["help"].as_str().unwrap().to_owned();
    assert!(
        help.starts_with("with `sensors/secret` under `deny_publish` and `hide` instead of `deny`"),
        "{help}"
    );
    home.write("etc/devices.toml", DEVICES.replace("deny =", "deny_publish = [\"sensors/secret\"]\nhide ="));
    home.ok(&wide);
    assert_eq!(home.run(&["explain", "phone", "receive", "sensors/secret"]).status, Some(1));
}
