use std::{path::Path, sync::Arc};

use super::*;
use crate::{
    diag::Place,
    policy::{Attributes, Block, Index, Policy, Subject, WideSubscribe},
};

const PUBLISH: Actions = Actions::PUBLISH;
const SUBSCRIBE: Actions = Actions::SUBSCRIBE.and(Actions::RECEIVE);
const HIDE: Actions = Actions::RECEIVE;
const ALL: Actions = PUBLISH.and(SUBSCRIBE);

use Effect::{Allow, Deny};

type Rules<'r> = &'r [(Effect, Actions, &'r str)];

/// Rules in the lines from 1 on.
fn block(owner: Owner, limits: Limits, rules: Rules<'_>) -> Arc<Block> {
    let file: Arc<Path> = Path::new("citronella.toml").into();
    let rules = rules.iter().zip(1..).map(|(&(effect, actions, template), line)| Rule {
        effect,
        actions,
        template: Template::parse(template).unwrap(),
        place: Place { file: Arc::clone(&file), line },
    });
    Arc::new(Block { owner, limits, rules: rules.collect() })
}

fn role(rules: Rules<'_>) -> Arc<Block> {
    block(Owner::Role("sensor".into()), Limits::default(), rules)
}

/// What `lamp` of the role `sensor` with the attribute `room = "hall"` is told; nothing for what is allowed.
fn help_of(blocks: &[Arc<Block>], request: Request<'_>) -> Option<String> {
    help_in("hall", blocks, request)
}

/// The same of another room.
fn help_in(room: &str, blocks: &[Arc<Block>], request: Request<'_>) -> Option<String> {
    let index = Index::compile(blocks);
    let attributes = Attributes::new([("room".to_owned(), room.to_owned())]);
    let subject = Subject { device: Some("lamp"), client_id: "id/1", attributes: &attributes };
    let policy = Policy::new(Some(&index), None, WideSubscribe::Strict);
    policy.decide(&subject, &request).help(Some("sensor"))
}

fn told(rules: Rules<'_>, request: Request<'_>) -> String {
    help_of(&[role(rules)], request).unwrap_or_default()
}

fn publish(topic: &str) -> Request<'_> {
    Request::Publish { topic, qos: 2, retain: true, payload_bytes: 11 }
}

fn subscribe(filter: &str) -> Request<'_> {
    Request::Subscribe { filter }
}

#[test]
fn a_filter_that_is_too_wide_is_told_the_widest_that_are_not() {
    let rules = [
        (Allow, SUBSCRIBE, "cmd/{device}/#"),
        (Allow, SUBSCRIBE, "cmd/{device}/on"),
        (Allow, SUBSCRIBE, "cmd/+/all"),
        (Allow, PUBLISH, "cmd/x/#"),
        (Allow, SUBSCRIBE, "other/{attr.room}"),
        (Allow, SUBSCRIBE, "cmd/secret/#"),
        (Deny, SUBSCRIBE, "cmd/secret/key"),
    ];
    assert_eq!(told(&rules, subscribe("cmd/#")), "it may subscribe to `cmd/+/all`, `cmd/lamp/#` instead");
    assert_eq!(told(&rules, subscribe("+/hall")), "it may subscribe to `other/hall` instead");
    assert_eq!(
        told(&rules, subscribe("$share/g/cmd/+/on")),
        "it may subscribe to `$share/g/cmd/lamp/on`, `$share/g/cmd/secret/on` instead"
    );
    let many = ["a/1", "a/2", "a/3", "a/4"].map(|filter| (Allow, SUBSCRIBE, filter));
    assert_eq!(told(&many, subscribe("a/#")), "it may subscribe to `a/1`, `a/2`, `a/3` and others instead");
    assert_eq!(told(&many[..3], subscribe("a/#")), "it may subscribe to `a/1`, `a/2`, `a/3` instead");
}

#[test]
fn rules_that_allow_no_subscription_do_not_use_the_search_up() {
    let texts: Vec<String> = (0..LOOKED_AT).map(|number| format!("a/{number}")).collect();
    for (effect, actions) in [(Allow, PUBLISH), (Deny, SUBSCRIBE)] {
        let mut rules: Vec<_> = texts.iter().map(|text| (effect, actions, text.as_str())).collect();
        rules.push((Allow, SUBSCRIBE, "a/own"));
        assert_eq!(told(&rules, subscribe("a/#")), "it may subscribe to `a/own` instead");
    }
}

