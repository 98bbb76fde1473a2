//! The registry file, beside settings with all kinds of rules.

use std::{path::Path, sync::LazyLock};

use citronella::{
    config::{self, Config},
    diag::Report,
    ident,
    registry::{self, Registry},
};

/// Roles that include each other, a deny that needs an attribute, and a quarantine.
pub(crate) const SETTINGS: &str = include_str!("settings.toml");

pub(crate) static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let mut report = Report::new();
    let config = config::parse(Path::new("/etc/citronella/citronella.toml"), SETTINGS, &mut report);
    assert!(report.iter().next().is_none(), "{report:?}");
    config
});

/// The devices of `text` and what is wrong with it.
pub(crate) fn read(text: &str) -> (Registry, Report) {
    let mut report = Report::new();
    let registry =
        registry::read::parse(Path::new("/etc/citronella/devices.toml"), text, &CONFIG, &mut report);
    (registry, report)
}

/// Any text is read to its end; mistakes have their places; devices are found by their names.
pub fn check(text: &str) {
    let (registry, report) = read(text);
    crate::report::check(&report, text);
    assert_eq!(registry.iter().count(), registry.len());
    for device in registry.iter() {
        let name = device.name().as_str();
        assert_eq!(ident::check_name(name), Ok(()), "{name:?}");
        assert!(registry.get(name).is_some_and(|found| found.name() == device.name()), "{name:?}");
        let line = usize::try_from(device.place().line).unwrap_or(usize::MAX);
        assert!((1..=text.lines().count()).contains(&line), "{name:?} in line {line}");
        assert!(device.attributes().iter().is_sorted(), "{name:?}");
    }
}
