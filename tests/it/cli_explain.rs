//! `citronella explain`: the broker's decision, asked from a shell.

use serde_json::{Value, json};

use crate::cli_support::Home;

const SETTINGS: &str = r#"version = 1

[registry]
file = "devices.toml"

[roles.sensor]
publish   = ["sensors/{device}/#"]
subscribe = ["cmd/{device}/#", "by-id/{clientid}"]

[roles.viewer]
subscribe = ["sensors/#"]
hide      = ["sensors/+/private"]

[roles.small]
publish     = ["small/#"]
max_qos     = 1
retain      = false
max_payload = 10

[anonymous]
publish = ["hello"]
"#;

const DEVICES: &str = r#"version = 1

[lamp]
roles = ["sensor", "small"]

[phone]
role = "viewer"
deny = ["sensors/secret"]

[off]
role  = "sensor"
state = "disabled"
"#;

fn home() -> Home {
    Home::with_files(SETTINGS, DEVICES)
}

#[test]
fn the_exit_status_is_the_answer() {
    let home = home();
    for (arguments, status) in [
        (&["lamp", "publish", "sensors/lamp/kwh"][..], 0),
        (&["lamp", "publish", "sensors/other/kwh"], 1),
        (&["lamp", "subscribe", "cmd/lamp/#"], 0),
        (&["lamp", "subscribe", "cmd/+/#"], 1),
        (&["lamp", "receive", "cmd/lamp/on"], 0),
        (&["lamp", "receive", "cmd/other/on"], 1),
        (&["lamp", "unsubscribe", "anything/#"], 0),
        (&["lamp", "unsubscribe", "any#thing"], 1),
        (&["phone", "receive", "sensors/a/private"], 1),
        (&["off", "publish", "sensors/off/x"], 1),
        (&["nobody", "publish", "x"], 1),
        (&["~anonymous", "publish", "hello"], 0),
        (&["~anonymous", "publish", "other"], 1),
        // The client id is the device's name unless another is given.
        (&["lamp", "subscribe", "by-id/lamp"], 0),
        (&["--client-id", "x1", "lamp", "subscribe", "by-id/lamp"], 1),
        (&["lamp", "subscribe", "by-id/x1", "--client-id", "x1"], 0),
        (&["lamp", "publish", "small/a", "--qos", "1", "--payload-size", "10"], 0),
        (&["lamp", "publish", "small/a", "--qos", "2"], 1),
        (&["lamp", "publish", "small/a", "--payload-size", "11"], 1),
        (&["lamp", "publish", "small/a", "--retain"], 1),
        (&["lamp", "publish", "sensors/lamp/a", "--retain", "--qos", "2", "--payload-size", "100000"], 0),
    ] {
        let outcome = home.run(&[&["explain"], arguments].concat());
        assert_eq!(outcome.status, Some(status), "{arguments:?}: {outcome:?}");
        let word = if status == 0 { "allowed" } else { "refused: " };
        assert!(outcome.stdout.starts_with(word), "{arguments:?}: {outcome:?}");
        // One line, and one with what to do about a refusal.
        let help =
            outcome.stdout.lines().nth(1).is_none_or(|line| status == 1 && line.starts_with("  = help: "));
        assert!(help && outcome.stdout.lines().count() <= 2, "{outcome:?}");
        // Some devices of these files have neither certificate nor password.
        let said: Vec<&str> = outcome.stderr.lines().collect();
        assert!(matches!(said[..], [] | [_]), "{outcome:?}");
        assert!(said.iter().all(|line| line.contains("` cannot connect: ")), "{outcome:?}");
    }
}

