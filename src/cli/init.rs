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
    import::Imported,
    pki::{KeyKind, Subject},
    snapshot::{Permissions, Snapshot},
};

mod change;
mod done;
mod dynsec;
mod edits;
mod lines;
mod neighbours;
mod pair;
mod refusals;
mod restart;
mod takeover;
mod texts;

pub(crate) use change::told;
pub(crate) use edits::restored;
pub(crate) use neighbours::Neighbours;
pub(crate) use texts::starter_roles;

use change::{Change, Made};
use done::{Done, Guarded, Inside, Step};
use pair::Opened;
use restart::{Wanted, Way};
use takeover::Users;

use super::{
    Answer,
    files::{Files, Mode, Wrote},
    held::Held,
    noted::{self, Doors},
    output::{Failure, Outcome, Output},
    passphrase::CaPassphrase,
    world::World,
};

/// Make an authority, a certificate for the broker, a configuration that lets nobody in, and the lines for
/// Mosquitto
///
/// What is there already is kept, so an interrupted run is completed by running it again. On a broker that is in use it
/// asks what becomes of its users and rules (--import, --no-import), shows each line of others that has to change
/// before it does (--yes), and restarts Mosquitto if that is agreed to (--restart): a broker that does not come up
/// guarded gets its former configuration back, as it does when Ctrl-C or a lost terminal ends the wait.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sudo citronella init\n  sudo citronella init --name iotgateway1.lan --address 192.168.1.5 \\\n    --password-listener\n  sudo citronella init --import --yes --restart"
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
    /// Where to write the lines for Mosquitto [default: where an earlier run has, else
    /// /etc/mosquitto/conf.d/citronella.conf]
    #[arg(long, value_name = "FILE")]
    mosquitto_conf: Option<PathBuf>,
    /// The plugin [default: where the package or `make install` puts it]
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Take over the users and rules that the broker has (password_file, acl_file), so that they go on as before
    #[arg(long, conflicts_with_all = ["no_import", "password_file"])]
    import: bool,
    /// Leave them: from the restart on nobody of them gets in
    #[arg(long)]
    no_import: bool,
    /// Close a listener of others that has one of our ports, and open ours in its place
    #[arg(long)]
    take_port: bool,
    /// Make lines of others that are in the way comments, and do not ask
    #[arg(long)]
    yes: bool,
    /// Restart Mosquitto, and do not ask
    #[arg(long, conflicts_with = "no_restart")]
    restart: bool,
    /// Do not restart Mosquitto, and do not ask
    #[arg(long)]
    no_restart: bool,
    /// How that is done [default: `systemctl restart mosquitto` where that runs]
    #[arg(long, value_name = "COMMAND", conflicts_with = "no_restart")]
    restart_command: Option<String>,
}

impl Arguments {
    /// Where the lines for Mosquitto go.
    fn conf(&self) -> &Path {
        self.mosquitto_conf.as_deref().unwrap_or(Path::new(noted::LINES))
    }
}

