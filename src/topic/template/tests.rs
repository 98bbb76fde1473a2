use super::*;

fn blamed(text: &str) -> (TemplateErrorKind, &str) {
    let error = Template::parse(text).unwrap_err();
    (error.kind, &text[error.span])
}

fn levels(text: &str) -> Vec<String> {
    let template = Template::parse(text).unwrap();
    template
        .levels()
        .map(|level| match level {
            Level::Text(text) => format!("={text}"),
            Level::Hole { prefix, placeholder, suffix } => format!("<{prefix}|{placeholder}|{suffix}>"),
            Level::Plus => "+".into(),
            Level::Hash => "#".into(),
        })
        .collect()
}

#[test]
fn levels_are_text_holes_and_wildcards() {
    assert_eq!(
        levels("home/dev-{username}.x/+//{attr.site}/{clientid}/#"),
        ["=home", "<dev-|{device}|.x>", "+", "=", "<|{attr.site}|>", "<|{clientid}|>", "#"]
    );
}

#[test]
fn holes_know_their_bytes() {
    let text = "é{{/+/{{{device}}}/{{device}}/x{attr.site}/{username}/#";
    let template = Template::parse(text).unwrap();
    let found: Vec<_> = template.holes().map(|(hole, span)| (hole, &text[span])).collect();
    assert_eq!(
        found,
        [
            (Placeholder::Device, "{device}"),
            (Placeholder::Attribute("site".into()), "{attr.site}"),
            (Placeholder::Device, "{username}"),
        ]
    );
}

#[test]
fn doubled_braces_are_braces() {
    assert_eq!(levels("{{device}}/a}}{{/{{{device}}}"), ["={device}", "=a}{", "<{|{device}|}>"]);
    for text in ["{a}/b", "{{", "}{", "plain"] {
        let template = Template::parse(&escape(text)).unwrap();
        let back: Vec<_> = template.levels().collect();
        let expected: Vec<_> = text.split('/').map(|level| Level::Text(level.into())).collect();
        assert_eq!(back, expected);
    }
}

#[test]
fn a_filter_becomes_the_template_that_matches_the_same() {
    let template = Template::from(Filter::parse("$share/g/{device}/+/#").unwrap());
    assert_eq!(template.as_str(), "{{device}}/+/#");
    assert_eq!(template.placeholders().count(), 0);
}

#[test]
fn what_was_written_is_printed() {
    for text in ["a/{username}/#", "{{x}}", "/", "$SYS/#"] {
        assert_eq!(Template::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn mistakes_point_at_their_bytes() {
    use TemplateErrorKind as Kind;
    for (text, kind, bytes) in [
        ("", Kind::Topic(TopicError::Empty), ""),
        ("é/a+/b", Kind::Topic(TopicError::PartialWildcard('+')), "+"),
        ("a/#/b", Kind::Topic(TopicError::HashNotLast), "#"),
        ("a/##", Kind::Topic(TopicError::PartialWildcard('#')), "#"),
        ("a/\0", Kind::Topic(TopicError::Nul), "\0"),
        ("$share/g/a", Kind::Share, "$share"),
        ("$share", Kind::Share, "$share"),
        ("a/{devcie}/b", Kind::UnknownPlaceholder("devcie".into()), "{devcie}"),
        ("é/x{}", Kind::UnknownPlaceholder("".into()), "{}"),
        ("a/{attr.}", Kind::NamelessAttribute, "{attr.}"),
        ("a/x{device/b}", Kind::Unclosed, "{"),
        ("a/{dev{ice}", Kind::Unclosed, "{"),
        ("a/device}", Kind::Unopened, "}"),
        ("a/{device}-{clientid}/b", Kind::SecondPlaceholder, "-{clientid}"),
    ] {
        assert_eq!(blamed(text), (kind, bytes), "{text}");
    }
    let long = "a".repeat(MAX_TOPIC_BYTES);
    assert!(Template::parse(&long).is_ok());
    assert_eq!(blamed(&(long + "a")).0, Kind::Topic(TopicError::TooLong));
    let deep = "a/".repeat(MAX_LEVELS) + "b";
    assert_eq!(blamed(&deep), (Kind::Topic(TopicError::TooDeep), "b"));
}

#[test]
fn typing_mistakes_get_a_remedy() {
    let help = |text| Template::parse(text).unwrap_err().help().unwrap();
    assert_eq!(help("{Device}"), "did you mean `{device}`?");
    assert_eq!(help("{client_id}"), "did you mean `{clientid}`?");
    assert_eq!(help("{user-name}"), "did you mean `{username}`?");
    assert_eq!(help("{attribute}"), "did you mean `{attr.NAME}`?");
    assert_eq!(
        help("{foo}"),
        "known are `{device}`, `{username}`, `{clientid}` and `{attr.NAME}`; braces in a topic are doubled: `{{foo}}`"
    );
}
