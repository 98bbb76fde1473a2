//! What `init` writes.

use std::path::Path;

use citronella::config::STATE_DIRECTORY;

use super::Arguments;

/// The settings to start with: roles for the two things that most people have, and nobody who has them.
///
/// `state` is where the plugin writes; a line is needed for another place than the default.
pub(super) fn starter_config(password_file: Option<&str>, state: &Path) -> String {
    let auth = match password_file {
        // Rust's escapes are not TOML's.
        Some(path) => format!("[auth]\npassword_file = {}\n", toml_edit::Value::from(path)),
        None => "# [auth]\n# password_file = \"/etc/mosquitto/passwd\"   # hashes of mosquitto_passwd, beside those in devices.toml\n".to_owned(),
    };
    let state = match state.to_str() {
        Some(path) if path != STATE_DIRECTORY => {
            format!(
                "\n# Where the plugin writes what it does.\n[state]\ndirectory = {}\n",
                toml_edit::Value::from(path)
            )
        }
        _ => String::new(),
    };
    format!("{STARTER_CONFIG_HEAD}{auth}{state}{STARTER_CONFIG_ROLES}")
}

const STARTER_CONFIG_HEAD: &str = r#"# What devices may do. `citronella check` looks it over; the broker reads it at start and at a reload.
version = 1

[registry]
file = "devices.toml"

"#;

pub(crate) const STARTER_CONFIG_ROLES: &str = r#"
# {device} is the device's own name. Deny beats allow, order never matters, silence denies.
[roles.sensor]
publish   = ["sensors/{device}/#"]
subscribe = ["cmd/{device}/#"]

[roles.viewer]
subscribe = ["sensors/#"]

[roles.controller]
include   = ["viewer"]
publish   = ["cmd/+/#"]
"#;

pub(super) const STARTER_REGISTRY: &str = "\
# The devices. `citronella device …` edits this file and keeps comments and order; so may you.
version = 1
";

/// The listeners and the plugin, as every supported broker accepts them.
pub(super) fn mosquitto_conf(arguments: &Arguments, folder: &Path, config: &Path, plugin: &Path) -> String {
    let tls = folder.join("tls");
    let listen = arguments.listen.map(|address| format!(" {address}")).unwrap_or_default();
    let pair = format!(
        "certfile {}\nkeyfile {}\n",
        tls.join("broker.crt").display(),
        tls.join("broker.key").display()
    );
    let mut text = format!(
        "# Made by `citronella init`. Who may connect and what they may do is decided by the plugin below.\n\
         allow_anonymous false\n\
         plugin {}\n\
         plugin_opt_config {}\n\
         \n\
         # Devices with a certificate. No use_identity_as_username: with it the broker would not ask the plugin.\n\
         listener {}{listen}\n\
         {pair}\
         cafile {}\n\
         require_certificate true\n",
        plugin.display(),
        config.display(),
        arguments.port,
        tls.join("ca.crt").display(),
    );
    if arguments.password_listener {
        text.push_str(&format!(
            "\n# Clients with a password, which need the authority's certificate to know the broker.\nlistener {}{listen}\n{pair}",
            arguments.password_port
        ));
    }
    text.push_str(
        "\n# A broker with listeners of its own does not open port 1883 for this machine by itself. Programs here that\n\
         # have a user name and a password can have it back:\n\
         # listener 1883 localhost\n",
    );
    text
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
