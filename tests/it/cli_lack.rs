//! Whoever is made a device that cannot connect yet is told what it lacks.

use crate::{cli_support::Home, support::Outcome};

/// It was done, and this was said beside it.
fn warns(outcome: &Outcome, sentence: &str, remedy: &str) {
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let line = format!("citronella: warning: {sentence}; `citronella --config ");
    assert!(
        outcome.stderr.lines().any(|said| said.starts_with(&line) && said.contains(remedy)),
        "{outcome:?}"
    );
}

fn is_quiet(outcome: &Outcome) {
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(!outcome.stderr.contains("cannot connect"), "{outcome:?}");
}

#[test]
fn what_auth_asks_for_and_a_device_has_not_is_told_until_it_has_it() {
    const NO_PASSWORD: &str = "`lamp` cannot connect: it has no password, which its `auth` asks for";
    let home = Home::new();
    is_quiet(&home.run(&["device", "add", "bell", "--role", "sensor"]));
    let added = home.run(&["device", "add", "lamp", "--role", "sensor", "--auth", "both"]);
    warns(&added, NO_PASSWORD, "password generate lamp` gives it one");
    warns(&home.run(&["device", "set", "lamp", "--auth", "password"]), NO_PASSWORD, "password generate lamp");
    let asked = home.run(&["explain", "lamp", "publish", "sensors/lamp/x"]);
    warns(&asked, NO_PASSWORD, "password generate lamp");
    assert!(asked.stdout.starts_with("allowed"), "{asked:?}");
    is_quiet(&home.run(&["password", "generate", "lamp"]));
    is_quiet(&home.run(&["explain", "lamp", "publish", "sensors/lamp/x"]));
}

#[test]
fn a_password_is_not_offered_to_whom_it_does_not_help() {
    const NO_CERTIFICATE: &str = "`gate` cannot connect: it has no certificate, which its `auth` asks for";
    let home = Home::new();
    let arguments =
        ["device", "add", "gate", "--role", "sensor", "--no-certificate", "--auth", "certificate"];
    let added = home.ok(&arguments);
    assert!(added.starts_with("give it a certificate: ") && added.contains(" cert issue gate"), "{added}");
    warns(&home.run(&["password", "generate", "gate"]), NO_CERTIFICATE, "cert issue gate` gives it one");
    is_quiet(&home.run(&["cert", "issue", "gate"]));
}

#[test]
fn what_is_printed_to_be_typed_finds_the_same_files() {
    let (home, other) = (Home::new(), Home::new());
    let add = |name| home.cmd(&["device", "add", name, "--role", "viewer", "--no-certificate"]);
    let line = |said: &Outcome| said.stdout.lines().last().unwrap().to_owned();
    let named = add("a").env("CITRONELLA_CONFIG", other.config()).run();
    assert!(line(&named).contains(home.config().to_str().unwrap()), "{named:?}");
    let unsaid = add("b").env("CITRONELLA_CONFIG", home.config()).run();
    assert_eq!(line(&unsaid), "give it a password: citronella password generate b", "{unsaid:?}");
}
