use std::{io::Write as _, process::Command};

use super::*;

/// Made by the tools themselves; the last column says which.
const VECTORS: &str = include_str!("../../tests/cases/password-vectors.tsv");

fn vectors() -> impl Iterator<Item = (Vec<u8>, &'static str, &'static str)> {
    VECTORS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let [_, password, hash, source] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not four fields: {line}")
        };
        (unhex(password), hash, source)
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn hashes_of_others_accept_their_password_and_no_other() {
    let mut memory = Memory::new();
    let mut count = 0;
    for (password, text, source) in vectors() {
        let hash = PasswordHash::parse(text).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(hash.verify_with(&password, &mut memory), Ok(true), "{source}: {text}");
        let mut other = password.clone();
        other.push(b' ');
        assert_eq!(hash.verify_with(&other, &mut memory), Ok(false), "{source}: {text}");
        assert_eq!(hash.verify_with(&password[1..], &mut memory), Ok(false), "{source}: {text}");
        assert_eq!(hash.to_text(), text, "{source}");
        count += 1;
    }
    assert!(count >= 21, "only {count} vectors were read");
}

#[test]
fn what_mosquitto_passwd_writes_here_and_now_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passwd");
    for args in [&["-H", "sha512"][..], &[], &["-H", "sha512-pbkdf2", "-I", "77"]] {
        let mut tool = Command::new("mosquitto_passwd");
        let Ok(done) = tool.args(args).args(["-c", "-b"]).arg(&path).args(["u", "pw"]).output() else {
            return; // not installed; the committed vectors stand for it
        };
        assert!(done.status.success(), "{done:?}");
        let line = std::fs::read_to_string(&path).unwrap();
        let hash = PasswordHash::parse(line.trim_end().split_once(':').unwrap().1).unwrap();
        assert_eq!(hash.verify(b"pw"), Ok(true), "{line}");
        assert_eq!(hash.verify(b"pW"), Ok(false), "{line}");
    }
}

