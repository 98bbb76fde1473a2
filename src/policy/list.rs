//! A few rules in one block of bytes.
//!
//! With many devices what a decision costs is the memory that it waits for. So everything about a device's own rules
//! stands together, each text once, and the few rules with wildcards are read one after the other, as they are written.
//! Numbers are little-endian.
//!
//! ```text
//!   HEADER   u16 rules, u16 slots, u8 what literal rules say, u8 what others say, u8 others, u8 whether one speaks of
//!            {clientid}, u8 max_qos (255: none), u8 retain = false, u16 bytes of the owner, u32 max_payload (2^32-1: none)
//!   others   for each rule that is not literal  u16 its row, u8 what it says, u8 bytes before its first wildcard or
//!            placeholder, [u8; 4] the last of these: most rules are told from a topic by them
//!   slots    u16 for each: 1 and the row of a literal rule, found by the hash of its text; 0 is free
//!   owner    name of the device whose rules these are
//!   rows     for each rule  u16 its number, u16 bytes of its text, u32 line, u8 what it says, u8 shape, its text
//! ```
//!
//! A row is named by where it begins, counted from the first in steps of four bytes.
//!
//! Not here are rules with doubled braces, and denials with placeholders, which can be unfillable: see the tree.

mod compile;
mod fit;

use std::{path::Path, sync::Arc};

pub(super) use compile::compile;

use super::{
    Block, Limits, Owner, Rule, Subject,
    cover::{Cover, Covered, Pattern, RuleAt},
    says::{End, Says},
    walk::Sink,
};
use crate::{
    diag::Place,
    topic::{Template, hash_level, same},
};
use fit::{covers, fits, meets};

const HEADER: usize = 16;
const OTHER: usize = 8;
/// Of a row, before its text.
const ROW: usize = 10;
/// Rows begin at multiples of this.
const STEP: usize = 4;
/// Bytes of a beginning by which rules are told from a topic.
const MARK: usize = 4;
/// What stands behind a rule's plain bytes, where that is simple.
mod shape {
    /// `#` and nothing else.
    pub(super) const REST: u8 = 1;
    /// `+` and then plain text.
    pub(super) const LEVEL: u8 = 2;
    /// `{device}` and then plain text.
    pub(super) const DEVICE: u8 = 3;
    /// Anything else.
    pub(super) const OTHER: u8 = 0;
}

/// In place of a limit that is not there.
const NO_QOS: u8 = u8::MAX;
const NO_PAYLOAD: u32 = u32::MAX;

/// A list where it lies.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    head: &'a [u8; HEADER],
    /// What follows it.
    body: &'a [u8],
}

/// One rule.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    number: u32,
    pub(super) text: &'a [u8],
    shape: u8,
    line: u32,
    says: Says,
}

