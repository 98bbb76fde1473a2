//! Where the files are, and how they are read and changed.

use std::path::{Path, PathBuf};

use citronella::pki::{self, Authority, AuthorityError};

use super::{output::Failure, shell};

const DEFAULT_CONFIG: &str = "/etc/citronella/citronella.toml";

/// Options of every verb.
#[derive(clap::Args)]
pub(crate) struct WorldOptions {
    /// The configuration; the registry and the authority are found from it
    #[arg(
        long,
        value_name = "FILE",
        env = "CITRONELLA_CONFIG",
        default_value = DEFAULT_CONFIG,
        global = true,
        hide_env_values = true,
        help_heading = "Common options"
    )]
    config: PathBuf,
}

/// The files a run works on.
pub(crate) struct World {
    config: PathBuf,
    chosen: Chosen,
}

/// Where the path of the configuration comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Chosen {
    /// It was typed.
    Now,
    /// From the environment, or because it is there by default.
    Before,
}

impl World {
    pub(crate) fn new(arguments: WorldOptions, chosen: Chosen) -> Self {
        Self { config: arguments.config, chosen }
    }

    /// How this command is typed so that it finds these files again.
    pub(crate) fn command(&self) -> String {
        let unsaid = std::env::var_os("CITRONELLA_CONFIG").filter(|path| !path.is_empty());
        if self.config == unsaid.map_or_else(|| PathBuf::from(DEFAULT_CONFIG), PathBuf::from) {
            "citronella".to_owned()
        } else {
            format!("citronella --config {}", shell::path(&self.config))
        }
    }

    /// citronella.toml.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// The same, if it was named in the command.
    pub(crate) fn chosen_config(&self) -> Option<&Path> {
        (self.chosen == Chosen::Now).then_some(&*self.config)
    }

    /// The folder of citronella.toml: `pki/` and `tls/` stand in it.
    pub(crate) fn folder(&self) -> &Path {
        match self.config.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    /// The authority.
    pub(crate) fn pki(&self) -> PathBuf {
        self.folder().join("pki")
    }

    /// The authority, opened.
    pub(crate) fn authority(&self) -> Result<Authority, Failure> {
        Authority::open(&self.pki()).map_err(|error| match error {
            AuthorityError::Missing(_) => Failure::from(error).help("`citronella init` makes one"),
            error => error.into(),
        })
    }

    /// How devices call the broker: the first name in its certificate, else this machine.
    pub(crate) fn broker_name(&self) -> String {
        let first = self.broker_names().and_then(|names| names.into_iter().next());
        first.unwrap_or_else(|| "localhost".to_owned())
    }

    /// The names and addresses in the broker's certificate, if it stands here.
    pub(crate) fn broker_names(&self) -> Option<Vec<String>> {
        let bytes = std::fs::read(self.folder().join("tls/broker.crt")).ok()?;
        let views = pki::inspect::certificates(&bytes).ok()?;
        let names = views.first()?.alternative_names.iter();
        Some(names.filter_map(|name| name.split_once(':')).map(|(_, name)| name.to_owned()).collect())
    }
}
