//! Client ids for which something else happens than for most.

use std::collections::BTreeSet;

use super::rights::Change;
use crate::{
    policy::Subject,
    topic::{Level, Template},
};

/// Which client id the report is for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ClientId {
    /// Any that is not among the others.
    Other,
    /// The device's name.
    Own,
    /// This one: rules spell a text that it makes equal to a level with `{clientid}`.
    Text(String),
    /// One that cannot stand in a topic.
    Unusable,
}

/// Whether two reports come to the same for this subject: then one of them says it all, with `{clientid}`.
pub(super) fn alike(one: &[Change], two: &[Change], subject: &Subject<'_>) -> bool {
    let filled = |changes: &[Change]| -> BTreeSet<String> {
        let told = changes.iter().filter_map(|change| {
            let except: BTreeSet<String> =
                change.except.iter().filter_map(|filter| fill(filter, subject)).collect();
            Some(format!(
                "{:?}{:?}{:?}{except:?}",
                change.action,
                change.kind,
                fill(&change.filter, subject)?
            ))
        });
        told.collect()
    };
    filled(one) == filled(two)
}

/// A filter of a report with the subject's values; nothing if a value is missing, for then it matches nothing.
fn fill(filter: &str, subject: &Subject<'_>) -> Option<String> {
    let template = Template::parse(filter).ok()?;
    let levels: Option<Vec<String>> = template
        .levels()
        .map(|level| match level {
            Level::Text(text) => Some(text.into_owned()),
            Level::Plus => Some("+".to_owned()),
            Level::Hash => Some("#".to_owned()),
            Level::Hole { prefix, placeholder, suffix } => {
                subject.value(&placeholder).map(|value| format!("{prefix}{value}{suffix}"))
            }
        })
        .collect();
    levels.map(|levels| levels.join("/"))
}
