//! `citronella init`: from nothing to a broker that can be guarded.

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use citronella::{
    config::{self, STATE_DIRECTORY},
    diag::Report,
    pki::{
        self, Authority, BrokerName, BrokerRequest, Issued, Issuer, KeyKind, NewAuthority, Subject, Wildcards,
    },
};
use jiff::Timestamp;

mod done;
mod neighbours;
mod refusals;
mod texts;

pub(crate) use neighbours::Neighbours;
pub(crate) use texts::starter_roles;

use done::{Done, Step};

use super::{
    Answer,
    files::{Files, Mode, Wrote},
    output::{Failure, Outcome, Output},
    passphrase::CaPassphrase,
    shell,
    world::World,
};

/// Where Debian's Mosquitto finds our lines.
pub(crate) const MOSQUITTO_CONF: &str = "/etc/mosquitto/conf.d/citronella.conf";

/// Make an authority, a certificate for the broker, a configuration that lets nobody in, and the lines for
/// Mosquitto
///
/// What is there already is kept, so an interrupted run is completed by running it again. Mosquitto is not
/// restarted.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sudo citronella init\n  sudo citronella init --name iotgateway1.lan --address 192.168.1.5 \\\n    --password-listener"
)]
pub(crate) struct Arguments {
    /// A name by which devices call the broker; may be repeated [default: this machine's names and addresses]
    #[arg(long = "name", value_name = "DNS-NAME")]
    names: Vec<String>,
    /// An address by which devices call the broker; may be repeated
    #[arg(long = "address", value_name = "IP")]
    addresses: Vec<IpAddr>,
    /// What the authority is called: a house, a firm
    #[arg(long, value_name = "TEXT", default_value = "Citronella")]
    authority: String,
    /// More fields for the subject of the authority and the broker, such as `C=IT,ST=Lazio,O=Rossi`; of these,
    /// devices get the organization (O)
    #[arg(long, value_name = "FIELDS")]
    subject: Option<Subject>,
    /// Kind of the authority's and the broker's keys: p256, p384, rsa2048, rsa3072 or ed25519
    #[arg(long, value_name = "KIND", default_value_t)]
    key: KeyKind,
    #[command(flatten)]
    passphrase: CaPassphrase,
    /// Listen on this address only
    #[arg(long, value_name = "IP")]
    listen: Option<IpAddr>,
    /// Port for clients with a certificate, over TLS
    #[arg(long, value_name = "PORT", default_value = "8883", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Also let clients in that hold a password and no certificate, over TLS
    #[arg(long)]
    password_listener: bool,
    /// Port for clients with a password
    #[arg(
        long,
        value_name = "PORT",
        default_value = "8884",
        requires = "password_listener",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    password_port: u16,
    /// File of mosquitto_passwd to take hashes from, beside those in the registry; made if it is missing
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Where to write the lines for Mosquitto
    #[arg(long, value_name = "FILE", default_value = MOSQUITTO_CONF)]
    mosquitto_conf: PathBuf,
    /// The plugin [default: where the package or `make install` puts it]
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
}

