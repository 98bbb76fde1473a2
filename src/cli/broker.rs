//! `citronella broker`: the broker's own certificate.

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use citronella::pki::{
    self, BROKER_DAYS, BrokerName, BrokerRequest, Issuer, KeyKind, Subject, Wildcards, inspect,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer,
    held::Held,
    output::{Failure, Outcome, Output},
    passphrase::CaPassphrase,
    world::World,
};

mod deploy;
mod look;

pub(crate) use look::shows;

/// Issue and renew the broker's certificate
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a certificate for the broker and put it in place, with its key and the authority's certificate
    #[command(
        after_help = "Examples:\n  citronella broker issue\n  citronella broker issue --name iotgateway1.lan --address 192.168.1.5"
    )]
    Issue {
        /// A name by which devices call the broker; may be repeated [default: this machine's names and addresses]
        #[arg(long = "name", value_name = "DNS-NAME")]
        names: Vec<String>,
        /// An address by which devices call the broker; may be repeated
        #[arg(long = "address", value_name = "IP")]
        addresses: Vec<IpAddr>,
        /// Kind of its key: p256, p384, rsa2048, rsa3072 or ed25519
        #[arg(long, value_name = "KIND", default_value_t)]
        key: KeyKind,
        #[command(flatten)]
        options: Options,
    },
    /// Make the broker's certificate anew, for the names and with the kind of key that it has
    #[command(after_help = "Example:\n  citronella broker renew")]
    Renew {
        #[command(flatten)]
        options: Options,
    },
}

/// How it is put in place.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Days that the certificate is valid
    #[arg(long, value_name = "DAYS", default_value_t = BROKER_DAYS)]
    days: u32,
    /// More fields for the subject, such as `C=IT,O=Rossi`
    #[arg(long, value_name = "FIELDS")]
    subject: Option<Subject>,
    /// How the broker is told [default: `systemctl reload mosquitto` where that runs]
    #[arg(long, value_name = "COMMAND", conflicts_with = "no_reload")]
    reload_command: Option<String>,
    /// Do not tell the broker
    #[arg(long)]
    no_reload: bool,
    /// Look there whether the broker shows the new certificate, and put the old one back if it does not
    #[arg(long, value_name = "IP:PORT")]
    probe: Option<SocketAddr>,
    #[command(flatten)]
    passphrase: CaPassphrase,
}

pub(crate) fn run(world: &World, output: &Output, verb: Verb) -> Answer {
    let folder = world.folder().join("tls");
    match verb {
        Verb::Issue { names, addresses, key, options } => {
            let mut wanted = Vec::new();
            for name in &names {
                wanted.push(BrokerName::parse(name, Wildcards::Refuse)?);
            }
            wanted.extend(addresses.iter().map(|address| BrokerName::Address(address.to_canonical())));
            if wanted.is_empty() {
                wanted = pki::suggested();
            }
            let subject = options.subject.clone();
            let request = BrokerRequest { key, subject, days: options.days, ..BrokerRequest::new(wanted) };
            put((world, output), &folder, &request, &options)
        }
        Verb::Renew { options } => {
            let request = again(&folder.join("broker.crt"), &options)?;
            put((world, output), &folder, &request, &options)
        }
    }
}

/// What the present certificate says, to be certified once more.
fn again(path: &Path, options: &Options) -> Result<BrokerRequest, Failure> {
    let pem = fs::read(path).map_err(|error| {
        Failure::file(path, &error).help("`citronella broker issue` makes the broker's first certificate")
    })?;
    let views =
        inspect::certificates(&pem).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let view = views.first().ok_or_else(|| Failure::new(format!("{}: no certificate", path.display())))?;
    let mut names = Vec::new();
    for name in &view.alternative_names {
        if let Some((_, name)) = name.split_once(':') {
            names.push(BrokerName::parse(name, Wildcards::Allow)?);
        }
    }
    if names.is_empty() {
        return Err(Failure::new(format!("{} has no names that clients compare", path.display()))
            .help("say them: citronella broker issue --name … --address …"));
    }
    let key = KeyKind::of_words(&view.key).unwrap_or_default();
    let subject = options.subject.clone().or_else(|| inspect::subject(&pem));
    Ok(BrokerRequest { key, subject, days: options.days, ..BrokerRequest::new(names) })
}

