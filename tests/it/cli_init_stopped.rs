//! `citronella init` that somebody stops while it changes a broker in use: what was there is there again.

use std::{fs, process::Child};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{
    cli_init_in_use::Live,
    support::{Client, Cmd, Kind, Login, Outcome, wait_for},
};

/// A broker that everybody may use, with lines that have to change, and it runs.
fn in_use(kind: Kind) -> Live {
    let live = Live::new(kind, "per_listener_settings true\nlistener 1883 ADDRESS\nallow_anonymous true\n");
    live.start(1883);
    welcomes(&live);
    live
}

fn welcomes(live: &Live) {
    drop(Client::welcome(&live.door(1883), &Login::new("anybody")));
}

/// `init` that starts the broker anew by a script, in which each call writes a line to `tries`.
fn init(live: &Live, restart: &str) -> Cmd {
    live.home.write("again.sh", format!("echo >> tries\n{restart}"));
    live.init_cmd(&["--import", "--yes", "--restart", "--restart-command", "sh again.sh"]).attended()
}

/// Until the new lines are there and the first restart has begun.
fn until_it_restarts(live: &Live) {
    until_there(live, "tries");
    assert!(live.home.read("conf.d/mine.conf").contains("#citronella# per_listener_settings"));
    assert!(live.home.path("conf.d/citronella.conf").exists());
}

fn until_there(live: &Live, file: &str) {
    assert!(wait_for(|| live.home.path(file).exists().then_some(())).is_some(), "no {file}");
}

#[track_caller]
fn is_as_it_was(live: &Live, child: Child, before: &[(String, Vec<u8>)], signal: &str) {
    let stopped = Outcome::of(child);
    assert_eq!((stopped.status, &*stopped.stdout), (Some(2), ""), "{stopped:?}");
    for part in [
        &*format!("stopped by {signal}"),
        "former configuration is in place again, and the broker was started",
    ] {
        assert!(stopped.stderr.contains(part), "{part}: {stopped:?}");
    }
    assert_eq!(live.lines(), before, "the configuration is not what it was");
    assert_eq!(live.home.read("tries").lines().count(), 2, "it was not started once more");
    assert!(!live.home.path("etc/devices.toml").exists(), "users of now are there for a later run");
    assert!(wait_for(|| fs::read_to_string(live.home.path("pid")).ok()).is_some(), "no broker runs");
    if let Ok(sleeps) = fs::read_to_string(live.home.path("sleeps")) {
        // Nobody waits for it: it is gone, or about to be taken by the first process.
        let status = format!("/proc/{}/status", sleeps.trim());
        let gone =
            || fs::read_to_string(&status).map_or(Some(()), |text| text.contains("State:\tZ").then_some(()));
        assert!(wait_for(gone).is_some(), "what the restart had started goes on");
    }
    welcomes(live);
}

/// What the way back does, and what it waits for on the way forth.
const HANGS: &str =
    "if test $(wc -l < tries) = 1; then sleep 600 & echo $! > sleeps; wait; exit 1; fi\nsh restart.sh\n";
const DOES_NOTHING: &str = "test $(wc -l < tries) -gt 1 || exit 0\nsh restart.sh\n";

broker_test!(a_signal_during_the_restart_leads_back, |kind| {
    let signals = [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM"), (Signal::HUP, "SIGHUP")];
    for (signal, name) in signals {
        for restart in [HANGS, DOES_NOTHING] {
            let live = in_use(kind);
            let before = live.lines();
            let child = init(&live, restart).spawn();
            until_it_restarts(&live);
            kill_process(Pid::from_child(&child), signal).unwrap();
            is_as_it_was(&live, child, &before, name);
        }
    }
});

#[test]
fn nothing_stops_the_way_back() {
    let live = in_use(Kind::named("2.0.11"));
    let before = live.lines();
    let slow =
        HANGS.replace("sh restart.sh", "touch back\nwhile ! test -e go; do sleep 0.05; done\nsh restart.sh");
    let child = init(&live, &slow).spawn();
    let all = Pid::from_child(&child);
    until_it_restarts(&live);
    kill_process_group(all, Signal::INT).unwrap();
    until_there(&live, "back");
    for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
        kill_process_group(all, signal).unwrap();
    }
    live.home.write("go", "");
    is_as_it_was(&live, child, &before, "SIGINT");
}

#[test]
fn a_signal_that_is_to_be_nothing_is_nothing() {
    let live = in_use(Kind::named("2.0.11"));
    let slow = "while ! test -e go; do sleep 0.05; done\nsh restart.sh\n";
    live.home.write("again.sh", format!("echo >> tries\n{slow}"));
    let plugin = crate::support::plugin();
    // As `nohup` does.
    let script = format!(
        "trap '' HUP; exec \"$citronella\" init --plugin '{}' --mosquitto-conf conf.d/citronella.conf --listen {} \
         --import --yes --restart --restart-command 'sh again.sh'",
        plugin.display(),
        live.address()
    );
    let child =
        live.home.shell(&script).env("CITRONELLA_CA_PASSPHRASE", crate::cli_support::CA_PASSPHRASE).spawn();
    until_it_restarts(&live);
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    live.home.write("go", "");
    let done = Outcome::of(child);
    assert_eq!(done.status, Some(0), "{done:?}");
    welcomes(&live);
}

#[test]
fn after_a_power_cut_both_ways_are_open() {
    for again in [false, true] {
        let live = in_use(Kind::named("2.0.11"));
        let before = live.lines();
        let mut child = init(&live, DOES_NOTHING).spawn();
        until_it_restarts(&live);
        child.kill().unwrap();
        child.wait().unwrap();
        if again {
            let done = live.init(&["--import", "--yes", "--restart", "--restart-command", "sh restart.sh"]);
            assert_eq!(done.status, Some(0), "{done:?}");
            assert!(done.stdout.contains("The broker is up and guarded"), "{done:?}");
            welcomes(&live);
        }
        live.home.ok(&["uninstall", "--yes", "--mosquitto-conf", "conf.d/citronella.conf"]);
        assert_eq!(live.lines(), before, "the configuration is not what it was");
        live.start(1883);
        welcomes(&live);
    }
}
