//! `citronella`: runs the authority and the registry, and explains every decision.
//!
//! One file per verb. A verb turns its arguments into a call of the library and prints what comes back; results
//! go to standard output, talk to standard error.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, parser::ValueSource};

mod broker;
mod bundle;
mod ca;
mod cert;
mod check;
mod codes;
mod confirm;
mod consent;
mod device;
mod diff;
mod doctor;
mod explain;
mod files;
mod held;
mod import;
mod init;
mod input;
mod lack;
mod noted;
mod output;
#[cfg(test)]
mod pages;
mod passphrase;
mod password;
mod probe;
mod progress;
mod registry;
mod rights;
mod shell;
mod span;
mod status;
mod test;
mod uninstall;
mod unknown_verb;
mod world;

use output::{Failure, Outcome, Output};
use world::{Chosen, World};

const EXIT_STATUS: &str =
    "Exit status: 0 done, allowed, clean; 1 no, denied, problems found; 2 it could not be done.";

const AFTER_HELP: &str = "\
Three lines to a guarded broker:
  sudo citronella init
  sudo citronella device add thunder10 --role sensor
  sudo systemctl enable mosquitto && sudo systemctl restart mosquitto";

/// Guards a Mosquitto broker: certificates, passwords and topic rules for each device
#[derive(Parser)]
#[command(name = "citronella", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    world: world::WorldOptions,
    #[command(flatten)]
    output: output::OutputOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Init(init::Arguments),
    #[command(subcommand)]
    Device(device::Verb),
    #[command(subcommand)]
    Cert(cert::Verb),
    Bundle(bundle::Arguments),
    #[command(subcommand)]
    Ca(ca::Verb),
    #[command(subcommand)]
    Broker(broker::Verb),
    #[command(subcommand)]
    Password(password::Verb),
    Status(status::Arguments),
    Check(check::Arguments),
    Doctor(doctor::Arguments),
    Probe(probe::Arguments),
    Explain(explain::Arguments),
    Test(test::Arguments),
    Import(import::Arguments),
    Diff(diff::Arguments),
    Uninstall(uninstall::Arguments),
}

fn main() -> ExitCode {
    let mut command = with_exit_status(Arguments::command());
    let matches = command
        .try_get_matches_from_mut(std::env::args_os())
        .unwrap_or_else(|error| unknown_verb::with_tip(error, &command).exit());
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let output = Output::new(&arguments.output);
    let typed = matches.value_source("config") == Some(ValueSource::CommandLine);
    let world = World::new(arguments.world, if typed { Chosen::Now } else { Chosen::Before });
    let outcome = match arguments.verb {
        Verb::Init(arguments) => init::run(&world, &output, arguments),
        Verb::Device(verb) => device::run(&world, &output, verb),
        Verb::Broker(verb) => broker::run(&world, &output, verb),
        Verb::Ca(verb) => ca::run(&world, &output, verb),
        Verb::Cert(verb) => cert::run(&world, &output, verb),
        Verb::Bundle(arguments) => bundle::run(&world, &output, arguments),
        Verb::Password(verb) => password::run(&world, &output, verb),
        Verb::Status(arguments) => status::run(&world, &output, &arguments),
        Verb::Check(arguments) => check::run(&world, &output, &arguments),
        Verb::Doctor(arguments) => doctor::run(&world, &output, &arguments),
        Verb::Probe(arguments) => probe::run(&world, &output, arguments),
        Verb::Explain(arguments) => explain::run(&world, &output, &arguments),
        Verb::Test(arguments) => test::run(&world, &output, &arguments),
        Verb::Import(arguments) => import::run(&output, &arguments),
        Verb::Diff(arguments) => diff::run(&world, &output, &arguments),
        Verb::Uninstall(arguments) => uninstall::run(&world, &output, &arguments),
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(failure) => output.fail(&failure),
    }
}

/// Says in the help of every verb what scripts read.
fn with_exit_status(command: clap::Command) -> clap::Command {
    let text = match command.get_after_help() {
        Some(examples) => format!("{examples}\n\n{EXIT_STATUS}"),
        None => EXIT_STATUS.to_owned(),
    };
    command.after_help(text).mut_subcommands(with_exit_status)
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Yes => Self::SUCCESS,
            Outcome::No => Self::from(1),
        }
    }
}

/// What a verb comes back with; scripts read it as the exit status.
type Answer = Result<Outcome, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_the_command_line_are_sound() {
        with_exit_status(Arguments::command()).debug_assert();
    }
}