pub(crate) fn run(world: &World, output: &Output, mut arguments: Arguments) -> Answer {
    let plugin = plugin_path(arguments.plugin.as_deref())?;
    folder_of(&arguments.mosquitto_conf, "is Mosquitto installed? --mosquitto-conf names another place")?;
    if let Some(path) = &arguments.password_file {
        folder_of(path, "make it, or name another file with --password-file")?;
    }
    refusals::before(world, &arguments, &plugin)?;
    let wanted = wanted_names(&arguments)?;
    for note in arguments.subject.iter().flat_map(Subject::notes) {
        output.warn(note);
    }
    let files = Files::for_broker();
    let mut steps = Vec::new();
    files.folder(world.folder(), Mode::Shared)?;
    let folder = fs::canonicalize(world.folder()).map_err(|error| Failure::file(world.folder(), &error))?;
    let config = folder.join(world.config().file_name().unwrap_or("citronella.toml".as_ref()));
    refusals::can_be_written(&config)?;
    let mut step = |path: &Path, what, wrote| {
        let done = if wrote == Wrote::New { "made" } else { "kept" };
        output.say(&format_args!("{done}: {what}, {}", path.display()));
        steps.push(Step { path: path.to_owned(), what, done });
    };

    let (mut authority, wrote) = Opened::of(world, &arguments)?;
    step(&world.pki(), "the authority, its key encrypted", wrote);

    let tls = folder.join("tls");
    files.folder(&tls, Mode::Shared)?;
    let wrote =
        files.create(&tls.join("ca.crt"), authority.get().broker_trust_pem().as_bytes(), Mode::Public)?;
    step(&tls.join("ca.crt"), "the authority's certificate for the broker", wrote);

    let (certificate, key) = (tls.join("broker.crt"), tls.join("broker.key"));
    let wrote = if certificate.exists() && key.exists() {
        Wrote::Kept
    } else {
        let (issued, issuer) = issue(authority, wanted.clone(), &arguments)?;
        authority = Opened::Unlocked(issuer);
        // The key first: a certificate without its key would look finished.
        files.replace(&key, issued.key.to_plain_pem()?.expose(), Mode::Shared)?;
        files.replace(&certificate, issued.chain_pem().as_bytes(), Mode::Public)?;
        if issued.shortened {
            output.warn("the broker's certificate ends with the authority's");
        }
        Wrote::New
    };
    step(&certificate, "the broker's certificate", wrote);
    let names = broker_names(&certificate)?;
    let asked = wanted.iter().cloned().chain(listened(&arguments)).map(|name| name.to_string());
    let missing: BTreeSet<String> = asked.filter(|name| !names.contains(name)).collect();
    if !missing.is_empty() {
        output.warn(&format!(
            "the broker's certificate was kept, and is not good for {}; to have it made anew, move {} away",
            missing.into_iter().collect::<Vec<_>>().join(" and "),
            certificate.display()
        ));
    }

    if let Some(path) = &arguments.password_file {
        let path = std::path::absolute(path).map_err(|error| Failure::new(error.to_string()))?;
        step(&path, "the password file", files.create(&path, b"", Mode::Shared)?);
        arguments.password_file = Some(path);
    }
    let state = state_directory(&folder);
    let text = texts::starter_config(arguments.password_file.as_deref().and_then(Path::to_str), &state);
    step(&config, "the settings and roles", start_with(&files, &config, &text)?);
    let registry = folder.join("devices.toml");
    step(
        &registry,
        "the registry",
        files.create(&registry, texts::STARTER_REGISTRY.as_bytes(), Mode::Shared)?,
    );

    // The settings may have been there, and name another.
    let state = kept_state_directory(&config).unwrap_or_else(|| folder.join(state));
    match files.state(&state) {
        Ok(wrote) => step(&state, "where the plugin writes", wrote),
        // The broker is guarded without it.
        Err(error) => output.warn(&format!(
            "{} cannot be made ({error}): the plugin will not be able to say there what is in force",
            state.display()
        )),
    }

    let conf = &arguments.mosquitto_conf;
    let mut ports = vec![arguments.port];
    ports.extend(arguments.password_listener.then_some(arguments.password_port));
    let others = Neighbours::of(conf);
    let keeps_1883 = others.open_nothing() && !ports.contains(&1883);
    let text = texts::mosquitto_conf(&arguments, &folder, &config, &plugin)
        + if keeps_1883 { texts::LOCAL_KEPT } else { texts::LOCAL_OFFERED };
    let wrote = files.create(conf, text.as_bytes(), Mode::Public)?;
    step(conf, "the lines for Mosquitto", wrote);
    if wrote == Wrote::Kept && fs::read(conf).is_ok_and(|kept| kept != text.as_bytes()) {
        output.warn(&format!(
            "{} was kept, and is not what these options would make; to have it made anew: mv {} {}, and run this again",
            conf.display(),
            shell::path(conf),
            shell::path(&conf.with_added_extension("old"))
        ));
    }

    for objection in others.objections(&ports) {
        output.warn(&objection);
    }

    let done = Done {
        authority: authority.get().directory().to_owned(),
        broker_certificate: certificate,
        names,
        configuration: config,
        registry,
        mosquitto_conf: conf.clone(),
        steps,
        command: world.command(),
        closes_1883: !others.open(1883) && !neighbours::opens(conf, 1883),
        keeps_1883: keeps_1883 && neighbours::opens(conf, 1883),
    };
    output.result(&done, &done)?;
    Ok(Outcome::Yes)
}

/// Where the plugin of a new configuration in this folder writes. Only the installed one may have the system's place: a
/// second plugin could not write there.
fn state_directory(folder: &Path) -> PathBuf {
    if folder == Path::new("/etc/citronella") { STATE_DIRECTORY.into() } else { "state".into() }
}

/// Writes the settings to start with, also where the package has put its own and nobody has changed them.
fn start_with(files: &Files, config: &Path, text: &str) -> Result<Wrote, Failure> {
    let packaged = fs::read(config).is_ok_and(|found| found == texts::STARTER_CONFIG.as_bytes());
    if packaged && text != texts::STARTER_CONFIG {
        files.replace(config, text.as_bytes(), Mode::Shared)?;
        return Ok(Wrote::New);
    }
    files.create(config, text.as_bytes(), Mode::Shared)
}

