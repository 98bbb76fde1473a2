//! The overview for people, in 80 columns.

use std::fmt;

use citronella::{
    clock::{UnixMillis, UnixSeconds},
    diag::Visible,
    status::{Attempt, Status},
};

use jiff::Timestamp;

use super::{Counters, Files, Number, Overview, Problem};

/// Widest line that is not broken.
const COLUMNS: usize = 80;

/// Where the texts begin.
const INDENT: usize = 14;

/// Certificates that are shown; scripts get all.
const ENDS: usize = 3;

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = UnixSeconds(i64::try_from(self.now.0 / 1_000).unwrap_or(i64::MAX));
        line(f, "Plugin", &self.plugin())?;
        if let Some(status) = self.plugin.status.as_ref().filter(|_| self.plugin.running == Some(true)) {
            line(f, "In force", &self.in_force(status))?;
        }
        line(f, "Files", &self.files())?;
        if let Some(files) = &self.files {
            line(f, "Devices", &devices(files))?;
            line(f, "Credentials", &credentials(files))?;
            ends(f, files, now)?;
        }
        if let Some(counters) = &self.counters {
            told(f, counters)?;
            line(f, "Numbers", &self.as_of(counters))?;
        }
        for unread in &self.unread {
            line(f, "Not read", &unread.to_string())?;
        }
        if self.problems.is_empty() {
            return f.write_str("\nfine: nothing needs doing");
        }
        writeln!(f)?;
        for Problem { message, help } in &self.problems {
            wrapped(f, "  ! ", message)?;
            wrapped(f, "    ", &format!("→ {help}"))?;
        }
        match self.problems.len() {
            1 => f.write_str("\n1 problem"),
            many => write!(f, "\n{many} problems"),
        }
    }
}

impl Overview {
    fn plugin(&self) -> String {
        match (self.plugin.running, &self.plugin.status) {
            (None, _) => "unknown: its state directory cannot be read".to_owned(),
            (Some(false), None) => {
                format!("not running; {} has no word of it", self.state_directory.display())
            }
            (Some(false), Some(status)) => {
                format!("not running; it started last {} ago", age(self.now, status.started_ms))
            }
            (Some(true), None) => "running, and silent".to_owned(),
            (Some(true), Some(status)) => format!(
                "running for {} in Mosquitto {}, version {}, process {}",
                age(self.now, status.started_ms),
                status.broker,
                status.plugin,
                status.pid
            ),
        }
    }

    fn in_force(&self, status: &Status) -> String {
        let since = age(self.now, status.in_force.since_ms);
        let last = match status.attempt {
            Attempt::Loaded { .. } => String::new(),
            Attempt::Refused { at_ms, .. } => format!("; a change failed {} ago", age(self.now, at_ms)),
            Attempt::Waiting { at_ms, .. } | Attempt::Torn { at_ms, .. } => {
                format!("; a change has waited for {}", age(self.now, at_ms))
            }
        };
        format!("revision {}, for {since}{last}", status.in_force.revision)
    }

    /// From when the numbers are: what has happened since is not in them.
    fn as_of(&self, counters: &Counters) -> String {
        let since = match self.file_interval {
            Some(interval) => {
                format!("what has happened since is shown within {} seconds", interval.as_secs())
            }
            None => "what has happened since is not in them".to_owned(),
        };
        let Some(then_ms) = counters.as_of_ms else { return since };
        let time = i64::try_from(then_ms / 1_000).ok().and_then(|then| Timestamp::from_second(then).ok());
        let time = time.map(|time| time.strftime("%H:%M:%S UTC, ").to_string()).unwrap_or_default();
        format!("as of {time}{} ago; {since}", age(self.now, then_ms))
    }

    fn files(&self) -> String {
        let path = self.config.display();
        let running = self.plugin.status.as_ref().filter(|_| self.plugin.running == Some(true));
        match (&self.files, running) {
            (None, _) if self.unread.is_empty() => format!("{path}, not usable"),
            (None, _) => format!("{path}, not readable"),
            (Some(files), Some(status)) if files.revision == status.in_force.revision => {
                format!("{path}, as in force")
            }
            (Some(files), _) => format!("{path}, revision {}", files.revision),
        }
    }
}

fn devices(files: &Files) -> String {
    let all: usize = files.devices.iter().map(|state| state.number).sum();
    let states: Vec<String> =
        there(&files.devices).map(|it| format!("{} {}", grouped(it.number), it.what)).collect();
    if states.is_empty() { "none".to_owned() } else { format!("{}: {}", grouped(all), states.join(", ")) }
}

