//! `citronella explain --batch`: a question a line, an answer a line.

use std::io::{BufRead as _, BufReader, Write as _};

use serde_json::{Value, json};

use crate::cli_support::Home;

const SETTINGS: &str = r#"version = 1

[roles.sensor]
publish     = ["sensors/{device}/#"]
subscribe   = ["cmd/{clientid}/#"]
max_qos     = 1
retain      = false
max_payload = 10

[anonymous]
publish = ["hello"]
"#;

const DEVICES: &str = "version = 1\n[lamp]\nrole = \"sensor\"\n[off]\nstate = \"disabled\"\n";

fn home() -> Home {
    Home::with_files(SETTINGS, DEVICES)
}

/// The status and the answers to these lines.
#[track_caller]
fn answers(home: &Home, lines: impl AsRef<[u8]>) -> (Option<i32>, Vec<Value>, String) {
    let outcome = home.cmd(&["explain", "--batch"]).stdin(lines.as_ref()).run();
    let told = outcome.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    (outcome.status, told, outcome.stderr)
}

#[test]
fn each_line_gets_the_answer_of_a_single_question() {
    let home = home();
    let questions = [
        (json!({ "device": "lamp", "action": "publish", "topic": "sensors/lamp/x" }), vec![]),
        (json!({ "device": "lamp", "action": "publish", "topic": "sensors/other/x" }), vec![]),
        (json!({ "device": "lamp", "action": "subscribe", "topic": "cmd/#" }), vec![]),
        (
            json!({ "device": "lamp", "client_id": "id", "action": "subscribe", "topic": "cmd/id/+" }),
            vec!["--client-id", "id"],
        ),
        (json!({ "device": "lamp", "client_id": null, "action": "receive", "topic": "cmd/lamp" }), vec![]),
        (json!({ "device": "lamp", "action": "unsubscribe", "topic": "#" }), vec![]),
        (
            json!({ "device": "lamp", "action": "publish", "topic": "sensors/lamp/x", "qos": 2 }),
            vec!["--qos", "2"],
        ),
        (
            json!({ "device": "lamp", "action": "publish", "topic": "sensors/lamp/x", "retain": true }),
            vec!["--retain"],
        ),
        (
            json!({ "device": "lamp", "action": "publish", "topic": "sensors/lamp/x", "payload_size": 11 }),
            vec!["--payload-size", "11"],
        ),
        (json!({ "device": "~anonymous", "action": "publish", "topic": "hello" }), vec![]),
        (json!({ "device": "off", "action": "publish", "topic": "é\u{9b}\u{202e}\u{7}\"" }), vec![]),
    ];
    let lines: String = questions.iter().map(|(question, _)| format!("{question}\n")).collect();
    let (status, told, stderr) = answers(&home, &lines);
    assert_eq!((status, told.len(), &*stderr), (Some(0), questions.len(), ""));
    for ((question, options), told) in questions.iter().zip(&told) {
        let word = |key: &str| question[key].as_str().unwrap();
        let mut single = vec!["explain"];
        single.extend(options);
        single.extend([word("device"), word("action"), word("topic")]);
        assert_eq!(*told, home.json(&single), "{question}");
    }
    // No byte of it drives a terminal, and the last line needs no end.
    let raw = home.cmd(&["explain", "--batch"]).stdin(lines.trim_end()).run().stdout;
    assert!(raw.lines().count() == questions.len() && raw.ends_with('\n'));
    assert!(raw.chars().all(|ch| ch == '\n' || ch == 'é' || matches!(ch, ' '..='~')), "{raw}");
}

