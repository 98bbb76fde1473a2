//! What one client may do before and after, for all topics at once.

use std::{borrow::Cow, collections::HashMap};

use super::{
    cover::{Describe, Piece, Step},
    limits,
    shape::{NOTHING, Shapes, Text},
    walk::{Line, Sides, Verdicts, Walk},
};
use crate::{
    policy::{Action, Actions, Block, Effect, Limits, Rule, Subject},
    topic::{Level, Placeholder, SHARE, escape},
};

/// The rules of a client on one side of a comparison, and what fills their placeholders.
#[derive(Clone, Debug)]
pub struct Side<'a> {
    /// All that hold for it; none if it is refused everything.
    pub blocks: Vec<&'a Block>,
    /// Who it is.
    pub subject: Subject<'a>,
}

/// Topics about which the two sides differ alike: those that `filter` matches and none of `except` does.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Change {
    /// `Publish`, `Subscribe` (asking for the topic) or `Receive` (being delivered it).
    pub action: Action,
    /// In what they differ.
    pub kind: Kind,
    /// A filter as a rule would have it: with placeholders where a value came from one.
    pub filter: String,
    /// Filters of the same sort, each within `filter` at least in part.
    pub except: Vec<String>,
    /// One of the topics.
    pub witness: String,
}

/// In what two decisions about a topic differ.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Refused before, allowed now.
    Gained {
        /// Messages within one of these; only for publishing, and empty if nothing limits them.
        limits: Vec<Limits>,
    },
    /// Allowed before, refused now.
    Lost,
    /// Allowed before and now, but for other messages. An empty list limits nothing.
    Limits {
        /// Within one of these before.
        old: Vec<Limits>,
        /// Within one of these now.
        new: Vec<Limits>,
    },
}

const ACTIONS: [(Action, Actions); 3] = [
    (Action::Publish, Actions::PUBLISH),
    (Action::Subscribe, Actions::SUBSCRIBE),
    (Action::Receive, Actions::RECEIVE),
];

/// Where the decisions of two sides about a topic differ. Exact: a topic name is within some change of an action exactly
/// if the sides decide differently about it, for some message.
///
/// A filter is allowed to be subscribed to if all its topics are, so that this says all about subscriptions under
/// `wide_subscribe = "strict"`.
#[must_use]
pub fn rights(old: &Side<'_>, new: &Side<'_>) -> Vec<Change> {
    let mut texts = Texts::default();
    texts.number("", String::new());
    for side in [old, new] {
        for level in side.levels() {
            if let Level::Text(text) = level {
                texts.number(&text, escape(&text).into_owned());
            }
        }
    }
    let mut changes = Vec::new();
    for (action, wanted) in ACTIONS {
        let mut lines: Lines = HashMap::default();
        for (sides, here) in [([old, new], Sides::OLD), ([new, old], Sides::NEW)] {
            for (filled, allows) in lines_of(sides, wanted, &mut texts) {
                lines.entry((filled, allows)).or_default().0 |= here.0;
            }
        }
        describe(action, lines, &texts, &mut changes);
    }
    changes
}

/// Each rule once, with the sides it stands in.
type Lines = HashMap<(Vec<Filled>, Option<Limits>), Sides>;

/// A level of a rule, placeholders filled.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Filled {
    Text(Text),
    Plus,
    Hash,
}

/// The texts of levels.
#[derive(Default)]
struct Texts {
    numbers: HashMap<String, Text>,
    /// By number: itself, and how a rule would have it.
    all: Vec<(String, String)>,
}

impl Texts {
    fn number(&mut self, text: &str, shown: String) -> Text {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        let own = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text.to_owned(), own);
        self.all.push((text.to_owned(), shown));
        own
    }

    fn get(&self, number: Text) -> (&str, &str) {
        let found = usize::try_from(number).ok().and_then(|at| self.all.get(at));
        found.map_or(("", ""), |(text, shown)| (text, shown))
    }

    /// A short text that nobody mentions.
    fn fresh(&self) -> String {
        let letters = ["x", "y", "z"].into_iter().map(str::to_owned);
        let mut all = letters.chain((1..).map(|number: u32| format!("x{number}")));
        all.find(|text| !self.numbers.contains_key(text)).unwrap_or_default()
    }
}

impl<'a> Side<'a> {
    fn rules(&self) -> impl Iterator<Item = (&'a Block, &'a Rule)> {
        let blocks = if self.is_refused() { &[][..] } else { &*self.blocks };
        blocks.iter().flat_map(|block| block.rules.iter().map(move |rule| (*block, rule)))
    }

    /// Whether some deny rule cannot be filled in, which refuses everything.
    fn is_refused(&self) -> bool {
        let rules = self.blocks.iter().flat_map(|block| &block.rules);
        rules
            .filter(|rule| rule.effect == Effect::Deny)
            .flat_map(|rule| rule.template.placeholders())
            .any(|placeholder| self.subject.value(&placeholder).is_none())
    }