#[test]
fn what_no_rule_allows_is_told_the_rule_and_its_place() {
    let rules = [(Allow, PUBLISH, "sensors/{device}/kwh")];
    assert_eq!(
        told(&rules, publish("sensors/lamp/temp")),
        "a rule such as `publish = [\"sensors/{device}/temp\"]` in role sensor would allow it"
    );
    // What speaks of others is no business of the whole role.
    assert_eq!(
        told(&rules, subscribe("sensors/{x}/hall/+")),
        "a rule such as `subscribe = [\"sensors/{{x}}/{attr.room}/+\"]` of device lamp would allow it"
    );
    assert_eq!(
        told(&rules, Request::Receive { topic: "a\"\u{1b}\\" }),
        r#"a rule such as `subscribe = ["a\"\U0000001b\\"]` of device lamp would allow it"#
    );
    // A value that cannot stand in a topic fills nothing.
    assert_eq!(
        help_in("+", &[role(&rules)], subscribe("lamp/+")).unwrap(),
        "a rule such as `subscribe = [\"{device}/+\"]` in role sensor would allow it"
    );
    // A block whose limits the message breaks is no place for it.
    let limits = Limits { max_qos: Some(1), ..Limits::default() };
    let narrow = [block(Owner::Role("sensor".into()), limits, &rules)];
    let told = help_of(&narrow, publish("sensors/lamp/temp")).unwrap();
    assert!(told.contains("of device lamp"), "{told}");
    for (max_payload, place) in [(10, "of device lamp"), (11, "in role sensor")] {
        let limits = Limits { max_payload: Some(max_payload), ..Limits::default() };
        let sized = [block(Owner::Role("sensor".into()), limits, &rules)];
        let told = help_of(&sized, publish("sensors/lamp/temp")).unwrap();
        assert!(told.contains(place), "{told}");
    }
    let own = block(Owner::Device("lamp".into()), limits, &[]);
    assert_eq!(help_of(&[Arc::clone(&narrow[0]), own], publish("sensors/lamp/temp")), None);
}

#[test]
fn a_limit_is_told_with_its_number() {
    for (limits, help) in [
        (
            Limits { max_qos: Some(1), ..Limits::default() },
            "publish it with QoS 1 at most, or raise `max_qos` of role sensor (citronella.toml:1)",
        ),
        (
            Limits { no_retain: true, ..Limits::default() },
            "publish it without the retain flag, or take `retain = false` out of role sensor (citronella.toml:1)",
        ),
        (
            Limits { max_payload: Some(10), ..Limits::default() },
            "publish 10 bytes at most, or raise `max_payload` of role sensor (citronella.toml:1)",
        ),
    ] {
        let block = block(Owner::Role("sensor".into()), limits, &[(Allow, PUBLISH, "a")]);
        assert_eq!(help_of(&[block], publish("a")).as_deref(), Some(help));
    }
}

#[test]
fn a_deny_is_told_with_its_place_and_with_hide_where_that_would_do() {
    let rules = [(Allow, ALL, "a/#"), (Deny, ALL, "a/secret")];
    let blunt = "no allow beats a deny: `a/secret` at citronella.toml:2 would have to be narrower or go";
    assert_eq!(told(&rules, publish("a/secret")), blunt);
    assert_eq!(told(&rules, subscribe("a/secret")), blunt);
    let hide = "`hide` instead of `deny` at citronella.toml:2 it could subscribe";
    assert!(told(&rules, subscribe("a/#")).contains(hide), "{}", told(&rules, subscribe("a/#")));
    assert!(told(&rules, subscribe("a/#")).contains("`deny_publish` and `hide`"));
    let hidden = [(Allow, SUBSCRIBE, "a/#"), (Deny, HIDE, "a/secret")];
    assert_eq!(
        told(&hidden, subscribe("$share/g/a/#")),
        "it may subscribe to `a/#` alone; what is hidden is then not delivered"
    );
    let two = [(Allow, ALL, "a/#"), (Deny, SUBSCRIBE, "a/secret"), (Deny, SUBSCRIBE, "a/other")];
    assert!(told(&two, subscribe("a/#")).starts_with("no allow beats a deny"));
}

