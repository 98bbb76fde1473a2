//! Topics and filters to ask about, made of those of the source.

use std::collections::{BTreeMap, BTreeSet};

use citronella::{
    import::Person,
    topic::{Filter, Name},
};

/// Topics are made of so many texts in place of a wildcard.
const TEXTS_PER_LEVEL: usize = 6;
/// And so many of one filter.
const TOPICS_PER_FILTER: usize = 40;

/// What is asked of everybody.
pub(super) struct Questions<'q> {
    filters: &'q [(String, u32)],
    people: &'q [Person],
    /// Texts that stand in each level of some filter.
    texts: BTreeMap<usize, Vec<&'q str>>,
    /// For one of the people.
    most: usize,
}

impl<'q> Questions<'q> {
    /// About `most` questions to all people together.
    pub(super) fn of(filters: &'q [(String, u32)], people: &'q [Person], most: usize) -> Self {
        let mut texts: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for (filter, _) in filters {
            for (depth, level) in filter.split('/').enumerate().filter(|(_, level)| is_text(level)) {
                texts.entry(depth).or_default().insert(level);
            }
        }
        let texts = texts.into_iter().map(|(depth, texts)| (depth, texts.into_iter().collect())).collect();
        let most = (most / people.len().max(1) / 2).max(20);
        Self { filters, people, texts, most }
    }

    /// First levels that begin with `$` in what is asked, each as a filter of all below it.
    pub(super) fn dollars(&self) -> Vec<String> {
        let asked = self.people.iter().enumerate().flat_map(|(index, person)| self.topics(person, index));
        let first: BTreeSet<String> = asked
            .filter_map(|topic| topic.split('/').next().map(str::to_owned))
            .filter(|first| first.starts_with('$') && first != "$SYS")
            .collect();
        first.into_iter().map(|first| format!("{first}/#")).collect()
    }

    /// The client id that somebody is asked with.
    pub(super) fn client_id(&self, person: &Person, index: usize) -> String {
        person.client_id.clone().unwrap_or_else(|| format!("proof-{index}"))
    }

    /// The filters of the source as they are for one of the people.
    pub(super) fn filters(&self, person: &Person, index: usize) -> Vec<String> {
        let id = self.client_id(person, index);
        let filled = self
            .filters
            .iter()
            .flat_map(|(filter, _)| [filter.clone(), filter.replace("%u", &person.name).replace("%c", &id)]);
        let all: BTreeSet<String> = filled
            .filter(|filter| Filter::parse(filter).is_ok() && !filter.contains(char::is_control))
            .collect();
        thin(all.into_iter().collect(), self.most, index)
    }

    /// Topics for one of the people: those that the filters match, and their neighbours.
    pub(super) fn topics(&self, person: &Person, index: usize) -> Vec<String> {
        let id = self.client_id(person, index);
        let other =
            self.people.get((index + 1) % self.people.len().max(1)).map_or("other", |other| &*other.name);
        let mut topics = BTreeSet::new();
        for (filter, _) in self.filters {
            let mut spelled = vec![filter.replace("%u", &person.name).replace("%c", &id)];
            if filter.contains('%') {
                spelled.push(filter.clone());
                spelled.push(filter.replace("%u", other).replace("%c", "other"));
                spelled.push(filter.replace("%u", &person.device).replace("%c", &person.name));
            }
            for filter in spelled {
                self.spell_out(&filter, &mut topics);
            }
        }
        // Brokers end the session of whoever sends control characters.
        let possible = |topic: &String| {
            Name::parse(topic).is_ok() && !topic.contains(char::is_control) && !topic.starts_with("$share/")
        };
        let topics = topics.into_iter().filter(possible);
        thin(topics.collect(), self.most, index)
    }

    fn spell_out(&self, filter: &str, topics: &mut BTreeSet<String>) {
        let mut begun = vec![String::new()];
        for (depth, level) in filter.split('/').enumerate() {
            let texts = || self.texts.get(&depth).into_iter().flatten().copied().take(TEXTS_PER_LEVEL);
            let choices: Vec<&str> = match level {
                "#" => {
                    // The parent level is matched too.
                    topics.extend(begun.iter().map(|text| text.trim_end_matches('/').to_owned()));
                    texts().chain(["x", "x/y", ""]).collect()
                }
                "+" => texts().chain(["x", ""]).collect(),
                text => vec![text],
            };
            let longer = begun.iter().flat_map(|text| choices.iter().map(move |choice| (text, choice)));
            begun = longer
                .map(
                    |(text, choice)| {
                        if depth == 0 { (*choice).to_owned() } else { format!("{text}{choice}") }
                    },
                )
                .map(|text| if level == "#" { text } else { text + "/" })
                .take(TOPICS_PER_FILTER)
                .collect();
        }
        for text in begun {
            let topic =
                if filter.ends_with('#') { text.as_str() } else { text.strip_suffix('/').unwrap_or(&text) };
            topics.insert(topic.to_owned());
            topics.insert(format!("{topic}/z"));
            if let Some((parent, _)) = topic.rsplit_once('/') {
                topics.insert(parent.to_owned());
                topics.insert(format!("{parent}/q"));
            }
        }
    }
}

fn is_text(level: &str) -> bool {
    !matches!(level, "" | "+" | "#") && !level.contains('%')
}

/// At most so many, evenly from all, others for each of the people.
fn thin(all: Vec<String>, most: usize, index: usize) -> Vec<String> {
    let step = all.len().div_ceil(most.max(1)).max(1);
    all.into_iter().skip(index % step).step_by(step).collect()
}
