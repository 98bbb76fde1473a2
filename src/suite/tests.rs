use std::path::Path;

use super::*;
use crate::diag::Report;

fn read(text: &str) -> (Suite, Vec<String>) {
    let mut report = Report::new();
    let suite = parse(Path::new("dir/policy.test.toml"), text, &mut report);
    (suite, report.iter().map(ToString::to_string).collect())
}

#[test]
fn each_topic_is_an_expectation_with_its_place() {
    let (suite, mistakes) = read(
        "version = 1\nconfig = \"../c.toml\"\n[[test]]\ndevice = \"lamp\"\nallow = { publish = [\"a\", \"b\"], subscribe = \"c/#\" }\nqos = 1\n\
         [[test]]\nname = \"n\"\ndevice = \"~anonymous\"\nclient_id = \"id\"\nretain = true\npayload_size = 7\n\
         deny = { receive = [\"d\"], unsubscribe = [] }\n",
    );
    assert_eq!(mistakes, [""; 0]);
    assert_eq!(suite.config.as_deref(), Some(Path::new("dir/../c.toml")));
    let [lamp, nobody] = &suite.tests[..] else { panic!("{suite:?}") };
    let asked: Vec<_> = lamp.expectations.iter().map(|one| (one.action, &*one.topic, one.effect)).collect();
    assert_eq!(
        asked,
        [
            (Action::Publish, "a", Effect::Allow),
            (Action::Publish, "b", Effect::Allow),
            (Action::Subscribe, "c/#", Effect::Allow)
        ]
    );
    assert_eq!(lamp.expectations[0].message, Message { qos: 1, ..Message::default() });
    assert_eq!(suite.position(&lamp.expectations[1]), (5, 27));
    assert_eq!((lamp.client_id(), nobody.client_id()), ("lamp", "id"));
    let [received] = &nobody.expectations[..] else { panic!("{nobody:?}") };
    assert_eq!((received.action, received.effect), (Action::Receive, Effect::Deny));
    assert_eq!(received.message, Message { qos: 0, retain: true, payload_bytes: 7 });
}

#[test]
fn one_question_can_say_more() {
    let (suite, mistakes) = read(
        "[[test]]\ndevice = \"x\"\nregistered = false\naction = \"subscribe\"\ntopic = \"a/#\"\nexpect = \"deny\"\nrule = \"f:1\"\nwitness = \"a\"\n",
    );
    assert_eq!(mistakes, [""; 0]);
    let one = &suite.tests[0].expectations[0];
    assert_eq!((one.rule.as_deref(), one.witness.as_deref()), (Some("f:1"), Some("a")));
    assert_eq!(suite.tests[0].registered, Registered::No);
    assert_eq!(suite.config, None);
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let (_, mistakes) = read(
        r#"confg = "x"
[[test]]
device = "lamp"
alow = { publish = ["a"] }
[[test]]
allow = { publsh = ["a"], publish = ["a/#"], subscribe = ["a#"], receive = [1] }
[[test]]
device = 1
action = "publsh"
topic = "a"
rule = "x"
[[test]]
device = "lamp"
action = "publish"
topic = "a"
expect = "allow"
witness = "a"
qos = 3
"#,
    );
    let expected = [
        "dir/policy.test.toml:1:1: error: unknown key `confg`; did you mean `config`?",
        "dir/policy.test.toml:2:1: error: this test expects nothing; write `allow = { publish = [\"…\"] }`, or `action`, `topic` and `expect`",
        "dir/policy.test.toml:4:1: error: unknown key `alow`; did you mean `allow`?",
        "dir/policy.test.toml:5:1: error: `device` is missing; name a device, or `~anonymous`",
        "dir/policy.test.toml:6:11: error: unknown key `publsh`; did you mean `publish`?",
        "dir/policy.test.toml:6:38: error: the name of a topic cannot contain `+` or `#`; filters stand under `subscribe`",
        "dir/policy.test.toml:6:59: error: `#` must stand alone in its level",
        "dir/policy.test.toml:6:77: error: `receive` holds strings, not a whole number",
        "dir/policy.test.toml:8:10: error: `device` must be a string, not a whole number",
        "dir/policy.test.toml:9:1: error: `expect` is missing; one question is written with `action`, `topic` and `expect`",
        "dir/policy.test.toml:9:10: error: `action` cannot be `publsh`; did you mean `publish`?",
        "dir/policy.test.toml:17:11: error: only what is denied has a witness",
        "dir/policy.test.toml:18:7: error: `qos` must be a whole number from 0 to 2",
    ];
    assert_eq!(mistakes, expected);
    assert_eq!(read("[test]\ndevice = \"x\"\n").1.len(), 1);
    assert_eq!(read("test = [1]\n").1.len(), 1);
    assert!(read("version = 2\n").1[0].contains("version"));
}
