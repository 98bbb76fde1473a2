//! Words that the broker does not know, and lines that it cannot take.

use super::{Code, Exam, Finding, fix::Fix};
use crate::{
    config::nearest,
    diag::shell_path,
    mosquitto_conf::{Directive, Reading},
};

/// What every supported Mosquitto knows.
/// SOURCE: conf.c of 2.0.11 and 2.0.21.
const KNOWN: &[&str] = &[
    "acl_file",
    "address",
    "addresses",
    "allow_anonymous",
    "allow_duplicate_messages",
    "allow_zero_length_clientid",
    "auth_plugin",
    "auth_plugin_deny_special_chars",
    "auto_id_prefix",
    "autosave_interval",
    "autosave_on_changes",
    "bind_address",
    "bind_interface",
    "bridge_alpn",
    "bridge_attempt_unsubscribe",
    "bridge_bind_address",
    "bridge_cafile",
    "bridge_capath",
    "bridge_certfile",
    "bridge_identity",
    "bridge_insecure",
    "bridge_keyfile",
    "bridge_max_packet_size",
    "bridge_outgoing_retain",
    "bridge_protocol_version",
    "bridge_psk",
    "bridge_require_ocsp",
    "bridge_tls_version",
    "cafile",
    "capath",
    "certfile",
    "check_retain_source",
    "ciphers",
    "ciphers_tls1.3",
    "cleansession",
    "clientid",
    "clientid_prefixes",
    "connection",
    "connection_messages",
    "crlfile",
    "dhparamfile",
    "http_dir",
    "idle_timeout",
    "include_dir",
    "keepalive_interval",
    "keyfile",
    "listener",
    "local_cleansession",
    "local_clientid",
    "local_password",
    "local_username",
    "log_dest",
    "log_facility",
    "log_timestamp",
    "log_timestamp_format",
    "log_type",
    "max_connections",
    "max_inflight_bytes",
    "max_inflight_messages",
    "max_keepalive",
    "max_packet_size",
    "max_qos",
    "max_queued_bytes",
    "max_queued_messages",
    "max_topic_alias",
    "memory_limit",
    "message_size_limit",
    "mount_point",
    "notification_topic",
    "notifications",
    "notifications_local_only",
    "password",
    "password_file",
    "per_listener_settings",
    "persistence",
    "persistence_file",
    "persistence_location",
    "persistent_client_expiration",
    "pid_file",
    "plugin",
    "port",
    "protocol",
    "psk_file",
    "psk_hint",
    "queue_qos0_messages",
    "remote_clientid",
    "remote_password",
    "remote_username",
    "require_certificate",
    "restart_timeout",
    "retain_available",
    "retain_expiry_interval",
    "retained_persistence",
    "retry_interval",
    "round_robin",
    "set_tcp_nodelay",
    "socket_domain",
    "start_type",
    "store_clean_interval",
    "sys_interval",
    "threshold",
    "tls_engine",
    "tls_engine_kpass_sha1",
    "tls_keyform",
    "tls_version",
    "topic",
    "try_private",
    "upgrade_outgoing_qos",
    "use_identity_as_username",
    "use_subject_as_username",
    "use_username_as_clientid",
    "user",
    "username",
    "websockets_headers_size",
    "websockets_log_level",
];
/// What only 2.1 knows.
/// SOURCE: conf.c of 2.1.2.
const SINCE_2_1: &[&str] = &[
    "accept_protocol_versions",
    "bridge_ciphers",
    "bridge_ciphers_tls1.3",
    "bridge_max_topic_alias",
    "bridge_receive_maximum",
    "bridge_reload_type",
    "bridge_session_expiry_interval",
    "bridge_tcp_keepalive",
    "bridge_tcp_user_timeout",
    "bridge_tls_use_os_certs",
    "disable_client_cert_date_checks",
    "enable_control_api",
    "enable_proxy_protocol",
    "global_max_clients",
    "global_max_connections",
    "global_plugin",
    "listener_allow_anonymous",
    "listener_auto_id_prefix",
    "max_topic_alias_broker",
    "maximum_qos",
    "packet_buffer_size",
    "plugin_load",
    "plugin_use",
    "proxy_protocol_v2_require_tls",
    "websockets_origin",
];
/// Lines whose value the broker takes once (conf.c: `conf__parse_string`).
const ONCE: &[&str] = &[
    "cafile",
    "capath",
    "certfile",
    "keyfile",
    "crlfile",
    "dhparamfile",
    "tls_version",
    "ciphers",
    "password_file",
    "acl_file",
    "psk_file",
    "user",
    "pid_file",
    "persistence_location",
];

