//! Who may connect before and after, and with what.

use std::{collections::BTreeMap, fmt};

use crate::{
    config::{ClientIds, Settings},
    policy::WideSubscribe,
    registry::{Auth, Certificates, Device, State},
    snapshot::Snapshot,
};

/// Something about a device, beside what it may do, that differs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum About {
    /// It is in the new configuration only.
    Added,
    /// It is in the old configuration only.
    Removed,
    /// A setting, by its key, with what it was and what it is.
    Setting(&'static str, String, String),
    /// So many certificates are accepted that were not.
    CertificatesAdded(usize),
    /// So many certificates are accepted no longer.
    CertificatesRemoved(usize),
    /// The date is another at which so many certificates end.
    CertificatesEnd(usize),
    /// So many certificates are revoked that were not.
    Revoked(usize),
    /// So many certificates are revoked no longer.
    Unrevoked(usize),
    /// It has a password and had none.
    PasswordAdded,
    /// It had a password and has none.
    PasswordRemoved,
    /// It has another hash; the password may be the same.
    PasswordChanged,
}

/// What it does to sessions if the new configuration takes the place of the old.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Effect {
    /// It could connect, and cannot any more.
    LockedOut,
    /// Sessions with what is accepted no longer are closed.
    Kicked,
    /// Subscriptions that it has stored may be refused or get less.
    Subscriptions,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = |count: &usize| match count {
            1 => "1 certificate".to_owned(),
            _ => format!("{count} certificates"),
        };
        match self {
            Self::Added => f.write_str("added"),
            Self::Removed => f.write_str("removed"),
            Self::Setting(key, old, new) => write!(f, "{key}: {new} (was {old})"),
            Self::CertificatesAdded(count) => write!(f, "{} more accepted", certificates(count)),
            Self::CertificatesRemoved(count) => write!(f, "{} no longer accepted", certificates(count)),
            Self::CertificatesEnd(count) => write!(f, "{} with another end", certificates(count)),
            Self::Revoked(count) => write!(f, "{} revoked", certificates(count)),
            Self::Unrevoked(count) => write!(f, "{} no longer revoked", certificates(count)),
            Self::PasswordAdded => f.write_str("password added"),
            Self::PasswordRemoved => f.write_str("password removed"),
            Self::PasswordChanged => f.write_str("password changed"),
        }
    }
}

/// What differs about a device; nothing in particular about one that only one side has.
pub(super) fn about(old: Option<&Device>, new: Option<&Device>) -> Vec<About> {
    let (Some(old), Some(new)) = (old, new) else {
        return match (old, new) {
            (None, Some(_)) => vec![About::Added],
            (Some(_), None) => vec![About::Removed],
            _ => Vec::new(),
        };
    };
    let mut all = Vec::new();
    setting("state", old.state(), new.state(), &mut all);
    setting("auth", old.auth(), new.auth(), &mut all);
    certificates(old, new, &mut all);
    let revoked = |one: &Device, two: &Device| {
        one.revoked().iter().filter(|found| !two.revoked().contains(found)).count()
    };
    all.extend(some(revoked(new, old)).map(About::Revoked));
    all.extend(some(revoked(old, new)).map(About::Unrevoked));
    all.extend(match (old.password(), new.password()) {
        (None, Some(_)) => Some(About::PasswordAdded),
        (Some(_), None) => Some(About::PasswordRemoved),
        (Some(old), Some(new)) if old != new => Some(About::PasswordChanged),
        _ => None,
    });
    all
}

