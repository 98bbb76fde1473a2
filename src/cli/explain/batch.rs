//! `explain --batch`: a question a line, an answer a line.

use std::{
    borrow::Cow,
    io::{self, Read as _},
};

use citronella::{ident, policy::Message, snapshot::Snapshot};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Answer as Ended, check,
        output::{self, Failure, Outcome, Reader},
        world::World,
    },
    Action, Answer,
};

/// Longest question. A topic and a client id of 65,535 bytes each, every byte an escape of six, fit.
const MAX_LINE_BYTES: usize = 1 << 20;

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// So many bytes of answers are written even while more questions are there.
const HELD_BYTES: usize = 1 << 18;

/// A question as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'l> {
    #[serde(borrow)]
    device: Cow<'l, str>,
    #[serde(borrow, default)]
    client_id: Option<Cow<'l, str>>,
    action: Action,
    #[serde(borrow)]
    topic: Cow<'l, str>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    payload_size: u32,
}

/// The answer to a line that is no question.
#[derive(Serialize)]
struct Mistake<'e> {
    error: &'e str,
    /// Counted from 1.
    line: u64,
}

pub(super) fn run(world: &World) -> Ended {
    let snapshot = check::load(world)?;
    let mut answers = Answers { snapshot: &snapshot, ready: Vec::new(), lines: 0, bad: 0, first_bad: 0 };
    let mut lines = Lines::default();
    let mut stdin = io::stdin().lock();
    let mut chunk = vec![0; CHUNK_BYTES];
    // Whoever waits for an answer before asking on must have it before this waits for more.
    while answers.send()? == Reader::Listens {
        let count = match stdin.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| Failure::new(format!("standard input: {error}")))?,
        };
        if count == 0 {
            lines.finish(|line| answers.add(line))?;
            answers.send()?;
            break;
        }
        let read = chunk.get(..count).unwrap_or_default();
        if lines.add(read, |line| answers.add(line))? == Reader::Gone {
            break;
        }
    }
    match answers.bad {
        0 => Ok(Outcome::Yes),
        1 => Err(Failure::new(format!("line {} is no question", answers.first_bad))),
        bad => Err(Failure::new(format!("{bad} lines are no questions, the first is {}", answers.first_bad))),
    }
}

/// A line of the input.
#[derive(Clone, Copy)]
enum Line<'l> {
    Whole(&'l [u8]),
    /// More than [`MAX_LINE_BYTES`]; it was not kept.
    TooLong,
}