impl<'a> List<'a> {
    /// `bytes` are what [`compile`] has made.
    #[inline]
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match bytes.split_first_chunk() {
            Some((head, body)) => Self { head, body },
            None => Self { head: &[0; HEADER], body: &[] },
        }
    }

    fn slots(self) -> usize {
        usize::from(u16::from_le_bytes([self.head[2], self.head[3]]))
    }

    fn slots_at(self) -> usize {
        OTHER * usize::from(self.head[6])
    }

    fn owner_at(self) -> usize {
        self.slots_at() + 2 * self.slots()
    }

    fn rows_at(self) -> usize {
        self.owner_at() + usize::from(u16::from_le_bytes([self.head[10], self.head[11]]))
    }

    /// What rules say that spell a topic, and what others say.
    #[inline]
    pub(super) fn says(self) -> (Says, Says) {
        (Says::of_byte(self.head[4]), Says::of_byte(self.head[5]))
    }

    pub(super) fn reads_client_id(self) -> bool {
        self.head[7] != 0
    }

    pub(super) fn limits(self) -> Limits {
        let max_payload = u32::from_le_bytes([self.head[12], self.head[13], self.head[14], self.head[15]]);
        Limits {
            max_qos: Some(self.head[8]).filter(|max| *max != NO_QOS),
            no_retain: self.head[9] != 0,
            max_payload: Some(max_payload).filter(|max| *max != NO_PAYLOAD),
        }
    }

    /// All rows, one after the other.
    #[inline]
    fn all_rows(self) -> &'a [u8] {
        self.body.get(self.rows_at()..).unwrap_or_default()
    }

    fn rows(self) -> impl Iterator<Item = Row<'a>> {
        let (rows, mut place) = (self.all_rows(), 0);
        std::iter::from_fn(move || {
            let row = row_at(rows, place)?;
            place += (ROW + row.text.len()).div_ceil(STEP);
            Some(row)
        })
    }

    /// Tells `sink` of the rules that spell `name`.
    #[inline]
    pub(super) fn spelled(self, name: &[u8], sink: &mut impl Sink) {
        let (slots, rows) = (self.body.get(self.slots_at()..self.owner_at()), self.all_rows());
        let slots = slots.unwrap_or_default().as_chunks().0;
        if slots.is_empty() {
            return;
        }
        let mut slot = first_slot(name, slots.len());
        while let Some(place) = slots.get(slot).and_then(|place| u16::from_le_bytes(*place).checked_sub(1))
            && let Some(row) = row_at(rows, place.into())
        {
            if same(row.text, name) {
                sink.note(&End { rule: row.number, says: row.says });
            }
            slot = (slot + 1) & (slots.len() - 1);
        }
    }

    /// Tells `sink` of the other rules that match the topic `name` and say something that is `wanted`.
    #[inline]
    pub(super) fn walk(self, (name, subject, wanted): TopicQuestion<'_>, sink: &mut impl Sink) {
        let rows = self.all_rows();
        for [low, high, says, plain, mark @ ..] in self.all_others() {
            if Says::of_byte(*says).meets(wanted)
                && may_begin(name, (*plain).into(), mark)
                && let Some(row) = row_at(rows, u16::from_le_bytes([*low, *high]).into())
                && fits((&row, (*plain).into()), name, subject)
            {
                sink.note(&End { rule: row.number, says: row.says });
            }
        }
    }

    /// Adds to `cover` what the rules that say `wanted` cover of the pattern. `which` index this is.
    ///
    /// Of the literal rules only those are looked at that spell what the pattern begins with: a device can ask for
    /// thousands of filters at once, and have thousands of rules.
    pub(super) fn add_to(self, cover: &mut Cover, which: usize, (pattern, subject, wanted): Question<'_>) {
        if let Some(name) = pattern.name {
            let spelled = Covered::Depth(pattern.levels().len());
            self.spelled(name.as_bytes(), &mut |end: &End| {
                if end.says.meets(wanted) {
                    cover.add(spelled, (which, end.rule), pattern);
                }
            });
        }
        for row in self.others().filter(|row| row.says.meets(wanted)) {
            if let Some(covered) = covers(row.text, pattern, subject) {
                cover.add(covered, (which, row.number), pattern);
            }
        }
    }

    /// The earliest rule that says `wanted` and matches a topic of the pattern. Literal rules are gone through only if
    /// some say that; few of a list deny.
    pub(super) fn meet(self, which: usize, (pattern, subject, wanted): Question<'_>) -> Option<RuleAt> {
        let met = |row: &Row<'_>| row.says.meets(wanted) && meets(row.text, pattern, subject);
        let found = if self.says().0.meets(wanted) { self.rows().find(met) } else { self.others().find(met) };
        found.map(|row| (which, row.number))
    }

    #[inline]
    fn all_others(self) -> &'a [[u8; OTHER]] {
        self.body.get(..self.slots_at()).unwrap_or_default().as_chunks().0
    }

    /// The rules that are not literal.
    fn others(self) -> impl Iterator<Item = Row<'a>> {
        let (others, rows) = (self.all_others().iter(), self.all_rows());
        others.map_while(move |[low, high, ..]| row_at(rows, u16::from_le_bytes([*low, *high]).into()))
    }

    /// The block it was compiled from; `file` is where its rules stand.
    pub(super) fn block(self, file: &Arc<Path>) -> Block {
        let rules = self.rows().map_while(|row| row.rule(file)).collect();
        Block { owner: self.owner(), limits: self.limits(), rules }
    }

    /// One of its rules, and whose it is.
    pub(super) fn written(self, number: u32, file: &Arc<Path>) -> Option<(Owner, Rule)> {
        let row = self.rows().find(|row| row.number == number)?;
        Some((self.owner(), row.rule(file)?))
    }

    /// Whether another has the same rules in the same order and the same limits.
    pub(super) fn is_same(self, other: Self) -> bool {
        let of = |row: Row<'a>| (row.text, row.says);
        self.limits() == other.limits() && self.rows().map(of).eq(other.rows().map(of))
    }

    fn owner(self) -> Owner {
        let name = self.body.get(self.owner_at()..self.rows_at()).unwrap_or_default();
        Owner::Device(String::from_utf8_lossy(name).into())
    }
}

impl Row<'_> {
    /// The rule it was made from.
    fn rule(&self, file: &Arc<Path>) -> Option<Rule> {
        let (effect, actions) = self.says.split();
        let template = Template::parse(&String::from_utf8_lossy(self.text)).ok()?;
        Some(Rule { effect, actions, template, place: Place { file: Arc::clone(file), line: self.line } })
    }
}

/// The row at `place` of all `rows`.
#[inline]
fn row_at(rows: &[u8], place: usize) -> Option<Row<'_>> {
    let (head, rest) = rows.get(place * STEP..)?.split_first_chunk::<ROW>()?;
    let [n, m, length, more, a, b, c, d, says, shape] = *head;
    Some(Row {
        number: u16::from_le_bytes([n, m]).into(),
        text: rest.get(..u16::from_le_bytes([length, more]).into())?,
        shape,
        line: u32::from_le_bytes([a, b, c, d]),
        says: Says::of_byte(says),
    })
}

/// Whether a topic may match a rule with so many plain bytes, of which `mark` are the last.
#[inline]
fn may_begin(name: &[u8], plain: usize, mark: &[u8; MARK]) -> bool {
    let Some(start) = plain.checked_sub(MARK) else { return true };
    match name.get(start..).and_then(|rest| rest.first_chunk()) {
        Some(found) => found == mark,
        // `a/#` matches `a`.
        None => name.len() + 1 == plain,
    }
}

/// The bytes of a topic, who asks about it, and what rules are to say.
pub(super) type TopicQuestion<'q> = (&'q [u8], &'q Subject<'q>, Says);

/// A pattern, who asks about it, and what rules are to say.
pub(super) type Question<'q> = (&'q Pattern<'q>, &'q Subject<'q>, Says);

/// Where the search for a literal rule begins, of `count` slots, a power of two.
fn first_slot(text: &[u8], count: usize) -> usize {
    let hash = hash_level(text);
    usize::try_from((hash ^ hash >> 32) & u64::from(u32::MAX)).unwrap_or_default() & (count - 1)
}

#[cfg(test)]
mod tests;
