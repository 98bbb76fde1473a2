use std::{path::Path, sync::Arc};

use super::*;
use crate::{
    diag::Place,
    policy::{Attributes, Block, Limits, Owner, Rule},
    topic::Template,
};

const PUBLISH: Actions = Actions::PUBLISH;
const SUBSCRIBE: Actions = Actions::SUBSCRIBE.and(Actions::RECEIVE);
const HIDE: Actions = Actions::RECEIVE;

/// Rules in the lines from 1 on.
fn block(owner: Owner, limits: Limits, rules: &[(Effect, Actions, &str)]) -> Arc<Block> {
    let file: Arc<Path> =
        Path::new(if matches!(owner, Owner::Device(_)) { "devices.toml" } else { "citronella.toml" }).into();
    let rules = rules.iter().zip(1..).map(|(&(effect, actions, template), line)| Rule {
        effect,
        actions,
        template: Template::parse(template).unwrap(),
        place: Place { file: Arc::clone(&file), line },
    });
    Arc::new(Block { owner, limits, rules: rules.collect() })
}

fn role(limits: Limits, rules: &[(Effect, Actions, &str)]) -> Arc<Block> {
    block(Owner::Role("sensor".into()), limits, rules)
}

fn explain(roles: &[Arc<Block>], own: &[Arc<Block>], wide: WideSubscribe, request: Request<'_>) -> String {
    let (roles, own) = (Index::compile(roles), Index::compile(own));
    let attributes = Attributes::new([("site".to_owned(), "rome".to_owned())]);
    let subject = Subject { device: Some("t10"), client_id: "bad/id", attributes: &attributes };
    Policy::new(Some(&roles), Some(&own), wide).decide(&subject, &request).to_string()
}

fn strict(rules: &[(Effect, Actions, &str)], request: Request<'_>) -> String {
    explain(&[role(Limits::default(), rules)], &[], WideSubscribe::Strict, request)
}

fn publish(topic: &str) -> Request<'_> {
    Request::Publish { topic, qos: 1, retain: true, payload_bytes: 100 }
}

use Effect::{Allow, Deny};

#[test]
fn an_action_that_both_sets_have_is_in_them_together() {
    assert_eq!(SUBSCRIBE.and(HIDE), SUBSCRIBE);
}

#[test]
fn an_allow_names_its_rule() {
    let rules = [(Allow, PUBLISH, "sensors/{device}/#"), (Allow, PUBLISH, "#")];
    assert_eq!(
        strict(&rules, publish("sensors/t10/x")),
        "allowed: sensors/{device}/# (role sensor, citronella.toml:1)"
    );
    assert_eq!(strict(&rules, publish("other")), "allowed: # (role sensor, citronella.toml:2)");
}

#[test]
fn a_refused_filter_comes_with_a_topic_that_shows_why() {
    let own = block(
        Owner::Device("t10".into()),
        Limits::default(),
        &[(Deny, PUBLISH.and(SUBSCRIBE), "sensors/secret")],
    );
    let roles = role(Limits::default(), &[(Allow, SUBSCRIBE, "sensors/#")]);
    let request = Request::Subscribe { filter: "sensors/#" };
    assert_eq!(
        explain(&[roles], &[own], WideSubscribe::Strict, request),
        "refused: `sensors/#` also matches `sensors/secret`, denied by devices.toml:1 (deny `sensors/secret`)"
    );
    let rules = [(Allow, SUBSCRIBE, "sensors"), (Allow, SUBSCRIBE, "sensors/+/temp")];
    assert_eq!(
        strict(&rules, request),
        "refused: `sensors/#` also matches `sensors/x`, which no rule allows"
    );
}

#[test]
fn a_refused_name_says_what_was_asked() {
    let rules = [(Allow, PUBLISH, "a/#"), (Deny, PUBLISH, "a/{attr.site}"), (Deny, HIDE, "b")];
    assert_eq!(strict(&rules, publish("x/y")), "refused: no rule allows publish to `x/y`");
    assert_eq!(
        strict(&rules, publish("a/rome")),
        "refused: publish to `a/rome` is denied by citronella.toml:2 (deny_publish `a/{attr.site}`)"
    );
    assert_eq!(
        strict(&rules, Request::Receive { topic: "b" }),
        "refused: delivery of `b` is denied by citronella.toml:3 (hide `b`)"
    );
    assert_eq!(strict(&rules, publish("a/+")), "refused: the name of a topic cannot contain `+` or `#`");
    assert_eq!(
        strict(&rules, Request::Unsubscribe { filter: "$share/g" }),
        "refused: a shared subscription is written `$share/GROUP/FILTER`"
    );
    assert_eq!(
        strict(&[], Request::Unsubscribe { filter: "x/#" }),
        "allowed: a client may give up any subscription"
    );
}

#[test]
fn several_rules_can_allow_a_filter_together() {
    let rules = [(Allow, SUBSCRIBE, "a/+/#"), (Allow, SUBSCRIBE, "a")];
    assert_eq!(
        strict(&rules, Request::Subscribe { filter: "a/#" }),
        "allowed: a/+/# (role sensor, citronella.toml:1) together with other rules"
    );
}

