//! A large file is read some tables at a time.
//!
//! The tree of a whole file takes many times the file's size, and is gone through when none of it is at hand any more. A
//! line that begins with `[` is the head of a table, unless it stands inside a text or an array; but then the part before
//! it is no TOML by itself. So if every part is, all of them together are what the file is. Where one is not, or anything
//! else is wrong, the file is read as a whole, which knows best what to say of it.

use std::path::Path;

use toml::de::DeTable;

use super::{Config, Reader, Reading, Registry};

/// Bytes of a part, up to the end of its last table.
pub(super) const LEAST: usize = 64 * 1024;

/// Reads a file of several parts without mistakes. `None` if it is none, and says nothing about it.
pub(super) fn read(path: &Path, text: &str, config: &Config, least: usize) -> Option<(Reader, Registry)> {
    let mut starts = starts(text, least).peekable();
    starts.peek()?;
    let mut reader = Reader::new(path, text);
    let mut reading = Reading::new(config);
    let mut start = 0;
    for end in starts.chain([text.len()]) {
        let tree = DeTable::parse(text.get(start..end)?).ok()?.into_inner();
        reader.begin_at(start);
        if start == 0 {
            crate::config::check_version(&mut reader, tree.get("version"));
        } else if tree.contains_key("version") {
            return None;
        }
        reading.take(&mut reader, tree);
        if reader.has_errors() {
            return None;
        }
        start = end;
    }
    Some((reader, reading.registry))
}

/// Where the parts but the first begin, each at least so many bytes behind the one before.
fn starts(text: &str, least: usize) -> impl Iterator<Item = usize> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let from = start + least;
        let found = text.as_bytes().get(from..)?.windows(2).position(|pair| pair == b"\n[")?;
        start = from + found + 1;
        Some(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diag::Report, registry::read::whole};

    /// What is read of a text, and what is said of it.
    fn told((reader, registry): (Reader, Registry)) -> (String, String) {
        let mut report = Report::new();
        reader.finish(&mut report);
        let said: Vec<String> = report.iter().map(|found| format!("{found:#}")).collect();
        let rules = |name: &str| format!("{:?}", registry.rules_of(name).map(|own| own.blocks().to_vec()));
        let devices: Vec<String> =
            registry.iter().map(|device| format!("{device:?} {}", rules(device.name().as_str()))).collect();
        (devices.join("\n"), said.join("\n"))
    }

    fn config() -> Config {
        let text = "version = 1\n[roles.sensor]\npublish = [\"s/{device}\"]\n";
        crate::config::parse(Path::new("citronella.toml"), text, &mut Report::new())
    }

    #[test]
    fn parts_are_what_the_whole_is() {
        let config = config();
        let path = Path::new("devices.toml");
        for tables in [
            "[a]\nrole = \"sensor\"\n\n# é\n[b] # c\npublish = [\"x/1\", \"y/+\"]\n[c]\nattr = { site = \"rome\" }\n",
            "[a]\nmax_qos = 1\n[b]\nmax_qos = 2\nsubscribe = [\"x\"]\r\n[c]\n[\"d e\"]\nmax_payload = 1",
            "[a]\n[a.attr]\nsite = \"rome\"\n",
            "[a]\npublish = [\n\"x\",\n\"y\",\n]\n[b]\n",
            "[a]\nattr = { x = \"\"\"\n[b]\n\"\"\" }\n[c]\n",
        ] {
            let text = format!("version = 1\n{tables}");
            let whole = told(whole(path, &text, &config));
            for least in [1, 10, 20, 40] {
                if let Some(parts) = read(path, &text, &config, least) {
                    assert_eq!(told(parts), whole, "{least}: {text}");
                }
            }
        }
        let text = "version = 1\n[a]\n[b]\nmax_qos = 1\n[c]\npublish = [\"x\"]\n";
        let parts = read(path, text, &config, 1).map(told).unwrap();
        assert!(parts.1.contains("devices.toml:4:1: warning"), "{}", parts.1);
    }

    #[test]
    fn what_is_wrong_is_left_to_the_whole() {
        let config = config();
        for tables in [
            "[a]\n[a]\n",
            "[a]\n[A]\n",
            "[a]\nrole = \"nobody\"\n[b]\n",
            "[a]\n[a.attr]\nsite = \"rome\"\n",
            "[a]\n[version]\n",
            "[a]\nattr = { x = \"\"\"\n[b]\n\"\"\" }\n",
            "[a]\nattr = { x = '''\n[b]\n[''' }\n[c]\n",
            "[a]\npublish = [\n[\"x\"]\n]\n[b]\n",
            "[a]\n[[b]]\n",
            "[a]\n[b\n",
            "[a]\nx\n[b]\n",
        ] {
            let text = format!("version = 1\n{tables}");
            assert!(read(Path::new("devices.toml"), &text, &config, 1).is_none(), "{text}");
        }
        let no_version = read(Path::new("devices.toml"), "[a]\n[b]\n", &config, 1);
        assert!(no_version.is_none());
        assert!(
            read(Path::new("devices.toml"), "version = 1\n", &config, 1).is_none(),
            "one part is the whole"
        );
    }
}
