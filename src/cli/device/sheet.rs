//! Devices as a CSV file, RFC 4180: a header, and a line for each device.
//!
//! ```text
//! name,role,attr.site,auth,state,credentials
//! thunder10,sensor,rome,,,certificate
//! phone,viewer;guest,,password,,password
//! ```
//!
//! Only `name` must be there. Columns may be separated by semicolons or tabs instead, as spreadsheets of some
//! countries do; outer blanks do not count, and a line that begins with `#` is a comment: no name can.

use std::{collections::BTreeSet, ops::Range, path::Path, sync::Arc};

use citronella::{
    config::{nearest, suggestion},
    diag::{Diagnostic, Report, Source},
    ident::DeviceName,
    registry::{Auth, State, edit::NewDevice},
};
use csv::{ReaderBuilder, StringRecord, Trim, WriterBuilder};

use crate::output::Failure;
use places::{delimiter, fields, span};

mod places;

/// Between the roles of a device.
const ROLES: char = ';';
/// Before the name of an attribute.
const ATTRIBUTE: &str = "attr.";
/// The columns beside those of attributes.
const COLUMNS: [&str; 5] = ["name", "role", "auth", "state", "credentials"];

/// A device as it stands in the file.
pub(super) struct Row {
    /// Of the file, without the line end.
    pub(super) span: Range<usize>,
    /// Of the fields with the name and the roles.
    pub(super) name_span: Range<usize>,
    pub(super) roles_span: Range<usize>,
    /// Whether no field had a mistake; what has one is left out.
    pub(super) is_sound: bool,
    pub(super) name: DeviceName,
    /// Without its credentials.
    pub(super) device: NewDevice,
    pub(super) credentials: Credentials,
}

/// What a device connects with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Credentials {
    pub(super) certificate: Certificate,
    pub(super) password: bool,
}

/// The part of it that is a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Certificate {
    None,
    /// One that the authority here makes.
    Own,
    /// Any that names it; none is made.
    Any,
}

impl Credentials {
    pub(super) const NONE: Self = Self { certificate: Certificate::None, password: false };

    /// As they are written.
    const WORDS: [(&'static str, Self); 6] = [
        ("certificate", Self { certificate: Certificate::Own, password: false }),
        ("password", Self { certificate: Certificate::None, password: true }),
        ("both", Self { certificate: Certificate::Own, password: true }),
        ("none", Self::NONE),
        ("any-certificate", Self { certificate: Certificate::Any, password: false }),
        ("any-certificate-and-password", Self { certificate: Certificate::Any, password: true }),
    ];

    /// What a device that must show this gets if nothing is written.
    fn for_auth(auth: Auth) -> Self {
        Self {
            certificate: if auth == Auth::Password { Certificate::None } else { Certificate::Own },
            password: matches!(auth, Auth::Password | Auth::Both),
        }
    }

    pub(super) fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("none", |(word, _)| word)
    }
}

/// What a column holds.
enum Column {
    Name,
    Roles,
    Attribute(String),
    Auth,
    State,
    Credentials,
}

/// The devices in the text of a CSV file, in its order. Mistakes go to `report`; rows that have a name are returned even
/// then.
pub(super) fn read(path: &Path, text: &str, report: &mut Report) -> (Arc<Source>, Vec<Row>) {
    let source = Source::new(path, text);
    let mut rows = Vec::new();
    let delimiter = delimiter(text);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .comment(Some(b'#'))
        .trim(Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let columns = match reader.headers() {
        Ok(header) => columns(&source, header, report),
        Err(error) => {
            report.push(Diagnostic::general(format!("{}: {error}", path.display())));
            None
        }
    };
    let Some(columns) = columns else { return (source, rows) };
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                report.push(Diagnostic::general(format!("{}: {error}", path.display())));
                break;
            }
        };
        let span = span(text, &record);
        let fields = fields(text, &span, delimiter);
        // A field that goes on in the next line, for one, is not found in this one.
        let fields = if fields.len() == record.len() { fields } else { vec![span.clone(); record.len()] };
        rows.extend(Line { source: &source, span, fields, record: &record }.row(&columns, report));
    }
    if rows.is_empty() && !report.has_errors() {
        let whole = Diagnostic::error(&source, 0..0, "there are no devices in this file");
        report.push(whole.help("below the header stands a line for each device"));
    }
    (source, rows)
}

