//! The architecture, held against the sources: who may use whom, where unsafe code is, how long a file gets.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each module of the library and the modules it may use beside itself, lowest first.
const LAYERS: &[(&str, &[&str])] = &[
    ("diag", &[]),
    ("secret", &[]),
    ("clock", &[]),
    ("fs", &["diag"]),
    ("metrics", &["fs"]),
    ("status", &["fs"]),
    ("ident", &["diag"]),
    ("topic", &["diag"]),
    ("mosquitto_conf", &["diag", "fs"]),
    ("mqtt", &[]),
    ("password", &["diag", "ident", "secret"]),
    ("policy", &["diag", "ident", "topic"]),
    ("config", &["diag", "fs", "ident", "policy", "topic"]),
    ("suite", &["config", "diag", "policy", "topic"]),
    ("registry", &["clock", "config", "diag", "fs", "ident", "password", "policy", "secret", "topic"]),
    ("import", &["diag", "ident", "password", "policy", "topic"]),
    ("certificate", &["clock", "config", "diag", "ident", "registry"]),
    (
        "snapshot",
        &[
            "certificate",
            "clock",
            "config",
            "diag",
            "fs",
            "ident",
            "password",
            "policy",
            "registry",
            "secret",
            "topic",
        ],
    ),
    (
        "login",
        &[
            "certificate",
            "clock",
            "config",
            "diag",
            "ident",
            "password",
            "policy",
            "registry",
            "secret",
            "snapshot",
            "topic",
        ],
    ),
    ("diff", &["config", "ident", "policy", "registry", "snapshot", "topic"]),
    (
        "plugin",
        &[
            "certificate",
            "clock",
            "config",
            "diag",
            "fs",
            "ident",
            "login",
            "metrics",
            "mosquitto_conf",
            "password",
            "policy",
            "registry",
            "secret",
            "snapshot",
            "status",
            "topic",
        ],
    ),
    ("ffi", &["diag", "plugin", "policy", "secret"]),
    ("pki", &["clock", "diag", "fs", "ident", "secret"]),
    (
        "doctor",
        &[
            "clock",
            "config",
            "diag",
            "fs",
            "mosquitto_conf",
            "password",
            "pki",
            "secret",
            "snapshot",
            "status",
        ],
    ),
    ("probe", &["clock", "diag", "doctor", "mqtt", "pki", "secret"]),
];

/// Modules that decide: the compiler itself keeps unsafe code out of them.
const PURE: &[&str] = &[
    "diag",
    "secret",
    "clock",
    "ident",
    "topic",
    "certificate",
    "metrics",
    "mosquitto_conf",
    "mqtt",
    "import",
    "password",
    "registry",
    "policy",
    "config",
    "snapshot",
    "login",
    "suite",
    "status",
    "diff",
];

const LINES: usize = 400;

#[test]
fn modules_use_only_what_stands_below_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.module == "cli" || source.module == "lib" {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == source.module) else {
            wrong.push(format!("{}: the module `{}` has no layer", source.path.display(), source.module));
            continue;
        };
        for used in used_modules(&source.code) {
            if used != source.module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: `{}` may not use `{used}`", source.path.display(), source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_layer_stands_on_one_above_it() {
    for (at, (module, used)) in LAYERS.iter().enumerate() {
        for name in *used {
            let below = LAYERS[..at].iter().any(|(lower, _)| lower == name);
            assert!(below, "`{module}` uses `{name}`, which is not below it");
        }
    }
}

#[test]
fn the_command_does_not_reach_into_the_boundary() {
    for source in sources().iter().filter(|source| source.module == "cli") {
        assert!(!source.code.contains("citronella::ffi"), "{}", source.path.display());
    }
}

