//! Filters with placeholders.

/// A filter with placeholders.
#[derive(Clone, Debug)]
pub struct Template;
