use super::*;
use crate::{
    diag::Place,
    policy::{Actions, Attributes, Policy, Request, WideSubscribe},
    topic::Template,
};

fn of(owner: Owner, templates: &[&str]) -> Arc<Block> {
    let file: Arc<Path> = Path::new("f.toml").into();
    let rule = |(template, line): (&&str, u32)| Rule {
        effect: Effect::Allow,
        actions: Actions::PUBLISH,
        template: Template::parse(template).unwrap(),
        place: Place { file: Arc::clone(&file), line },
    };
    Arc::new(Block { owner, limits: Limits::default(), rules: templates.iter().zip(1..).map(rule).collect() })
}

fn block(templates: &[&str]) -> Arc<Block> {
    of(Owner::Role("r".into()), templates)
}

#[test]
fn ten_thousand_devices_of_one_role_ask_one_small_index() {
    let index = Index::compile(&[block(&["sensors/{device}/#", "status/{device}"])]);
    let attributes = Attributes::default();
    for number in 0..10_000 {
        let (own, other) = (format!("dev-{number}"), format!("sensors/dev-{}/t", number + 1));
        let subject = Subject { device: Some(&own), client_id: &own, attributes: &attributes };
        let topic = format!("sensors/{own}/t");
        let publish = |topic| Request::Publish { topic, qos: 0, retain: false, payload_bytes: 0 };
        let policy = Policy::new(Some(&index), None, WideSubscribe::Strict);
        assert!(policy.decide(&subject, &publish(&topic)).is_allowed());
        assert!(!policy.decide(&subject, &publish(&other)).is_allowed());
    }
}

