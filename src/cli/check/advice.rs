//! What a good colleague would say about files that can be used.

mod devices;
mod rules;
mod sets;
mod shadow;
mod subscriptions;

use citronella::{
    config::Allowance,
    diag::{Code, Diagnostic, Report},
    registry::Device,
    snapshot::Snapshot,
};

use super::cited::{Cited, Warning};
use crate::shell;

pub(super) use subscriptions::Look;

/// Adds every warning to the report, in the order of the files, takes those out that the settings allow, and says how many these are.
pub(super) fn give(snapshot: &Snapshot, look: Look, report: &mut Report) -> usize {
    let settings = snapshot.settings();
    let mut cited = Cited::new(settings.password_file.as_deref());
    let mut warnings: Vec<Warning> = std::mem::take(report).into_iter().map(of_loading).collect();
    warnings.extend(advice(snapshot, look, &mut cited));

    let mut used = vec![false; settings.allowances.len()];
    let before = warnings.len();
    warnings.retain(|warning| {
        let mut allowed = false;
        for (allowance, used) in settings.allowances.iter().zip(&mut used) {
            let meant = allows(allowance, warning);
            allowed |= meant;
            *used |= meant;
        }
        !allowed
    });
    let allowed = before - warnings.len();
    let idle = settings.allowances.iter().zip(used).filter(|(allowance, used)| {
        // What only `--strict-subscribe` finds cannot be missed without it.
        !used && (allowance.code != Code::StrictRefuses || look == Look::AsIfStrict)
    });
    for (allowance, _) in idle {
        let about = allowance.at.as_ref().map(|at| format!(" at `{at}`")).unwrap_or_default();
        let message = format!("there is no warning `{}`{about} that this could allow", allowance.code);
        warnings.push(
            cited
                .line(Code::UnusedAllowance, (&allowance.place, allowance.code.as_str()), message)
                .help("take it out; it would hide the next warning of its kind"),
        );
    }
    let files = snapshot.files();
    warnings.sort_by_key(|warning| {
        let place = warning.found.place.as_ref();
        place.map(|(source, span)| (files.iter().position(|file| file == source.path()), span.start))
    });
    report.extend(warnings.into_iter().map(|warning| warning.found));
    allowed
}

fn advice(snapshot: &Snapshot, look: Look, cited: &mut Cited) -> Vec<Warning> {
    let mut found = Vec::new();
    for user in snapshot.unlisted_users() {
        let message = format!("`{}` has a password here and is no device, so it is refused", user.name);
        found.push(cited.line(Code::UnlistedUser, (&user.place, &user.name), message).help(format!(
            "`citronella device add --no-certificate {}` registers it",
            shell::name(&user.name)
        )));
    }
    let mut devices: Vec<&Device> = snapshot.devices().collect();
    devices.sort_by_key(|device| device.place().line);
    let sets = sets::of(snapshot, &devices);
    found.extend(rules::unused_roles(snapshot, &sets, cited));
    found.extend(rules::warnings(snapshot, (&sets, &devices), cited));
    let (shadowed, dead) = shadow::warnings(snapshot, (&sets, &devices), cited);
    found.extend(shadowed);
    found.extend(subscriptions::warnings(snapshot, (&sets, dead, look), cited));
    found.extend(devices::warnings(snapshot, &devices, cited));
    found
}

/// A warning that loading gave; an allowance knows it by its file.
fn of_loading(found: Diagnostic) -> Warning {
    let path = found.place.as_ref().map(|(source, _)| source.path());
    let name = path.and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
    Warning { at: name.into_iter().map(|name| name.into()).collect(), found }
}

fn allows(allowance: &Allowance, warning: &Warning) -> bool {
    warning.found.code == Some(allowance.code)
        && allowance.at.as_ref().is_none_or(|at| warning.at.contains(at))
}
