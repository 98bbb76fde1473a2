//! A kit as one file, to be carried to where it is used.

use std::io::{Cursor, Write as _};

use jiff::Timestamp;

use super::{Form, KitError, Material, files};
use crate::pki::folder::NewFile;
use crate::secret::Secret;

/// Kinds of archives, by the end of their file's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packing {
    /// `.tar`
    Tar,
    /// `.zip`, which phones and Windows open too.
    Zip,
}

impl Packing {
    /// That of a file of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let end = name.rsplit_once('.')?.1;
        match &*end.to_ascii_lowercase() {
            "tar" => Some(Self::Tar),
            "zip" => Some(Self::Zip),
            _ => None,
        }
    }
}

/// The folder `NAME-TARGET` as an archive, with the modes of its files. Nothing in it is compressed or encrypted: keys are
/// as they would be in the folder.
///
/// # Errors
///
/// The material does not fit together or to the target.
pub fn archive(
    material: &Material<'_>,
    (target, store): Form,
    packing: Packing,
    now: Timestamp,
) -> Result<Secret, KitError> {
    let files = files(material, target, store)?;
    let folder = super::folder(material.name, target);
    let failed = |error: std::io::Error| KitError::Archive(error.to_string());
    match packing {
        Packing::Tar => tar(&folder, &files, now).map_err(failed),
        Packing::Zip => zip(&folder, &files).map_err(|error| failed(error.into())),
    }
}

fn tar(folder: &str, files: &[NewFile], now: Timestamp) -> std::io::Result<Secret> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let content = file.content().expose();
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
        header.set_mode(file.mode());
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
        archive.append_data(&mut header, format!("{folder}/{}", file.name()), content)?;
    }
    archive.into_inner().map(Secret::new)
}

fn zip(folder: &str, files: &[NewFile]) -> zip::result::ZipResult<Secret> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .unix_permissions(file.mode());
        archive.start_file(format!("{folder}/{}", file.name()), options)?;
        archive.write_all(file.content().expose())?;
    }
    Ok(Secret::new(archive.finish()?.into_inner()))
}