fn certificates(old: &Device, new: &Device, all: &mut Vec<About>) {
    let (Certificates::Listed(before), Certificates::Listed(after)) =
        (old.certificates(), new.certificates())
    else {
        let word = |device: &Device| match device.certificates() {
            Certificates::Any => "any",
            Certificates::Listed(listed) if listed.is_empty() => "none",
            Certificates::Listed(_) => "listed ones",
        };
        return setting("certificates", word(old), word(new), all);
    };
    let ends: BTreeMap<_, _> = before.iter().map(|known| (known.sha256, known.not_after)).collect();
    let kept = after.iter().filter(|known| ends.contains_key(&known.sha256)).count();
    let moved =
        after.iter().filter(|known| ends.get(&known.sha256).is_some_and(|end| *end != known.not_after));
    all.extend(some(after.len() - kept).map(About::CertificatesAdded));
    all.extend(some(before.len() - kept).map(About::CertificatesRemoved));
    all.extend(some(moved.count()).map(About::CertificatesEnd));
}

fn some(count: usize) -> Option<usize> {
    (count > 0).then_some(count)
}

fn setting(key: &'static str, old: impl fmt::Display, new: impl fmt::Display, all: &mut Vec<About>) {
    let (old, new) = (old.to_string(), new.to_string());
    if old != new {
        all.push(About::Setting(key, old, new));
    }
}

/// What the changes do to those who are connected; `shrinks` says whether it may subscribe to or be delivered less.
pub(super) fn effects(old: &Device, new: Option<&Device>, about: &[About], shrinks: bool) -> Vec<Effect> {
    if !can_connect(old) {
        return Vec::new();
    }
    let Some(new) = new.filter(|new| can_connect(new)) else { return vec![Effect::LockedOut] };
    let kicks = about.iter().any(|about| match about {
        About::CertificatesRemoved(_)
        | About::CertificatesEnd(_)
        | About::Revoked(_)
        | About::PasswordRemoved
        | About::PasswordChanged => true,
        About::Setting("certificates", ..) => *new.certificates() != Certificates::Any,
        About::Setting("auth", ..) => new.auth() != Auth::Any,
        _ => false,
    });
    let mut all = Vec::new();
    all.extend(kicks.then_some(Effect::Kicked));
    all.extend(shrinks.then_some(Effect::Subscriptions));
    all
}

/// Whether the device can show what its `auth` asks for.
fn can_connect(device: &Device) -> bool {
    let certificate = match device.certificates() {
        Certificates::Any => true,
        Certificates::Listed(listed) => {
            listed.iter().any(|listed| !device.revoked().contains(&listed.sha256))
        }
    };
    let password = device.password().is_some();
    let shows = match device.auth() {
        Auth::Any => certificate || password,
        Auth::Certificate => certificate,
        Auth::Password => password,
        Auth::Both => certificate && password,
    };
    shows && matches!(device.state(), State::Active | State::Quarantined)
}

/// What differs in the settings: key, old value, new value.
pub(super) fn settings(old: &Snapshot, new: &Snapshot) -> Vec<About> {
    let mut all = Vec::new();
    let (one, two) = (old.settings(), new.settings());
    let sources = |settings: &Settings| {
        let words = settings.certificate.iter().map(ToString::to_string);
        words.collect::<Vec<_>>().join(", ")
    };
    let ids = |settings: &Settings| match settings.client_ids {
        ClientIds::Any => "any",
        ClientIds::Protect => "protect",
        ClientIds::Device => "device",
    };
    let wide = |settings: &Settings| match settings.wide_subscribe {
        WideSubscribe::Strict => "strict",
        WideSubscribe::Filter => "filter",
    };
    let anonymous = |snapshot: &Snapshot| if snapshot.admits_anonymous() { "admitted" } else { "refused" };
    setting("identity.certificate", sources(one), sources(two), &mut all);
    setting("identity.client_id", ids(one), ids(two), &mut all);
    setting("compat.wide_subscribe", wide(one), wide(two), &mut all);
    setting("compat.identity_options", one.identity_options, two.identity_options, &mut all);
    setting("compat.per_listener_settings", one.per_listener_settings, two.per_listener_settings, &mut all);
    setting("anonymous clients", anonymous(old), anonymous(new), &mut all);
    all
}
