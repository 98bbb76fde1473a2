//! The specification as slow lines, to judge the engine by: nothing here is shared with it.
//!
//! A filter is judged by listing its topics, over all texts that anybody mentions and one that nobody does, down to one
//! level below the deepest rule.

/// One rule; what it is about is a subset of `publish`, `subscribe`, `receive`.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    pub(crate) about: &'static [Action],
    pub(crate) filter: String,
}

/// What a client may ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Publish,
    Subscribe,
    Receive,
    Unsubscribe,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) device: Option<String>,
    pub(crate) client_id: String,
    pub(crate) site: Option<String>,
}

/// A filter in levels, placeholders filled.
pub(crate) type Levels = Vec<String>;

/// Whether `client` may; `wide` is `wide_subscribe = "filter"`.
pub(crate) fn allows(rules: &[Rule], client: &Client, (action, text): (Action, &str), wide: bool) -> bool {
    let named = matches!(action, Action::Publish | Action::Receive);
    let (group, plain) = if named { (None, text) } else { split_share(text) };
    let whole = || is_text(text) && group.is_none_or(is_group) && is_filter(plain);
    if !(if named { is_name(text) } else { whole() }) {
        return false;
    }
    if action == Action::Unsubscribe {
        return true;
    }
    if rules.iter().any(|rule| !rule.allow && fill(&rule.filter, client).is_none()) {
        return false;
    }
    let about = |allow: bool, action: Action| -> Vec<Levels> {
        let said = rules.iter().filter(|rule| rule.allow == allow && rule.about.contains(&action));
        said.filter_map(|rule| fill(&rule.filter, client)).collect()
    };
    let (allows, mut denies) = (about(true, action), about(false, action));
    if named {
        return any_matches(&allows, text) && !any_matches(&denies, text);
    }
    if group.is_some() {
        denies.extend(about(false, Action::Receive));
    }
    let topics = topics_of(plain, &[&allows[..], &denies[..]].concat());
    if wide && group.is_none() {
        let inside = |deny: &Levels| topics.iter().all(|topic| matches_topic(deny, topic));
        return topics.iter().any(|topic| any_matches(&allows, topic)) && !denies.iter().any(inside);
    }
    topics.iter().all(|topic| any_matches(&allows, topic) && !any_matches(&denies, topic))
}

/// `$share/GROUP/FILTER` in its parts; an impossible group where they are missing.
fn split_share(text: &str) -> (Option<&str>, &str) {
    match text.split('/').collect::<Vec<_>>()[..] {
        ["$share", group, first, ..] if first != "$share" => {
            (Some(group), &text["$share//".len() + group.len()..])
        }
        ["$share", ..] => (Some(""), text),
        _ => (None, text),
    }
}

fn is_group(text: &str) -> bool {
    !text.is_empty() && !text.contains(['+', '#'])
}

fn is_name(text: &str) -> bool {
    is_text(text) && !text.contains(['+', '#']) && text.split('/').next() != Some("$share")
}

fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let whole = |(at, level): (usize, &&str)| match *level {
        "#" => at + 1 == levels.len(),
        "+" => true,
        other => !other.contains(['+', '#']),
    };
    is_text(text) && levels.iter().enumerate().all(whole)
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= 65_535 && !text.contains('\0') && text.split('/').count() <= 200
}

/// The filter of a rule for this client, unless a value is missing or unusable.
pub(crate) fn fill(filter: &str, client: &Client) -> Option<Levels> {
    let mut levels: Levels = filter.split('/').map(str::to_owned).collect();
    for level in &mut levels {
        for (name, value) in [
            ("{device}", &client.device),
            ("{username}", &client.device),
            ("{clientid}", &Some(client.client_id.clone())),
            ("{attr.site}", &client.site),
        ] {
            if let Some((before, after)) = level.split_once(name) {
                let value = value.as_ref().filter(|value| is_value(value))?;
                *level = format!("{before}{value}{after}");
                break;
            }
        }
    }
    Some(levels)
}

fn is_value(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('$')
        && !text.contains(|ch: char| "+#/".contains(ch) || ch.is_control())
}

fn any_matches(filters: &[Levels], topic: &str) -> bool {
    filters.iter().any(|filter| matches_topic(filter, topic))
}

pub(crate) fn matches_topic(filter: &[String], topic: &str) -> bool {
    let hidden = topic.starts_with('$') && matches!(filter[0].as_str(), "+" | "#");
    !hidden && matches(filter, &topic.split('/').collect::<Vec<_>>())
}

fn matches(filter: &[String], topic: &[&str]) -> bool {
    match (filter, topic) {
        ([last], _) if last == "#" => true,
        ([], []) => true,
        ([want, filter @ ..], [found, topic @ ..]) => {
            (want == "+" || want == found) && matches(filter, topic)
        }
        _ => false,
    }
}

/// Every topic of `filter` that could make a difference to `rules`.
pub(crate) fn topics_of(filter: &str, rules: &[Levels]) -> Vec<String> {
    let wanted: Levels = filter.split('/').map(str::to_owned).collect();
    let mut texts: Levels = rules.iter().flatten().cloned().chain(["".into(), "nobody".into()]).collect();
    texts.retain(|text| !text.contains(['+', '#']));
    texts.sort_unstable();
    texts.dedup();
    let more = usize::from(filter.ends_with('#'));
    let deepest = wanted.len().max(more * (rules.iter().map(Vec::len).max().unwrap_or(0) + 1));
    let mut found = Vec::new();
    let mut open: Vec<Levels> = vec![vec![]];
    for depth in 0..deepest {
        let here = match wanted.get(depth).map(String::as_str) {
            None | Some("+" | "#") => texts.clone(),
            Some(text) => vec![text.to_owned()],
        };
        let longer =
            |topic: Levels| here.iter().map(move |text| [topic.clone(), vec![text.clone()]].concat());
        open = open.into_iter().flat_map(longer).collect();
        let topics = open.iter().map(|topic| topic.join("/"));
        found.extend(topics.filter(|topic| is_name(topic) && matches_topic(&wanted, topic)));
    }
    found
}
