//! What `init` says at its end.

use std::{fmt, path::PathBuf};

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Done {
    pub(super) authority: PathBuf,
    pub(super) broker_certificate: PathBuf,
    pub(super) names: Vec<String>,
    pub(super) configuration: PathBuf,
    pub(super) registry: PathBuf,
    pub(super) mosquitto_conf: PathBuf,
    pub(super) steps: Vec<Step>,
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

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nThe broker's certificate is good for {}.", self.names.join(", "))?;
        writeln!(f, "Nobody is let in yet. Next:")?;
        let command = &self.command;
        let add = format!("{command} device add NAME --role sensor");
        let (check, restart) =
            (format!("{command} check"), "systemctl enable mosquitto && systemctl restart mosquitto");
        let width = add.chars().count().max(restart.len()) + 1;
        writeln!(f, "  {add:<width$} # registers a device and makes its certificate")?;
        writeln!(f, "  {check:<width$} # are the files right?")?;
        write!(f, "  {restart:<width$} # from then on the broker is guarded")?;
        if self.closes_1883 {
            write!(
                f,
                "\nAt that restart port 1883 closes, for the programs of this machine too. The line `listener 1883 localhost` at \
                 the end of {} keeps it open, for those that have a user name and a password.",
                self.mosquitto_conf.display()
            )?;
        }
        if self.keeps_1883 {
            write!(
                f,
                "\nPort 1883 stays open for the programs of this machine. From that restart on each needs a user name and a \
                 password: `{command} device add NAME --no-certificate`, then `{command} password generate NAME`."
            )?;
        }
        Ok(())
    }
}