#[test]
fn limits_hold_for_the_allows_of_their_block_alone() {
    let rules = [(Allow, PUBLISH, "a/#")];
    for (limits, text) in [
        (Limits { max_qos: Some(0), ..Limits::default() }, "only up to QoS 0"),
        (Limits { no_retain: true, ..Limits::default() }, "only if it is not retained"),
        (Limits { max_payload: Some(99), ..Limits::default() }, "only up to 99 bytes"),
    ] {
        let limited = role(limits, &rules);
        assert_eq!(
            explain(&[Arc::clone(&limited)], &[], WideSubscribe::Strict, publish("a")),
            format!("refused: publish to `a` is allowed by a/# (role sensor, citronella.toml:1) {text}")
        );
        let free = block(Owner::Device("t10".into()), Limits::default(), &rules);
        assert_eq!(
            explain(&[limited], &[free], WideSubscribe::Strict, publish("a")),
            "allowed: a/# (device t10, devices.toml:1)"
        );
    }
    let exact = role(Limits { max_qos: Some(1), no_retain: false, max_payload: Some(100) }, &rules);
    assert!(explain(&[exact], &[], WideSubscribe::Strict, publish("a")).starts_with("allowed"));
    let denied = role(
        Limits { max_qos: Some(0), ..Limits::default() },
        &[(Deny, PUBLISH, "a"), (Allow, PUBLISH, "a")],
    );
    assert!(explain(&[denied], &[], WideSubscribe::Strict, publish("a")).contains("denied by"));
}

#[test]
fn a_deny_that_cannot_be_filled_refuses_everything_but_unsubscribing() {
    let rules = [(Allow, PUBLISH.and(SUBSCRIBE), "#"), (Deny, HIDE, "secret/{clientid}")];
    for request in [publish("a"), Request::Subscribe { filter: "a" }, Request::Receive { topic: "a" }] {
        assert_eq!(
            strict(&rules, request),
            "refused: `{clientid}` has no usable value here, and citronella.toml:2 (hide `secret/{clientid}`) needs one"
        );
    }
    assert!(strict(&rules, Request::Unsubscribe { filter: "a" }).starts_with("allowed"));
}

#[test]
fn a_wide_subscription_needs_one_topic_and_may_not_lie_in_one_deny() {
    let rules = [(Allow, SUBSCRIBE, "a/b/#"), (Deny, SUBSCRIBE, "a/b/c/#"), (Allow, SUBSCRIBE, "a/b/c/d")];
    let wide = |filter| {
        explain(&[role(Limits::default(), &rules)], &[], WideSubscribe::Filter, Request::Subscribe { filter })
    };
    assert_eq!(wide("#"), "allowed: a/b/# (role sensor, citronella.toml:1)");
    assert_eq!(wide("x/#"), "refused: no rule allows any topic of `x/#`");
    assert_eq!(wide("a/+/c/#"), "allowed: a/b/# (role sensor, citronella.toml:1)");
    assert_eq!(
        wide("a/b/c/+"),
        "refused: `a/b/c/+` also matches `a/b/c/x`, denied by citronella.toml:2 (deny_subscribe `a/b/c/#`)"
    );
    assert_eq!(
        wide("$share/g/a/b/#"),
        "refused: `$share/g/a/b/#` also matches `a/b/c`, denied by citronella.toml:2 (deny_subscribe `a/b/c/#`)"
    );
}

#[test]
fn what_is_hidden_counts_as_denied_in_a_shared_subscription() {
    let rules = [(Allow, SUBSCRIBE, "jobs/#"), (Deny, HIDE, "jobs/secret/#")];
    let ask = |filter| strict(&rules, Request::Subscribe { filter });
    assert_eq!(ask("jobs/#"), "allowed: jobs/# (role sensor, citronella.toml:1)");
    assert_eq!(
        ask("$share/g/jobs/#"),
        "refused: `$share/g/jobs/#` also matches `jobs/secret`, denied by citronella.toml:2 (hide `jobs/secret/#`)"
    );
    assert_eq!(ask("$share/g/jobs/other"), "allowed: jobs/# (role sensor, citronella.toml:1)");
}

#[test]
fn deep_names_are_judged_like_shallow_ones() {
    for levels in [7, 8, 9, crate::topic::MAX_LEVELS] {
        let name = ["a"].repeat(levels).join("/");
        assert!(strict(&[(Allow, PUBLISH, &name)], publish(&name)).starts_with("allowed"), "{levels}");
        assert!(
            strict(&[(Allow, PUBLISH, "#"), (Deny, PUBLISH, &name)], publish(&name)).contains("denied by")
        );
        let parent = name.strip_suffix('a').unwrap().to_owned() + "#";
        assert!(
            strict(&[(Allow, SUBSCRIBE, &parent)], Request::Subscribe { filter: &parent })
                .starts_with("allowed")
        );
        assert!(
            strict(&[(Allow, SUBSCRIBE, &name)], Request::Subscribe { filter: &name }).starts_with("allowed")
        );
    }
}

#[test]
fn text_of_clients_cannot_forge_a_line() {
    assert_eq!(strict(&[], publish("a\nb")), "refused: no rule allows publish to `a\\u{a}b`");
}
