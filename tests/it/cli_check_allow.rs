//! `citronella check`: warnings that somebody has thought about, and what each of them means.

use crate::cli_support::Home;

const ROLES: &str = "[roles.viewer]\nsubscribe = [\"#\"]\n[roles.controller]\npublish = [\"#\"]\n";

/// Two roles that may everything, each with its device, and these allowances.
fn home(allow: &str) -> Home {
    let home = Home::empty();
    home.write("etc/citronella.toml", format!("version = 1\n[check]\nallow = [{allow}]\n{ROLES}"));
    let device = |role: &str| format!("[{role}-1]\nrole = \"{role}\"\ncertificates = \"any\"\n");
    home.write("etc/devices.toml", format!("version = 1\n{}{}", device("viewer"), device("controller")));
    home
}

fn allowance(at: &str) -> String {
    format!("{{ code = \"allow-everything\", {at}reason = \"an experiment\" }}")
}

/// The codes of what is told, and how many were allowed.
fn codes(home: &Home) -> (Vec<String>, u64) {
    let found = home.json(&["check"]);
    let told = found["findings"].as_array().unwrap().iter();
    let told = told.map(|one| format!("{}:{}", one["code"].as_str().unwrap(), one["line"]));
    (told.collect(), found["allowed"].as_u64().unwrap())
}

#[test]
fn an_allowance_takes_out_what_it_names_and_nothing_else() {
    let told = |allow: &str| codes(&home(allow));
    let both = ["allow-everything:5", "allow-everything:7"].map(str::to_owned).to_vec();
    assert_eq!(told(""), (both.clone(), 0));
    assert_eq!(told(&allowance("at = \"controller\", ")), (both[..1].to_vec(), 1));
    assert_eq!(told(&allowance("")), (vec![], 2));
    // By the filter as it is written.
    assert_eq!(told(&allowance("at = \"#\", ")), (vec![], 2));
    let both_by_name = [allowance("at = \"controller\", "), allowance("at = \"viewer\", ")].join(", ");
    let home = home(&both_by_name);
    let outcome = home.run(&["check", "--deny-warnings"]);
    assert!(outcome.status == Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout, "sound: 2 devices, 0 warnings (2 more allowed)\n");
}

#[test]
fn an_allowance_without_a_warning_is_one() {
    let home = home(&[allowance(""), allowance("at = \"viewr\", ")].join(",\n  "));
    assert_eq!(codes(&home), (vec!["unused-allowance:4".to_owned()], 2));
    assert_eq!(home.run(&["check", "--deny-warnings"]).status, Some(1));
}

#[test]
fn warnings_that_loading_gives_are_allowed_by_their_file() {
    let allow = "{ code = \"limit-without-publish\", at = \"devices.toml\", reason = \"publishes later\" }";
    let home = home(&format!("{allow}, {}", allowance("")));
    home.write("etc/devices.toml", home.devices() + "max_qos = 1\n");
    assert_eq!(codes(&home), (vec![], 3));
}

#[test]
fn an_error_is_never_allowed() {
    let home = home("{ code = \"allow-evrything\", reason = \"x\" }");
    let outcome = home.run(&["check"]);
    assert!(
        outcome.status == Some(1) && outcome.stdout.contains("did you mean `allow-everything`?"),
        "{outcome:?}"
    );
}

#[test]
fn every_code_is_explained_and_a_misspelt_one_is_recognised() {
    let home = Home::empty();
    let list = home.ok(&["check", "--explain"]);
    let codes: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert!(codes.len() >= 20, "{list}");
    for code in &codes {
        let said = home.ok(&["check", "--explain", code]);
        assert!(
            said.starts_with(&format!("{code}: "))
                && said.contains("Example:")
                && said.contains("What to do: "),
            "{said}"
        );
    }
    assert_eq!(home.json(&["check", "--explain"]).as_array().unwrap().len(), codes.len());
    assert_eq!(home.json(&["check", "--explain", "weak-hash"])["code"], "weak-hash");
    home.fails(
        &["check", "--explain", "weak-hsah"],
        &["there is no warning `weak-hsah`", "did you mean `weak-hash`?"],
    );
    home.fails(&["check", "--explain", "zzz"], &["`citronella check --explain` names all"]);
}

#[test]
fn equal_warnings_of_many_devices_are_folded_for_people() {
    let home = Home::empty();
    home.write("etc/citronella.toml", "version = 1\n");
    let devices: String = (0..500).map(|n| format!("[lamp{n}]\n")).collect();
    home.write("etc/devices.toml", format!("version = 1\n{devices}"));
    let said = home.ok(&["check"]);
    assert_eq!(said.matches("[no-credentials]").count(), 20);
    assert!(said.contains("and 480 more warnings `no-credentials`"), "{said}");
    assert!(said.ends_with("sound: 500 devices, 500 warnings\n"), "{said}");
    assert_eq!(home.json(&["check"])["findings"].as_array().unwrap().len(), 500);
}
