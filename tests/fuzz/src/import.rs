//! Mosquitto's own files of rules.

use std::{fs, path::Path, sync::LazyLock};

use citronella::{
    diag::Report,
    import::{Choices, File, Imported, Meaning, Renames, Sources, import},
    snapshot::Snapshot,
};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(crate::folder);

/// Any text as an acl_file whose users have no passwords.
pub fn check_acl_file(text: &str) {
    check(text, |file| Sources::Files { acl: Some(file), passwords: None });
}

/// Any text as the JSON of dynamic security.
pub fn check_dynsec(text: &str) {
    check(text, Sources::Dynsec);
}

/// Either there is a mistake, or what comes out loads; and the table of names gives the same names again.
fn check<'t>(text: &'t str, sources: impl Fn(File<'t>) -> Sources<'t>) {
    for (meaning, open) in [(Meaning::Both, false), (Meaning::V2_0, true), (Meaning::V2_1, true)] {
        let choices = Choices { meaning, anonymous: open, unbound: open };
        let again = |renames: Renames| -> Option<Imported> {
            let mut report = Report::new();
            let imported =
                import(sources(File { path: Path::new("source"), text }), renames, choices, &mut report);
            assert_eq!(imported.is_none(), report.has_errors());
            crate::report::check(&report, text);
            imported
        };
        let Some(imported) = again(Renames::default()) else { return };
        let path = FOLDER.path().join("citronella.toml");
        fs::write(&path, &imported.settings).unwrap_or_else(|error| panic!("{error}"));
        fs::write(FOLDER.path().join("devices.toml"), "").unwrap_or_else(|error| panic!("{error}"));
        let loaded = Snapshot::load_with_registry(&path, &imported.devices);
        assert!(
            loaded.snapshot.is_some(),
            "{:?}\n{}\n{}",
            loaded.report,
            imported.settings,
            imported.devices
        );
        let mut report = Report::new();
        let renames = Renames::parse(Path::new("renames.toml"), &imported.renames, &mut report);
        assert!(!report.has_errors(), "{report:?}\n{}", imported.renames);
        let same = again(renames).unwrap_or_else(|| panic!("not with its own names"));
        assert_eq!(
            (same.settings, same.devices, same.renames),
            (imported.settings, imported.devices, imported.renames)
        );
    }
}