fn credentials(files: &Files) -> String {
    let texts: Vec<String> = there(&files.credentials)
        .map(|it| {
            let what = match it.what.as_str() {
                "certificate" => "with certificate",
                "password" => "with password",
                "both" => "with both",
                _ => "with neither",
            };
            format!("{} {what}", grouped(it.number))
        })
        .collect();
    if texts.is_empty() { "no active device".to_owned() } else { texts.join(", ") }
}

fn there(numbers: &[Number]) -> impl Iterator<Item = &Number> {
    numbers.iter().filter(|it| it.number > 0)
}

fn ends(f: &mut fmt::Formatter<'_>, files: &Files, now: UnixSeconds) -> fmt::Result {
    let shown = files.certificates.iter().take(ENDS);
    let width = shown.clone().map(|end| end.name.chars().count()).max().unwrap_or_default().min(32);
    for (number, end) in shown.enumerate() {
        let label = if number == 0 { "Next to end" } else { "" };
        let day = end.not_after.split('T').next().unwrap_or_default();
        let days = end.days(now);
        let when = match days {
            ..0 => "over".to_owned(),
            0 => "today".to_owned(),
            1 => "tomorrow".to_owned(),
            days => format!("in {} days", grouped(days.unsigned_abs())),
        };
        line(f, label, &format!("{:<width$}  {day}  {when}", end.name))?;
    }
    Ok(())
}

fn told(f: &mut fmt::Formatter<'_>, counters: &Counters) -> fmt::Result {
    let Counters { log_ins_admitted, log_ins_refused, log_ins_postponed, .. } = *counters;
    let postponed = some(log_ins_postponed, "postponed");
    line(
        f,
        "Log-ins",
        &format!("{} admitted, {} refused{postponed}", grouped(log_ins_admitted), grouped(log_ins_refused)),
    )?;
    if counters.hashes > 0 || counters.password_memory_hits > 0 {
        let queue = some(counters.hash_queue, "waiting");
        line(
            f,
            "Passwords",
            &format!(
                "{} hashed, {:.1} ms each, {} remembered{queue}",
                grouped(counters.hashes),
                counters.hash_milliseconds,
                grouped(counters.password_memory_hits)
            ),
        )?;
    }
    let (allowed, refused) = (grouped(counters.checks_allowed), grouped(counters.checks_refused));
    line(f, "Topics", &format!("{allowed} allowed, {refused} refused"))?;
    let failed = some(counters.reloads_failed, "failed");
    let kicks = some(counters.kicks, "kicked");
    line(f, "Changes", &format!("{} loaded{failed}{kicks}", grouped(counters.reloads_loaded)))
}

/// `, 3 postponed`, or nothing.
fn some(number: u64, what: &str) -> String {
    if number == 0 { String::new() } else { format!(", {} {what}", grouped(number)) }
}

fn line(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    wrapped(f, &format!("{label:<INDENT$}"), text)
}

/// The words of a text after `head`, on as many lines as they need, all as far in as the first.
fn wrapped(f: &mut fmt::Formatter<'_>, head: &str, text: &str) -> fmt::Result {
    let indent = head.chars().count();
    f.write_str(head)?;
    let mut column = indent;
    for word in Visible(text).to_string().split(' ') {
        let width = word.chars().count();
        if column > indent {
            if column + 1 + width > COLUMNS {
                write!(f, "\n{:indent$}", "")?;
                column = indent;
            } else {
                f.write_str(" ")?;
                column += 1;
            }
        }
        f.write_str(word)?;
        column += width;
    }
    writeln!(f)
}

/// A number with commas between its thousands.
fn grouped(number: impl fmt::Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long ago that was, in one unit.
fn age(now: UnixMillis, then_ms: u64) -> String {
    let seconds = now.0.saturating_sub(then_ms) / 1_000;
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let s = if number == 1 { "" } else { "s" };
    format!("{} {unit}{s}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ages_are_those_of_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let ages = [(0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (125, "2 minutes")];
        let more =
            [(7_200, "2 hours"), (172_799, "47 hours"), (172_800, "2 days"), (86_400_000, "1,000 days")];
        for (seconds, text) in ages.into_iter().chain(more) {
            assert_eq!(age(UnixMillis(seconds * 1_000 + 5), 5), text);
        }
        assert_eq!(age(UnixMillis(5), 9), "0 seconds", "the clock was set back");
    }
}
