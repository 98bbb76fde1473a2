//! The settings file.

use std::path::Path;

use citronella::{config, diag::Report};

/// Any text is read to its end; mistakes have their places.
pub fn check(text: &str) {
    let mut report = Report::new();
    let config = config::parse(Path::new("/etc/citronella/citronella.toml"), text, &mut report);
    crate::report::check(&report, text);
    for name in config.roles.names() {
        let role = config.roles.find(name).unwrap_or_else(|| panic!("{name} is not found by its name"));
        assert!(config.roles.expand(&[role]).contains(&role), "{name} is not among its own roles");
    }
}