pub(crate) fn run(world: &World, output: &Output, mut arguments: Arguments) -> Answer {
    let plugin = refusals::plugin_path(arguments.plugin.as_deref())?;
    if arguments.mosquitto_conf.is_none() {
        let noted = noted::lines(world);
        if noted != Path::new(noted::LINES) {
            output.say(&format_args!(
                "the lines for Mosquitto go where an earlier run has them, {}; --mosquitto-conf names another file",
                noted.display()
            ));
        }
        arguments.mosquitto_conf = Some(noted);
    }
    refusals::folder_of(arguments.conf(), "is Mosquitto installed? --mosquitto-conf names another place")?;
    if let Some(path) = &arguments.password_file {
        refusals::folder_of(path, "make it, or name another file with --password-file")?;
    }
    refusals::before(world, &arguments, &plugin)?;
    let wanted = pair::wanted_names(&arguments)?;
    for note in arguments.subject.iter().flat_map(Subject::notes) {
        output.warn(note);
    }
    let files = Files::for_broker();
    let mut steps = Vec::new();
    files.folder(world.folder(), Mode::Shared)?;
    let folder = fs::canonicalize(world.folder()).map_err(|error| Failure::file(world.folder(), &error))?;
    let config = folder.join(world.config().file_name().unwrap_or("citronella.toml".as_ref()));
    refusals::can_be_written(&config)?;
    let registry = folder.join("devices.toml");
    let state = state_directory(&folder);

    // What others have is looked at, and whoever runs this is asked, before anything is made.
    let others = Neighbours::of(arguments.conf());
    let mut ports: Vec<u16> =
        neighbours::own_listeners(arguments.conf()).iter().map(|listener| listener.port).collect();
    if ports.is_empty() {
        ports.push(arguments.port);
    }
    ports.extend(arguments.password_listener.then_some(arguments.password_port));
    refusals::opens_more(&others, &arguments, &config)?;
    let asked = !arguments.no_import && !arguments.conf().exists();
    if let Some(who) = neighbours::locked_out(&others).filter(|_| asked) {
        output.warn(&who);
    }
    let imported = take_over(output, &others, &arguments, (&config, &registry, &state))?;
    let edits = edits::agreed(output, &others, &ports, &arguments)?;

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
        let (issued, issuer) = pair::issue(authority, wanted.clone(), &arguments)?;
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
    let names = pair::broker_names(&certificate)?;
    let asked = wanted.iter().cloned().chain(pair::listened(&arguments)).map(|name| name.to_string());
    let missing: BTreeSet<String> = asked.filter(|name| !names.contains(name)).collect();
    if !missing.is_empty() {
        output.warn(&format!(
            "the broker's certificate was kept, and is not good for {}; `{} broker issue` with --name and --address makes it anew",
            missing.into_iter().collect::<Vec<_>>().join(" and "),
            world.command()
        ));
    }

    if let Some(path) = &arguments.password_file {
        let path = std::path::absolute(path).map_err(|error| Failure::new(error.to_string()))?;
        step(&path, "the password file", files.create(&path, b"", Mode::Shared)?);
        arguments.password_file = Some(path);
    }
    let conf = &arguments.conf().to_owned();
    let asked_1883 = arguments.port == 1883 || arguments.password_listener && arguments.password_port == 1883;
    let keeps_1883 = others.open_nothing() && !asked_1883;
    let text = texts::mosquitto_conf(&arguments, &folder, &config, &plugin)
        + if keeps_1883 { texts::LOCAL_KEPT } else { texts::LOCAL_OFFERED };
    let (before, after) = lines::wanted(output, &arguments, &text, &folder)?;
    let way = Way::agreed(output, &arguments)?;

    // Whoever presses Ctrl-C from now on means the whole; nothing is asked any more.
    let held = Held::begin()?;
    let mut made = Made::new(conf);
    if let Some(imported) = &imported {
        let renames = folder.join("renames.toml");
        if !renames.exists() {
            made.replace(&files, &renames, &imported.renames)?;
        }
        // The settings last: while they are missing, running it again completes this.
        for (path, text, what) in [
            (&registry, &imported.devices, "the registry, with the broker's users"),
            (&config, &imported.settings, "the settings, with the broker's rules"),
        ] {
            made.replace(&files, path, text)?;
            step(path, what, Wrote::New);
        }
    } else {
        let text = texts::starter_config(arguments.password_file.as_deref().and_then(Path::to_str), &state);
        step(&config, "the settings and roles", start_with(&files, &config, &text)?);
        let wrote = files.create(&registry, texts::STARTER_REGISTRY.as_bytes(), Mode::Shared)?;
        step(&registry, "the registry", wrote);
    }

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

    // The commands that follow look there.
    if let Some((note, text)) = noted::note(&folder, conf)
        && !fs::read(&note).is_ok_and(|found| found == text.as_bytes())
    {
        made.replace(&files, &note, &text)?;
    }
    let change = Change::new(conf, before, after, edits)?;
    change.make(output, &held)?;
    step(conf, "the lines for Mosquitto", if change.is_ours() { Wrote::New } else { Wrote::Kept });
    for objection in others.objections() {
        output.warn(&objection);
    }

    let mut done = Done {
        authority: authority.get().directory().to_owned(),
        broker_certificate: certificate.clone(),
        names,
        configuration: config.clone(),
        registry,
        mosquitto_conf: conf.clone(),
        steps,
        imported: imported.is_some(),
        inside: inside(&config),
        guarded: None,
        command: world.command(),
        port: Doors::of(world).for_certificates().map_or(arguments.port, |door| door.port),
        closes_1883: (others.setup().is_none() || others.open_nothing()) && !neighbours::opens(conf, 1883),
        keeps_1883: keeps_1883 && neighbours::opens(conf, 1883),
    };
    if let Some(way) = way {
        let wanted = Wanted { state: &state, certificate: &pair::leaf(&certificate)? };
        let status = restart::restart(output, &way, &change, (&wanted, &held))?;
        done.guarded = Some(Guarded { plugin: status.plugin, devices: status.in_force.devices });
    }
    made.stay();
    output.result(&done, &done)?;
    Ok(Outcome::Yes)
}

