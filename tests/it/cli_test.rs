//! `citronella test`: policies held against what people expect of them.

use std::path::Path;

use serde_json::json;

use crate::{cli_support::Home, support::Cmd};

const SETTINGS: &str = r#"version = 1

[roles.sensor]
publish     = ["sensors/{device}/#"]
subscribe   = ["cmd/{device}/#"]
max_payload = 10

[anonymous]
publish = ["hello"]
"#;

const DEVICES: &str = r#"version = 1

[lamp]
role = "sensor"

[phone]
subscribe = ["sensors/#"]
deny      = ["sensors/secret"]
"#;

/// Two files of a policy, and a test file beside them.
fn home(test: &str) -> Home {
    let home = Home::empty();
    home.write("etc/citronella.toml", SETTINGS);
    home.write("etc/devices.toml", DEVICES);
    home.write("etc/policy.test.toml", test);
    home
}

/// Without `--config`, as in somebody's CI.
fn run(home: &Home, arguments: &[&str]) -> crate::support::Outcome {
    Cmd::new([&["test"], arguments].concat()).dir(home.dir()).run()
}

#[test]
fn the_password_file_need_not_be_there() {
    let home = home(
        "config = \"citronella.toml\"\n[[test]]\ndevice = \"lamp\"\nallow = { publish = [\"sensors/lamp/x\"] }\n",
    );
    home.write("etc/citronella.toml", format!("{SETTINGS}\n[auth]\npassword_file = \"passwd\"\n"));
    let outcome = run(&home, &["etc/policy.test.toml"]);
    assert_eq!((outcome.status, &*outcome.stdout), (Some(0), "1 passed, 0 failed\n"), "{outcome:?}");
}

const GOOD: &str = r#"config = "citronella.toml"

[[test]]
device = "lamp"
allow  = { publish = ["sensors/lamp/temp"], subscribe = ["cmd/lamp/#", "$share/g/cmd/lamp/+"], unsubscribe = ["x"] }
deny   = { publish = ["sensors/phone/temp"], subscribe = ["cmd/#"], receive = ["cmd/phone/on"] }

[[test]]
name         = "a large message"
device       = "lamp"
payload_size = 11
deny         = { publish = ["sensors/lamp/temp"] }

[[test]]
device  = "phone"
action  = "subscribe"
topic   = "sensors/#"
expect  = "deny"
rule    = "devices.toml:8"
witness = "sensors/secret"

[[test]]
device = "~anonymous"
action = "publish"
topic  = "hello"
expect = "allow"
rule   = "hello"

[[test]]
device     = "stranger"
registered = false
deny       = { publish = ["hello"] }
"#;

#[test]
fn a_policy_that_answers_as_expected_passes() {
    let home = home(GOOD);
    let outcome = run(&home, &["etc/policy.test.toml"]);
    assert_eq!(
        (outcome.status, &*outcome.stdout, &*outcome.stderr),
        (Some(0), "11 passed, 0 failed\n", ""),
        "{outcome:?}"
    );
    assert_eq!(run(&home, &["etc/policy.test.toml", "etc/policy.test.toml"]).stdout, "22 passed, 0 failed\n");
}

#[test]
fn the_file_in_the_help_is_one() {
    let help = Cmd::new(["test", "--help"]).ok();
    let (_, file) = help.split_once("A test file:\n").unwrap();
    let home = home(file.split_once("\nExamples:").unwrap().0);
    home.write("etc/citronella.toml", "version = 1\n");
    home.write(
        "etc/devices.toml",
        "version = 1\n[thunder10]\npublish = [\"sensors/{device}/#\"]\nsubscribe = [\"cmd/{device}/#\"]\n\
         [guest]\nsubscribe = [\"home/#\"]\ndeny = [\"home/hall/#\"]\n",
    );
    assert_eq!(run(&home, &["etc/policy.test.toml"]).stdout, "6 passed, 0 failed\n");
}

#[test]
fn each_expectation_that_is_not_met_is_a_line_with_its_place_and_the_reason() {
    let home = home(
        r#"config = "citronella.toml"
[[test]]
device = "lamp"
allow  = { publish = ["sensors/lamp/temp", "sensors/phone/temp"] }
deny   = { subscribe = ["cmd/lamp/#"] }
[[test]]
name    = "secrets"
device  = "phone"
action  = "subscribe"
topic   = "sensors/#"
expect  = "deny"
rule    = "devices.toml:7"
[[test]]
device  = "phone"
action  = "subscribe"
topic   = "sensors/#"
expect  = "deny"
witness = "sensors/other"
"#,
    );
    let outcome = run(&home, &["etc/policy.test.toml"]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    let refused = "refused: `sensors/#` also matches `sensors/secret`, denied by devices.toml:8 (deny `sensors/secret`)";
    let expected = [
        "etc/policy.test.toml:4:44: lamp: publish to `sensors/phone/temp`: expected allow, but refused: no rule allows publish to `sensors/phone/temp`",
        "etc/policy.test.toml:5:25: lamp: subscribe to `cmd/lamp/#`: expected deny, but allowed: cmd/{device}/# (role sensor, citronella.toml:5)",
        &format!(
            "etc/policy.test.toml:10:11: secrets: phone: subscribe to `sensors/#`: expected the rule `devices.toml:7`, but {refused}"
        ),
        &format!(
            "etc/policy.test.toml:16:11: phone: subscribe to `sensors/#`: expected the witness `sensors/other`, but {refused}"
        ),
        "1 passed, 4 failed",
    ];
    assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), expected);
    let outcome = run(&home, &["--format", "json", "etc/policy.test.toml"]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    let told: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&told["passed"], &told["failed"]), (&json!(1), &json!(4)));
    let missed: Vec<_> = told["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["missed"].as_str().unwrap())
        .collect();
    assert_eq!(missed, ["decision", "decision", "rule", "witness"]);
    let rule = &told["failures"][2];
    assert_eq!(
        (&rule["file"], &rule["line"], &rule["column"], &rule["test"], &rule["rule"]),
        (&json!("etc/policy.test.toml"), &json!(10), &json!(11), &json!("secrets"), &json!("devices.toml:7"))
    );
    assert_eq!((&rule["answer"]["reason"], &rule["answer"]["rule"]["line"]), (&json!(refused), &json!(8)));
}

