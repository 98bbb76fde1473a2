//! The counters as retained messages of the broker.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{Counters, locked};
use crate::{clock::UnixSeconds, plugin::event::Host};

/// Publishes what has changed, from time to time.
#[derive(Debug, Default)]
pub struct Publisher {
    due: Mutex<Option<Instant>>,
    /// Payloads as they were published last, by topic.
    published: Mutex<HashMap<String, String>>,
}

impl Publisher {
    /// Publishes what has changed if so much time has passed since the last time. Only from the tick.
    pub fn tick(&self, host: &dyn Host, counters: &Counters, interval: Duration) {
        let now = Instant::now();
        {
            let mut due = locked(&self.due);
            // The interval may be shorter by now.
            if due.is_some_and(|due| now < due && due <= now + interval) {
                return;
            }
            *due = Some(now + interval);
        }
        for (topic, payload) in self.changed(counters.messages(UnixSeconds::now())) {
            host.publish(&topic, &payload);
        }
    }

    fn changed(&self, mut messages: Vec<(String, String)>) -> Vec<(String, String)> {
        let mut published = locked(&self.published);
        messages.retain(|(topic, payload)| published.get(topic) != Some(payload));
        published.extend(messages.iter().cloned());
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_published() {
        let (publisher, counters) = (Publisher::default(), Counters::default());
        let topics = || {
            let changed = publisher.changed(counters.messages(UnixSeconds(0)));
            changed.into_iter().map(|(topic, _)| topic).collect::<Vec<_>>()
        };
        assert!(topics().len() > 30);
        assert!(topics().is_empty());
        counters.throttled.add();
        assert_eq!(topics(), ["$SYS/broker/citronella/throttled"]);
    }
}