#[test]
fn what_cannot_be_asked_is_status_2() {
    let home = home();
    for arguments in [
        &["lamp"][..],
        &["lamp", "publish"],
        &["lamp", "fly", "x"],
        &["lamp", "publish", "x", "--qos", "3"],
        &["lamp", "publish", "x", "--payload-size", "-1"],
        &["lamp", "publish", "x", "y"],
    ] {
        let outcome = home.run(&[&["explain"], arguments].concat());
        assert_eq!((outcome.status, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
    }
    home.write("etc/devices.toml", format!("{DEVICES}role = \"sensr\"\n"));
    home.fails(&["explain", "lamp", "publish", "x"], &["cannot be used", "devices.toml:13:1"]);
    std::fs::remove_file(home.path("etc/devices.toml")).unwrap();
    home.fails(&["explain", "lamp", "publish", "x"], &["devices.toml` cannot be read"]);
    std::fs::remove_file(home.config()).unwrap();
    home.fails(&["explain", "lamp", "publish", "x"], &["citronella init"]);
}

#[test]
fn the_deciding_rule_is_named_with_its_line() {
    let home = home();
    let ask = |arguments: &[&str]| home.json(&[&["explain"], arguments].concat());
    let file = |name: &str| home.path("etc").join(name).display().to_string();
    assert_eq!(
        ask(&["lamp", "publish", "sensors/lamp/kwh"]),
        json!({
            "decision": "allow",
            "reason": "allowed: sensors/{device}/# (role sensor, citronella.toml:7)",
            "help": null,
            "rule": {
                "file": file("citronella.toml"), "line": 7, "filter": "sensors/{device}/#", "owner": "role sensor"
            },
            "witness": null,
            "device": "lamp", "client_id": "lamp", "action": "publish", "topic": "sensors/lamp/kwh",
        })
    );
    let denied = ask(&["phone", "subscribe", "sensors/#"]);
    assert_eq!((&denied["decision"], &denied["witness"]), (&json!("deny"), &json!("sensors/secret")));
    assert_eq!(
        denied["rule"],
        json!({ "file": file("devices.toml"), "line": 8, "filter": "sensors/secret", "owner": "device phone" })
    );
    let reason = denied["reason"].as_str().unwrap();
    assert!(
        reason.contains("`sensors/#` also matches `sensors/secret`") && reason.contains("devices.toml:8"),
        "{reason}"
    );
    let silent = ask(&["lamp", "subscribe", "cmd/#"]);
    assert_eq!(
        (&silent["decision"], &silent["rule"], &silent["witness"]),
        (&json!("deny"), &Value::Null, &json!("cmd"))
    );
    let limited = ask(&["lamp", "publish", "small/a", "--qos", "2"]);
    assert_eq!(limited["decision"], "deny");
    assert!(limited["reason"].as_str().unwrap().contains("only up to QoS 1"), "{limited}");
    // What people read is what scripts read.
    let human = home.run(&["explain", "phone", "subscribe", "sensors/#"]).stdout;
    assert_eq!(human.lines().next(), Some(reason));
}

/// One line of the vectors as files and a question; `None` if files cannot say it.
fn written(line: &str) -> Option<(String, String, Vec<String>)> {
    let columns: Vec<&str> = line.split('\t').collect();
    let rules: Vec<Value> = serde_json::from_str(columns[3]).unwrap();
    let subject: Value = serde_json::from_str(columns[4]).unwrap();
    let topic: String = serde_json::from_str(columns[6]).unwrap();
    let mut block = String::new();
    for key in ["publish", "subscribe", "pubsub", "deny_publish", "deny_subscribe", "deny", "hide"] {
        let of_key = |rule: &&Value| {
            let own = match (rule["effect"].as_str().unwrap(), rule["action"].as_str().unwrap()) {
                ("allow", "publish") => "publish",
                ("allow", "subscribe") => "subscribe",
                ("allow", "all") => "pubsub",
                ("deny", "publish") => "deny_publish",
                ("deny", "subscribe") => "deny_subscribe",
                ("deny", "all") => "deny",
                ("deny", "receive") => "hide",
                _ => "",
            };
            own == key
        };
        let filters: Vec<String> =
            rules.iter().filter(of_key).map(|rule| toml(rule["filter"].as_str().unwrap())).collect();
        if !filters.is_empty() {
            block.push_str(&format!("{key} = [{}]\n", filters.join(", ")));
        }
    }
    let says = |effect: &str, action: &str| {
        rules.iter().any(|rule| rule["effect"] == effect && rule["action"] == action)
    };
    if says("allow", "receive") || topic.contains('\0') {
        return None;
    }
    let (device, anonymous, devices) = match subject["username"].as_str() {
        None => ("~anonymous", format!("[anonymous]\n{block}"), String::new()),
        Some(name) if citronella::ident::check_name(name).is_err() => return None,
        Some(name) => (name, String::new(), format!("[{}]\n{block}", toml(name))),
    };
    let wide = if columns[1] == "filter" { "[compat]\nwide_subscribe = \"filter\"\n" } else { "" };
    let settings = format!("version = 1\n[registry]\nfile = \"devices.toml\"\n{wide}{anonymous}");
    let client_id = subject["clientid"].as_str().unwrap();
    let question = ["explain", "--client-id", client_id, "--", device, columns[5], &topic];
    Some((settings, format!("version = 1\n{devices}"), question.map(str::to_owned).to_vec()))
}

fn toml(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

#[test]
fn the_command_answers_the_vectors_as_the_engine_does() {
    let home = Home::empty();
    let (mut asked, mut unwritable, mut wrong) = (0, Vec::new(), Vec::new());
    for line in include_str!("../cases/acl-vectors.tsv").lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let Some((settings, devices, question)) = written(line) else {
            unwritable.push(columns[0]);
            continue;
        };
        home.write("etc/citronella.toml", settings);
        home.write("etc/devices.toml", devices);
        let question: Vec<&str> = question.iter().map(String::as_str).collect();
        let outcome = home.run(&question);
        match outcome.status {
            // A filter that files refuse; the engine alone can be given it.
            Some(2) => unwritable.push(columns[0]),
            status if status == Some(i32::from(columns[7] == "deny")) => asked += 1,
            _ => wrong.push(format!("{} (should be {}): {outcome:?}", columns[0], columns[7])),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked > 170 && unwritable.len() < 25, "{asked} asked, not {unwritable:?}");
}