#[test]
fn what_is_no_topic_and_what_has_no_value_is_told_so() {
    assert!(told(&[], publish("a/#")).contains("subscribed to"));
    assert!(
        told(&[(Deny, ALL, "a/{clientid}")], publish("a")).starts_with("connect with a client id without")
    );
    assert!(told(&[(Deny, ALL, "a/{attr.site}")], publish("a")).contains("an attribute `site`"));
    assert_eq!(help_of(&[], subscribe("a#")), None);
    assert_eq!(help_of(&[role(&[(Allow, ALL, "a")])], subscribe("a")), None);
}

/// The texts between backticks.
fn cited(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn what_is_told_is_true_for_all_small_policies() {
    const FILTERS: [&str; 12] =
        ["#", "+", "a", "a/#", "a/+", "+/b", "a/b", "lamp", "a/{device}", "+/+/#", "$x/#", "/+"];
    const ASKED: [&str; 10] =
        ["#", "+", "a/#", "a/+", "+/#", "+/lamp", "$share/g/a/#", "$x/+", "/#", "lamp/a"];
    let (mut named, mut written, mut hidden) = (0, 0, 0);
    for allow in FILTERS {
        for (second, effect) in FILTERS.into_iter().flat_map(|text| [(text, Allow), (text, Deny)]) {
            let rules = [(Allow, ALL, allow), (effect, SUBSCRIBE, second)];
            for asked in ASKED {
                let Some(told) = help_of(&[role(&rules)], subscribe(asked)) else { continue };
                if told.starts_with("it may subscribe to") {
                    for text in cited(&told) {
                        assert_eq!(
                            help_of(&[role(&rules)], subscribe(text)),
                            None,
                            "{rules:?} {asked}: {told}"
                        );
                        named += 1;
                    }
                } else if let Some((_, rest)) = told.split_once("subscribe = [\"") {
                    let (text, _) = rest.split_once('"').unwrap();
                    let more = [rules[0], rules[1], (Allow, SUBSCRIBE, text)];
                    assert_eq!(help_of(&[role(&more)], subscribe(asked)), None, "{rules:?} {asked}: {told}");
                    written += 1;
                } else if told.starts_with("with ") {
                    let kept = [rules[0], (Deny, HIDE, second)];
                    assert_eq!(help_of(&[role(&kept)], subscribe(asked)), None, "{rules:?} {asked}: {told}");
                    hidden += 1;
                }
            }
        }
    }
    assert!(named > 300 && written > 300 && hidden > 50, "{named} {written} {hidden}");
}

#[test]
fn a_rule_that_is_told_allows_the_message_and_reads_back_as_it_was_meant() {
    let text = "a \"b\" \\ \t é \u{1b}[2J \u{202e}\u{85} {hall} 'x'";
    let rules = [(Allow, PUBLISH, "other/#")];
    for topic in ["a", "a/b", "lamp", "x/lamp/hall", "/", "a//b", "$x/lamp", text, "lampx/{device}"] {
        for request in [publish(topic), Request::Receive { topic }, subscribe(topic)] {
            let told = told(&rules, request);
            let written =
                told.strip_prefix("a rule such as `").and_then(|rest| rest.rsplit_once('`')).unwrap().0;
            assert!(!written.chars().any(|ch| ch.is_control() || ch == '\u{202e}'), "{written:?}");
            let table = toml::de::DeTable::parse(written).unwrap();
            let (_, value) = table.get_ref().iter().next().unwrap();
            let filter =
                value.get_ref().as_array().unwrap().first().unwrap().get_ref().as_str().unwrap().to_owned();
            let actions = if written.starts_with("publish") { PUBLISH } else { SUBSCRIBE };
            let more = [rules[0], (Allow, actions, &*filter)];
            assert_eq!(help_of(&[role(&more)], request), None, "{told}");
        }
    }
}
