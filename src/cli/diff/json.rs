//! What scripts get of a comparison.

use citronella::{
    diff::{About, Change, ClientId, Effect, Group, Kind},
    policy::Limits,
};
use serde::Serialize;

use super::Report;
use crate::explain::Action;

#[derive(Serialize)]
pub(super) struct Json<'a> {
    different: bool,
    settings: Vec<Setting<'a>>,
    devices: Vec<Device<'a>>,
    rights: Vec<Rights<'a>>,
    live: Option<Live<'a>>,
}

#[derive(Serialize)]
struct Setting<'a> {
    setting: &'a str,
    old: &'a str,
    new: &'a str,
}

#[derive(Serialize)]
struct Device<'a> {
    changes: Vec<String>,
    devices: &'a [String],
}

#[derive(Serialize)]
struct Rights<'a> {
    devices: &'a [String],
    example: &'a str,
    changes: Vec<Right<'a>>,
}

#[derive(Serialize)]
struct Right<'a> {
    action: Action,
    change: &'static str,
    filter: &'a str,
    except: &'a [String],
    witness: &'a str,
    limits: Option<Vec<Limit>>,
    was: Option<Vec<Limit>>,
    client_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Limit {
    max_qos: Option<u8>,
    retain: bool,
    max_payload: Option<u32>,
}

#[derive(Serialize)]
struct Live<'a> {
    locked_out: &'a [String],
    kicked: &'a [String],
    subscriptions: &'a [String],
}

impl<'a> Json<'a> {
    pub(super) fn new(report: &Report<'a>) -> Self {
        let diff = report.diff;
        let setting = |about: &'a About| match about {
            About::Setting(setting, old, new) => Some(Setting { setting, old, new }),
            _ => None,
        };
        let devices = diff.devices.iter().map(|(about, devices)| Device {
            changes: about.iter().map(ToString::to_string).collect(),
            devices,
        });
        Self {
            different: !diff.is_empty(),
            settings: diff.settings.iter().filter_map(setting).collect(),
            devices: devices.collect(),
            rights: diff.rights.iter().map(rights).collect(),
            live: report.live.then(|| Live::new(&diff.effects)),
        }
    }
}

impl<'a> Live<'a> {
    fn new(effects: &'a [(Effect, Vec<String>)]) -> Self {
        let of = |wanted| {
            effects.iter().find(|(effect, _)| *effect == wanted).map_or(&[][..], |(_, devices)| devices)
        };
        Self {
            locked_out: of(Effect::LockedOut),
            kicked: of(Effect::Kicked),
            subscriptions: of(Effect::Subscriptions),
        }
    }
}

fn rights(group: &Group) -> Rights<'_> {
    let changes = group.changes.iter().flat_map(|(id, changes)| {
        let client_id = match id {
            ClientId::Other => None,
            ClientId::Own => Some("{device}"),
            ClientId::Text(id) => Some(&**id),
            ClientId::Unusable => Some(""),
        };
        changes.iter().map(move |change| right(change, client_id))
    });
    Rights { devices: &group.devices, example: &group.example, changes: changes.collect() }
}

fn right<'a>(change: &'a Change, client_id: Option<&'a str>) -> Right<'a> {
    let (word, limits, was) = match &change.kind {
        Kind::Gained { limits } => ("gained", told(limits), None),
        Kind::Lost => ("lost", None, None),
        Kind::Limits { old, new } => ("limits", told(new), told(old)),
    };
    Right {
        action: change.action.into(),
        change: word,
        filter: &change.filter,
        except: &change.except,
        witness: &change.witness,
        limits,
        was,
        client_id,
    }
}

fn told(limits: &[Limits]) -> Option<Vec<Limit>> {
    let limit = |limits: &Limits| Limit {
        max_qos: limits.max_qos,
        retain: !limits.no_retain,
        max_payload: limits.max_payload,
    };
    (!limits.is_empty()).then(|| limits.iter().map(limit).collect())
}
