//! `citronella uninstall`: the broker as it was before `init`.

use std::{
    fmt,
    fs::{self, File, Permissions},
    io, iter,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use citronella::{
    doctor::{fix::Plan, is_ours},
    fs::Locked,
    mosquitto_conf::{self, Directive},
};
use serde::Serialize;

use super::{
    Answer, consent,
    doctor::Door,
    held::Held,
    init::{Neighbours, restored, told},
    noted,
    output::{Failure, Outcome, Output},
    shell,
    world::World,
};

/// Put aside the lines for Mosquitto: from its next restart on the broker is not guarded any more
///
/// The file is renamed so that the broker does not read it, and lines of others that `init` made comments are lines
/// again. Authority, registry and settings stay. Mosquitto is not restarted.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sudo citronella uninstall\n  sudo citronella uninstall --yes")]
pub(crate) struct Arguments {
    /// The lines that `citronella init` wrote [default: where it has noted that it did, else
    /// /etc/mosquitto/conf.d/citronella.conf]
    #[arg(long, value_name = "FILE")]
    mosquitto_conf: Option<PathBuf>,
    /// Leave the broker without its guard, and do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Answer {
    let conf = &*arguments.mosquitto_conf.clone().unwrap_or_else(|| noted::lines(world));
    let aside = conf.with_added_extension("disabled");
    let there = fs::symlink_metadata(conf).is_ok();
    let files = Neighbours::of(conf).setup().map(|setup| setup.files.clone()).unwrap_or_default();
    let back = Plan::of_fixes(&restored(&files))?;
    if there {
        is_one_of_ours(conf)?;
        if aside.exists() && fs::read(&aside).ok() != fs::read(conf).ok() {
            return Err(Failure::new(format!("{} is there already, with other lines", aside.display()))
                .help(format!("nothing was changed; remove it, or `mv {} ELSEWHERE`", shell::path(&aside))));
        }
        if !back.is_empty() {
            output.say(&"Lines that `citronella init` made comments come back:");
            output.say(&back);
        }
        let agreed = arguments.yes
            || consent::ask(
                "From its next restart on the broker asks Citronella nothing any more. Go on?",
                "there is nobody to ask whether to leave the broker without its guard",
                "`--yes` does it without asking",
            )?;
        if !agreed {
            output.say(&"nothing was changed");
            return Ok(Outcome::No);
        }
        for path in put_aside(conf, &aside, &back)? {
            output.say(&format_args!("the old file is kept: {}", path.display()));
        }
    } else if !aside.exists() {
        return Err(Failure::new(format!("there is no {}", conf.display()))
            .help("--mosquitto-conf names the file that `citronella init` wrote"));
    } else {
        // What an earlier version, or people, left half done.
        for path in back.apply()? {
            output.say(&format_args!("the old file is kept: {}", path.display()));
        }
    }
    let others = Neighbours::of(conf);
    let setup = others.setup();
    let others_back = !back.is_empty();
    let kept = [world.pki(), world.config().to_owned(), world.folder().join("devices.toml")];
    let done = Done {
        put_aside: there,
        others_back,
        mosquitto_conf: conf.to_owned(),
        now: aside,
        kept: kept.into_iter().filter(|path| path.exists()).collect(),
        listeners: setup.map(|setup| setup.listeners.iter().map(Door::of).collect()).unwrap_or_default(),
        still_guarded: setup.is_some_and(|setup| setup.globals.iter().any(is_ours)),
    };
    output.result(&done, &done)?;
    Ok(Outcome::Yes)
}

/// Of a wrong name the broker would lose what it needs.
fn is_one_of_ours(conf: &Path) -> Result<(), Failure> {
    let lines: Vec<Directive> = mosquitto_conf::read_all(&conf.to_owned().into()).directives;
    let own = lines.iter().filter(|line| line.file == conf);
    let text = fs::read_to_string(conf).map_err(|error| Failure::file(conf, &error))?;
    let main = text.lines().any(|line| line.split_whitespace().next() == Some("include_dir"));
    if own.clone().any(is_ours) && !main {
        return Ok(());
    }
    Err(Failure::new(format!("{} is not what `citronella init` wrote", conf.display())).help(
        "--mosquitto-conf names the file with its lines; from a file of your own take the plugin's lines out by hand",
    ))
}

/// The lines of others first: without them and without the guard strangers would get in. With both the broker does not
/// start, or the guard is still there. Returns where the old files are.
fn put_aside(conf: &Path, aside: &Path, back: &Plan) -> Result<Vec<PathBuf>, Failure> {
    let locks = Locked::all(iter::once(conf).chain(back.paths()))?;
    let others = locks.get(1..).unwrap_or_default();
    // It is done in an instant, and half of it would have to be done again.
    let _held = Held::begin()?;
    let moved = || -> io::Result<()> {
        fs::set_permissions(conf, Permissions::from_mode(0o644))?;
        fs::rename(conf, aside)?;
        let folder = conf.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    let done = || -> Result<Vec<PathBuf>, Failure> {
        let kept = back.apply_locked(others)?;
        moved().map_err(|error| Failure::file(conf, &error))?;
        Ok(kept)
    };
    done().map_err(|why| {
        if conf.exists() {
            return told(why, back.undo_locked(others).iter().map(ToString::to_string).collect());
        }
        // It is done, and perhaps not on the disk yet.
        why
    })
}

#[derive(Serialize)]
struct Done {
    /// Not if that was done before.
    put_aside: bool,
    /// Lines of other files are lines again, with which ours do not go together.
    others_back: bool,
    mosquitto_conf: PathBuf,
    now: PathBuf,
    /// Authority, settings and registry, as far as they are there.
    kept: Vec<PathBuf>,
    /// What the broker opens after its restart; none if its configuration cannot be read.
    listeners: Vec<Door>,
    /// Another file loads the plugin.
    still_guarded: bool,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = if self.put_aside { "put aside" } else { "put aside already" };
        writeln!(f, "{told}: {} is now {}", self.mosquitto_conf.display(), self.now.display())?;
        for path in &self.kept {
            writeln!(f, "kept: {}", path.display())?;
        }
        if self.still_guarded {
            writeln!(
                f,
                "Another file of Mosquitto's configuration loads the plugin: the broker stays guarded."
            )?;
        } else {
            writeln!(
                f,
                "From its next restart on the broker is not guarded any more: sudo systemctl restart mosquitto"
            )?;
        }
        if !self.listeners.is_empty() {
            writeln!(f, "It then opens:")?;
        }
        for door in &self.listeners {
            writeln!(f, "  {door}")?;
        }
        if self.others_back {
            return write!(f, "To have the guard back: sudo citronella init");
        }
        write!(
            f,
            "To have the guard back: sudo mv {} {} && sudo systemctl restart mosquitto",
            shell::path(&self.now),
            shell::path(&self.mosquitto_conf)
        )
    }
}