#[test]
fn unsafe_code_is_in_the_boundary_and_allowed_once() {
    let mut allowed = Vec::new();
    for source in sources() {
        if source.code.contains("allow(unsafe_code") {
            allowed.push(source.path.clone());
        }
        let unsafe_code = words(&source.code).any(|word| word == "unsafe");
        assert!(
            !unsafe_code || source.module == "ffi",
            "unsafe code outside the boundary: {}",
            source.path.display()
        );
    }
    assert_eq!(allowed.len(), usize::from(root().join("ffi/mod.rs").exists()), "{allowed:?}");
    let at_the_door = |path: &PathBuf| path.starts_with(root().join("ffi")) || *path == root().join("lib.rs");
    assert!(allowed.iter().all(at_the_door), "{allowed:?}");
}

#[test]
fn modules_that_decide_forbid_unsafe_code() {
    for name in PURE {
        let file = [root().join(format!("{name}.rs")), root().join(name).join("mod.rs")];
        let Some(path) = file.iter().find(|path| path.exists()) else { continue };
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{} does not forbid it", path.display());
    }
}

#[test]
fn no_source_file_is_longer_than_a_reader_bears() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.lines > LINES)
        .map(|source| format!("{}: {} lines", source.path.display(), source.lines))
        .collect();
    assert!(long.is_empty(), "more than {LINES}:\n{}", long.join("\n"));
}

#[test]
fn the_reader_of_paths_sees_every_form() {
    let code = without_comments(
        "use crate::{diag::{Report, Source}, ident::DeviceId};\n\
         // crate::ffi is only spoken of\n\
         /* and crate::pki /* nested */ too */\n\
         pub(crate) use crate::topic;\n\
         let text = \"crate::plugin // no comment\";\n\
         fn f(x: crate::secret::Secret<u8>) {}\n\
         use crate :: {\n    clock::Clock,\n    fs as files,\n};\n",
    );
    let used: Vec<String> = used_modules(&code).into_iter().collect();
    assert_eq!(used, ["clock", "diag", "fs", "ident", "secret", "topic"]);
}

/// A Rust file of `src/`.
struct Source {
    path: PathBuf,
    /// The module at the top that it belongs to: `topic` for `src/topic/name.rs`.
    module: String,
    /// Its text without comments and the insides of strings.
    code: String,
    lines: usize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let first = path.strip_prefix(root()).unwrap().components().next().unwrap();
                let module = Path::new(first.as_os_str()).file_stem().unwrap().to_string_lossy().into_owned();
                found.push(Source {
                    path,
                    module,
                    code: without_comments(&text),
                    lines: text.lines().count(),
                });
            }
        }
    }
    assert!(found.len() > 3, "the sources are somewhere else");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The first names after each `crate::`, groups in braces included.
fn used_modules(code: &str) -> BTreeSet<String> {
    let squeezed = code.replace(" ::", "::").replace(":: ", "::");
    let mut found = BTreeSet::new();
    for (at, _) in squeezed.match_indices("crate::") {
        let whole_word = squeezed[..at].chars().next_back().is_none_or(|c| !is_word(c) && c != '$');
        let rest = squeezed[at + "crate::".len()..].trim_start();
        if !whole_word {
            continue;
        }
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(first_names(group));
        } else {
            found.extend(first_name(rest));
        }
    }
    // A name with a capital is an item that lib.rs itself exports, not a module.
    found.retain(|name| name.starts_with(char::is_lowercase));
    found
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.trim_start().chars().take_while(|c| is_word(*c)).collect();
    (!name.is_empty()).then_some(name)
}

/// The first name of each item of a group whose opening brace is gone.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut found) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '{' => depth += 1,
            ',' if depth == 0 => start = true,
            c if start && is_word(c) => {
                found.extend(first_name(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    found
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Comments (nested ones too) and the insides of strings replaced by nothing.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            rest[open..].find(&end).map_or(rest.len(), |at| open + at + end.len())
        } else if c == '"' {
            string(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.push(' ');
        rest = &rest[skip..];
    }
    out
}

/// How long the block comment is that starts here.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            match rest.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => return at,
            }
        }
    }
}

/// How long the string is that starts here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The number of `#` of the raw string that starts here.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}