    fn levels(&self) -> impl Iterator<Item = Level<'a>> {
        self.rules().flat_map(|(_, rule)| rule.template.levels())
    }
}

/// The rules of a side that speak of an action; then the other side.
fn lines_of(
    [side, across]: [&Side<'_>; 2],
    wanted: Actions,
    texts: &mut Texts,
) -> Vec<(Vec<Filled>, Option<Limits>)> {
    let mut lines = Vec::new();
    for (block, rule) in side.rules().filter(|(_, rule)| rule.actions.meets(wanted)) {
        let levels: Option<Vec<Filled>> = rule
            .template
            .levels()
            .map(|level| match level {
                Level::Plus => Some(Filled::Plus),
                Level::Hash => Some(Filled::Hash),
                Level::Text(text) => Some(Filled::Text(texts.number(&text, escape(&text).into_owned()))),
                Level::Hole { prefix, placeholder, suffix } => {
                    let value = side.subject.value(&placeholder)?;
                    let text = format!("{prefix}{value}{suffix}");
                    let shown = if is_kept(&placeholder, side, across) {
                        format!("{}{placeholder}{}", escape(&prefix), escape(&suffix))
                    } else {
                        escape(&text).into_owned()
                    };
                    Some(Filled::Text(texts.number(&text, shown)))
                }
            })
            .collect();
        // An allow that cannot be filled in is none.
        let Some(levels) = levels else { continue };
        let allows = match (rule.effect, wanted) {
            (Effect::Deny, _) => None,
            (Effect::Allow, Actions::PUBLISH) => Some(limits::canonical(block.limits)),
            (Effect::Allow, _) => Some(Limits::default()),
        };
        lines.push((levels, allows));
    }
    lines
}

/// Whether the placeholder means the same on both sides, so that it can stand for its value.
fn is_kept(placeholder: &Placeholder, side: &Side<'_>, across: &Side<'_>) -> bool {
    side.subject.value(placeholder) == across.subject.value(placeholder)
}

fn describe(action: Action, lines: Lines, texts: &Texts, changes: &mut Vec<Change>) {
    if lines.values().all(|sides| *sides == Sides::BOTH) {
        return;
    }
    let mut sorted: Vec<_> = lines.into_iter().collect();
    sorted.sort_by(|(one, _), (two, _)| one.cmp(two));
    let lines: Vec<Line> = sorted
        .into_iter()
        .map(|((levels, allows), sides)| Line {
            steps: levels.into_iter().map(step).collect(),
            allows,
            sides,
        })
        .collect();
    let is_dollar = |text: Text| texts.get(text).0.starts_with('$');
    let mut shapes = Shapes::new();
    let mut walk = Walk::new(&lines, &mut shapes, &is_dollar);
    let mut root = walk.run();
    let verdicts = std::mem::take(&mut walk.verdicts);
    // It is for subscriptions only; no topic begins with it.
    root.children.retain(|(text, _)| texts.get(*text).0 != SHARE);
    let empty = texts.numbers.get("").copied().unwrap_or_default();
    let fresh = texts.fresh();
    for (value, verdicts) in (1..).zip(verdicts) {
        let only = root.only(value, &mut shapes);
        if only.other == NOTHING && only.children.iter().all(|(_, child)| *child == NOTHING) {
            continue;
        }
        let kind = kind(verdicts);
        for piece in Describe::new(&mut shapes, empty, &is_dollar).root(&only) {
            changes.push(change((action, kind.clone()), &piece, (texts, &fresh)));
        }
    }
}

fn step(filled: Filled) -> Step {
    match filled {
        Filled::Text(text) => Step::Text(text),
        Filled::Plus => Step::Plus,
        Filled::Hash => Step::Hash,
    }
}

fn kind(Verdicts { old, new }: Verdicts) -> Kind {
    let told = |limits: Vec<Limits>| if limits == [Limits::default()] { Vec::new() } else { limits };
    match (old.is_empty(), new.is_empty()) {
        (_, true) => Kind::Lost,
        (true, false) => Kind::Gained { limits: told(new) },
        (false, false) => Kind::Limits { old: told(old), new: told(new) },
    }
}

fn change((action, kind): (Action, Kind), piece: &Piece, (texts, fresh): (&Texts, &str)) -> Change {
    let shown = |filter: &[Step]| {
        let levels: Vec<Cow<'_, str>> = filter
            .iter()
            .map(|step| match step {
                Step::Text(text) => texts.get(*text).1.into(),
                Step::Plus => "+".into(),
                Step::Hash => "#".into(),
            })
            .collect();
        levels.join("/")
    };
    let witness: Vec<&str> =
        piece.witness.iter().map(|level| level.map_or(fresh, |text| texts.get(text).0)).collect();
    Change {
        action,
        kind,
        filter: shown(&piece.filter),
        except: piece.except.iter().map(|filter| shown(filter)).collect(),
        witness: witness.join("/"),
    }
}
