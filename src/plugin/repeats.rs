//! Refusals that come one after the other from one place, after all was said of it that there is to say in a minute.
//!
//! A client that is refused once is often refused again and again. To find out each time that there is nothing to say, and
//! to count it among those of all places, takes several times as long as the decision.

use std::time::{Duration, Instant};

use super::event::{Way, Whence};
use crate::topic::same;

/// So many are counted before it is asked again whether there is something to say.
const MOST: u32 = 64;

/// So long they wait at most for being added to the sums, where ticks come.
const WAIT: Duration = Duration::from_millis(100);

/// Bytes of the longest address without a zone (`INET6_ADDRSTRLEN`).
const ADDRESS_BYTES: usize = 46;

/// What one thread has counted and not handed on yet. A panic of that thread loses it.
#[derive(Default)]
pub(super) struct Repeats {
    run: Option<Run>,
}

/// Refusals of one place.
pub(super) struct Run {
    way: Way,
    bytes: usize,
    text: [u8; ADDRESS_BYTES],
    since: Instant,
    pub(super) count: u32,
}

impl Repeats {
    /// Counts one more from there; `false` if it is one to be asked about.
    #[inline]
    pub(super) fn count(&mut self, whence: Whence<'_>) -> bool {
        let Some(run) = &mut self.run else { return false };
        let known = run.whence();
        let counts = run.count < MOST && known.way == whence.way && same(known.text, whence.text);
        run.count += u32::from(counts);
        counts
    }

    /// There is nothing to say of that place: from now on its refusals are counted here.
    pub(super) fn begin(&mut self, Whence { way, text }: Whence<'_>) {
        let mut run =
            Run { way, bytes: text.len(), text: [0; ADDRESS_BYTES], since: Instant::now(), count: 0 };
        self.run = run.text.get_mut(..text.len()).map(|own| own.copy_from_slice(text)).map(|()| run);
    }

    /// Whether some have waited long enough.
    pub(super) fn are_due(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.since.elapsed() >= WAIT)
    }

    /// What was counted, to be handed on.
    pub(super) fn end(&mut self) -> Option<Run> {
        self.run.take()
    }
}

impl Run {
    /// Where they came from.
    #[inline]
    pub(super) fn whence(&self) -> Whence<'_> {
        Whence { way: self.way, text: self.text.get(..self.bytes).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &[u8]) -> Whence<'_> {
        Whence { way: Way::Socket, text }
    }

    #[test]
    fn only_the_same_place_is_counted_and_not_for_ever() {
        let mut repeats = Repeats::default();
        let here = socket(b"192.0.2.1");
        assert!(!repeats.count(here), "nobody has asked about it");
        repeats.begin(here);
        assert!(repeats.count(here));
        for other in [socket(b"192.0.2.11"), socket(b""), Whence { way: Way::Websocket, ..here }] {
            assert!(!repeats.count(other), "{other:?}");
        }
        assert_eq!((1..100).filter(|_| repeats.count(here)).count(), 63);
        let run = repeats.end().unwrap();
        assert_eq!((run.whence(), run.count), (here, 64));
        assert!(!repeats.count(here) && repeats.end().is_none(), "handed on once");
    }

    #[test]
    fn what_is_too_long_for_an_address_is_none() {
        let mut repeats = Repeats::default();
        for (length, fits) in [(0, true), (ADDRESS_BYTES, true), (ADDRESS_BYTES + 1, false)] {
            let text = vec![b'1'; length];
            repeats.begin(socket(&text));
            assert_eq!(repeats.count(socket(&text)), fits, "{length}");
        }
    }
}
