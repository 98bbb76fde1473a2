//! A few rules in one block of bytes.
//!
//! With many devices what a decision costs is the memory that it waits for. So everything about a device's own rules
//! stands together, each text once, and the few rules with wildcards are read one after the other, as they are written.
//! Numbers are little-endian.
//!
//! ```text
//!   HEADER   u16 rules, u16 slots, u8 what literal rules say, u8 what others say, u8 others, u8 whether one speaks of
//!            {clientid}, u8 max_qos (255: none), u8 retain = false, u16 bytes of the owner, u32 max_payload (2^32-1: none)
//!   ROW      for each rule  u32 end of its text, u32 line, u8 what it says, u8 bytes before its first wildcard or placeholder
//!   others   u16 for each rule that is not literal: its number
//!   slots    u16 for each: the number of a literal rule, counted from 1, found by the hash of its text; 0 is free
//!   owner    name of the device whose rules these are
//!   texts    of all rules
//! ```
//!
//! Not here are rules with doubled braces, and denials with placeholders, which can be unfillable: see the tree.

mod compile;
mod fit;

use std::{path::Path, sync::Arc};

pub(super) use compile::compile;

use super::{
    Block, Limits, Owner, Rule, Subject,
    cover::{Cover, Covered, Pattern, RuleAt},
    index::at,
    says::{End, Says},
    walk::Found,
};
use crate::{
    diag::Place,
    topic::{Template, hash_level, same},
};
use fit::{covers, fits, meets};

const HEADER: usize = 16;
const ROW: usize = 10;
/// In place of a limit that is not there.
const NO_QOS: u8 = u8::MAX;
const NO_PAYLOAD: u32 = u32::MAX;

/// A list where it lies.
#[derive(Clone, Copy)]
pub(super) struct List<'a>(&'a [u8]);

/// One rule.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) text: &'a [u8],
    /// Bytes of `text` up to the first wildcard or placeholder, at most 255.
    plain: usize,
    line: u32,
    says: Says,
}