/// Whether some supported Mosquitto knows this word.
pub(super) fn is_known(key: &str) -> bool {
    KNOWN.contains(&key)
        || SINCE_2_1.contains(&key)
        || key.starts_with("plugin_opt_")
        || key.starts_with("auth_opt_")
        || key == "include_dir"
}

impl Exam<'_> {
    pub(super) fn lines(&mut self, reading: &Reading) {
        for (asked, error) in &reading.unread {
            let Some(line) = asked else { continue };
            let found = Finding::error(
                Code::MissingFile,
                format!(
                    "the broker does not start: {} cannot be read: {}",
                    error.path.display(),
                    error.source
                ),
            );
            let found = match super::folder::meant(&error.path) {
                Some(meant) => found
                    .help(format!("did you mean `{}`?", meant.display()))
                    .fix(Fix::value(line, &meant.display().to_string())),
                None => {
                    found.help(format!("`sudo mkdir -p {}`, or take the line out", shell_path(&error.path)))
                }
            };
            self.push(found.at(self.setup.place(line)));
        }
        for line in &reading.directives {
            if line.key == "include_dir" {
                self.push(
                    Finding::error(
                        Code::NestedInclude,
                        "`include_dir` in a file that is included itself: Mosquitto 2.0 passes over it, 2.1 does not start",
                    )
                    .help("move the line to mosquitto.conf")
                    .at(self.setup.place(line)),
                );
            } else if !is_known(&line.key) {
                self.unknown(line);
            }
        }
        let listeners = self.setup.listeners.iter().map(|listener| &listener.directives);
        for lines in listeners.chain([&self.setup.globals]) {
            let mut seen = std::collections::HashMap::new();
            for line in lines.iter().filter(|line| ONCE.contains(&&*line.key)) {
                if let Some(first) = seen.insert(&line.key, line.line) {
                    let message = format!(
                        "`{}` stands twice, first in line {first}: Mosquitto 2.0 does not start, 2.1 takes this one",
                        line.key
                    );
                    let found = Finding::error(Code::DuplicateOption, message).help(
                        "keep one of the two lines; each listener has its own below its `listener` line",
                    );
                    self.findings.push(found.at(self.setup.place(line)));
                }
            }
        }
        if self.setup.user.ids.is_none() {
            let line = reading.directives.iter().rfind(|line| line.key == "user");
            let message = format!(
                "the broker does not start: there is no user `{}` on this machine",
                self.setup.user.name
            );
            let found = Finding::error(Code::UnknownUser, message)
                .help("take the line out: Debian's Mosquitto runs as the user `mosquitto`");
            self.push(found.at(line.and_then(|line| self.setup.place(line))));
        }
    }

    fn unknown(&mut self, line: &Directive) {
        let message = format!("the broker does not start: it knows no option `{}`", line.key);
        let found = Finding::error(Code::UnknownOption, message);
        let known = KNOWN.iter().chain(SINCE_2_1).copied();
        let found = match nearest(&line.key, known) {
            Some(meant) => found
                .help(format!("did you mean `{meant}`?"))
                .fix(Fix::line(line, &format!("{meant} {}", line.value))),
            None => found.help("take the line out; `man mosquitto.conf` has all options"),
        };
        self.push(found.at(self.setup.place(line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order_and_apart() {
        assert!(KNOWN.is_sorted() && SINCE_2_1.is_sorted());
        assert!(SINCE_2_1.iter().all(|key| !KNOWN.contains(key)));
        assert!(ONCE.iter().all(|key| KNOWN.contains(key)));
    }
}
