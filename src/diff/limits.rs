//! Which messages may be published to a topic: the limits of all blocks that allow it, taken together.

use crate::policy::Limits;

/// SOURCE: MQTT 5.0 section 1.5.5, the largest remaining length.
const MAX_PAYLOAD_BYTES: u32 = 268_435_455;

/// The same limits in the one way to write them: what limits nothing is left out.
pub(super) fn canonical(limits: Limits) -> Limits {
    Limits {
        max_qos: limits.max_qos.filter(|max| *max < 2),
        no_retain: limits.no_retain,
        max_payload: limits.max_payload.filter(|max| *max < MAX_PAYLOAD_BYTES),
    }
}

/// The widest of these, sorted: equal for all that let the same messages through. Each lets through what is within it,
/// and the union of such is known by those that lie within no other.
pub(super) fn widest(all: impl IntoIterator<Item = Limits>) -> Vec<Limits> {
    let mut kept: Vec<Limits> = Vec::new();
    for limits in all {
        if kept.iter().any(|wide| is_within(limits, *wide)) {
            continue;
        }
        kept.retain(|narrow| !is_within(*narrow, limits));
        kept.push(limits);
    }
    kept.sort_by_key(|limits| (limits.max_qos, limits.no_retain, limits.max_payload));
    kept
}

fn is_within(narrow: Limits, wide: Limits) -> bool {
    let qos = |limits: Limits| limits.max_qos.unwrap_or(u8::MAX);
    let payload = |limits: Limits| limits.max_payload.unwrap_or(u32::MAX);
    qos(narrow) <= qos(wide) && (narrow.no_retain || !wide.no_retain) && payload(narrow) <= payload(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_the_same_messages_through_is_equal() {
        let limits = |max_qos, no_retain, max_payload| canonical(Limits { max_qos, no_retain, max_payload });
        let none = limits(Some(2), false, Some(MAX_PAYLOAD_BYTES));
        assert_eq!(none, Limits::default());
        let small = limits(None, false, Some(10));
        let quiet = limits(Some(0), true, None);
        let both = limits(Some(0), true, Some(5));
        assert_eq!(widest([small, both, quiet]), widest([quiet, small]));
        assert_eq!(widest([small, quiet]).len(), 2);
        assert_eq!(widest([small, none, quiet]), [none]);
        assert_eq!(
            widest([limits(Some(1), true, None), limits(Some(1), false, None)]),
            [limits(Some(1), false, None)]
        );
    }
}
