//! What `init` refuses before it has made anything.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use citronella::{
    fs::{judge_way, this_user},
    snapshot::{Permissions, Snapshot},
};

use super::{
    Arguments,
    neighbours::{self, Neighbours},
};
use crate::{files::BROKER_USER, output::Failure, world::World};

/// Options and places with which the broker would not start, or would read other lines than ours.
pub(super) fn before(world: &World, arguments: &Arguments, plugin: &Path) -> Result<(), Failure> {
    if arguments.password_listener && arguments.port == arguments.password_port {
        return Err(Failure::new(format!(
            "clients with a certificate and clients with a password cannot both come in on port {}",
            arguments.port
        ))
        .help("give one of them another port with --port or --password-port"));
    }
    is_library(plugin)?;
    can_be_written(plugin)?;
    let config = absolute(world.config())?;
    can_be_written(&config)?;
    can_be_trusted(&config)?;
    if let Some(path) = &arguments.password_file {
        let path = absolute(path)?;
        if path.to_str().is_none() {
            return Err(Failure::new(format!(
                "{} is not UTF-8, as citronella.toml has to be",
                path.display()
            ))
            .help("take another path"));
        }
        can_be_trusted(&path)?;
    }
    Ok(())
}

/// A new port for passwords would let clients without a name in from places where they could not before.
pub(super) fn opens_more(others: &Neighbours, arguments: &Arguments, config: &Path) -> Result<(), Failure> {
    if !arguments.password_listener {
        return Ok(());
    }
    let own = neighbours::own_listeners(arguments.conf());
    let admits = match Snapshot::load(config, Permissions::Ignore).snapshot {
        Some(snapshot) => snapshot.admits_anonymous(),
        // With mistakes in them they are taken as they may be meant.
        None => fs::read_to_string(config).is_ok_and(|text| text.contains("[anonymous]")),
    };
    let is_there = own.iter().any(|listener| listener.port == arguments.password_port);
    let stands_open = others.stand_open_to(arguments.listen)
        || own.iter().any(|listener| neighbours::is_open_to(listener, arguments.listen));
    if !admits || is_there || stands_open {
        return Ok(());
    }
    Err(Failure::new(format!(
        "a port for passwords would let clients without a name in from everywhere, as `[anonymous]` in {} has it",
        config.display()
    ))
    .help(format!("take `[anonymous]` out of {}, and give those clients names and passwords", config.display())))
}

/// Mosquitto's configuration has lines, knows no quotes, and leaves out blanks at the ends.
pub(super) fn can_be_written(path: &Path) -> Result<(), Failure> {
    let can = |text: &str| !text.contains(char::is_control) && text.trim() == text;
    if path.to_str().is_some_and(can) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "Mosquitto's configuration cannot hold the path {:?}",
        path.display().to_string()
    ))
    .help("take a path without control characters and line breaks, without blanks at its ends, and in UTF-8"))
}

/// As the plugin and `check` will judge it: the broker does not start with a file that strangers can replace.
fn can_be_trusted(path: &Path) -> Result<(), Failure> {
    let broker = nix::unistd::User::from_name(BROKER_USER).ok().flatten();
    let user = match broker.filter(|_| nix::unistd::geteuid().is_root()) {
        Some(user) => user.uid.as_raw(),
        None => this_user(),
    };
    let Some(fault) = judge_way(path, user).into_iter().next() else { return Ok(()) };
    let failure = Failure::new(format!("the broker would not start: {}", fault.message));
    Err(match fault.help {
        Some(help) => failure.help(help),
        None => failure,
    })
}

fn is_library(path: &Path) -> Result<(), Failure> {
    let mut magic = [0; 4];
    let read = fs::metadata(path)
        .and_then(|found| if found.is_file() { File::open(path)?.read_exact(&mut magic) } else { Ok(()) });
    if read.is_ok() && magic == *b"\x7fELF" {
        return Ok(());
    }
    Err(Failure::new(format!("{} is not a plugin", path.display()))
        .help("--plugin is the path of mosquitto_citronella.so, as `make release` builds it"))
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::file(path, &error))
}

/// Fails early where a file is to be made and there is no folder for it.
pub(super) fn folder_of(path: &Path, help: &str) -> Result<(), Failure> {
    match path.parent() {
        Some(folder) if folder != Path::new("") && !folder.is_dir() => {
            Err(Failure::new(format!("there is no folder {}", folder.display())).help(help))
        }
        _ => Ok(()),
    }
}

/// The plugin that was named, or the one that is installed.
pub(super) fn plugin_path(named: Option<&Path>) -> Result<PathBuf, Failure> {
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
