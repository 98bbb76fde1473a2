//! `citronella device`: the registry.

use std::collections::BTreeMap;

use citronella::{
    ident::DeviceName,
    pki::{Authority, Kind},
    registry::{Auth, Certificates, Device, State, edit::NewDevice},
    snapshot::Snapshot,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer, cert, check,
    confirm::{Change, Confirmed, Wait},
    lack,
    output::{Failure, Outcome, Output},
    registry, shell,
    world::World,
};
use view::{Table, View, roles, view};

mod edit;
mod export;
mod import;
mod sheet;
mod view;

/// Add, show and change devices
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Register a device and issue its certificate, into a folder of its name
    #[command(
        after_help = "Examples:\n  citronella device add thunder10 --role sensor\n  citronella device add gw-7 --role gateway --attr site=rome --key-passphrase\n  citronella device add phone --role viewer --no-certificate \\\n    && citronella password generate phone"
    )]
    Add(Add),
    /// Register many devices at once, from a CSV file, each with a folder of what it connects with
    ///
    /// The first line names the columns: `name`, and as wanted `role` (several with semicolons between), `attr.NAME`,
    /// `auth`, `state` and `credentials` (certificate, password, both, none, any-certificate). All mistakes are told
    /// before anything changes. Interrupted, doing it again completes it: devices that are there are left alone.
    #[command(
        after_help = "Examples:\n  citronella device import devices.csv --dry-run\n  citronella device import devices.csv --out /media/stick"
    )]
    Import(import::Import),
    /// Write the devices as a CSV file that `import` reads, without anything secret
    #[command(
        after_help = "Rules and certificates of devices do not stand in it, nor do passwords; `import` makes new ones.\n\nExamples:\n  citronella device export > devices.csv\n  citronella device export --output devices.csv"
    )]
    Export(export::Export),
    /// List the devices
    #[command(after_help = "Example:\n  citronella device list --role sensor")]
    List {
        /// Only those in this state
        #[arg(long, value_name = "STATE", value_parser = state)]
        state: Option<State>,
        /// Only those with this role
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
    },
    /// Show what is known of a device
    #[command(after_help = "Example:\n  citronella device show thunder10")]
    Show {
        /// The device
        name: String,
    },
    /// Change roles, attributes and what a device must show
    #[command(
        after_help = "Examples:\n  citronella device set gw-7 --role gateway --role sensor\n  citronella device set gw-7 --attr site=milan --auth both"
    )]
    Set(Set),
    /// Open the registry in an editor, and put what was written in force once it is free of mistakes
    ///
    /// A copy is edited, as visudo does; the registry is replaced in one step, unless somebody else has changed it
    /// meanwhile. SUDO_EDITOR, VISUAL or EDITOR names the editor.
    #[command(after_help = "Examples:\n  citronella device edit\n  sudo EDITOR=nano citronella device edit")]
    Edit {
        #[command(flatten)]
        wait: Wait,
    },
    /// Refuse a device, and end its sessions
    #[command(after_help = "Example:\n  citronella device disable thunder10")]
    Disable(Of),
    /// Let a disabled or quarantined device in again
    #[command(after_help = "Example:\n  citronella device enable thunder10")]
    Enable(Of),
    /// Give a device that is under suspicion the rights of the role `quarantine` instead of its own
    #[command(after_help = "Example:\n  citronella device quarantine thunder10")]
    Quarantine(Of),
    /// Refuse a device for ever; its name stays taken
    ///
    /// So nobody who has a certificate of that name comes back with it. `device edit` takes a device out altogether.
    #[command(after_help = "Example:\n  citronella device retire thunder10")]
    Retire(Of),
}

/// A device whose state is to change.
#[derive(clap::Args)]
pub(crate) struct Of {
    /// The device
    name: String,
    #[command(flatten)]
    wait: Wait,
}

/// A device to be.
#[derive(clap::Args)]
pub(crate) struct Add {
    /// What it is called: its certificate's common name, its user name
    name: String,
    #[command(flatten)]
    properties: Properties,
    /// Register it without a certificate
    #[arg(long)]
    no_certificate: bool,
    #[command(flatten)]
    certificate: cert::IssueOptions,
}

/// A change to a device.
#[derive(clap::Args)]
pub(crate) struct Set {
    /// The device
    name: String,
    #[command(flatten)]
    properties: Properties,
    /// Take this attribute away; may be repeated
    #[arg(long, value_name = "NAME")]
    no_attr: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

/// What can be said of a device.
#[derive(clap::Args)]
pub(crate) struct Properties {
    /// A role; may be repeated, and takes the place of all that a device had
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// An attribute, for rules with {attr.NAME}; may be repeated
    #[arg(long = "attr", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// What it must show: any, certificate, password or both
    #[arg(long, value_name = "WHAT", value_parser = auth)]
    auth: Option<Auth>,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an attribute is written NAME=VALUE".to_owned()),
    }
}