#[derive(Serialize)]
struct Done {
    folder: PathBuf,
    serial: String,
    sha256: String,
    not_after: String,
    names: Vec<String>,
    /// Whether the broker was told to read it.
    reloaded: bool,
    /// Whether the broker was seen with it.
    seen: bool,
    /// Whether only a restart makes the broker read the authority's certificate.
    restart: bool,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: certificate (until {}), key, and the authority's certificate, for {}",
            self.folder.display(),
            self.not_after,
            self.names.join(", ")
        )?;
        match (self.restart, self.seen, self.reloaded) {
            (true, ..) => f.write_str(
                "The authority's certificate is new too, which the broker reads at a restart only: systemctl restart mosquitto",
            ),
            (_, true, _) => f.write_str("The broker shows it."),
            (_, _, true) => f.write_str("The broker was told to read it."),
            _ => f.write_str("The broker reads it at its next reload: systemctl reload mosquitto"),
        }
    }
}

fn put(
    (world, output): (&World, &Output),
    folder: &Path,
    request: &BrokerRequest,
    options: &Options,
) -> Answer {
    for note in options.subject.iter().flat_map(Subject::notes) {
        output.warn(note);
    }
    let mut issuer: Issuer = options.passphrase.unlock(world.authority()?)?;
    let issued = issuer.issue_broker(request, Timestamp::now())?;
    if issued.shortened {
        output.warn("the broker's certificate ends with the authority's");
    }
    let trust = issuer.authority().broker_trust_pem();
    let content = deploy::Content { chain: issued.chain_pem(), key: &issued.key, trust: &trust };
    let held = Held::begin()?;
    let deployed = deploy::deploy(folder, &content)?;
    let reloaded = reload(output, options)?;
    let mut seen = false;
    if let Some(address) = options.probe.filter(|_| reloaded) {
        if let Err(why) = look::shows(address, &issued.certificate, &held) {
            deployed.undo()?;
            reload(output, options)?;
            if let Some(name) = held.came() {
                return Err(Failure::new(format!(
                    "stopped by {name} before the broker at {address} showed the new certificate ({why}); the old one is back in place"
                )));
            }
            return Err(Failure::new(format!(
                "the broker at {address} did not come up with the new certificate ({why}); the old one is back in place"
            ))
            .help("the broker's log says more: journalctl -u mosquitto, or /var/log/mosquitto/mosquitto.log"));
        }
        seen = true;
    }
    let done = Done {
        folder: folder.to_owned(),
        serial: issued.entry.serial.clone(),
        sha256: issued.sha256(),
        not_after: issued.period.not_after.to_string(),
        names: request.names.iter().map(ToString::to_string).collect(),
        reloaded,
        seen,
        restart: deployed.new_trust,
    };
    output.result(&done, &done)?;
    Ok(Outcome::Yes)
}

/// Tells the broker; whether there was a way to.
fn reload(output: &Output, options: &Options) -> Result<bool, Failure> {
    let mut command = match &options.reload_command {
        _ if options.no_reload => return Ok(false),
        Some(text) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", text]);
            shell
        }
        None if is_active() => {
            let mut systemctl = Command::new("systemctl");
            systemctl.args(["reload", "mosquitto"]);
            systemctl
        }
        None => return Ok(false),
    };
    let told = without_secrets(&mut command).output();
    match told {
        Ok(told) if told.status.success() => Ok(true),
        Ok(told) => {
            output
                .warn(&format!("the broker was not told: {}", String::from_utf8_lossy(&told.stderr).trim()));
            Ok(false)
        }
        Err(error) => {
            output.warn(&format!("the broker was not told: {error}"));
            Ok(false)
        }
    }
}

/// A command that has no need of our secrets.
pub(crate) fn without_secrets(command: &mut Command) -> &mut Command {
    for name in ["CITRONELLA_CA_PASSPHRASE", "CITRONELLA_KEY_PASSPHRASE", "CITRONELLA_ROOT_PASSPHRASE"] {
        command.env_remove(name);
    }
    command
}

fn is_active() -> bool {
    let asked = || Command::new("systemctl").args(["is-active", "--quiet", "mosquitto"]).status();
    Path::new("/run/systemd/system").is_dir() && asked().is_ok_and(|status| status.success())
}
