//! Who can reach the broker, who is let in, and who can listen on the way.

use super::{Code, Exam, Finding, Listener, fix::Fix, setup::is_ours};
use crate::{diag::shell_path, mosquitto_conf::is_true};

impl Exam<'_> {
    pub(super) fn listeners(&mut self) {
        let setup = self.setup;
        for (at, listener) in setup.listeners.iter().enumerate() {
            let twin = setup.listeners.iter().take(at).find(|other| is_same(other, listener));
            if let (Some(line), Some(twin)) = (&listener.line, twin) {
                let first = twin.line.as_ref().map_or_else(String::new, |line| {
                    format!(", first in {}:{}", line.file.display(), line.line)
                });
                let message =
                    format!("the broker does not start: {} is opened twice{first}", listener.name());
                // Of ours and another the other goes; else the later.
                let goes = if listener.is_ours() && !twin.is_ours() { twin } else { listener };
                let found = Finding::error(Code::ListenerTwice, message).help(format!(
                    "keep one of them; this takes the other out, with the lines that are its own: {}",
                    commented_out(goes)
                ));
                self.push(found.at(setup.place(line)));
            }
            self.port_line(listener);
            self.admission(listener);
        }
        for bridge in &setup.bridges {
            let insecure =
                bridge.directives.iter().rfind(|line| line.key == "bridge_insecure" && is_true(&line.value));
            if let Some(line) = insecure {
                let message = "the bridge takes any certificate that its authority has signed for the broker that it wants";
                let found = Finding::error(Code::BridgeInsecure, message).help(
                    "take the line out, and let `address` be a name in the other broker's certificate (`citronella probe` shows them)",
                );
                self.push(found.at(setup.place(line)));
            }
        }
    }

    /// `port` and `bind_address` speak of a listener that has no line of its own.
    fn port_line(&mut self, listener: &Listener) {
        let Some(line) = listener.line.as_ref().filter(|line| line.key != "listener") else { return };
        let (port, bind) = (listener.port, listener.bind.as_deref().unwrap_or_default());
        let meant = format!("listener {port} {bind}").trim_end().to_owned();
        let found = Finding::warning(
            Code::PortLine,
            format!(
                "`{}` is the old way to open a port; lines that follow a `listener` line do not belong to it",
                line.key
            ),
        )
        .help(format!("write `{meant}`, above the lines that belong to it"));
        let alone = listener.get("bind_address").is_none();
        let found = if alone { found.fix(Fix::line(line, &meant)) } else { found };
        self.push(found.at(self.setup.place(line)));
    }

    fn admission(&mut self, listener: &Listener) {
        let setup = self.setup;
        let Some(line) = &listener.line else { return };
        let guarded = setup.plugins(listener).any(is_ours);
        let plugins = setup.plugins(listener).next().is_some();
        let anonymous =
            setup.security(listener, "allow_anonymous").or(listener.get("listener_allow_anonymous"));
        let open = anonymous.filter(|line| is_true(&line.value));
        let passwords = setup.security(listener, "password_file").is_some();
        let identity =
            listener.is_on("use_identity_as_username") || listener.is_on("use_subject_as_username");
        let certificate = listener.has_tls() && listener.is_on("require_certificate");
        if let Some(open) = open.filter(|_| !guarded && !listener.is_local() && !certificate) {
            let message = format!(
                "whoever reaches {} may publish and read everything, without a password",
                listener.name()
            );
            let found = Finding::error(Code::Anonymous, message)
                .help("write `allow_anonymous false`, and give the clients passwords (`password_file`) or certificates")
                .help("or let Citronella decide who may do what: sudo citronella init");
            self.push(found.at(setup.place(open)));
        }
        if !plugins && !passwords && open.is_none() && !identity && listener.get("psk_hint").is_none() {
            let message = if certificate {
                format!(
                    "{} asks for certificates and then lets nobody in: the names in them are not used",
                    listener.name()
                )
            } else {
                format!(
                    "{} lets nobody in: there is no `password_file`, no plugin and no `allow_anonymous true`",
                    listener.name()
                )
            };
            let code = if certificate { Code::CertificateNameUnused } else { Code::NoWayIn };
            let found = Finding::error(code, message);
            let found = if certificate {
                found
                    .help("write `use_identity_as_username true` below it, and each device is called as its certificate says")
                    .help("or let Citronella check each certificate against its registry: sudo citronella init")
            } else {
                found.help("`sudo mosquitto_passwd -c /etc/mosquitto/passwd NAME`, and write `password_file /etc/mosquitto/passwd`")
                    .help("or let Citronella decide who may do what: sudo citronella init")
            };
            self.push(found.at(setup.place(line)));
        } else if certificate && !plugins && !identity {
            let message = format!(
                "{} asks for certificates and does not use the names in them: a device can call itself what it likes",
                listener.name()
            );
            let found = Finding::warning(Code::CertificateNameUnused, message)
                .help("write `use_identity_as_username true` below it, or let Citronella look at the names: sudo citronella init");
            self.push(found.at(setup.place(line)));
        }
        if !listener.is_local() && !listener.has_tls() && listener.get("psk_hint").is_none() {
            let message = format!(
                "what goes through {} can be read and changed on its way, passwords too: it has no TLS",
                listener.name()
            );
            let found = Finding::warning(Code::UnprotectedListener, message)
                .help(format!(
                    "if only programs of this machine need it: `listener {} localhost`",
                    listener.port
                ))
                .help("else open one with TLS (`sudo citronella init` does) and move the clients there");
            self.push(found.at(setup.place(line)));
        }
    }
}

/// Whether the two cannot both be opened.
fn is_same(one: &Listener, other: &Listener) -> bool {
    one.port == other.port
        && (one.bind == other.bind || (one.port != 0 && (one.bind.is_none() || other.bind.is_none())))
}

/// The command that turns a listener's lines into comments.
pub(super) fn commented_out(listener: &Listener) -> String {
    let Some(line) = &listener.line else { return String::new() };
    let lines = std::iter::once(line).chain(&listener.directives);
    let mut numbers: Vec<usize> = lines.filter(|own| own.file == line.file).map(|own| own.line).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let marks: Vec<String> = numbers.iter().map(|number| format!("{number}s/^/# /")).collect();
    format!("sudo sed -i.old '{}' {}", marks.join("; "), shell_path(&line.file))
}