/// Cuts what is read into lines.
#[derive(Default)]
struct Lines {
    /// The beginning of a line whose end has not been read; never longer than a line may be.
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Lends `found` each line that ends in `chunk`, until it says that nobody listens.
    fn add<E>(
        &mut self,
        chunk: &[u8],
        mut found: impl FnMut(Line<'_>) -> Result<Reader, E>,
    ) -> Result<Reader, E> {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let Some(end) = piece.strip_suffix(b"\n") else {
                self.keep(piece);
                continue;
            };
            let listens = if self.begun.is_empty() && !self.too_long {
                found(Line::Whole(end))?
            } else {
                self.keep(end);
                self.end(&mut found)?
            };
            if listens == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
        Ok(Reader::Listens)
    }

    /// The last line may lack its end.
    fn finish<E>(&mut self, mut found: impl FnMut(Line<'_>) -> Result<Reader, E>) -> Result<Reader, E> {
        if self.too_long || !self.begun.is_empty() { self.end(&mut found) } else { Ok(Reader::Listens) }
    }

    fn end<E>(&mut self, found: &mut impl FnMut(Line<'_>) -> Result<Reader, E>) -> Result<Reader, E> {
        let listens = found(if self.too_long { Line::TooLong } else { Line::Whole(&self.begun) });
        self.begun.clear();
        self.too_long = false;
        listens
    }

    fn keep(&mut self, piece: &[u8]) {
        self.too_long |= self.begun.len() + piece.len() > MAX_LINE_BYTES;
        if self.too_long {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }
}

struct Answers<'s> {
    snapshot: &'s Snapshot,
    /// Not written yet.
    ready: Vec<u8>,
    lines: u64,
    bad: u64,
    first_bad: u64,
}

impl Answers<'_> {
    fn add(&mut self, line: Line<'_>) -> Result<Reader, Failure> {
        self.lines += 1;
        let start = self.ready.len();
        if let Err(error) = self.answer(line) {
            self.ready.truncate(start);
            self.bad += 1;
            if self.bad == 1 {
                self.first_bad = self.lines;
            }
            let mistake = Mistake { error: &error, line: self.lines };
            // Two plain fields into memory: that cannot fail.
            let _ = serde_json::to_writer(&mut self.ready, &mistake);
        }
        self.make_harmless(start);
        self.ready.push(b'\n');
        if self.ready.len() < HELD_BYTES { Ok(Reader::Listens) } else { self.send() }
    }

    /// Adds the answer to what is ready, or says what is wrong with the line; a beginning may have been added then.
    fn answer(&mut self, line: Line<'_>) -> Result<(), String> {
        let Line::Whole(text) = line else {
            return Err(format!("a question has at most {MAX_LINE_BYTES} bytes"));
        };
        let text = std::str::from_utf8(text)
            .map_err(|error| format!("column {}: not UTF-8", error.valid_up_to() + 1))?;
        if !text.trim_start().starts_with('{') {
            return Err("a question is one JSON object".to_owned());
        }
        let question: Question<'_> = serde_json::from_str(text).map_err(|error| described(&error))?;
        if question.qos > 2 {
            return Err("`qos` is 0, 1 or 2".to_owned());
        }
        let (device, topic) = (&*question.device, &*question.topic);
        let client_id = question.client_id.as_deref().unwrap_or(device);
        let Question { qos, retain, payload_size: payload_bytes, .. } = question;
        let request = question.action.request(topic, Message { qos, retain, payload_bytes });
        let decision = self.snapshot.authorize(device, client_id, &request);
        // A guess at the name would look at every device for every such line.
        let known = device == ident::ANONYMOUS || self.snapshot.device(device).is_some();
        let help = if known { self.snapshot.help(device, &decision) } else { None };
        let answer = Answer { decision: &decision, help, device, client_id, action: question.action, topic };
        serde_json::to_writer(&mut self.ready, &answer).map_err(|error| error.to_string())
    }

    /// Escapes what could drive a terminal in the answer that begins there.
    fn make_harmless(&mut self, start: usize) {
        let written = self.ready.get(start..).and_then(|json| std::str::from_utf8(json).ok());
        if let Some(Cow::Owned(harmless)) = written.map(citronella::diag::harmless_json) {
            self.ready.truncate(start);
            self.ready.extend_from_slice(harmless.as_bytes());
        }
    }

    /// Writes what is ready.
    fn send(&mut self) -> Result<Reader, Failure> {
        let sent = if self.ready.is_empty() { Ok(Reader::Listens) } else { output::write_out(&self.ready) };
        self.ready.clear();
        sent
    }
}

/// What is wrong with a line, and where in it.
fn described(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message);
    format!("column {}: {message}", error.column())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test stops by panicking")]

    use std::convert::Infallible;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let mut keep = |line: Line<'_>| {
            found.push(match line {
                Line::Whole(text) => String::from_utf8_lossy(text).into_owned(),
                Line::TooLong => "too long".to_owned(),
            });
            Ok::<Reader, Infallible>(Reader::Listens)
        };
        for chunk in chunks {
            let Ok(_) = lines.add(chunk, &mut keep);
        }
        let Ok(_) = lines.finish(&mut keep);
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text = b"one\n\ntwo\r\nthree";
        let expected = ["one", "", "two\r", "three"];
        assert_eq!(cut(&[text]), expected);
        for at in 0..=text.len() {
            let (first, second) = text.split_at(at);
            assert_eq!(cut(&[first, second]), expected, "{at}");
        }
        assert_eq!(cut(&text.chunks(1).collect::<Vec<_>>()), expected);
        assert_eq!(cut(&[b"one\n"]), ["one"]);
        assert_eq!(cut(&[]), [""; 0]);
    }

    #[test]
    fn a_line_without_end_fills_no_memory_and_takes_no_other_with_it() {
        let piece = vec![b'x'; CHUNK_BYTES];
        let mut chunks = vec![&*piece; 40];
        chunks.extend([&b"x\nnext\n"[..], &piece, b"\n"]);
        let found = cut(&chunks);
        assert_eq!(found.len(), 3);
        assert_eq!((&*found[0], &*found[1], found[2].len()), ("too long", "next", CHUNK_BYTES));
        let longest = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(cut(&[&longest, b"\n"])[0].len(), MAX_LINE_BYTES);
        assert_eq!(cut(&[&longest, b"x\n"]), ["too long"]);
    }
}
