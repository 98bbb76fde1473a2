//! What `init` writes.

use std::path::Path;

use citronella::config::STATE_DIRECTORY;

use super::Arguments;

/// The settings to start with: roles for the two things that most people have, and nobody who has them. The package
/// installs the same file.
pub(super) const STARTER_CONFIG: &str = include_str!("../../../conf-examples/starter/citronella.toml");

/// The roles in it, which are an offer.
pub(crate) fn starter_roles() -> &'static str {
    STARTER_CONFIG.find("[roles.").and_then(|start| STARTER_CONFIG.get(start..)).unwrap_or_default()
}

/// A registry with nobody in it.
pub(super) const STARTER_REGISTRY: &str = include_str!("../../../conf-examples/starter/devices.toml");

/// The settings to start with.
///
/// `state` is where the plugin writes; a line is needed for another place than the default.
pub(super) fn starter_config(password_file: Option<&str>, state: &Path) -> String {
    // Rust's escapes are not TOML's.
    let auth =
        password_file.map(|path| format!("[auth]\npassword_file = {}\n", toml_edit::Value::from(path)));
    let state = state.to_str().filter(|path| *path != STATE_DIRECTORY).map(|path| {
        let path = toml_edit::Value::from(path);
        format!("\n# Where the plugin writes what it does.\n[state]\ndirectory = {path}\n")
    });
    let mut text = String::new();
    for line in STARTER_CONFIG.split_inclusive('\n') {
        match (line, &auth) {
            ("# [auth]\n", Some(wanted)) => text.push_str(wanted),
            (line, Some(_)) if line.starts_with("# password_file") => {}
            (line, _) => text.push_str(line),
        }
        if line.starts_with("# password_file") {
            text.push_str(state.as_deref().unwrap_or_default());
        }
    }
    text
}

/// What follows them where the broker opened port 1883 for its own machine by itself.
pub(super) const LOCAL_KEPT: &str = "
# For the programs of this machine, which need a user name and a password. A broker with listeners of its own does not
# open this port by itself.
listener 1883 localhost
";
/// What follows them everywhere else.
pub(super) const LOCAL_OFFERED: &str = "
# A broker with listeners of its own does not open port 1883 for this machine by itself. Programs here that
# have a user name and a password can have it back:
# listener 1883 localhost
";

/// The listeners and the plugin, as every supported broker accepts them.
pub(super) fn mosquitto_conf(arguments: &Arguments, folder: &Path, config: &Path, plugin: &Path) -> String {
    let mut text = format!(
        "# Made by `citronella init`. Who may connect and what they may do is decided by the plugin below.\n\
         allow_anonymous false\n\
         plugin {}\n\
         plugin_opt_config {}\n\
         \n\
         # Devices with a certificate. No use_identity_as_username: with it the broker would not ask the plugin.\n\
         {}cafile {}\n\
         require_certificate true\n",
        plugin.display(),
        config.display(),
        listener(arguments, arguments.port, folder),
        folder.join("tls/ca.crt").display(),
    );
    if arguments.password_listener {
        text.push_str(&password_listener(arguments, folder));
    }
    text
}

/// What follows them for clients without a certificate.
pub(super) fn password_listener(arguments: &Arguments, folder: &Path) -> String {
    format!(
        "\n# Clients with a password, which need the authority's certificate to know the broker.\n{}",
        listener(arguments, arguments.password_port, folder)
    )
}

fn listener(arguments: &Arguments, port: u16, folder: &Path) -> String {
    let listen = arguments.listen.map(|address| format!(" {address}")).unwrap_or_default();
    let tls = folder.join("tls");
    format!(
        "listener {port}{listen}\ncertfile {}\nkeyfile {}\n",
        tls.join("broker.crt").display(),
        tls.join("broker.key").display()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops by panicking")]

    use super::*;

    #[test]
    fn any_path_of_a_password_file_comes_back_from_the_configuration() {
        for path in
            ["/etc/mosquitto/passwd", "/tmp/w\u{200b} x/p", "/a\"b\\c", "/e\u{301}", "/tab\tnew\nline\u{7}"]
        {
            let text = starter_config(Some(path), Path::new(STATE_DIRECTORY));
            let document: toml_edit::DocumentMut = text.parse().unwrap();
            let read = document.get("auth").and_then(|auth| auth.get("password_file"));
            assert_eq!(read.and_then(toml_edit::Item::as_str), Some(path), "{text}");
        }
    }
}