/// What the broker's own users and rules come to, if there are any and they are wanted.
fn take_over(
    output: &Output,
    others: &Neighbours,
    arguments: &Arguments,
    (config, registry, state): (&Path, &Path, &Path),
) -> Result<Option<Imported>, Failure> {
    let fresh = |path: &Path, starter: &str| {
        !path.exists() || fs::read(path).is_ok_and(|found| found == starter.as_bytes())
    };
    let settled =
        !fresh(config, texts::STARTER_CONFIG) && !fresh(config, &texts::starter_config(None, state));
    let (users, renames) = (Users::of(others, arguments), config.with_file_name("renames.toml"));
    let done = settled && fs::read_to_string(config).is_ok_and(|text| text.starts_with("# Imported from "));
    if done && !arguments.no_import && !arguments.conf().exists() {
        // Nobody guards yet: people go on with the broker's own users, and may have taken some out.
        let now = users.map(|users| users.import(output, state_line(state), &renames)).transpose()?;
        return takeover::are_still(now.as_ref(), (config, registry)).map(|()| None);
    }
    let Some(users) = users else { return Ok(None) };
    if settled {
        return if done || !arguments.import {
            Ok(None)
        } else {
            Err(Failure::new(format!("{} is there already, and is kept", config.display()))
                .help("`citronella import --output DIR` makes settings and registry of the broker's files, to be put together with these"))
        };
    }
    // Once our lines are there it has been asked.
    if arguments.conf().exists() && !arguments.import {
        return Ok(None);
    }
    if !users.agreed(output, arguments)? {
        return Ok(None);
    }
    let imported = users.import(output, state_line(state), &renames)?;
    if fresh(registry, texts::STARTER_REGISTRY) || fresh(registry, &imported.devices) {
        return Ok(Some(imported));
    }
    Err(Failure::new(format!("{} is there already, with other devices", registry.display()))
        .help("move it away, or leave the broker's users out with `--no-import`"))
}

/// What the settings have to say of it.
fn state_line(state: &Path) -> Option<&str> {
    state.to_str().filter(|path| *path != STATE_DIRECTORY)
}

/// Who is let in; nothing if the files have mistakes.
fn inside(config: &Path) -> Option<Inside> {
    let snapshot = Snapshot::load(config, Permissions::Ignore).snapshot?;
    Some(Inside { devices: snapshot.devices().len(), anonymous: snapshot.admits_anonymous() })
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

/// Where the settings say that the plugin writes, also if they have mistakes elsewhere; nothing if they do not say it and
/// cannot be used.
pub(crate) fn kept_state_directory(config: &Path) -> Option<PathBuf> {
    let text = citronella::fs::read(config, citronella::fs::MAX_FILE_BYTES).ok()?;
    let mut report = Report::new();
    let settings = config::parse(config, &text.text, &mut report).settings;
    let said = settings.state_directory != Path::new(STATE_DIRECTORY);
    (said || !report.has_errors()).then_some(settings.state_directory)
}
