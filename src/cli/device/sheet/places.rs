//! Where lines and fields stand in the text of a CSV file.

use std::ops::Range;

use csv::StringRecord;

/// A spreadsheet writes semicolons where the comma stands in numbers.
pub(super) fn delimiter(text: &str) -> u8 {
    let header = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let header = header.unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|found| header.as_bytes().contains(found)).unwrap_or(b',')
}

/// Where a record stands: its first line, without the empty ones before it.
pub(super) fn span(text: &str, record: &StringRecord) -> Range<usize> {
    let start = record.position().map_or(0, |position| usize::try_from(position.byte()).unwrap_or_default());
    let rest = text.get(start..).unwrap_or_default();
    let mut start = start;
    for line in rest.split_inclusive('\n') {
        if !line.trim().is_empty() && !line.starts_with('#') {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    start..start
}

/// Where the fields of a line stand, without outer blanks. Quotes count only at the very beginning of a field, as the
/// reader has it.
pub(super) fn fields(text: &str, line: &Range<usize>, delimiter: u8) -> Vec<Range<usize>> {
    let rest = text.get(line.clone()).unwrap_or_default();
    let mut fields = Vec::new();
    let (mut start, mut quoted) = (0, rest.starts_with('"'));
    let mut push = |start: usize, end: usize| {
        let field = rest.get(start..end).unwrap_or_default();
        let from = line.start + start + (field.len() - field.trim_start().len());
        fields.push(from..from + field.trim().len());
    };
    for (at, byte) in rest.bytes().enumerate() {
        if byte == b'"' && at > start {
            // Two of them stand for one, which closes and opens again.
            quoted = !quoted && rest.as_bytes().get(start) == Some(&b'"');
        } else if byte == delimiter && !quoted {
            push(start, at);
            start = at + 1;
            quoted = rest.as_bytes().get(start) == Some(&b'"');
        }
    }
    push(start, rest.len());
    fields
}
