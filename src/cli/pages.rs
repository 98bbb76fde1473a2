//! Man pages and completions, made from the definitions of the command line: a test, so that the command does not carry
//! what makes them. `make man completions` keeps what it makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops by panicking")]

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command as Process,
};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::Arguments;

/// Of the pages; the same whenever they are made.
const DATE: &str = "2026-11-22";

/// Written by hand: formats of files.
const FORMATS: [(&str, &str); 2] = [
    ("citronella.toml.5", include_str!("pages/citronella.toml.5")),
    ("devices.toml.5", include_str!("pages/devices.toml.5")),
];

const FILES: &str = "\
.SH FILES
.TP
.I /etc/citronella/citronella.toml
Settings and roles,
.BR citronella.toml (5).
.TP
.I /etc/citronella/devices.toml
The registry,
.BR devices.toml (5).
.TP
.I /etc/citronella/init.toml
Where
.B citronella init
wrote the lines for Mosquitto.
.TP
.I /etc/citronella/pki/
The authority: its key, encrypted, and the ledger of what it issued.
.TP
.I /etc/citronella/tls/
The certificates and the key that the broker reads.
.TP
.I /var/lib/citronella/
What the plugin writes: status, numbers and the audit.
";

const EXIT_STATUS: &str = "\
.SH EXIT STATUS
.TP
.B 0
Done, allowed, clean.
.TP
.B 1
No, denied, problems found.
.TP
.B 2
It could not be done.
";

/// Names and contents of all man pages.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut root = Arguments::command();
    root.build();
    let mut pages = FORMATS.map(|(name, text)| (name.to_owned(), text.into())).to_vec();
    add_page(&root, None, &mut pages);
    pages
}

fn add_page(command: &Command, above: Option<&str>, pages: &mut Vec<(String, Vec<u8>)>) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    // What clap makes of `help` repeats the pages.
    let below: Vec<&Command> = command.get_subcommands().filter(|it| it.get_name() != "help").collect();
    let man = Man::new(command.clone()).date(DATE).manual("Citronella").source("citronella");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    let mut page = without_double_breaks(&String::from_utf8(page).unwrap()).into_bytes();
    if !below.is_empty() {
        man.render_subcommands_section(&mut page).unwrap();
    }
    if let Some(examples) = command.get_after_help() {
        page.extend(section_of_examples(&examples.to_string()).bytes());
    }
    page.extend(FILES.bytes().chain(EXIT_STATUS.bytes()));
    let see: Vec<String> = above
        .into_iter()
        .map(str::to_owned)
        .chain(below.iter().map(|it| it.get_display_name().unwrap().to_owned()))
        .map(|other| format!(".BR {} (1),\n", escaped(&other)))
        .collect();
    writeln!(page, ".SH SEE ALSO\n{}.BR citronella.toml (5),\n.BR devices.toml (5)", see.concat()).unwrap();
    pages.push((format!("{name}.1"), page));
    for command in below {
        add_page(command, Some(&name), pages);
    }
}

/// A line break beside an empty line is one too many, and mandoc says so.
fn without_double_breaks(page: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let empty = |at: Option<usize>| at.and_then(|at| lines.get(at)).is_some_and(|line| line.is_empty());
    let beside = |at: usize| empty(at.checked_sub(1)) || empty(at.checked_add(1));
    let kept = lines.iter().enumerate().filter(|(at, line)| **line != ".br" || !beside(*at));
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

/// The first line says what follows.
fn section_of_examples(text: &str) -> String {
    let mut section = ".SH EXAMPLES\n".to_owned();
    let mut lines = text.trim().lines();
    let first = lines.next().unwrap_or_default();
    if !first.starts_with("Example") {
        section.push_str(&format!("{}\n.PP\n", escaped(first)));
    }
    section.push_str(".nf\n");
    for line in lines {
        section.push_str(&format!("{}\n", escaped(line.trim_start())));
    }
    section + ".fi\n"
}

/// Text that means itself: no request, no escape, and a minus that can be typed again.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

fn completions() -> Vec<(&'static str, Vec<u8>)> {
    let make = |shell: Shell| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "citronella", &mut text);
        text
    };
    vec![
        ("citronella.bash", make(Shell::Bash)),
        ("_citronella", make(Shell::Zsh)),
        ("citronella.fish", make(Shell::Fish)),
    ]
}

/// Where they are kept, or a folder that is thrown away.
fn folder(temporary: &Path) -> PathBuf {
    let folder = env::var_os("CITRONELLA_PAGES").map_or_else(|| temporary.to_owned(), PathBuf::from);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs it on a file; it must be content and have nothing to say.
#[track_caller]
fn judge(words: &[&str], file: &Path) -> Vec<u8> {
    let (program, arguments) = words.split_first().unwrap();
    let output = Process::new(program)
        .args(arguments)
        .arg(file)
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "80")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{words:?} {}: {said}{}",
        file.display(),
        String::from_utf8_lossy(&output.stdout)
    );
    output.stdout
}

#[test]
fn every_command_has_a_man_page_that_man_and_mandoc_can_print() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = folder(temporary.path()).join("man");
    fs::create_dir_all(&folder).unwrap();
    let pages = pages();
    assert!(pages.iter().any(|(name, _)| name == "citronella-device-add.1"));
    for (name, text) in pages {
        let path = folder.join(&name);
        fs::write(&path, text).unwrap();
        let printed =
            String::from_utf8(judge(&["man", "--warnings", "-E", "UTF-8", "-P", "cat", "-l"], &path))
                .unwrap();
        judge(&["mandoc", "-T", "lint", "-W", "warning"], &path);
        let sections: &[&str] =
            if name.ends_with(".1") { &["NAME", "SYNOPSIS", "EXIT STATUS"] } else { &["NAME", "EXAMPLES"] };
        for section in sections {
            assert!(printed.lines().any(|line| line == *section), "{name} has no {section}:\n{printed}");
        }
    }
}

#[test]
fn the_completions_are_scripts_of_their_shells() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = folder(temporary.path()).join("completions");
    fs::create_dir_all(&folder).unwrap();
    for ((name, text), judged_by) in
        completions().into_iter().zip([["bash", "-n"], ["zsh", "-n"], ["fish", "--no-execute"]])
    {
        assert!(String::from_utf8_lossy(&text).contains("expiring"), "{name}");
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        judge(&judged_by, &path);
    }
}

#[test]
fn what_bash_is_offered_are_the_verbs() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("citronella.bash");
    let (_, text) = completions().into_iter().next().unwrap();
    fs::write(&path, text).unwrap();
    let script = temporary.path().join("ask");
    let ask = "source $(dirname $0)/citronella.bash; COMP_WORDS=(citronella sta); COMP_CWORD=1; \
               _citronella citronella sta citronella; echo ${COMPREPLY[@]}";
    fs::write(&script, ask).unwrap();
    assert_eq!(String::from_utf8_lossy(&judge(&["bash"], &script)), "status\n");
}
