//! From blocks to a list.

use std::sync::Arc;

use super::{Block, HEADER, MARK, NO_PAYLOAD, NO_QOS, OTHER, STEP, first_slot, shape};
use crate::policy::{Effect, index::says_of, says::Says};

/// Most rules that are not literal. Each is looked at in every decision, for some ten nanoseconds.
const MAX_OTHERS: usize = 12;
/// Most rules. Where their rows begin has to fit in 16 bits too.
const MAX_RULES: usize = 8_192;

/// Most literal rules that deny. All of them may be looked at for a filter.
const MAX_DENIALS: usize = 32;

/// The rules of `blocks` as a list of `owner`, or `None` if there are too many or one is not for a list.
pub(in crate::policy) fn compile(blocks: &[Arc<Block>], owner: &str) -> Option<Box<[u8]>> {
    let rules = || blocks.iter().flat_map(|block| says_of(block));
    let (mut rows, mut others, mut literals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut said, mut said_by_others) = (Says::default(), Says::default());
    let (mut client_id, mut denials, mut count) = (false, 0, 0);
    for (rule, says) in rules() {
        let text = rule.template.as_str();
        let own = u16::try_from(count).ok().filter(|own| usize::from(*own) < MAX_RULES)?;
        let found = text.bytes().position(|byte| matches!(byte, b'{' | b'}' | b'+' | b'#'));
        let is_filled = found.is_some() && text.contains(['{', '}']);
        if is_filled && (text.contains("{{") || text.contains("}}") || rule.effect == Effect::Deny) {
            return None;
        }
        rows.resize(rows.len().next_multiple_of(STEP), 0);
        let place = u16::try_from(rows.len() / STEP).ok().filter(|place| *place < u16::MAX)?;
        let plain = u8::try_from(found.unwrap_or_default()).unwrap_or(u8::MAX);
        match found {
            None => {
                literals.push((place, text));
                denials += usize::from(rule.effect == Effect::Deny);
                said = said.and(says);
            }
            Some(_) => {
                let beginning = text.as_bytes().get(..plain.into());
                let mark = beginning.and_then(|text| text.last_chunk::<MARK>()).copied().unwrap_or_default();
                others.extend(place.to_le_bytes());
                others.extend([says.byte(), plain]);
                others.extend(mark);
                said_by_others = said_by_others.and(says);
            }
        }
        client_id |= is_filled && text.contains("{clientid}");
        rows.extend(own.to_le_bytes());
        rows.extend(short(text.len())?);
        rows.extend(rule.place.line.to_le_bytes());
        rows.extend([says.byte(), shape_of(text, plain.into())]);
        rows.extend_from_slice(text.as_bytes());
        count += 1;
    }
    if others.len() > MAX_OTHERS * OTHER || denials > MAX_DENIALS {
        return None;
    }
    let slots = slots(&literals);
    let limits = blocks.first().map(|block| block.limits).unwrap_or_default();
    let mut list = Vec::with_capacity(HEADER + others.len() + 2 * slots.len() + owner.len() + rows.len());
    list.extend(short(count)?);
    list.extend(short(slots.len())?);
    let count_of_others = u8::try_from(others.len() / OTHER).ok()?;
    list.extend([said.byte(), said_by_others.byte(), count_of_others, client_id.into()]);
    list.extend([limits.max_qos.unwrap_or(NO_QOS), limits.no_retain.into()]);
    list.extend(short(owner.len())?);
    list.extend(limits.max_payload.unwrap_or(NO_PAYLOAD).to_le_bytes());
    list.extend(others);
    slots.iter().for_each(|place| list.extend(place.to_le_bytes()));
    list.extend(owner.as_bytes());
    list.extend(rows);
    Some(list.into())
}

/// What stands behind the first `plain` bytes of a rule.
fn shape_of(rule: &str, plain: usize) -> u8 {
    let (shape, behind) = match rule.get(plain..).unwrap_or_default() {
        "#" => (shape::REST, ""),
        rest => match (rest.strip_prefix('+'), rest.strip_prefix("{device}")) {
            (Some(behind), _) => (shape::LEVEL, behind),
            (None, Some(behind)) => (shape::DEVICE, behind),
            (None, None) => return shape::OTHER,
        },
    };
    if behind.contains(['{', '+', '#']) { shape::OTHER } else { shape }
}

fn short(count: usize) -> Option<[u8; 2]> {
    u16::try_from(count).ok().map(u16::to_le_bytes)
}

/// Open addressing; at most half full, because most names that are looked up are not there.
fn slots(literals: &[(u16, &str)]) -> Vec<u16> {
    if literals.is_empty() {
        return Vec::new();
    }
    let count = (2 * literals.len()).next_power_of_two();
    let mut slots = vec![0; count];
    for (place, text) in literals {
        let mut slot = first_slot(text.as_bytes(), count);
        while slots.get(slot).is_some_and(|taken| *taken != 0) {
            slot = (slot + 1) & (count - 1);
        }
        if let Some(free) = slots.get_mut(slot) {
            *free = place + 1;
        }
    }
    slots
}
