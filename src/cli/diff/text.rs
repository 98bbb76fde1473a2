//! What people read of a comparison.

use std::fmt;

use citronella::{
    diag::Visible,
    diff::{About, Change, ClientId, Effect, Group, Kind},
    ident::ANONYMOUS,
    policy::Limits,
};

use super::Report;
use crate::output::counted;

/// So many names and exceptions are printed; scripts get all.
const NAMED: usize = 8;

pub(super) struct Text<'a>(pub(super) &'a Report<'a>);

impl fmt::Display for Text<'_> {
    /// ```text
    /// settings
    ///   identity.client_id: any (was protect)
    /// lamp
    ///   added
    /// door, lamp, and 9998 more may now
    ///   + publish site/# except site/secret, as in site/x
    /// and not any longer
    ///   - receive cmd/{device}/#, as in cmd/door (for door)
    /// different: 1 setting, 1 device, rights of 10000 devices
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { diff, live } = *self.0;
        if !diff.settings.is_empty() {
            f.write_str("settings\n")?;
            write_all(f, &diff.settings)?;
        }
        for (about, devices) in &diff.devices {
            writeln!(f, "{}", names(devices))?;
            write_all(f, about)?;
        }
        for group in &diff.rights {
            write_group(f, group)?;
        }
        if live {
            for (effect, devices) in &diff.effects {
                let what = match effect {
                    Effect::LockedOut => "can no longer connect",
                    Effect::Kicked => "closed sessions, for a credential that is accepted no longer",
                    Effect::Subscriptions => {
                        "subscriptions, if they have stored ones, that get less or are refused"
                    }
                };
                writeln!(f, "live: {what}: {}", names(devices))?;
            }
        }
        if diff.is_empty() {
            return f.write_str("no difference");
        }
        let proofs: usize = diff.devices.iter().map(|(_, devices)| devices.len()).sum();
        let rights: usize = diff.rights.iter().map(|group| group.devices.len()).sum();
        let parts = [
            (diff.settings.len(), counted(diff.settings.len(), "setting")),
            (proofs, counted(proofs, "device")),
            (rights, format!("what {} may do", counted(rights, "client"))),
        ];
        let parts: Vec<String> =
            parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
        write!(f, "different: {}", parts.join(", "))?;
        if live {
            let count = |wanted: Effect| -> usize {
                let found = diff.effects.iter().filter(|(effect, _)| *effect == wanted);
                found.map(|(_, devices)| devices.len()).sum()
            };
            let locked_out = match count(Effect::LockedOut) {
                0 => "nobody".to_owned(),
                some => counted(some, "device"),
            };
            write!(f, "; live: it locks out {locked_out}")?;
            for (effect, what) in [
                (Effect::Kicked, "closes the sessions of"),
                (Effect::Subscriptions, "cuts stored subscriptions of"),
            ] {
                if count(effect) > 0 {
                    write!(f, ", {what} {}", counted(count(effect), "device"))?;
                }
            }
        }
        Ok(())
    }
}

fn write_all(f: &mut fmt::Formatter<'_>, about: &[About]) -> fmt::Result {
    about.iter().try_for_each(|about| writeln!(f, "  {about}"))
}

fn write_group(f: &mut fmt::Formatter<'_>, group: &Group) -> fmt::Result {
    let count = group.devices.len();
    match count {
        1 => writeln!(f, "{}", names(&group.devices))?,
        _ => writeln!(f, "{count} devices: {}", names(&group.devices))?,
    }
    for (id, changes) in &group.changes {
        match id {
            ClientId::Other => {}
            ClientId::Own => writeln!(f, "  with its name as client id")?,
            ClientId::Text(id) => writeln!(f, "  with the client id {}", Visible(id))?,
            ClientId::Unusable => writeln!(f, "  with a client id that cannot stand in a topic")?,
        }
        if changes.is_empty() {
            writeln!(f, "  no change")?;
        }
        for change in changes.iter() {
            write_change(f, change)?;
            let example = count > 1 && change.filter.contains('{');
            match example {
                true => writeln!(f, ": {} for {}", Visible(&change.witness), Visible(&group.example))?,
                false if change.witness != change.filter => writeln!(f, ": {}", Visible(&change.witness))?,
                false => writeln!(f)?,
            }
        }
    }
    Ok(())
}

fn write_change(f: &mut fmt::Formatter<'_>, change: &Change) -> fmt::Result {
    let sign = match change.kind {
        Kind::Gained { .. } => '+',
        Kind::Lost => '-',
        Kind::Limits { .. } => '~',
    };
    write!(f, "  {sign} {} {}", change.action, Visible(&change.filter))?;
    if !change.except.is_empty() {
        write!(f, " except {}", names(&change.except))?;
    }
    match &change.kind {
        Kind::Gained { limits } if !limits.is_empty() => write!(f, " {}", Within(limits)),
        Kind::Gained { .. } | Kind::Lost => Ok(()),
        Kind::Limits { old, new } => write!(f, " {} (was {})", Within(new), Within(old)),
    }
}

/// The first few of them.
fn names(all: &[String]) -> String {
    let shown = |name: &String| match &**name {
        ANONYMOUS => "clients without a name".to_owned(),
        name => Visible(name).to_string(),
    };
    let first: Vec<String> = all.iter().take(NAMED).map(shown).collect();
    match all.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Limits of which a message has to keep one.
struct Within<'a>(&'a [Limits]);

impl fmt::Display for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |limits: &Limits| {
            let parts = [
                limits.max_qos.map(|max| format!("up to QoS {max}")),
                limits.no_retain.then(|| "not retained".to_owned()),
                limits.max_payload.map(|max| format!("up to {max} bytes")),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
        };
        let all: Vec<String> = self.0.iter().map(one).collect();
        if all.is_empty() { f.write_str("without limits") } else { write!(f, "only {}", all.join(", or ")) }
    }
}
