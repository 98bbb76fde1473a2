//! What `init` says at its end.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::output::counted;

#[derive(Serialize)]
pub(super) struct Done {
    pub(super) authority: PathBuf,
    pub(super) broker_certificate: PathBuf,
    pub(super) names: Vec<String>,
    pub(super) configuration: PathBuf,
    pub(super) registry: PathBuf,
    pub(super) mosquitto_conf: PathBuf,
    pub(super) steps: Vec<Step>,
    /// Whether the broker's own users and rules were taken over in this run.
    pub(super) imported: bool,
    /// Nothing if the files have mistakes.
    pub(super) inside: Option<Inside>,
    /// What the plugin said after a restart, if there was one.
    pub(super) guarded: Option<Guarded>,
    /// For clients with a certificate.
    pub(super) port: u16,
    /// How the command is called so that it finds these files.
    #[serde(skip)]
    pub(super) command: String,
    /// Nothing listens there once the broker has read the lines.
    #[serde(skip)]
    pub(super) closes_1883: bool,
    /// The broker opened it by itself for this machine, and does so by our line from now on.
    #[serde(skip)]
    pub(super) keeps_1883: bool,
}

#[derive(Serialize)]
pub(super) struct Step {
    pub(super) path: PathBuf,
    pub(super) what: &'static str,
    pub(super) done: &'static str,
}

/// Who is let in.
#[derive(Serialize)]
pub(super) struct Inside {
    /// So many are registered.
    pub(super) devices: usize,
    /// Clients without a name are.
    pub(super) anonymous: bool,
}

/// A plugin that runs.
#[derive(Serialize)]
pub(super) struct Guarded {
    /// Its version.
    pub(super) plugin: String,
    pub(super) devices: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nThe broker's certificate is good for {}.", self.names.join(", "))?;
        if let Some(Guarded { plugin, devices }) = &self.guarded {
            writeln!(
                f,
                "The broker is up and guarded: Citronella {plugin} decides, for {}.",
                counted(*devices, "device")
            )?;
        }
        match self.inside {
            Some(Inside { devices: 0, anonymous: false }) => writeln!(f, "Nobody is let in yet. Next:")?,
            Some(Inside { devices, anonymous }) => {
                let too = if anonymous { ", and clients without a name are let in" } else { "" };
                writeln!(f, "{} registered{too}. Next:", counted(devices, "device"))?;
            }
            None => writeln!(f, "Next:")?,
        }
        let command = &self.command;
        let mut next = vec![
            (
                format!("{command} device add NAME --role sensor"),
                "registers a device and makes its certificate",
            ),
            (format!("{command} check"), "are the files right?"),
        ];
        if self.guarded.is_none() {
            let restart = "systemctl enable mosquitto && systemctl restart mosquitto";
            next.push((restart.to_owned(), "from then on the broker is guarded"));
        }
        let width = next.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default() + 1;
        for (line, what) in next {
            writeln!(f, "  {line:<width$} # {what}")?;
        }
        if self.closes_1883 {
            write!(
                f,
                "At the restart port 1883 closes, for this machine too. `listener 1883 localhost` at the end of {} keeps it, for \
                 programs with a password.",
                self.mosquitto_conf.display()
            )?;
        } else if self.keeps_1883 {
            write!(
                f,
                "Port 1883 stays open for this machine; its programs need a password from the restart on:\n  \
                 {command} device add NAME --no-certificate && {command} password generate NAME"
            )?;
        } else {
            write!(f, "What is open, and to whom: {command} doctor")?;
        }
        Ok(())
    }
}