#[test]
fn what_we_make_libargon2_makes_too() {
    let ours = PasswordHash::new_argon2id("pässwörd".as_bytes()).unwrap();
    assert!(ours.to_text().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(ours.verify("pässwörd".as_bytes()), Ok(true));
    // The tool takes its salt as text; ours are bytes, so the same computation is repeated with a text.
    let mut again = ours.clone();
    again.salt = Box::from(*b"sixteen letters!");
    again.kind.compute(("pässwörd".as_bytes(), &again.salt), &mut again.hash, &mut Memory::new()).unwrap();
    let Ok(mut tool) = Command::new("argon2")
        .args(["sixteen letters!", "-id", "-k", "19456", "-t", "2", "-p", "1", "-l", "32", "-e"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
    else {
        return; // not installed; the committed vectors stand for it
    };
    tool.stdin.take().unwrap().write_all("pässwörd".as_bytes()).unwrap();
    let theirs = String::from_utf8(tool.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(again.to_text(), theirs.trim_end());
}

#[test]
fn costs_beyond_the_ceilings_are_refused_before_any_work() {
    let hash64 = STANDARD.encode([0; 64]);
    let argon = |costs: &str| {
        format!("$argon2id$v=19${costs}$c29tZXNhbHQ$VzOZmM3DgwG+PTXiqyC/3BWrTe2t90ySz+vi2DFSTbI")
    };
    for (good, text) in [
        (true, format!("$7$1000000$c2FsdA==${hash64}")),
        (false, format!("$7$1000001$c2FsdA==${hash64}")),
        (false, format!("$7$0$c2FsdA==${hash64}")),
        (false, format!("$7$101abc$c2FsdA==${hash64}")),
        (false, format!("$7$+101$c2FsdA==${hash64}")),
        (false, format!("$7$4294967297$c2FsdA==${hash64}")),
        (true, argon("m=262144,t=4,p=4")),
        (false, argon("m=262144,t=5,p=4")),
        (true, argon("m=117647,t=10,p=1")),
        (false, argon("m=117648,t=10,p=1")),
        (false, argon("m=262145,t=1,p=1")),
        (false, argon("m=1024,t=11,p=1")),
        (false, argon("m=1024,t=0,p=1")),
        (false, argon("m=1024,t=1,p=5")),
        (false, argon("m=31,t=1,p=4")),
    ] {
        let result = PasswordHash::parse(&text);
        assert_eq!(result.is_ok(), good, "{text}: {result:?}");
        use PasswordHashError as E;
        assert!(good || matches!(result, Err(E::Number { .. } | E::Cost)), "{text}: {result:?}");
        assert!(result.is_err() || result.unwrap().cost() <= MAX_COST, "{text}");
    }
}

#[test]
fn texts_that_are_no_hashes_are_told_apart() {
    use PasswordHashError as E;
    let hash64 = STANDARD.encode([0; 64]);
    for (text, error) in [
        (String::new(), E::NotAHash),
        ("hunter2".to_owned(), E::NotAHash),
        ("$hunter2".to_owned(), E::NotAHash),
        ("$1$salt$hash".to_owned(), E::UnknownKind),
        ("$2b$12$saltandhash".to_owned(), E::UnknownKind),
        ("$argon2i$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned(), E::UnknownKind),
        (format!("$6$c2FsdA=={hash64}"), E::Fields),
        (format!("$6$$${hash64}"), E::Fields),
        (format!("$6$${hash64}"), E::Fields),
        (format!("$6$c2FsdA==${hash64}$"), E::Fields),
        (format!("$6$c2F!dA==${hash64}"), E::Base64("salt")),
        (format!("$6$c2FsdA${hash64}"), E::Base64("salt")),
        ("$6$c2FsdA==$aGFzaA==".to_owned(), E::Length { field: "hash", found: 4, least: 64, most: 64 }),
        (
            format!("$6${}${hash64}", STANDARD.encode([0; 65])),
            E::Length { field: "salt", found: 65, least: 1, most: 64 },
        ),
        ("$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$VzOZmM3DgwG+PTXiqyC/3A".to_owned(), E::Version),
        ("$argon2id$v=19$m=8,t=1$c29tZXNhbHQ$VzOZmM3DgwG+PTXiqyC/3A".to_owned(), E::Fields),
        ("$argon2id$v=19$m=8,t=1,p=1,x$c29tZXNhbHQ$VzOZmM3DgwG+PTXiqyC/3A".to_owned(), E::Fields),
        (
            "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$VzOZmM3DgwG+PTXiqyC/3A".to_owned(),
            E::Length { field: "salt", found: 4, least: 8, most: 64 },
        ),
        ("x".repeat(MAX_TEXT_BYTES + 1), E::Fields),
    ] {
        assert_eq!(PasswordHash::parse(&text), Err(error), "{text}");
    }
}

#[test]
fn generated_passwords_are_long_distinct_and_verify() {
    let (one, two) = (generate().unwrap(), generate().unwrap());
    let text = std::str::from_utf8(one.text.expose()).unwrap();
    assert_eq!(text.len(), 39, "{text}");
    assert!(
        text.split('-').all(|group| group.len() == 4 && group.bytes().all(|b| BASE32_DIGITS.contains(&b)))
    );
    assert_ne!(one.text.expose(), two.text.expose());
    assert_eq!(one.hash.verify(one.text.expose()), Ok(true));
    assert_eq!(one.hash.verify(two.text.expose()), Ok(false));
    assert_eq!(one.hash.kind(), Kind::Sha512);
}

const BASE32_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

#[test]
fn passwords_that_the_broker_would_cut_are_not_hashed() {
    assert!(matches!(PasswordHash::new_argon2id(b"a\0b"), Err(MakeError::Nul)));
    assert!(matches!(PasswordHash::new_argon2id(b""), Err(MakeError::Empty)));
    assert!(matches!(PasswordHash::new_argon2id(&[b'x'; 65_536]), Err(MakeError::TooLong)));
}

#[test]
fn a_decoy_costs_the_same_and_accepts_nothing() {
    for kind in
        [Kind::Sha512, Kind::Pbkdf2 { iterations: 3 }, Kind::Argon2id { memory_kib: 64, passes: 1, lanes: 2 }]
    {
        let decoy = PasswordHash::decoy(kind);
        assert_eq!(decoy.cost(), kind.cost());
        assert_eq!(decoy.verify(b""), Ok(false), "{kind}");
    }
}

#[test]
fn one_ceiling_holds_for_all_kinds() {
    assert_eq!(Kind::Pbkdf2 { iterations: MAX_ITERATIONS }.cost(), MAX_COST);
    assert!(make::FOR_PEOPLE.cost() < MAX_COST / 10, "what we make has room to grow");
    assert_eq!(
        PasswordHashError::Cost.to_string(),
        "the password hash would take too long to verify: its memory times its passes are more than 1176470 KiB"
    );
}

#[test]
fn the_slow_kinds_cost_more() {
    let cheap = Kind::Sha512.cost();
    let middle = Kind::Pbkdf2 { iterations: 1_000 }.cost();
    let dear = Kind::Argon2id { memory_kib: 47_104, passes: 1, lanes: 1 }.cost();
    assert!(cheap < middle && middle < dear, "{cheap} {middle} {dear}");
}

#[test]
fn debug_shows_neither_salt_nor_hash() {
    for (_, text, _) in vectors() {
        let shown = format!("{:?}", PasswordHash::parse(text).unwrap());
        let tail = &text[text.len() - 20..];
        assert!(!shown.contains(tail) && shown.starts_with("PasswordHash("), "{shown}");
    }
}