#[test]
fn own_literal_rules_take_less_than_sixty_bytes_each_with_their_text_and_line() {
    let names: Vec<String> = (0..1_000).map(|number| format!("dev/0001/own/topic-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let index = Index::compile_own(&of(Owner::Device("dev-0001".into()), &names));
    // A rule's text alone is longer than its common beginning with the one before.
    let bytes = |index: &Index| index.table_bytes() / names.len();
    assert!((8..40).contains(&bytes(&index)), "{}", index.table_bytes());
    let tree = Index::compile_tree(&[block(&names)]);
    assert!((8..400).contains(&bytes(&tree)), "{}", tree.table_bytes());
}

#[test]
fn a_rule_is_the_same_in_all_indexes_that_have_its_block() {
    let (one, two, three) = (block(&["b", "a"]), block(&["c", "d"]), block(&["e"]));
    let index = Index::compile(&[one, Arc::clone(&two), three]);
    let shared = Index::compile(&[two]);
    let of = |index: &Index, numbers| -> Vec<Identity> {
        std::ops::Range::map(numbers, |number| index.identity(number)).collect()
    };
    let all = of(&index, 0..5);
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 5);
    assert_eq!(all[2..4], of(&shared, 0..2));
}

#[test]
fn every_rule_is_found_by_its_number() {
    let index = Index::compile(&[block(&[]), block(&["b", "a"]), block(&[]), block(&["c"]), block(&[])]);
    let written = |number| index.written(number).map(|(_, rule)| rule.template.to_string());
    assert_eq!([0, 1, 2].map(written).map(Option::unwrap), ["b", "a", "c"]);
    assert_eq!(written(3), None);
}

#[test]
fn no_rules_are_an_index_too() {
    assert!(Index::compile(&[]).written(0).is_none());
    assert!(Index::compile_tree(&[]).written(0).is_none());
}

#[test]
fn few_rules_are_a_list_and_many_or_odd_ones_a_tree() {
    let is_list = |block: Arc<Block>| matches!(Index::compile(&[block]).form, Form::List(_));
    let many = |form: fn(usize) -> String, count| (0..count).map(form).collect::<Vec<_>>();
    let named = |texts: &[String]| block(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(is_list(named(&many(|number| format!("a/{number}"), 1_000))));
    assert!(is_list(named(&many(|number| format!("a/{number}/+"), 12))));
    assert!(!is_list(named(&many(|number| format!("a/{number}/+"), 13))));
    assert!(is_list(block(&["a/{device}"])));
    assert!(!is_list(block(&["a/{{x}}"])));
    let denials = |count| {
        let mut denials = Block::clone(&named(&many(|number| format!("a/{number}"), count)));
        denials.rules.iter_mut().for_each(|rule| rule.effect = Effect::Deny);
        Arc::new(denials)
    };
    assert!(is_list(denials(32)) && !is_list(denials(33)));
    let mut denial = Block::clone(&block(&["a/{device}"]));
    denial.rules[0].effect = Effect::Deny;
    assert!(!is_list(Arc::new(denial)));
}

#[test]
fn a_packed_block_comes_out_as_it_went_in() {
    let texts = ["a/b", "a/{device}/#", "a/{attr.x}", "é/+", "#", "a/b"];
    let mut block = Block::clone(&of(Owner::Device("d\u{e9}".into()), &texts));
    block.limits = Limits { max_qos: Some(1), no_retain: true, max_payload: Some(7) };
    for (rule, (effect, actions)) in block.rules.iter_mut().zip([
        (Effect::Allow, Actions::PUBLISH),
        (Effect::Allow, Actions::SUBSCRIBE.and(Actions::RECEIVE)),
        (Effect::Allow, Actions::PUBLISH.and(Actions::SUBSCRIBE).and(Actions::RECEIVE)),
        (Effect::Deny, Actions::RECEIVE),
        (Effect::Deny, Actions::PUBLISH.and(Actions::SUBSCRIBE).and(Actions::RECEIVE)),
        (Effect::Deny, Actions::SUBSCRIBE.and(Actions::RECEIVE)),
    ]) {
        (rule.effect, rule.actions) = (effect, actions);
    }
    let block = Arc::new(block);
    let index = Index::compile_own(&block);
    assert!(matches!(index.kept, Kept::Packed { .. }));
    assert_eq!(format!("{:?}", index.blocks()), format!("{:?}", [&block]));
    assert_eq!(index.limits(0), Some(block.limits));
    assert!(!index.reads_client_id());
    assert!(Index::compile(&[self::block(&["{clientid}/x"])]).reads_client_id());
}

#[test]
fn to_read_reasons_keeps_no_block() {
    let mut block = Block::clone(&of(Owner::Device("d".into()), &["a/b", "a/c", "e/{device}"]));
    block.rules[1].effect = Effect::Deny;
    block.rules.iter_mut().for_each(|rule| rule.actions = Actions::PUBLISH.and(Actions::SUBSCRIBE));
    let index = Index::compile_own(&Arc::new(block));
    let attributes = Attributes::default();
    let subject = Subject { device: Some("d"), client_id: "d", attributes: &attributes };
    let policy = Policy::new(None, Some(&index), WideSubscribe::Strict);
    let publish = |topic| Request::Publish { topic, qos: 0, retain: false, payload_bytes: 0 };
    for (request, text) in [
        (publish("a/b"), "allowed: a/b (device d, f.toml:1)"),
        (publish("e/d"), "allowed: e/{device} (device d, f.toml:3)"),
        (publish("a/c"), "refused: publish to `a/c` is denied by f.toml:2 (deny `a/c`)"),
        (publish("x"), "refused: no rule allows publish to `x`"),
        (
            Request::Subscribe { filter: "a/+" },
            "refused: `a/+` also matches `a/c`, denied by f.toml:2 (deny `a/c`)",
        ),
        (Request::Subscribe { filter: "z/#" }, "refused: `z/#` also matches `z`, which no rule allows"),
    ] {
        let decision = policy.decide(&subject, &request);
        assert_eq!(decision.to_string(), text);
        let rule = decision.rule().map(|rule| (rule.owner().to_string(), rule.place().line, rule.identity()));
        assert_eq!(rule.is_some(), !text.contains("no rule"), "{text}");
    }
    assert!(index.is_packed());
    assert_eq!(index.blocks().len(), 1);
    assert!(!index.is_packed(), "what keeps one would be seen");
}

#[test]
fn the_same_rules_are_the_same_wherever_they_are_written() {
    let compile = |change: fn(&mut Block)| {
        let mut block = Block::clone(&of(Owner::Device("d".into()), &["a/b", "a/+", "e/{device}"]));
        change(&mut block);
        Index::compile_own(&Arc::new(block))
    };
    let index = compile(|_| ());
    assert!(index.is_same(&compile(|block| block.rules.iter_mut().for_each(|rule| rule.place.line += 7))));
    for change in [
        |block: &mut Block| block.rules.truncate(2),
        |block: &mut Block| block.rules[0].actions = Actions::SUBSCRIBE,
        |block: &mut Block| block.rules[0].effect = Effect::Deny,
        |block: &mut Block| block.rules[1].template = Template::parse("a/#").unwrap(),
        |block: &mut Block| block.limits.max_qos = Some(1),
    ] {
        assert!(!index.is_same(&compile(change)));
    }
}

#[test]
fn who_speaks_of_the_client_id_says_so() {
    for (templates, reads) in [
        (&["a/{clientid}/b", "c"][..], true),
        (&["a/{device}/b", "c/#"], false),
        (&["clientid", "a/{clientid}/{device}"], true),
        (&["a/+"], false),
        (&[], false),
    ] {
        for index in [Index::compile(&[block(templates)]), Index::compile_tree(&[block(templates)])] {
            assert_eq!(index.reads_client_id(), reads, "{templates:?} {:?}", index.form);
        }
    }
}
