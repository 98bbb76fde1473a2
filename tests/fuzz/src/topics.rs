//! Names, filters and templates.

use citronella::topic::{Filter, Level, Name, Template, escape};

use crate::model::{self, Action};

/// Each line is read as all three; the first, as a filter, meets the others as names.
pub fn check(text: &str) {
    // What may stand in a topic is for the readers to say, line ends too.
    let lines: Vec<&str> = text.split('\n').collect();
    for line in lines.iter().copied().chain([text]) {
        name(line);
        filter(line);
        template(line);
    }
    if let [first, rest @ ..] = &lines[..] {
        rest.iter().take(8).for_each(|line| matching(first, line));
    }
}

fn name(text: &str) {
    let Ok(name) = Name::parse(text) else { return };
    assert_eq!(name.as_str(), text);
    assert_eq!(name.levels().collect::<Vec<_>>().join("/"), text);
    let filter = Filter::parse(text).unwrap_or_else(|error| panic!("a name but no filter: {error}"));
    assert!(filter.matches(name) && !filter.is_wild() && filter.group().is_none(), "{text:?}");
}

fn filter(text: &str) {
    let read = Filter::parse(text);
    assert_eq!(read.is_ok(), model::allows(&[], &nobody(), (Action::Unsubscribe, text), false), "{read:?}");
    let Ok(filter) = read else { return };
    assert_eq!(filter.as_str(), text);
    assert_eq!(filter.levels().collect::<Vec<_>>().join("/"), filter.plain());
    match filter.group() {
        Some(group) => assert_eq!(format!("$share/{group}/{}", filter.plain()), text),
        None => assert_eq!(filter.plain(), text),
    }
    let plain = Filter::parse(filter.plain()).unwrap_or_else(|error| panic!("a share of no filter: {error}"));
    assert_eq!((plain.group(), plain.is_wild()), (None, filter.is_wild()), "{text:?}");
    assert_eq!(plain.is_wild(), Name::parse(plain.as_str()).is_err(), "{text:?}");

    let template = Template::from(filter);
    assert_eq!(template.placeholders().count(), 0, "{template}");
    // Doubled braces can be more than a template may have.
    if template.as_str().len() == filter.plain().len() {
        assert_eq!(Template::parse(template.as_str()), Ok(template), "{text:?}");
    }
}

fn template(text: &str) {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => {
            assert!(text.get(error.span.clone()).is_some(), "{text:?}: {error:?}");
            assert!(!error.to_string().is_empty() && error.help().is_none_or(|help| !help.is_empty()));
            return;
        }
    };
    assert_eq!((template.as_str(), template.to_string()), (text, text.to_owned()));
    let levels: Vec<Level<'_>> = template.levels().collect();
    assert_eq!(levels.len(), text.split('/').count(), "{text:?}");
    let printed = levels.iter().map(print).collect::<Vec<_>>().join("/");
    let again = Template::parse(&printed).unwrap_or_else(|error| panic!("{printed:?}: {error}"));
    assert_eq!(again.levels().collect::<Vec<_>>(), levels, "{text:?} {printed:?}");
    let holes = levels.iter().filter(|level| matches!(level, Level::Hole { .. })).count();
    assert_eq!((template.holes().count(), template.placeholders().count()), (holes, holes), "{text:?}");
    for (placeholder, span) in template.holes() {
        let hole = text.get(span).unwrap_or_default();
        let known = hole == placeholder.to_string() || hole == "{username}";
        assert!(known, "{hole:?} stands for {placeholder} in {text:?}");
    }
}

fn print(level: &Level<'_>) -> String {
    match level {
        Level::Text(text) => escape(text).into_owned(),
        Level::Hole { prefix, placeholder, suffix } => {
            format!("{}{placeholder}{}", escape(prefix), escape(suffix))
        }
        Level::Plus => "+".to_owned(),
        Level::Hash => "#".to_owned(),
    }
}

fn matching(filter: &str, name: &str) {
    let (Ok(filter), Ok(name)) = (Filter::parse(filter), Name::parse(name)) else { return };
    if filter.plain().contains(['{', '}']) {
        return;
    }
    let rule = model::Rule { allow: true, about: &[Action::Publish], filter: filter.plain().to_owned() };
    let judged = model::allows(&[rule], &nobody(), (Action::Publish, name.as_str()), false);
    assert_eq!(filter.matches(name), judged, "{filter:?} {name:?}");
}

fn nobody() -> model::Client {
    model::Client { device: None, client_id: String::new(), site: None }
}
