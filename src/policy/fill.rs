//! What placeholders are filled with.

use super::Subject;
use crate::topic::{Placeholder, is_plain};

/// Whether `value` can stand in a level in place of a placeholder.
///
/// Nothing empty, for `a/{device}` would become `a/`; no leading `$`, which opens the broker's own topics; nothing
/// that is a wildcard or a level of its own (CVE-2017-7650); no control characters.
#[must_use]
pub fn fillable(value: &str) -> bool {
    !value.is_empty() && (is_plain(value.as_bytes()) || !value.starts_with('$') && !has_special(value))
}

fn has_special(value: &str) -> bool {
    value.chars().any(|ch| matches!(ch, '+' | '#' | '/') || ch.is_control())
}

impl<'a> Subject<'a> {
    /// What stands for `placeholder`, if there is a value and it is [`fillable`].
    #[must_use]
    pub fn value(&self, placeholder: &Placeholder) -> Option<&'a str> {
        self.raw_value(placeholder).filter(|value| fillable(value))
    }

    /// The value as it is. What is compared with a level should be compared first: that is cheaper than [`fillable`].
    pub(super) fn raw_value(&self, placeholder: &Placeholder) -> Option<&'a str> {
        match placeholder {
            Placeholder::Device => self.device,
            Placeholder::ClientId => Some(self.client_id),
            Placeholder::Attribute(name) => self.attributes.get(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Attributes;

    #[test]
    fn values_that_could_widen_a_rule_fill_nothing() {
        for value in ["", "$SYS", "$", "+", "a#", "a/b", "/", "a\u{1}", "a\u{85}", "\0"] {
            assert!(!fillable(value), "{value:?}");
        }
        for value in ["a", "a b", "é", "*", "%c", "{clientid}", "..", "a$", "\u{ff03}"] {
            assert!(fillable(value), "{value:?}");
        }
    }

    #[test]
    fn each_placeholder_has_its_source() {
        let attributes = Attributes::new([("site".to_owned(), "rome".to_owned())]);
        let subject = Subject { device: Some("d"), client_id: "c", attributes: &attributes };
        assert_eq!(subject.value(&Placeholder::Device), Some("d"));
        assert_eq!(subject.value(&Placeholder::ClientId), Some("c"));
        assert_eq!(subject.value(&Placeholder::Attribute("site".into())), Some("rome"));
        assert_eq!(subject.value(&Placeholder::Attribute("room".into())), None);
        assert_eq!(Subject { device: None, ..subject }.value(&Placeholder::Device), None);
    }
}
