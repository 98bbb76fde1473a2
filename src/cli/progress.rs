//! How far a long run is, for whoever waits: a bar on a terminal, a line now and then elsewhere.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use super::output::Output;

/// What is over sooner needs no telling.
const SILENT: Duration = Duration::from_secs(1);
/// Between two looks of a bar.
const FRAME: Duration = Duration::from_millis(100);
/// Between two lines.
const LINE: Duration = Duration::from_secs(10);
/// Characters in a bar.
const WIDTH: usize = 30;

/// A run of so many steps. The bar is taken away when this is dropped.
pub(crate) struct Progress<'a> {
    output: &'a Output,
    what: &'static str,
    total: usize,
    done: usize,
    begun: Instant,
    told: Option<Instant>,
    terminal: bool,
}

impl<'a> Progress<'a> {
    /// `what` is counted, in the plural.
    pub(crate) fn new(output: &'a Output, what: &'static str, total: usize) -> Self {
        let terminal = output.is_for_people() && io::stderr().is_terminal();
        Self { output, what, total, done: 0, begun: Instant::now(), told: None, terminal }
    }

    /// So many more are done.
    pub(crate) fn step(&mut self, more: usize) {
        self.done += more;
        let pause = if self.terminal { FRAME } else { LINE };
        let due =
            self.told.map_or(self.begun + if self.terminal { SILENT } else { LINE }, |told| told + pause);
        let now = Instant::now();
        if now < due {
            return;
        }
        self.told = Some(now);
        let line = line((self.done, self.total), self.what, now - self.begun);
        if self.terminal {
            let filled = (WIDTH * self.done).checked_div(self.total).unwrap_or(WIDTH).min(WIDTH);
            let (full, rest) = ("#".repeat(filled), ".".repeat(WIDTH - filled));
            // A terminal that is gone is no reason to stop.
            let _ = write!(io::stderr(), "\r\u{1b}[K[{full}{rest}] {line}");
        } else {
            self.output.say(&line);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.terminal && self.told.is_some() {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

/// `500 of 10000 devices, 12 s left`.
fn line((done, total): (usize, usize), what: &str, passed: Duration) -> String {
    let millis = |time: Duration| usize::try_from(time.as_millis()).unwrap_or(usize::MAX);
    let left =
        total.saturating_sub(done).saturating_mul(millis(passed)).checked_div(done).unwrap_or_default();
    format!("{done} of {total} {what}, {} s left", left.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_is_done() {
        let passed = Duration::from_secs(10);
        assert_eq!(line((500, 2_000), "devices", passed), "500 of 2000 devices, 30 s left");
        assert_eq!(line((2_000, 2_000), "devices", passed), "2000 of 2000 devices, 0 s left");
        assert_eq!(line((0, 5), "devices", passed), "0 of 5 devices, 0 s left");
    }
}
