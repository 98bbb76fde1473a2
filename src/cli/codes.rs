//! What each kind of warning or finding means: `--explain CODE`.

use std::fmt;

use citronella::config;
use serde::Serialize;

use super::{
    Answer,
    output::{Failure, Outcome, Output},
};

/// What a kind is about, how it comes about, and what to do.
pub(crate) struct Text {
    pub(crate) title: &'static str,
    pub(crate) meaning: &'static str,
    /// None if a few lines cannot show it.
    pub(crate) example: &'static str,
    pub(crate) fix: &'static str,
}

/// Kinds that can be explained.
pub(crate) trait Kind: Copy + 'static {
    /// The verb that takes `--explain`.
    const VERB: &str;
    /// What they are called.
    const WHAT: &str;

    /// In the order of their names.
    fn all() -> &'static [Self];
    fn name(self) -> &'static str;
    fn text(self) -> Text;
    /// What else there is to say.
    fn more(self) -> Option<String>;
}

/// Explains one kind, or names all of them.
pub(crate) fn explain<K: Kind>(output: &Output, wanted: Option<&str>) -> Answer {
    let Some(name) = wanted else {
        let all: Vec<Explained<K>> = K::all().iter().copied().map(Explained).collect();
        output.result(&List(&all), &all)?;
        return Ok(Outcome::Yes);
    };
    let Some(kind) = K::all().iter().copied().find(|kind| kind.name() == name) else {
        let meant = config::suggestion(name, K::all().iter().map(|kind| kind.name()));
        return Err(Failure::new(format!("there is no {} `{name}`", K::WHAT))
            .help(meant.unwrap_or_else(|| format!("`citronella {} --explain` names all", K::VERB))));
    };
    output.result(&Explained(kind), &Explained(kind))?;
    Ok(Outcome::Yes)
}

struct Explained<K>(K);

struct List<'a, K>(&'a [Explained<K>]);

impl<K: Kind> fmt::Display for List<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|Explained(kind)| kind.name().len()).max().unwrap_or(0);
        for Explained(kind) in self.0 {
            writeln!(f, "{:<width$} {}", kind.name(), kind.text().title)?;
        }
        write!(f, "\n`citronella {} --explain CODE` tells more of one.", K::VERB)
    }
}

impl<K: Kind> fmt::Display for Explained<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text { title, meaning, example, fix } = self.0.text();
        writeln!(f, "{}: {title}\n\n{meaning}", self.0.name())?;
        if !example.is_empty() {
            writeln!(f, "\nExample:")?;
        }
        for line in example.lines() {
            writeln!(f, "  {line}")?;
        }
        write!(f, "\nWhat to do: {fix}")?;
        match self.0.more() {
            Some(more) => write!(f, "\n\n{more}"),
            None => Ok(()),
        }
    }
}

impl<K: Kind> Serialize for Explained<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let Text { title, meaning, example, fix } = self.0.text();
        let mut fields = serializer.serialize_struct("Explained", 5)?;
        fields.serialize_field("code", self.0.name())?;
        fields.serialize_field("title", title)?;
        fields.serialize_field("meaning", meaning)?;
        fields.serialize_field("example", example)?;
        fields.serialize_field("fix", fix)?;
        fields.end()
    }
}

/// That every kind has a title of its own, an explanation and a way out.
#[cfg(test)]
#[allow(clippy::panic, reason = "a test stops by panicking")]
pub(crate) fn assert_explained<K: Kind>() {
    let mut titles = std::collections::HashSet::new();
    for kind in K::all() {
        let Text { title, meaning, fix, .. } = kind.text();
        let name = kind.name();
        assert!(titles.insert(title), "{name}: {title}");
        assert!(meaning.len() > 60 && meaning.ends_with('.'), "{name}");
        assert!(fix.ends_with('.') && !title.ends_with('.'), "{name}");
    }
}
