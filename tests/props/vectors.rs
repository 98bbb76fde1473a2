//! `tests/cases/acl-vectors.tsv`: policies, questions and answers with their reasons.

use serde_json::Value;

use crate::{
    model::{self, Action, Client, Rule},
    support::Engine,
};

const VECTORS: &str = include_str!("../cases/acl-vectors.tsv");

struct Vector {
    id: &'static str,
    wide: bool,
    rules: Vec<Rule>,
    client: Client,
    action: Action,
    topic: String,
    allowed: bool,
    reason: &'static str,
}

#[test]
fn the_engine_answers_every_vector() {
    let failing: Vec<String> = vectors()
        .iter()
        .filter(|vector| {
            let engine = Engine::new(&vector.rules, vector.wide);
            engine.allows(&vector.client, (vector.action, &vector.topic)) != vector.allowed
        })
        .map(|vector| format!("{} (should be {}: {})", vector.id, word(vector.allowed), vector.reason))
        .collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

#[test]
fn so_does_the_model() {
    let failing: Vec<&str> = vectors()
        .iter()
        .filter(|vector| {
            let ask = (vector.action, vector.topic.as_str());
            model::allows(&vector.rules, &vector.client, ask, vector.wide) != vector.allowed
        })
        .map(|vector| vector.id)
        .collect();
    assert!(failing.is_empty(), "{failing:?}");
}

fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<_> = VECTORS.lines().skip(1).map(vector).collect();
    assert!(vectors.len() > 200, "the file is complete");
    vectors
}

fn vector(line: &'static str) -> Vector {
    let columns: Vec<&str> = line.split('\t').collect();
    let [id, semantics, _, rules, subject, action, topic, expected, reason] = columns[..] else {
        panic!("nine columns: {line}");
    };
    let rules: Vec<Value> = serde_json::from_str(rules).expect(id);
    let subject: Value = serde_json::from_str(subject).expect(id);
    let field = |name: &str| subject.get(name).and_then(Value::as_str).map(str::to_owned);
    Vector {
        id,
        wide: semantics == "filter",
        rules: rules.iter().map(rule).collect(),
        client: Client { device: field("username"), client_id: field("clientid").expect(id), site: None },
        action: match action {
            "publish" => Action::Publish,
            "subscribe" => Action::Subscribe,
            "receive" => Action::Receive,
            "unsubscribe" => Action::Unsubscribe,
            other => panic!("{id}: {other}"),
        },
        topic: serde_json::from_str(topic).expect(id),
        allowed: expected == "allow",
        reason,
    }
}

fn rule(json: &Value) -> Rule {
    let text = |name: &str| json[name].as_str().unwrap();
    Rule {
        allow: text("effect") == "allow",
        about: match text("action") {
            "publish" => &[Action::Publish],
            "subscribe" => &[Action::Subscribe, Action::Receive],
            "receive" => &[Action::Receive],
            "all" => &[Action::Publish, Action::Subscribe, Action::Receive],
            other => panic!("{other}"),
        },
        filter: text("filter").to_owned(),
    }
}
