//! What rules say, in as few bits as it takes.

use super::{Actions, Effect};

/// A set of (effect, action) pairs, and whether limits hang on them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Says(u8);

impl Says {
    /// The rule's block has limits, and the rule allows.
    pub(super) const LIMITED: Self = Self(1 << 6);
    const ACTIONS: u8 = 7;

    pub(super) const fn new(effect: Effect, actions: Actions) -> Self {
        match effect {
            Effect::Allow => Self(actions.0),
            Effect::Deny => Self(actions.0 << 3),
        }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the rule's block has limits.
    pub(super) const fn is_limited(self) -> bool {
        self.meets(Self::LIMITED)
    }

    /// Of a single rule, what it was made from.
    pub(super) const fn split(self) -> (Effect, Actions) {
        match self.0 & Self::ACTIONS {
            0 => (Effect::Deny, Actions(self.0 >> 3 & Self::ACTIONS)),
            allowed => (Effect::Allow, Actions(allowed)),
        }
    }

    pub(super) const fn byte(self) -> u8 {
        self.0
    }

    pub(super) const fn of_byte(byte: u8) -> Self {
        Self(byte)
    }
}

/// The end of a filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Number of the rule.
    pub(super) rule: u32,
    pub(super) says: Says,
}