/// What the header says; nothing where the rest could not be understood.
fn columns(source: &Arc<Source>, header: &StringRecord, report: &mut Report) -> Option<Vec<Column>> {
    let span = span(source.text(), header);
    let mut mistake = |message: String, help: Option<String>| {
        let found = Diagnostic::error(source, span.clone(), message);
        report.push(match help {
            Some(help) => found.help(help),
            None => found,
        });
    };
    let mut columns = Vec::new();
    let mut seen = BTreeSet::new();
    let mut sound = true;
    for title in header {
        let column = match title.to_ascii_lowercase().as_str() {
            "name" => Some(Column::Name),
            "role" | "roles" => Some(Column::Roles),
            "auth" => Some(Column::Auth),
            "state" => Some(Column::State),
            "credentials" => Some(Column::Credentials),
            lower if lower.starts_with(ATTRIBUTE) && lower.len() > ATTRIBUTE.len() => {
                title.get(ATTRIBUTE.len()..).map(|name| Column::Attribute(name.to_owned()))
            }
            _ => None,
        };
        let key = match &column {
            Some(Column::Roles) => "role".to_owned(),
            // The names of attributes are told apart by their case.
            Some(Column::Attribute(name)) => format!("{ATTRIBUTE}{name}"),
            _ => title.to_ascii_lowercase(),
        };
        if column.is_none() {
            sound = false;
            let nearest = suggestion(title, COLUMNS.into_iter().chain([ATTRIBUTE]));
            mistake(format!("no column is called `{title}`"), nearest);
        } else if !seen.insert(key) {
            sound = false;
            mistake(format!("the column `{title}` stands here twice"), None);
        }
        columns.extend(column);
    }
    if !seen.contains("name") {
        sound = false;
        mistake(
            "the first line names the columns, and `name` must be one of them".to_owned(),
            Some("write `name,role,credentials` above the devices".to_owned()),
        );
    }
    sound.then_some(columns)
}

struct Line<'a> {
    source: &'a Arc<Source>,
    span: Range<usize>,
    /// As many as the record has.
    fields: Vec<Range<usize>>,
    record: &'a StringRecord,
}

