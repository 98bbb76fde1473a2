//! From blocks to a list.

use std::sync::Arc;

use super::{Block, HEADER, NO_PAYLOAD, NO_QOS, ROW, first_slot};
use crate::policy::{
    Effect,
    index::{number, says_of},
    says::Says,
};

/// Most rules that are not literal. Each is looked at in every decision, for some ten nanoseconds.
const MAX_OTHERS: usize = 12;
/// Most rules; their numbers and the slots for them fit in 16 bits.
const MAX_RULES: usize = 8_192;

/// Most literal rules that deny. All of them may be looked at for a filter.
const MAX_DENIALS: usize = 32;

/// The rules of `blocks` as a list of `owner`, or `None` if there are too many or one is not for a list.
pub(in crate::policy) fn compile(blocks: &[Arc<Block>], owner: &str) -> Option<Box<[u8]>> {
    let rules = || blocks.iter().flat_map(|block| says_of(block));
    let (mut rows, mut texts) = (Vec::new(), Vec::new());
    let (mut others, mut literals) = (Vec::new(), Vec::new());
    let (mut said, mut said_by_others) = (Says::default(), Says::default());
    let (mut client_id, mut denials) = (false, 0);
    for (own, (rule, says)) in rules().enumerate() {
        let text = rule.template.as_str();
        let own = u16::try_from(own).ok().filter(|own| usize::from(*own) < MAX_RULES)?;
        let is_filled = text.contains('{');
        if text.contains("{{") || text.contains("}}") || (is_filled && rule.effect == Effect::Deny) {
            return None;
        }
        let plain = text.find(['{', '+', '#']);
        match plain {
            None => {
                literals.push((own, text));
                denials += usize::from(rule.effect == Effect::Deny);
                said = said.and(says);
            }
            Some(_) => {
                others.push(own);
                said_by_others = said_by_others.and(says);
            }
        }
        client_id |= text.contains("{clientid}");
        texts.extend_from_slice(text.as_bytes());
        rows.extend(number(texts.len()).to_le_bytes());
        rows.extend(rule.place.line.to_le_bytes());
        rows.extend([says.byte(), u8::try_from(plain.unwrap_or_default()).unwrap_or(u8::MAX)]);
    }
    if others.len() > MAX_OTHERS || denials > MAX_DENIALS {
        return None;
    }
    let slots = slots(&literals);
    let limits = blocks.first().map(|block| block.limits).unwrap_or_default();
    let mut list = Vec::with_capacity(
        HEADER + rows.len() + 2 * (others.len() + slots.len()) + owner.len() + texts.len(),
    );
    list.extend(short(rows.len() / ROW)?);
    list.extend(short(slots.len())?);
    list.extend([said.byte(), said_by_others.byte(), u8::try_from(others.len()).ok()?, client_id.into()]);
    list.extend([limits.max_qos.unwrap_or(NO_QOS), limits.no_retain.into()]);
    list.extend(short(owner.len())?);
    list.extend(limits.max_payload.unwrap_or(NO_PAYLOAD).to_le_bytes());
    list.extend(rows);
    others.iter().chain(&slots).for_each(|number| list.extend(number.to_le_bytes()));
    list.extend(owner.as_bytes());
    list.extend(texts);
    Some(list.into())
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
    for (own, text) in literals {
        let mut slot = first_slot(text.as_bytes(), count);
        while slots.get(slot).is_some_and(|taken| *taken != 0) {
            slot = (slot + 1) & (count - 1);
        }
        if let Some(free) = slots.get_mut(slot) {
            *free = own + 1;
        }
    }
    slots
}