/// Where the settings say that the plugin writes; nothing if they cannot be read.
pub(crate) fn kept_state_directory(config: &Path) -> Option<PathBuf> {
    let text = citronella::fs::read(config, citronella::fs::MAX_FILE_BYTES).ok()?;
    let mut report = Report::new();
    let settings = config::parse(config, &text.text, &mut report).settings;
    (!report.has_errors()).then_some(settings.state_directory)
}

/// Fails early where a file is to be made and there is no folder for it.
fn folder_of(path: &Path, help: &str) -> Result<(), Failure> {
    match path.parent() {
        Some(folder) if folder != Path::new("") && !folder.is_dir() => {
            Err(Failure::new(format!("there is no folder {}", folder.display())).help(help))
        }
        _ => Ok(()),
    }
}

/// The authority, with its key open only if it had to be.
enum Opened {
    Locked(Authority, CaPassphrase),
    Unlocked(Issuer),
}

impl Opened {
    fn of(world: &World, arguments: &Arguments) -> Result<(Self, Wrote), Failure> {
        let directory = world.pki();
        if directory.join("ca.crt").exists() {
            return Ok((
                Self::Locked(Authority::open(&directory)?, arguments.passphrase.clone()),
                Wrote::Kept,
            ));
        }
        let passphrase = arguments.passphrase.choose()?;
        let new = NewAuthority {
            subject: arguments.subject.clone().unwrap_or_default(),
            key: arguments.key,
            ..NewAuthority::new(&arguments.authority)
        };
        Ok((Self::Unlocked(Authority::init(&directory, &new, &passphrase, Timestamp::now())?), Wrote::New))
    }

    fn get(&self) -> &Authority {
        match self {
            Self::Locked(authority, _) => authority,
            Self::Unlocked(issuer) => issuer.authority(),
        }
    }

    fn unlock(self) -> Result<Issuer, Failure> {
        match self {
            Self::Locked(authority, passphrase) => Ok(authority.unlock(&passphrase.ask()?)?),
            Self::Unlocked(issuer) => Ok(issuer),
        }
    }
}

fn issue(
    authority: Opened,
    names: Vec<BrokerName>,
    arguments: &Arguments,
) -> Result<(Issued, Issuer), Failure> {
    let mut issuer = authority.unlock()?;
    let mut names = if names.is_empty() { pki::suggested() } else { names };
    names.extend(listened(arguments));
    let request =
        BrokerRequest { key: arguments.key, subject: arguments.subject.clone(), ..BrokerRequest::new(names) };
    let issued = issuer.issue_broker(&request, Timestamp::now())?;
    Ok((issued, issuer))
}

/// The names that were asked for; none if this machine's own are to be taken.
fn wanted_names(arguments: &Arguments) -> Result<Vec<BrokerName>, Failure> {
    let mut names = Vec::new();
    for name in &arguments.names {
        names.push(BrokerName::parse(name, Wildcards::Refuse)?);
    }
    names.extend(arguments.addresses.iter().map(|address| BrokerName::Address(address.to_canonical())));
    Ok(names)
}

/// The address that the broker listens on, if clients can call it by that one only.
fn listened(arguments: &Arguments) -> Option<BrokerName> {
    let address = arguments.listen.filter(|address| !address.is_unspecified())?;
    Some(BrokerName::Address(address.to_canonical()))
}

/// The names in the broker's certificate.
fn broker_names(certificate: &Path) -> Result<Vec<String>, Failure> {
    let bytes = fs::read(certificate).map_err(|error| Failure::file(certificate, &error))?;
    let views = pki::inspect::certificates(&bytes)?;
    let names = views.first().map(|view| view.alternative_names.clone()).unwrap_or_default();
    Ok(names.iter().map(|name| name.split_once(':').map_or(&**name, |(_, name)| name).to_owned()).collect())
}

/// The plugin that was named, or the one that is installed.
fn plugin_path(named: Option<&Path>) -> Result<PathBuf, Failure> {
    const NAME: &str = "mosquitto_citronella.so";
    if let Some(path) = named {
        return fs::canonicalize(path).map_err(|error| {
            Failure::file(path, &error)
                .help(format!("--plugin is the path of {NAME}, as `make release` builds it"))
        });
    }
    let triplets = ["x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf"];
    let mut places: Vec<PathBuf> = ["/usr/lib", "/usr/local/lib"]
        .iter()
        .flat_map(|library| triplets.iter().map(|triplet| Path::new(library).join(triplet)))
        .map(|folder| folder.join("mosquitto").join(NAME))
        .collect();
    places.push(Path::new("/usr/local/lib/mosquitto").join(NAME));
    places.push(Path::new("/usr/lib/mosquitto").join(NAME));
    places.into_iter().find(|path| path.exists()).ok_or_else(|| {
        Failure::new(format!("{NAME} is not installed"))
            .help("install it (`make release && sudo make install`), or name it with --plugin")
    })
}