fn auth(text: &str) -> Result<Auth, String> {
    word(&Auth::WORDS, text)
}

fn state(text: &str) -> Result<State, String> {
    word(&State::WORDS, text)
}

fn word<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("it is one of {}", known.join(", "))
    })
}

pub(crate) fn run(world: &World, output: &Output, verb: Verb) -> Answer {
    match verb {
        Verb::Add(add) => self::add(world, output, add),
        Verb::Import(import) => import::import(world, output, &import),
        Verb::Export(export) => export::export(world, output, &export),
        Verb::List { state, role } => list(world, output, state, role.as_deref()),
        Verb::Show { name } => show(world, output, &name),
        Verb::Set(set) => self::set(world, output, &set),
        Verb::Edit { wait } => edit::edit(world, output, &wait),
        Verb::Disable(of) => set_state(world, output, &of, State::Disabled),
        Verb::Enable(of) => set_state(world, output, &of, State::Active),
        Verb::Quarantine(of) => set_state(world, output, &of, State::Quarantined),
        Verb::Retire(of) => set_state(world, output, &of, State::Retired),
    }
}

/// Registers first, so that a name or a role that cannot be is found out before anything is issued; the
/// certificate is listed once its folder is there. Until then the device is refused. Interrupted, it is completed
/// by doing it again.
fn add(world: &World, output: &Output, add: Add) -> Answer {
    let Add { name, properties, no_certificate, certificate } = add;
    let name = DeviceName::new(&name).map_err(|error| Failure::new(format!("`{name}`: {error}")))?;
    let device = NewDevice {
        roles: properties.roles,
        attributes: properties.attributes,
        auth: properties.auth.unwrap_or_default(),
        ..NewDevice::default()
    };
    // Before anything is asked for.
    let snapshot = check::load(world)?;
    let roleless = device.roles.is_empty().then(|| {
        let roles: Vec<&str> = snapshot.roles().names().collect();
        format!(
            "{name} has no role, so no role gives it any rights; `{} device set --role ROLE {}` gives it one ({})",
            world.command(),
            shell::name(name.as_str()),
            if roles.is_empty() { "none is in citronella.toml yet".to_owned() } else { roles.join(", ") }
        )
    });
    let interrupted = match registry::namesake(&snapshot, &name) {
        Some(found)
            if no_certificate
                || found.name() != &name
                || !is_begun(found, &snapshot, &device, &world.authority()?) =>
        {
            return Err(match found.state() {
                State::Retired => Failure::new(format!("device `{name}` is retired, and its name stays taken"))
                    .help("register a device of another name; `citronella device edit` takes this one out altogether"),
                State::Active | State::Disabled | State::Quarantined => {
                    registry::exists(found.name().as_str())
                }
            });
        }
        found => found.is_some(),
    };
    registry::check_roles(&snapshot, &device.roles)?;
    drop(snapshot);
    if !interrupted {
        name.check_new().map_err(|error| {
            Failure::new(format!("`{name}`: {error}")).help("type it anew, without what was pasted along")
        })?;
        registry::check_add(world, &name, &device)?;
    }
    if let Some(roleless) = roleless {
        output.say(&roleless);
    }
    if no_certificate {
        let change = Change::begin();
        registry::add(world, &name, &device)?;
        output.say(&format_args!("{name} is registered, without a certificate"));
        let snapshot = check::load(world)?;
        // Without a certificate a password is the way, unless one was asked for.
        let (what, verb) = match device.auth {
            Auth::Certificate => ("certificate", "cert issue"),
            Auth::Any | Auth::Password | Auth::Both => ("password", "password generate"),
        };
        let next = format!("give it a {what}: {} {verb} {}", world.command(), shell::name(name.as_str()));
        let broker = change.confirm(world, &snapshot, certificate.wait());
        let changed = Changed { view: view(&snapshot, name.as_str())?, broker };
        output.result(&next, &changed)?;
        return Ok(changed.broker.tell(output));
    }
    let order = cert::Order::prepare(world, output, &name, &certificate)?;
    if !interrupted {
        registry::add(world, &name, &device)?;
        output.say(&format_args!("{name} is registered"));
    }
    let delivered = order.deliver(world, output).map_err(|failure| {
        failure.help(format!(
            "{name} is registered without a certificate; go on with `citronella cert issue {}`",
            shell::name(name.as_str())
        ))
    })?;
    let change = Change::begin();
    registry::add_certificate(world, &name, delivered.certificate())?;
    delivered.tell((world, output), &change, certificate.wait())
}