impl Line<'_> {
    fn mistake(&self, at: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.source, at, message)
    }

    /// The whole line or, where the line has as many fields as it should, each field with all that is wrong with it.
    fn row(&self, columns: &[Column], report: &mut Report) -> Option<Row> {
        if self.record.len() != columns.len() {
            let message =
                format!("this line has {} fields, and the header {}", self.record.len(), columns.len());
            let found = self.mistake(self.span.clone(), message);
            report.push(found.help("a field with a comma in it stands in double quotes"));
            return None;
        }
        if self.record.iter().any(|field| field.chars().any(char::is_control)) {
            let message = "a field has a line end or another control character in it";
            let found = self.mistake(self.span.clone(), message);
            report.push(found.help("perhaps a double quote is not closed"));
            return None;
        }
        let mut device = NewDevice::default();
        let (mut name, mut credentials) = (None, None);
        let (mut name_span, mut roles_span) = (self.span.clone(), self.span.clone());
        let mut mistakes = Vec::new();
        for (column, (field, span)) in columns.iter().zip(self.record.iter().zip(&self.fields)) {
            match column {
                Column::Name => {
                    name_span = span.clone();
                    name = DeviceName::new(field)
                        .map_err(|error| {
                            let message = format!("no device can be called `{field}`: {error}");
                            mistakes.push(self.mistake(span.clone(), message));
                        })
                        .ok();
                }
                Column::Roles => {
                    roles_span = span.clone();
                    let roles = field.split(ROLES).map(str::trim).filter(|role| !role.is_empty());
                    device.roles = roles.map(str::to_owned).collect();
                }
                Column::Attribute(key) if !field.is_empty() => {
                    device.attributes.push((key.clone(), field.to_owned()));
                }
                Column::Attribute(_) => {}
                Column::Auth => {
                    let found = self.word("auth", &Auth::WORDS, (field, span));
                    device.auth = kept(found, &mut mistakes).unwrap_or_default();
                }
                Column::State => {
                    let found = self.word("state", &State::WORDS, (field, span));
                    device.state = kept(found, &mut mistakes).unwrap_or_default();
                }
                Column::Credentials => {
                    let found = self.word("credentials", &Credentials::WORDS, (field, span));
                    credentials = kept(found, &mut mistakes).map(|credentials| (credentials, span));
                }
            }
        }
        let by_default = match device.state {
            State::Retired => Credentials::NONE,
            _ => Credentials::for_auth(device.auth),
        };
        if let (State::Retired, Some((credentials, span))) = (device.state, credentials)
            && credentials != Credentials::NONE
        {
            let message = "a device that is retired gets no credentials";
            mistakes.push(self.mistake(span.clone(), message));
        }
        let is_sound = mistakes.is_empty();
        mistakes.into_iter().for_each(|found| report.push(found));
        let credentials =
            if is_sound { credentials.map_or(by_default, |(it, _)| it) } else { Credentials::NONE };
        Some(Row {
            span: self.span.clone(),
            name_span,
            roles_span,
            is_sound,
            name: name?,
            device,
            credentials,
        })
    }

    fn word<T: Copy>(
        &self,
        column: &str,
        words: &[(&str, T)],
        (field, span): (&str, &Range<usize>),
    ) -> Result<Option<T>, Diagnostic> {
        if field.is_empty() {
            return Ok(None);
        }
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == field) {
            return Ok(Some(*value));
        }
        let found = self.mistake(span.clone(), format!("`{field}` is no value of `{column}`"));
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let all = format!("it is one of {}", known.join(", "));
        Err(found.help(match nearest(field, known) {
            Some(meant) => format!("did you mean `{meant}`? {all}"),
            None => all,
        }))
    }
}

/// What was found; a mistake is noted.
fn kept<T>(found: Result<Option<T>, Diagnostic>, mistakes: &mut Vec<Diagnostic>) -> Option<T> {
    found.unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        None
    })
}

/// Devices to be written.
pub(super) struct Written<'a> {
    pub(super) name: &'a str,
    pub(super) roles: Vec<&'a str>,
    pub(super) attributes: Vec<(&'a str, &'a str)>,
    pub(super) auth: Auth,
    pub(super) state: State,
    pub(super) credentials: Credentials,
}

/// Whether [`read`] would get this back.
pub(super) fn can_hold(role: &str) -> bool {
    !role.contains(ROLES)
}

/// The same for an attribute.
pub(super) fn can_hold_attribute(name: &str, value: &str) -> bool {
    let plain = |text: &str| !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control);
    plain(name) && plain(value)
}

/// The text of a CSV file that [`read`] understands.
pub(super) fn write(devices: &[Written<'_>]) -> Result<String, Failure> {
    let attributes: BTreeSet<&str> =
        devices.iter().flat_map(|device| &device.attributes).map(|(name, _)| *name).collect();
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    let titles = attributes.iter().map(|name| format!("{ATTRIBUTE}{name}"));
    let header = ["name", "role"].map(str::to_owned).into_iter().chain(titles);
    writer.write_record(header.chain(["auth", "state", "credentials"].map(str::to_owned)))?;
    for device in devices {
        let value = |wanted: &&str| {
            device
                .attributes
                .iter()
                .find(|(name, _)| name == wanted)
                .map_or("", |(_, value)| *value)
                .to_owned()
        };
        let first = [device.name.to_owned(), device.roles.join(&ROLES.to_string())];
        let last = [device.auth.to_string(), device.state.to_string(), device.credentials.word().to_owned()];
        writer.write_record(first.into_iter().chain(attributes.iter().map(value)).chain(last))?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::new(error.to_string()))?;
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests;
