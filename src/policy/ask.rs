//! Questions as people put them: an action by its word, a topic, and what limits are about.

use std::fmt;

use super::Request;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Send a message to a topic.
    Publish,
    /// Ask for a filter.
    Subscribe,
    /// Be delivered a message on a topic.
    Receive,
    /// Give a subscription up.
    Unsubscribe,
}

/// What `max_qos`, `retain = false` and `max_payload` look at. The default breaks no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// 0, 1 or 2.
    pub qos: u8,
    /// The retain flag.
    pub retain: bool,
    /// Size of the payload in bytes.
    pub payload_bytes: u32,
}

impl Action {
    /// The actions as they are written.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("publish", Self::Publish),
        ("subscribe", Self::Subscribe),
        ("receive", Self::Receive),
        ("unsubscribe", Self::Unsubscribe),
    ];

    /// The question about this topic or filter; only a publish has a message.
    #[must_use]
    pub fn request(self, topic: &str, message: Message) -> Request<'_> {
        let Message { qos, retain, payload_bytes } = message;
        match self {
            Self::Publish => Request::Publish { topic, qos, retain, payload_bytes },
            Self::Subscribe => Request::Subscribe { filter: topic },
            Self::Receive => Request::Receive { topic },
            Self::Unsubscribe => Request::Unsubscribe { filter: topic },
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, action)| action == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_shown_as_they_are_written() {
        for (word, action) in Action::WORDS {
            assert_eq!(action.to_string(), word);
        }
    }
}