impl<'a> List<'a> {
    /// `bytes` are what [`compile`] has made.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn byte(self, place: usize) -> u8 {
        self.0.get(place).copied().unwrap_or_default()
    }

    fn short(self, place: usize) -> usize {
        let found = self.0.get(place..).and_then(|rest| rest.first_chunk());
        found.map_or(0, |bytes| usize::from(u16::from_le_bytes(*bytes)))
    }

    fn long(self, place: usize) -> u32 {
        let found = self.0.get(place..).and_then(|rest| rest.first_chunk());
        found.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn rules(self) -> usize {
        self.short(0)
    }

    fn others_at(self) -> usize {
        HEADER + ROW * self.rules()
    }

    fn slots_at(self) -> usize {
        self.others_at() + 2 * usize::from(self.byte(6))
    }

    fn owner_at(self) -> usize {
        self.slots_at() + 2 * self.short(2)
    }

    fn texts_at(self) -> usize {
        self.owner_at() + self.short(10)
    }

    /// What rules say that spell a topic, and what others say.
    pub(super) fn says(self) -> (Says, Says) {
        (Says::of_byte(self.byte(4)), Says::of_byte(self.byte(5)))
    }

    pub(super) fn reads_client_id(self) -> bool {
        self.byte(7) != 0
    }

    pub(super) fn limits(self) -> Limits {
        Limits {
            max_qos: Some(self.byte(8)).filter(|max| *max != NO_QOS),
            no_retain: self.byte(9) != 0,
            max_payload: Some(self.long(12)).filter(|max| *max != NO_PAYLOAD),
        }
    }

    /// A rule by its number; the texts of all begin at `texts`.
    #[inline]
    fn row_of(self, number: usize, texts: usize) -> Option<Row<'a>> {
        if number >= self.rules() {
            return None;
        }
        let place = HEADER + ROW * number;
        let start = if number == 0 { 0 } else { at(self.long(place - ROW)) };
        let text = self.0.get(texts + start..texts + at(self.long(place)))?;
        let [says, plain] = *self.0.get(place + 8..)?.first_chunk()?;
        let plain = usize::from(plain);
        Some(Row { text, plain, line: self.long(place + 4), says: Says::of_byte(says) })
    }

    fn rows(self) -> impl Iterator<Item = (u32, Row<'a>)> {
        let texts = self.texts_at();
        (0..).map_while(move |rule| Some((rule, self.row_of(at(rule), texts)?)))
    }

    /// Tells `found` of the rules that spell `name`.
    pub(super) fn spelled(self, name: &[u8], found: &mut impl Found) {
        let (count, slots) = (self.short(2), self.slots_at());
        if count == 0 {
            return;
        }
        let texts = self.texts_at();
        let mut slot = first_slot(name, count);
        while let Some(number) = self.short(slots + 2 * slot).checked_sub(1)
            && let Some(row) = self.row_of(number, texts)
        {
            if same(row.text, name) {
                found.note(&End { rule: super::index::number(number), says: row.says });
            }
            slot = (slot + 1) & (count - 1);
        }
    }

    /// Tells `found` of the other rules that match the topic `name` and say something that is `wanted`.
    pub(super) fn walk(self, (name, subject, wanted): Asked<'_>, found: &mut impl Found) {
        for (rule, row) in self.others() {
            if row.says.meets(wanted) && fits(&row, name, subject) {
                found.note(&End { rule, says: row.says });
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
        for (number, row) in self.others().filter(|(_, row)| row.says.meets(wanted)) {
            if let Some(covered) = covers(row.text, pattern, subject) {
                cover.add(covered, (which, number), pattern);
            }
        }
    }

    /// The earliest rule that says `wanted` and matches a topic of the pattern. Literal rules are gone through only if
    /// some say that; few of a list deny.
    pub(super) fn meet(self, which: usize, (pattern, subject, wanted): Question<'_>) -> Option<RuleAt> {
        let met = |(_, row): &(u32, Row<'_>)| row.says.meets(wanted) && meets(row.text, pattern, subject);
        let found = if self.says().0.meets(wanted) { self.rows().find(met) } else { self.others().find(met) };
        found.map(|(number, _)| (which, number))
    }

    /// The rules that are not literal.
    fn others(self) -> impl Iterator<Item = (u32, Row<'a>)> {
        let (others, texts) = (self.others_at(), self.texts_at());
        (0..usize::from(self.byte(6))).map_while(move |other| {
            let number = self.short(others + 2 * other);
            Some((super::index::number(number), self.row_of(number, texts)?))
        })
    }

    /// The block it was compiled from; `file` is where its rules stand.
    pub(super) fn block(self, file: &Arc<Path>) -> Block {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let owner = text(self.0.get(self.owner_at()..self.texts_at()).unwrap_or_default());
        let rule = |(_, row): (u32, Row<'_>)| {
            let (effect, actions) = row.says.split();
            let place = Place { file: Arc::clone(file), line: row.line };
            Some(Rule { effect, actions, template: Template::parse(&text(row.text)).ok()?, place })
        };
        Block {
            owner: Owner::Device(owner.into()),
            limits: self.limits(),
            rules: self.rows().map_while(rule).collect(),
        }
    }
}

/// The bytes of a topic, who asks about it, and what rules are to say.
pub(super) type Asked<'q> = (&'q [u8], &'q Subject<'q>, Says);

/// A pattern, who asks about it, and what rules are to say.
pub(super) type Question<'q> = (&'q Pattern<'q>, &'q Subject<'q>, Says);

/// Where the search for a literal rule begins, of `count` slots, a power of two.
fn first_slot(text: &[u8], count: usize) -> usize {
    let hash = hash_level(text);
    usize::try_from((hash ^ hash >> 32) & u64::from(u32::MAX)).unwrap_or_default() & (count - 1)
}
