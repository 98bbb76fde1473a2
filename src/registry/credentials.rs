//! Certificates and passwords of a device as `devices.toml` writes them.

use std::collections::HashSet;

use toml::{
    de::{DeTable, DeValue},
    value::{Datetime, Offset},
};

use super::{Certificate, Certificates, Fingerprint, Password, hex_digits};
use crate::{
    clock::{CivilDay, UnixSeconds},
    config::reader::{Entry, Reader, Text, Value, entries},
    password::PasswordHash,
};

/// SOURCE: RFC 5280 section 4.1.2.2, a serial number has up to 20 bytes; some authorities put a zero before them.
const MAX_SERIAL_DIGITS: usize = 42;

/// `certificates`: `"any"` or an array of tables.
pub(super) fn certificates(reader: &mut Reader, entry: &Entry<'_, '_>) -> Certificates {
    let items = match entry.value.get_ref() {
        DeValue::String(text) if text == "any" => return Certificates::Any,
        DeValue::Array(items) => items,
        _ => {
            reader.error_help(
                entry.value.span(),
                "`certificates` must be an array of certificates or `\"any\"`",
                "write `[{ sha256 = \"…\" }]`",
            );
            return Certificates::Listed(Box::new([]));
        }
    };
    let mut listed: Vec<Certificate> = Vec::new();
    let mut seen = HashSet::new();
    for item in items.iter() {
        let Some(table) = reader.table("certificates", item) else { continue };
        let Some(certificate) = certificate(reader, item, table) else { continue };
        if seen.insert(certificate.sha256) {
            listed.push(certificate);
        } else {
            reader.error_help(item.span(), "this certificate is listed twice", "keep one of the two");
        }
    }
    Certificates::Listed(listed.into())
}

fn certificate(reader: &mut Reader, item: &Value<'_>, table: &DeTable<'_>) -> Option<Certificate> {
    let mut sha256 = None;
    let mut serial = None;
    let mut not_after = None;
    for inner in entries(table) {
        match inner.key {
            "sha256" => {
                sha256 = reader.string(inner.key, inner.value).and_then(|text| fingerprint(reader, &text));
            }
            "serial" => {
                let Some(text) = reader.string(inner.key, inner.value) else { continue };
                serial = hex_digits(text.text).filter(|digits| digits.len() <= MAX_SERIAL_DIGITS);
                if serial.is_none() {
                    reader.error(
                        text.span,
                        format!("`serial` must be 1 to {MAX_SERIAL_DIGITS} hexadecimal digits"),
                    );
                }
            }
            "not_after" => not_after = instant(reader, &inner),
            _ => reader.unknown_key(&inner, &["sha256", "serial", "not_after"]),
        }
    }
    if table.get("sha256").is_none() {
        reader.error_help(
            item.span(),
            "a certificate needs `sha256`, its fingerprint",
            "`openssl x509 -noout -fingerprint -sha256` prints it",
        );
    }
    Some(Certificate { sha256: sha256?, serial: serial.map(Into::into), not_after })
}

/// `revoked`: an array of fingerprints.
pub(super) fn fingerprints(reader: &mut Reader, entry: &Entry<'_, '_>) -> Vec<Fingerprint> {
    let texts = reader.strings(entry.key, entry.value);
    texts.iter().filter_map(|text| fingerprint(reader, text)).collect()
}

/// Of the fingerprints that older guides compare.
const SHA1_DIGITS: usize = 40;

fn fingerprint(reader: &mut Reader, text: &Text<'_>) -> Option<Fingerprint> {
    let read = text.text.parse();
    if read.is_err() && hex_digits(text.text).is_some_and(|digits| digits.len() == SHA1_DIGITS) {
        reader.error_help(
            text.span.clone(),
            "this is a SHA-1 fingerprint, as `openssl x509 -fingerprint` prints it; SHA-256 has 64 hexadecimal digits",
            "`openssl x509 -noout -fingerprint -sha256 -in FILE` prints it",
        );
        return None;
    }
    read.map_err(|error| reader.error(text.span.clone(), format!("{error}"))).ok()
}

/// A date with its time and its offset from UTC.
fn instant(reader: &mut Reader, entry: &Entry<'_, '_>) -> Option<UnixSeconds> {
    let moment = entry.value.get_ref().as_datetime().and_then(seconds);
    if moment.is_none() {
        reader.error_help(
            entry.value.span(),
            format!("`{}` must be a date with a time and an offset, without quotes", entry.key),
            "write it as `2028-11-21T00:00:00Z`",
        );
    }
    moment
}

fn seconds(written: &Datetime) -> Option<UnixSeconds> {
    let (date, time) = (written.date?, written.time?);
    let offset_minutes = match written.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let day = CivilDay { year: i64::from(date.year), month: i64::from(date.month), day: i64::from(date.day) };
    let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - offset_minutes;
    Some(UnixSeconds::from_civil(day, minutes * 60 + i64::from(time.second.unwrap_or_default())))
}

/// `password`: a hash, or a table of `hash` and `generated`.
pub(super) fn password(reader: &mut Reader, entry: &Entry<'_, '_>) -> Option<Password> {
    let Some(table) = entry.value.get_ref().as_table() else {
        if !entry.value.get_ref().is_str() {
            reader.error_help(
                entry.value.span(),
                "`password` must be a hash or a table with one",
                "let `citronella password set` write it",
            );
            return None;
        }
        return hash(reader, entry).map(|hash| Password { hash, generated: false });
    };
    let mut found = None;
    let mut generated = false;
    for inner in entries(table) {
        match inner.key {
            "hash" => found = hash(reader, &inner),
            "generated" => generated = reader.boolean(inner.key, inner.value).unwrap_or_default(),
            _ => reader.unknown_key(&inner, &["hash", "generated"]),
        }
    }
    if table.get("hash").is_none() {
        reader.error_help(
            entry.span.clone(),
            "`password` has no `hash`",
            "let `citronella password set` write it",
        );
    }
    found.map(|hash| Password { hash, generated })
}

fn hash(reader: &mut Reader, entry: &Entry<'_, '_>) -> Option<PasswordHash> {
    let text = reader.string(entry.key, entry.value)?;
    PasswordHash::parse(text.text)
        .map_err(|error| {
            reader.error_help(
                entry.span.clone(),
                error.to_string(),
                "let `citronella password set` write it",
            );
        })
        .ok()
}
