//! `plugin_opt_…` lines. There is one option; whatever may change belongs into the file it names.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

use super::{StartError, event::PluginOption};

/// Where the configuration stands unless an option says otherwise.
pub(super) const DEFAULT_CONFIG: &str = "/etc/citronella/citronella.toml";

/// The path of citronella.toml.
///
/// # Errors
///
/// An option that is unknown, given twice or empty: a slip in a line about security stops the start.
pub(super) fn config_path(options: &[PluginOption]) -> Result<PathBuf, StartError> {
    let mut path = None;
    for option in options {
        if option.key != "config" {
            return Err(StartError::UnknownOption(option.key.clone()));
        }
        // The broker keeps blanks at the end of the line. What is between them is a path and need not be UTF-8.
        let value = option.value.trim_ascii();
        if value.is_empty() {
            return Err(StartError::EmptyOption);
        }
        if path.replace(PathBuf::from(OsStr::from_bytes(value))).is_some() {
            return Err(StartError::RepeatedOption);
        }
    }
    Ok(path.unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(key: &str, value: &str) -> PluginOption {
        PluginOption { key: key.to_owned(), value: value.as_bytes().to_vec() }
    }

    #[test]
    fn the_path_is_trimmed_and_has_a_default() {
        assert_eq!(config_path(&[]).ok(), Some(PathBuf::from(DEFAULT_CONFIG)));
        assert_eq!(
            config_path(&[option("config", " /a b/c.toml ")]).ok(),
            Some(PathBuf::from("/a b/c.toml"))
        );
    }

    #[test]
    fn a_path_need_not_be_utf_8() {
        let option = PluginOption { key: "config".to_owned(), value: b"/etc/k\xfcche/c.toml ".to_vec() };
        let expected = PathBuf::from(OsStr::from_bytes(b"/etc/k\xfcche/c.toml"));
        assert_eq!(config_path(&[option]).ok(), Some(expected));
    }

    #[test]
    fn slips_stop_the_start() {
        for options in [
            vec![option("confg", "/a")],
            vec![option("config", "  ")],
            vec![option("config", "/a"), option("config", "/b")],
        ] {
            assert!(config_path(&options).is_err(), "{options:?}");
        }
    }
}