#[test]
fn a_line_that_is_no_question_is_told_so_in_its_place_and_ends_nothing() {
    let home = home();
    let good = r#"{"device":"lamp","action":"publish","topic":"sensors/lamp/x"}"#;
    let long = format!(r#"{{"device":"lamp","action":"publish","topic":"{}"}}"#, "x".repeat(1 << 20));
    let bad: [(&[u8], &str); 12] = [
        (b"", "one JSON object"),
        (b"  ", "one JSON object"),
        (br#"["lamp",null,"publish","x"]"#, "one JSON object"),
        (b"{", "column 1: EOF"),
        (br#"{"device":"lamp","action":"publish"}"#, "missing field `topic`"),
        (br#"{"device":"lamp","action":"fly","topic":"x"}"#, "unknown variant `fly`"),
        (br#"{"device":"lamp","action":"publish","topic":"x","qoss":1}"#, "unknown field `qoss`"),
        (br#"{"device":"lamp","action":"publish","topic":"x","qos":3}"#, "`qos` is 0, 1 or 2"),
        (
            br#"{"device":"lamp","action":"publish","topic":"x","payload_size":-1}"#,
            "column 65: invalid value",
        ),
        (br#"{"device":"lamp","action":"publish","topic":"x"} {}"#, "trailing characters"),
        (b"{\"device\":\"la\xffmp\"}", "column 14: not UTF-8"),
        (long.as_bytes(), "a question has at most 1048576 bytes"),
    ];
    let mut lines = Vec::new();
    for (line, _) in &bad {
        lines.extend_from_slice(line);
        lines.extend_from_slice(format!("\n{good}\r\n").as_bytes());
    }
    let (status, told, stderr) = answers(&home, lines);
    assert_eq!((status, told.len()), (Some(2), 2 * bad.len()), "{stderr}");
    assert!(stderr.contains("12 lines are no questions, the first is 1"), "{stderr}");
    for (number, (_, says)) in bad.iter().enumerate() {
        let (mistake, answer) = (&told[2 * number], &told[2 * number + 1]);
        assert_eq!(mistake["line"], 2 * number + 1);
        assert!(mistake["error"].as_str().unwrap().contains(says), "{mistake} does not say {says}");
        assert_eq!(mistake.as_object().unwrap().len(), 2);
        assert_eq!(answer["decision"], "allow", "after {says}");
    }
    let (status, told, stderr) = answers(&home, format!("{good}\n{{}}"));
    assert_eq!((status, told.len()), (Some(2), 2));
    assert!(stderr.contains("line 2 is no question"), "{stderr}");
}

#[test]
fn a_topic_of_any_length_fits_however_it_is_written() {
    let home = home();
    let line = format!(
        r#"{{"device":"lamp","client_id":"{}","action":"publish","topic":"sensors/lamp/{}"}}"#,
        "\\u0061".repeat(65_535),
        "\\u0062".repeat(65_535 - 13)
    );
    let (status, told, _) = answers(&home, line);
    assert_eq!((status, &told[0]["decision"]), (Some(0), &json!("allow")), "{:?}", told[0]["error"]);
}

#[test]
fn nothing_asked_is_nothing_answered() {
    let home = home();
    assert_eq!(answers(&home, "").0, Some(0));
    home.write("etc/devices.toml", "version = 2\n");
    home.fails(&["explain", "--batch"], &["cannot be used", "devices.toml:1"]);
    for more in [&["lamp", "publish", "x"][..], &["--qos", "1"], &["--client-id", "x"]] {
        home.fails(&[&["explain", "--batch"], more].concat(), &["cannot be used with"]);
    }
}

#[test]
fn whoever_asks_has_each_answer_before_the_next_question() {
    let home = home();
    let mut child = home.cmd(&["explain", "--batch"]).spawn();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for number in 0..100 {
        // What has no end yet is no line.
        stdin.write_all(br#"{"device":"lamp","action":"publish","#).unwrap();
        stdin.flush().unwrap();
        writeln!(stdin, r#""topic":"sensors/lamp/{number}"}}"#).unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["topic"], format!("sensors/lamp/{number}"));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_who_has_gone_is_no_error() {
    let home = home();
    let line = r#"{"device":"lamp","action":"publish","topic":"sensors/lamp/x"}"#;
    let outcome = home
        .shell(&format!(
            "{{ yes '{line}' | {{ \"$citronella\" explain --batch; echo $? > status; }}; }} | head -n 3; cat status"
        ))
        .run();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!((lines.len(), lines[3], &*outcome.stderr), (4, "0", ""), "{outcome:?}");
}
