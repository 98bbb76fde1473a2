//! `citronella test`: the policy's own unit tests.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use citronella::{
    diag::{Diagnostic, Report, Visible},
    fs, ident,
    policy::{Decision, Effect},
    snapshot::Snapshot,
    suite::{self, Expectation, Miss, Registered, Suite, Test},
};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{
    Answer as Ended, explain,
    output::{Failure, Outcome, Output},
    world::World,
};

/// Longest test file.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

const AFTER_HELP: &str = "\
A test file:
  config = \"citronella.toml\"        # relative to this file; --config goes before it
  [[test]]
  device = \"thunder10\"              # or \"~anonymous\"
  allow  = { publish = [\"sensors/thunder10/temp\"], subscribe = [\"cmd/thunder10/#\"] }
  deny   = { publish = [\"sensors/other/temp\"], receive = [\"cmd/other/on\"] }
  [[test]]
  name    = \"a guest does not see the hall\"
  device  = \"guest\"
  action  = \"subscribe\"
  topic   = \"home/#\"
  expect  = \"deny\"
  rule    = \"home/hall/#\"           # the rule that decides, as written or FILE:LINE
  witness = \"home/hall\"             # the topic that shows why
  [[test]]
  device     = \"stranger\"
  registered = false                 # a misspelt name is a mistake, unless this is there
  client_id  = \"stranger-1\"        # the device's name unless given
  qos = 1                            # and `retain`, `payload_size`: for what is published
  deny       = { publish = [\"sensors/stranger/temp\"] }

Examples:
  citronella test policy.test.toml
  citronella test --format json *.test.toml
  citronella --config ./citronella.toml test policy.test.toml";

/// Hold the policy against test files: who may, who may not, and why
///
/// Exits 0 when every expectation is met, 1 when some is not, 2 when there is none or a file cannot be used. The password
/// file is not read, and owners and modes are not judged: `citronella check` does that where they are installed.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Test files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Ended {
    let mut report = Report::new();
    let suites = read(&arguments.files, &mut report);
    let mut policies = Policies::default();
    let suites: Vec<(&PathBuf, Suite, PathBuf)> = suites
        .into_iter()
        .map(|(file, suite)| {
            let config = world.chosen_config().or(suite.config.as_deref()).unwrap_or(world.config());
            let config = config.to_owned();
            policies.load(&config, &mut report);
            (file, suite, config)
        })
        .collect();
    for (_, suite, config) in &suites {
        if let Some(snapshot) = policies.get(config) {
            judge_names(suite, snapshot, &mut report);
        }
    }
    if report.has_errors() {
        return Err(Failure::new("the tests cannot be run").findings(&report));
    }
    let mut found = Found { passed: 0, failures: Vec::new() };
    for (file, suite, config) in &suites {
        if let Some(snapshot) = policies.get(config) {
            found.add(file, suite, snapshot);
        }
    }
    if found.passed + found.failures.len() == 0 {
        return Err(Failure::new("no tests in the given files").help("each test begins with `[[test]]`"));
    }
    let outcome = if found.failures.is_empty() { Outcome::Yes } else { Outcome::No };
    let json = Json { passed: found.passed, failed: found.failures.len(), failures: &found.failures };
    output.verdict(outcome, &found, &json)?;
    Ok(outcome)
}

fn read<'a>(files: &'a [PathBuf], report: &mut Report) -> Vec<(&'a PathBuf, Suite)> {
    let mut suites = Vec::new();
    for file in files {
        match fs::read(file, MAX_FILE_BYTES) {
            Ok(read) => suites.push((file, suite::parse(file, &read.text, report))),
            Err(error) => report.push(Diagnostic::general(error.to_string()).help(
                "name a file with `[[test]]` tables, such as policy.test.toml; `citronella test --help` shows one",
            )),
        }
    }
    suites
}

/// Each policy that tests are about, loaded once.
#[derive(Default)]
struct Policies(Vec<(PathBuf, Option<Snapshot>)>);

impl Policies {
    fn load(&mut self, config: &Path, report: &mut Report) {
        if self.0.iter().any(|(known, _)| known == config) {
            return;
        }
        let loaded = Snapshot::load_rules(config);
        if loaded.snapshot.is_none() {
            report.extend(loaded.report.iter().cloned());
        }
        self.0.push((config.to_owned(), loaded.snapshot));
    }

    fn get(&self, config: &Path) -> Option<&Snapshot> {
        self.0.iter().find(|(known, _)| known == config).and_then(|(_, snapshot)| snapshot.as_ref())
    }
}

/// Notes devices that are not there: they are refused everything, whatever the rules say.
fn judge_names(suite: &Suite, snapshot: &Snapshot, report: &mut Report) {
    for test in &suite.tests {
        let (name, shown) = (&*test.device, Visible(&test.device));
        let known = name == ident::ANONYMOUS || snapshot.device(name).is_some();
        let mistake = match (known, test.registered) {
            (true, Registered::Yes) | (false, Registered::No) => continue,
            (false, Registered::Yes) => {
                let instead = "write `registered = false` if that is what is tested";
                let help = match snapshot.similar(name) {
                    Some(question) if question.ends_with('?') => format!("{question} else {instead}"),
                    Some(list) => format!("{list}; else {instead}"),
                    None => instead.to_owned(),
                };
                suite.device_mistake(test, format!("no device is called `{shown}`")).help(help)
            }
            (true, Registered::No) => {
                suite.device_mistake(test, format!("`{shown}` is there, and `registered = false` says not"))
            }
        };
        report.push(mistake);
    }
}

struct Found<'a> {
    passed: usize,
    failures: Vec<Missed<'a>>,
}

impl<'a> Found<'a> {
    fn add(&mut self, file: &'a Path, suite: &'a Suite, snapshot: &'a Snapshot) {
        for test in &suite.tests {
            for expectation in &test.expectations {
                let request = expectation.action.request(&expectation.topic, expectation.message);
                let decision = snapshot.authorize(&test.device, test.client_id(), &request);
                let Some(miss) = expectation.miss(&decision) else {
                    self.passed += 1;
                    continue;
                };
                let help = snapshot.help(&test.device, &decision);
                let (line, column) = suite.position(expectation);
                self.failures.push(Missed { file, line, column, test, expectation, miss, decision, help });
            }
        }
    }
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{failure}")?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failures.len())
    }
}

/// An expectation that was not met.
struct Missed<'a> {
    file: &'a Path,
    line: u32,
    column: u32,
    test: &'a Test,
    expectation: &'a Expectation,
    miss: Miss<'a>,
    decision: Decision<'a>,
    help: Option<String>,
}

impl fmt::Display for Missed<'_> {
    /// ``policy.test.toml:7:12: guest: subscribe to `home/#`: expected deny, but allowed: …``
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, .. } = self;
        write!(f, "{}:{line}:{column}: ", self.file.display())?;
        if let Some(name) = &self.test.name {
            write!(f, "{}: ", Visible(name))?;
        }
        let asked = self.expectation.action.request(&self.expectation.topic, self.expectation.message);
        write!(f, "{}: {asked}: {}, but {}", Visible(&self.test.device), self.miss, self.decision)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    passed: usize,
    failed: usize,
    failures: &'a [Missed<'a>],
}

impl Serialize for Missed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let effect = match self.expectation.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let answer = explain::Answer {
            decision: &self.decision,
            help: self.help.clone(),
            device: &self.test.device,
            client_id: self.test.client_id(),
            action: self.expectation.action.into(),
            topic: &self.expectation.topic,
        };
        let mut json = serializer.serialize_struct("Failure", 9)?;
        json.serialize_field("file", &self.file.display().to_string())?;
        json.serialize_field("line", &self.line)?;
        json.serialize_field("column", &self.column)?;
        json.serialize_field("test", &self.test.name)?;
        json.serialize_field("missed", self.miss.word())?;
        json.serialize_field("expect", effect)?;
        json.serialize_field("rule", &self.expectation.rule)?;
        json.serialize_field("witness", &self.expectation.witness)?;
        json.serialize_field("answer", &answer)?;
        json.end()
    }
}
