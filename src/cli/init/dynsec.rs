//! Mosquitto's dynamic-security plugin, which would decide beside ours.

use std::path::PathBuf;

use citronella::mosquitto_conf::Directive;

const NAME: &str = "mosquitto_dynamic_security";

/// What loads it.
#[derive(Default)]
pub(super) struct Dynsec<'a> {
    /// All lines of it, options too.
    pub(super) lines: Vec<&'a Directive>,
    /// Each file of users and rules once, as it is written there.
    pub(super) files: Vec<PathBuf>,
}

impl<'a> Dynsec<'a> {
    /// Options belong to the plugin above them.
    pub(super) fn of(lines: &'a [Directive]) -> Self {
        let (mut found, mut names, mut is_it) = (Self::default(), Vec::new(), false);
        for line in lines {
            let value = line.value.trim_end();
            match &*line.key {
                "plugin" | "auth_plugin" | "global_plugin" => is_it = loads(value),
                "plugin_load" => {
                    let (name, path) = value.split_once(' ').unwrap_or((value, ""));
                    is_it = loads(path);
                    if is_it {
                        names.push(name);
                    }
                }
                "plugin_use" => {
                    if names.contains(&value) {
                        found.lines.push(line);
                    }
                    continue;
                }
                key if key.starts_with("plugin_opt_") || key.starts_with("auth_opt_") => {
                    let path = PathBuf::from(value);
                    if is_it && key.ends_with("_opt_config_file") && !found.files.contains(&path) {
                        found.files.push(path);
                    }
                }
                "auth_plugin_deny_special_chars" => {}
                _ => continue,
            }
            if is_it {
                found.lines.push(line);
            }
        }
        found
    }
}

fn loads(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_lines_are_told_from_those_of_others() {
        let text = "plugin /lib/mosquitto_dynamic_security.so\nplugin_opt_config_file /d.json\n\
                    plugin /lib/other.so\nplugin_opt_config_file /o.json\n\
                    plugin_load ds /lib/x/mosquitto_dynamic_security.so\nplugin_opt_config_file /e.json\nallow_anonymous false\n\
                    plugin_load o /lib/other.so\nplugin_use ds\nplugin_use o\n";
        let lines: Vec<Directive> = (1..)
            .zip(text.lines())
            .filter_map(|(line, text)| {
                let (key, value) = text.split_once(' ')?;
                Some(Directive { file: "m".into(), line, key: key.into(), value: value.into() })
            })
            .collect();
        let found = Dynsec::of(&lines);
        let numbers: Vec<usize> = found.lines.iter().map(|line| line.line).collect();
        assert_eq!(numbers, [1, 2, 5, 6, 9]);
        assert_eq!(found.files, [PathBuf::from("/d.json"), "/e.json".into()]);
        assert!(Dynsec::of(lines.get(2..4).unwrap_or_default()).lines.is_empty());
    }
}
