//! What undoes our plugin, and whether its files are right.

use std::path::Path;

use super::{
    Code, Exam, Finding,
    fix::Fix,
    setup::{Listener, is_ours, plugin_name},
};
use crate::{
    diag::shell_path,
    mosquitto_conf::{self, Directive},
    snapshot::{Permissions, Snapshot},
};

pub(super) const DEFAULT_CONFIG: &str = "/etc/citronella/citronella.toml";

impl Exam<'_> {
    pub(super) fn guard(&mut self, citronella: Option<&Path>) {
        let setup = self.setup;
        let all: Vec<&Directive> = setup.every_line().collect();
        if !setup.has_guard() {
            if let Some(config) = citronella {
                let message = format!(
                    "{} is there, and the broker does not load the plugin that reads it: nothing is guarded",
                    config.display()
                );
                self.push(
                    Finding::error(Code::PluginNotLoaded, message)
                        .help("`sudo citronella init` writes the lines for Mosquitto, `--mosquitto-conf FILE` says where; if the broker is started with another file, `citronella doctor FILE` looks at that"),
                );
            }
            return;
        }
        if setup.per_listener
            && let Some(line) = setup.globals.iter().rfind(|line| line.key == "per_listener_settings")
        {
            let found = Finding::error(
                Code::PerListenerSettings,
                "with `per_listener_settings` the plugin guards only the listener under whose line it stands, and Mosquitto 2.0.11 does not start",
            )
            .help("take the line out: one `plugin` line outside all listeners guards all of them");
            self.push(found.at(setup.place(line)));
        }
        for line in all.iter().filter(|line| is_ours(line)) {
            let is_used = |listener: &Listener| setup.plugins(listener).any(|used| used == *line);
            if let Some(name) = plugin_name(line).filter(|_| !setup.listeners.iter().any(is_used)) {
                let message = format!(
                    "Citronella is loaded as `{name}`, and no listener uses it: Mosquitto 2.1 does not start"
                );
                let found = Finding::error(Code::PluginNotLoaded, message)
                    .help(format!("write `plugin PATH` in its place, for all listeners, or `plugin_use {name}` below each of them"));
                self.push(found.at(setup.place(line)));
            }
        }
        for line in all.iter().filter(|line| !setup.per_listener && has_no_effect(line)) {
            let message =
                format!("`{}` has no effect: Citronella decides, and the broker never asks it", line.key);
            let found = Finding::warning(Code::NoEffect, message)
                .help("take the line out; who is in a password file can be taken over: sudo citronella password import FILE --add-devices ROLE")
                .fix(Fix::comment(line));
            self.push(found.at(setup.place(line)));
        }
        for listener in &setup.listeners {
            let plugins: Vec<&Directive> = setup.plugins(listener).collect();
            if let Some(ours) = plugins.iter().position(|line| is_ours(line))
                && let Some(first) = plugins.first().filter(|_| ours > 0)
            {
                let message = format!(
                    "the plugin `{}` is asked before Citronella, and may let in whom Citronella refuses",
                    first.value
                );
                let own = plugins.get(ours).is_some_and(|line| line.key == "plugin_load");
                let found = Finding::error(Code::PluginOrder, message).help(if own {
                    "write Citronella's line as `plugin PATH`, with its `plugin_opt_config`, above it: of all plugins those for all \
                     listeners are asked first, and then a listener's own as they are loaded, in whatever order `plugin_use` names them"
                } else {
                    "move Citronella's `plugin` line, with its `plugin_opt_config`, above it"
                });
                self.push(found.at(setup.place(first)));
            }
            if listener.has_tls() {
                for line in mosquitto_conf::identity_options(&listener.directives) {
                    let message = format!(
                        "with `{}` the broker never asks the plugin who comes in, and does not start with it",
                        line.key
                    );
                    let found = Finding::error(Code::IdentityOption, message)
                        .help("take the line out: the plugin reads the name in the certificate itself")
                        .fix(Fix::comment(line));
                    self.push(found.at(setup.place(line)));
                }
            }
            if let Some(line) = listener.get("mount_point") {
                let message = format!(
                    "rules for clients of {} have to begin with `{}`: the plugin sees topics with it",
                    listener.name(),
                    line.value.trim()
                );
                let found = Finding::warning(Code::MountPoint, message)
                    .help("take the line out, and write what each device may do into its role");
                self.push(found.at(setup.place(line)));
            }
        }
        for ours in all.iter().filter(|line| is_ours(line)) {
            let option = all.iter().find(|line| line.key == "plugin_opt_config" && line.file == ours.file);
            self.settings(ours, option.copied());
        }
    }

    /// The files that the plugin will read, judged as it will judge them.
    fn settings(&mut self, ours: &Directive, option: Option<&Directive>) {
        let config = option.map_or(Path::new(DEFAULT_CONFIG), |line| Path::new(line.value.trim()));
        let line = option.unwrap_or(ours);
        if !config.exists() {
            if option.is_none() {
                let found = Finding::error(
                    Code::Settings,
                    format!("the broker does not start: there is no {}", config.display()),
                )
                .help("sudo citronella init");
                self.push(found.at(self.setup.place(line)));
            }
            return;
        }
        let user = self.setup.user.ids.as_ref().map(|ids| ids.user);
        let permissions = user.map_or(Permissions::Judge, |user| Permissions::JudgeFor { user });
        let loaded = Snapshot::load(config, permissions);
        let (errors, _) = loaded.report.count();
        let Some(first) = loaded.report.iter().find(|found| found.code.is_none()).filter(|_| errors > 0)
        else {
            return;
        };
        let message = format!("the broker does not start: {}", first.message);
        let more =
            if errors > 1 { format!(", this and {} more mistakes", errors - 1) } else { String::new() };
        let place = first.place.as_ref().map(|(source, span)| {
            let (line, column) = source.position(span.start);
            format!("{}:{line}:{column}", source.path().display())
        });
        let found = Finding::error(Code::Settings, message).help(format!(
            "{}`sudo citronella --config {} check` shows it{more}",
            place.map(|place| format!("it is in {place}; ")).unwrap_or_default(),
            shell_path(config)
        ));
        let found = match &first.help {
            Some(help) => found.help(help.clone()),
            None => found,
        };
        self.push(found.at(self.setup.place(line)));
    }
}

/// Whether the line is of the broker's own access control, which comes after the plugins. SOURCE: security_default.c.
fn has_no_effect(line: &Directive) -> bool {
    matches!(line.key.as_str(), "password_file" | "acl_file")
}
