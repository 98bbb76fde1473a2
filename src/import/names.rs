//! Names that cannot stay: the table that people may edit.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;

use crate::{
    diag::{Diagnostic, Report, Source},
    ident,
};

/// What the source's devices and roles are called here, if not the same.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renames {
    /// Of the format.
    #[serde(default)]
    version: u32,
    /// Names in the source to names here.
    #[serde(default)]
    devices: BTreeMap<String, String>,
    #[serde(default)]
    roles: BTreeMap<String, String>,
}

const HEAD: &str = "\
# What the source calls devices and roles, and what they are called here. Clients must log in with the new name.
# Edit it and import again: names that stand here are taken from here.
version = 1
";

impl Renames {
    /// Reads a table that [`Self::to_toml`] wrote and somebody may have changed.
    pub fn parse(path: &Path, text: &str, report: &mut Report) -> Self {
        let source = Source::new(path, text);
        let renames: Self = match toml::from_str(text) {
            Ok(renames) => renames,
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                report.push(Diagnostic::error(&source, span, error.message().replace('\n', " ")));
                return Self::default();
            }
        };
        let whole = || Diagnostic::error(&source, 0..0, String::new());
        if renames.version != 1 {
            report
                .push(Diagnostic { message: "a table of names begins with `version = 1`".into(), ..whole() });
        }
        for table in [&renames.devices, &renames.roles] {
            let mut taken = BTreeMap::new();
            for (from, to) in table {
                let wrong = match (ident::check_name(to), taken.insert(to.to_ascii_lowercase(), from)) {
                    (Err(error), _) => Some(error.to_string()),
                    (Ok(()), Some(other)) => Some(format!("`{other}` is called so too")),
                    (Ok(()), None) => {
                        (to == "version").then(|| "the registry's own word stands there".into())
                    }
                };
                if let Some(wrong) = wrong {
                    let message = format!("`{from}` cannot be called `{to}`: {wrong}");
                    report.push(Diagnostic { message, ..whole() });
                }
            }
        }
        renames
    }

    /// The table as a file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = HEAD.to_owned();
        for (title, table) in [("devices", &self.devices), ("roles", &self.roles)] {
            text.push_str(&format!("\n[{title}]\n"));
            for (from, to) in table {
                let (key, value) = (toml_edit::Key::new(from), toml_edit::Value::from(to.as_str()));
                text.push_str(&format!("{} = {value}\n", key.display_repr()));
            }
        }
        text
    }

    /// What each of these devices is called here, in their order; the table gets those that it lacks.
    pub(super) fn devices<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
        assign(&mut self.devices, names, "device")
    }

    /// The same for roles.
    pub(super) fn roles<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
        assign(&mut self.roles, names, "role")
    }
}

/// Names that may stay go first, so that none of them is taken by one that may not.
fn assign<'n>(
    table: &mut BTreeMap<String, String>,
    names: impl IntoIterator<Item = &'n str>,
    word: &str,
) -> Vec<String> {
    let names: Vec<&str> = names.into_iter().collect();
    let mut taken = BTreeSet::new();
    // What the table gives to somebody is nobody else's, whether that somebody is in the source or not.
    taken.extend(table.values().map(|to| to.to_ascii_lowercase()));
    let mut given: Vec<Option<String>> = Vec::new();
    for name in &names {
        let stays = ident::check_name(name).is_ok() && *name != "version";
        let own = match table.get(*name) {
            Some(to) => Some(to.clone()),
            None if stays && !taken.contains(&name.to_ascii_lowercase()) => {
                taken.insert(name.to_ascii_lowercase());
                Some((*name).to_owned())
            }
            None => None,
        };
        given.push(own);
    }
    names
        .iter()
        .zip(given)
        .map(|(name, given)| {
            given.unwrap_or_else(|| {
                let plain = possible(name, word);
                let numbered = std::iter::once(plain.clone()).chain((2..).map(|n| format!("{plain}-{n}")));
                let mut free = numbered.filter(|text| !taken.contains(&text.to_ascii_lowercase()));
                let own = free.next().unwrap_or(plain);
                taken.insert(own.to_ascii_lowercase());
                table.insert((*name).to_owned(), own.clone());
                own
            })
        })
        .collect()
}

/// Something like `name` that a device or a role can be called.
fn possible(name: &str, word: &str) -> String {
    const ROOM_FOR_A_NUMBER: usize = 16;
    let plain: String = name
        .trim()
        .trim_start_matches(['$', '~'])
        .chars()
        .map(|ch| if matches!(ch, '+' | '#' | '/') || ch.is_control() { '_' } else { ch })
        .collect();
    let end = (0..=plain.len().min(ident::MAX_NAME_BYTES - ROOM_FOR_A_NUMBER))
        .rev()
        .find(|end| plain.is_char_boundary(*end));
    let plain = plain.get(..end.unwrap_or(0)).unwrap_or_default().trim();
    let behind_word = format!("{word}-{plain}");
    let behind_word = behind_word.trim_end_matches(|ch: char| ch == '-' || ch.is_whitespace());
    let possible = |name: &&str| *name != "version" && ident::check_name(name).is_ok();
    [plain, behind_word].into_iter().find(possible).unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Renames, Vec<String>) {
        let mut report = Report::new();
        let renames = Renames::parse(Path::new("renames.toml"), text, &mut report);
        (renames, report.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_that_may_stay_do_and_the_others_get_one_each() {
        let mut renames = Renames::default();
        let names = [
            "a/b",
            "a_b",
            "Bob",
            "bob",
            "$x",
            "version",
            "",
            " ",
            "~",
            "a+b",
            "$-",
            "$ $ & --",
            &"é".repeat(100),
        ];
        let given = renames.devices(names);
        assert_eq!(
            given,
            [
                "a_b-2",
                "a_b",
                "Bob",
                "bob-2",
                "x",
                "device-version",
                "device",
                "device-2",
                "device-3",
                "a_b-3",
                "-",
                "device-$ &",
                &"é".repeat(56)
            ]
        );
        assert!(given.iter().all(|name| ident::check_name(name).is_ok()));
        let text = renames.to_toml();
        assert_eq!(text.lines().filter(|line| line.contains(" = \"")).count(), 11, "{text}");
        let (mut again, found) = read(&text);
        assert_eq!((again.devices(names), found), (given, vec![]), "the table gives the same again");
    }

    #[test]
    fn what_people_write_is_kept_and_checked() {
        let (mut renames, found) = read("version = 1\n[devices]\n\"a/b\" = \"hall\"\nbob = \"robert\"\n");
        assert_eq!(found, [""; 0]);
        assert_eq!(renames.devices(["bob", "robert", "a/b", "eve"]), ["robert", "robert-2", "hall", "eve"]);
        for (text, says) in [
            ("[devices]\n", "begins with `version = 1`"),
            ("version = 1\n[devices]\na = \"x/y\"\n", "`a` cannot be called `x/y`"),
            (
                "version = 1\n[devices]\na = \"x\"\nb = \"X\"\n",
                "`b` cannot be called `X`: `a` is called so too",
            ),
            ("version = 1\n[device]\n", "unknown field `device`"),
            ("version = \n", "renames.toml:1:"),
        ] {
            let (_, found) = read(text);
            assert!(found.iter().any(|found| found.contains(says)), "{text}: {found:?}");
        }
    }
}
