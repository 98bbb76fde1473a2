//! When certificates end, as far as the registry and the broker's own files tell.

use citronella::{
    clock::UnixSeconds,
    pki::inspect,
    registry::{Certificates, State},
    snapshot::Snapshot,
};
use serde::Serialize;

use super::super::{shell, world::World};

const SECONDS_PER_DAY: i64 = 86_400;

/// Problems that are told one by one.
const TOLD: usize = 5;

/// The end of a certificate.
#[derive(Clone, Debug, Serialize)]
pub(super) struct End {
    /// Whose it is: a device's name, `broker` or `authority`.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) not_after: String,
    #[serde(skip)]
    pub(super) at: UnixSeconds,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Device,
    Broker,
    Authority,
}

/// Of each device that may connect the last of its certificates, and those of the broker and the authority; the next to
/// end first.
pub(super) fn known(world: &World, snapshot: &Snapshot) -> Vec<End> {
    let mut ends = Vec::new();
    for device in snapshot.devices() {
        let Certificates::Listed(listed) = device.certificates() else { continue };
        let good = listed.iter().filter(|listed| !device.revoked().contains(&listed.sha256));
        // One without a date may be good for ever.
        let dates: Option<Vec<UnixSeconds>> = good.map(|listed| listed.not_after).collect();
        let last = dates.and_then(|dates| dates.into_iter().max());
        let may_come = matches!(device.state(), State::Active | State::Quarantined);
        if let Some(at) = last.filter(|_| may_come) {
            let name = device.name().as_str().to_owned();
            ends.push(End { name, kind: Kind::Device, not_after: at.to_string(), at });
        }
    }
    for (file, name, kind) in
        [("tls/broker.crt", "broker", Kind::Broker), ("tls/ca.crt", "authority", Kind::Authority)]
    {
        let Ok(bytes) = std::fs::read(world.folder().join(file)) else { continue };
        let Ok(views) = inspect::certificates(&bytes) else { continue };
        let Some(end) = views.first().map(|view| view.not_after) else { continue };
        let at = UnixSeconds(end.as_second());
        ends.push(End { name: name.to_owned(), kind, not_after: at.to_string(), at });
    }
    ends.sort_by(|one, other| (one.at, &one.name).cmp(&(other.at, &other.name)));
    ends
}

impl End {
    /// Whole days from now on; negative when it is over.
    pub(super) fn days(&self, now: UnixSeconds) -> i64 {
        (self.at.0 - now.0).div_euclid(SECONDS_PER_DAY)
    }
}

/// Those that are over or nearly: what is wrong, and what to do about it.
pub(super) fn problems(
    world: &World,
    ends: &[End],
    (now, days): (UnixSeconds, u32),
) -> Vec<(String, String)> {
    let due: Vec<&End> = ends.iter().filter(|end| end.days(now) < i64::from(days)).collect();
    let mut problems: Vec<(String, String)> = due
        .iter()
        .take(TOLD)
        .map(|end| {
            let whose = match end.kind {
                Kind::Device => format!("the certificate of `{}`", end.name),
                Kind::Broker => "the broker's own certificate".to_owned(),
                Kind::Authority => "the authority's certificate".to_owned(),
            };
            let message = match end.days(now) {
                ..0 => format!("{whose} has expired"),
                0 => format!("{whose} expires today"),
                1 => format!("{whose} expires tomorrow"),
                days => format!("{whose} expires in {days} days"),
            };
            (message, remedy(world, end))
        })
        .collect();
    if due.len() > TOLD {
        let help = format!("`{} status --format json` has all", world.command());
        problems.push((format!("{} more certificates end within {days} days", due.len() - TOLD), help));
    }
    problems
}

fn remedy(world: &World, end: &End) -> String {
    let command = world.command();
    match end.kind {
        Kind::Device => format!("`{command} cert issue {}` makes the next one", shell::name(&end.name)),
        Kind::Broker => format!("`{command} init` makes another when tls/broker.crt is moved away"),
        Kind::Authority => "devices need a new authority before that; `citronella cert --help`".to_owned(),
    }
}