#[test]
fn the_configuration_is_the_one_typed_else_the_files_own() {
    let home = home(GOOD);
    home.write("other/citronella.toml", SETTINGS.replace("cmd/", "command/"));
    home.write("other/devices.toml", DEVICES);
    let typed = |arguments: &[&str]| {
        Cmd::new(arguments).dir(home.dir()).env("CITRONELLA_CONFIG", home.path("nowhere.toml")).run().status
    };
    assert_eq!(
        typed(&["test", "etc/policy.test.toml"]),
        Some(0),
        "what the file names goes before the environment"
    );
    assert_eq!(typed(&["--config", "other/citronella.toml", "test", "etc/policy.test.toml"]), Some(1));
    assert_eq!(typed(&["test", "etc/policy.test.toml", "--config", "other/citronella.toml"]), Some(1));
    home.write("etc/policy.test.toml", GOOD.replace("config = ", "#"));
    assert_eq!(
        typed(&["test", "etc/policy.test.toml"]),
        Some(2),
        "the environment names nothing that is there"
    );
    assert_eq!(home.run(&["test", "etc/policy.test.toml"]).status, Some(0));
    // Files in CI belong to whom they belong to.
    home.write("etc/policy.test.toml", GOOD);
    std::fs::set_permissions(home.config(), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(typed(&["test", "etc/policy.test.toml"]), Some(0));
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once_and_nothing_is_run() {
    let home = home("[[test]]\ndevcie = \"lamp\"\nallow = { publish = [\"sensors/#\"] }\n");
    home.write(
        "etc/names.test.toml",
        "config = \"citronella.toml\"\n[[test]]\ndevice = \"lmap\"\ndeny = { publish = [\"x\"] }\n\
         [[test]]\ndevice = \"lamp\"\nregistered = false\ndeny = { publish = [\"x\"] }\n",
    );
    home.fails(
        &["test", "etc/policy.test.toml", "etc/names.test.toml", "etc/nothing.test.toml"],
        &[
            "the tests cannot be run",
            "etc/policy.test.toml:2:1: error: unknown key `devcie`\n  | devcie = \"lamp\"",
            "  = help: did you mean `device`?",
            "etc/policy.test.toml:3:22: error: the name of a topic cannot contain",
            "  = help: filters stand under `subscribe`",
            "etc/names.test.toml:3:10: error: no device is called `lmap`",
            "  = help: did you mean `lamp`? else write `registered = false` if that is what is tested",
            "etc/names.test.toml:6:10: error: `lamp` is there, and `registered = false` says not",
            "etc/nothing.test.toml` cannot be read",
        ],
    );
    home.write("etc/citronella.toml", SETTINGS.replace("publish ", "pubish "));
    home.write("etc/policy.test.toml", GOOD);
    home.fails(&["test", "etc/policy.test.toml"], &["citronella.toml:4:1: error: unknown key `pubish`"]);
}

#[test]
fn a_run_that_tests_nothing_is_no_success() {
    let home = home("config = \"citronella.toml\"\n");
    home.fails(&["test", "etc/policy.test.toml"], &["no tests in the given files", "begins with `[[test]]`"]);
    home.fails(&["test"], &["<FILE>"]);
}

#[test]
fn the_examples_carry_tests_that_pass() {
    for name in ["minimal", "home", "fleet"] {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("conf-examples/{name}/policy.test.toml"));
        let told = Cmd::new(["test".as_ref(), file.as_os_str()]).ok();
        let (passed, rest) = told.split_once(' ').unwrap();
        assert!(passed.parse::<u32>().unwrap() >= 9 && rest == "passed, 0 failed\n", "{name}: {told}");
    }
}

#[test]
fn the_tests_of_the_examples_notice_each_rule_that_goes() {
    for (name, least) in [("minimal", 2), ("home", 7), ("fleet", 8)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf-examples").join(name);
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
        let settings = read("citronella.toml");
        let mut noticed = 0;
        let keys = ["publish", "subscribe", "pubsub", "hide", "deny_publish", "max_payload"];
        for (at, line) in settings.lines().enumerate() {
            if !keys.contains(&line.split([' ', '=']).next().unwrap()) {
                continue;
            }
            let home = Home::empty();
            let rest: Vec<&str> = settings
                .lines()
                .enumerate()
                .map(|(other, line)| if other == at { "" } else { line })
                .collect();
            home.write("etc/citronella.toml", rest.join("\n"));
            home.write("etc/devices.toml", read("devices.toml"));
            home.write("etc/policy.test.toml", read("policy.test.toml"));
            noticed += usize::from(home.run(&["test", "etc/policy.test.toml"]).status == Some(1));
        }
        assert!(noticed >= least, "{name}: only {noticed}");
    }
}