/// Whether the registered device is what an interrupted `add` of `wanted` leaves: the same, and nothing to connect
/// with.
fn is_begun(found: &Device, snapshot: &Snapshot, wanted: &NewDevice, ledger: &Authority) -> bool {
    let name = found.name().as_str();
    let bare = found.password().is_none()
        && match found.certificates() {
            Certificates::Listed(listed) => listed.is_empty(),
            // By the settings' default; only the ledger knows whether there is one.
            Certificates::Any => ledger.valid(Kind::Device, name, Timestamp::now()).next().is_none(),
        };
    let attributes: BTreeMap<&str, &str> = found.attributes().iter().collect();
    let wanted_attributes: BTreeMap<&str, &str> =
        wanted.attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
    bare && found.state() == State::Active
        && found.auth() == wanted.auth
        && roles(snapshot, found).iter().eq(&wanted.roles)
        && attributes == wanted_attributes
}

fn set(world: &World, output: &Output, set: &Set) -> Answer {
    let Set { name, properties, no_attr, wait } = set;
    if properties.roles.is_empty()
        && properties.attributes.is_empty()
        && properties.auth.is_none()
        && no_attr.is_empty()
    {
        return Err(Failure::new("nothing to set").help("see `citronella device set --help`"));
    }
    if !properties.roles.is_empty() {
        registry::check_roles(&check::load(world)?, &properties.roles)?;
    }
    let change = Change::begin();
    registry::change(world, |editor| {
        if !properties.roles.is_empty() {
            editor.set_roles(name, &properties.roles)?;
        }
        for (key, value) in &properties.attributes {
            editor.set_attribute(name, key, Some(value))?;
        }
        for key in no_attr {
            editor.set_attribute(name, key, None)?;
        }
        match properties.auth {
            Some(auth) => editor.set_auth(name, auth),
            None => Ok(()),
        }
    })?;
    let snapshot = check::load(world)?;
    let changed = Changed { view: view(&snapshot, name)?, broker: change.confirm(world, &snapshot, wait) };
    output.result(&set.sentence(), &changed)?;
    lack::warn(world, output, snapshot.device(name));
    Ok(changed.broker.tell(output))
}

impl Set {
    /// What was changed.
    fn sentence(&self) -> String {
        let Self { name, properties, no_attr, .. } = self;
        let mut now = Vec::new();
        match &*properties.roles {
            [] => {}
            [role] => now.push(format!("has the role {role}")),
            roles => now.push(format!("has the roles {}", roles.join(" and "))),
        }
        now.extend(properties.attributes.iter().map(|(key, value)| format!("has attr.{key} = {value}")));
        now.extend(no_attr.iter().map(|key| format!("has no attr.{key} any more")));
        now.extend(properties.auth.map(|auth| match auth {
            Auth::Any => "may show a certificate, a password or both".to_owned(),
            Auth::Both => "must show both, certificate and password".to_owned(),
            auth => format!("must show a {auth}"),
        }));
        format!("{name} {}", now.join(", "))
    }
}

/// A device after a change, and what the broker has made of that.
#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    view: View<'a>,
    broker: Confirmed,
}

fn set_state(world: &World, output: &Output, Of { name, wait }: &Of, state: State) -> Answer {
    let snapshot = check::load(world)?;
    if snapshot.device(name).is_some_and(|device| device.state() == State::Retired) && state != State::Retired
    {
        return Err(Failure::new(format!("device `{name}` is retired, for ever"))
            .help("register a device of another name; `citronella device edit` can still change it"));
    }
    let change = Change::begin();
    registry::change(world, |editor| editor.set_state(name, state))?;
    let snapshot = check::load(world)?;
    let changed = Changed { view: view(&snapshot, name)?, broker: change.confirm(world, &snapshot, wait) };
    output.result(&format_args!("{name} is {state}"), &changed)?;
    if state == State::Quarantined && snapshot.roles().quarantine().is_none() {
        output.say(&"citronella.toml has no `[roles.quarantine]`, so it may be connected and nothing else");
    }
    Ok(changed.broker.tell(output))
}

fn show(world: &World, output: &Output, name: &str) -> Answer {
    let snapshot = check::load(world)?;
    let view = view(&snapshot, name)?;
    output.result(&view, &view)?;
    Ok(Outcome::Yes)
}

fn list(world: &World, output: &Output, state: Option<State>, role: Option<&str>) -> Answer {
    let snapshot = check::load(world)?;
    let mut names: Vec<&str> = snapshot
        .devices()
        .filter(|device| state.is_none_or(|state| device.state() == state))
        .filter(|device| role.is_none_or(|role| roles(&snapshot, device).contains(&role)))
        .map(|device| device.name().as_str())
        .collect();
    names.sort_unstable();
    let views = names.into_iter().map(|name| view(&snapshot, name)).collect::<Result<Vec<_>, _>>()?;
    output.result(&Table(&views), &views)?;
    Ok(Outcome::Yes)
}
