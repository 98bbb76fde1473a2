//! What is filled into the texts of a kit.

use super::{Material, Target, literal::Language};
use crate::{
    diag::shell_word,
    pki::bundle::{Try, folder_name},
};

/// `@HOST@` becomes the broker's name as it is, `@'HOST'@` a word of the shell, `@"HOST"@` a string of the language
/// in which the kit's program is. Programs take names in strings only, never in comments.
pub(super) struct Words {
    stem: String,
    language: Option<Language>,
    values: Vec<(&'static str, String)>,
}

impl Words {
    pub(super) fn new(material: &Material<'_>, target: Target) -> Self {
        let stem = folder_name(material.name);
        let Try { host, port, topic } = material.connect;
        let plain = if material.passphrase.is_some() { "encrypted" } else { "plain" };
        let file = |end: &str| format!("{stem}.{end}");
        let values = vec![
            ("DEVICE", material.name.to_string()),
            ("STEM", stem.clone()),
            ("FOLDER", super::folder(material.name, target)),
            ("KEYFORM", plain.to_owned()),
            ("HOST", host.to_owned()),
            ("PORT", port.to_string()),
            ("TOPIC", topic.to_owned()),
            ("'HOST'", shell_word(host)),
            ("'PLACE'", shell_word(&format!("{host}:{port}"))),
            ("'TOPIC'", shell_word(topic)),
            ("'CRT'", shell_word(&file("crt"))),
            ("'KEY'", shell_word(&file("key"))),
            ("'P12'", shell_word(&file("p12"))),
        ];
        let language = match target {
            Target::Python => Some(Language::Python),
            Target::Node => Some(Language::JavaScript),
            Target::Java => Some(Language::Java),
            Target::Esp32 => Some(Language::C),
            Target::Mosquitto | Target::Android | Target::Tasmota | Target::Openssl => None,
        };
        let strings = [
            ("\"DEVICE\"", material.name.to_string()),
            ("\"HOST\"", host.to_owned()),
            ("\"URL\"", format!("ssl://{host}:{port}")),
            ("\"TOPIC\"", topic.to_owned()),
            ("\"CRT\"", file("crt")),
            ("\"KEY\"", file("key")),
        ];
        let mut words = Self { stem, language, values };
        for (word, value) in strings {
            words.add_string(word, &value);
        }
        words
    }

    /// What the device's files are called, without their ends.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    pub(super) fn with(mut self, word: &'static str, value: &str) -> Self {
        self.values.push((word, value.to_owned()));
        self
    }

    /// The end of a store's name, and what Java calls its kind.
    pub(super) fn with_store(self, end: &str, kind: &str) -> Self {
        let own = format!("{}.{end}", self.stem);
        let mut words = self.with("STORE", end).with("STORETYPE", kind);
        words.add_string("\"STORE\"", &own);
        words
    }

    fn add_string(&mut self, word: &'static str, value: &str) {
        self.values.extend(self.language.map(|language| (word, language.string(value))));
    }

    /// One pass over the text, so that nothing that is filled in is filled again.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('@') {
            filled.push_str(before);
            let known = self
                .values
                .iter()
                .find_map(|(word, value)| Some((value, after.strip_prefix(word)?.strip_prefix('@')?)));
            rest = match known {
                Some((value, after)) => {
                    filled.push_str(value);
                    after
                }
                None => {
                    filled.push('@');
                    after
                }
            };
        }
        filled.push_str(rest);
        filled
    }
}
