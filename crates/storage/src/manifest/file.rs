//! A manifest as a file.

use std::path::Path;

use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile};
use codegraph_vector_base::{Error, ErrorKind, Generation, Result, SegmentId, wire};

use super::{Manifest, rules};
use crate::envelope::{ENVELOPE_BYTES, Envelope, FileKind, read_file, write_file};
use crate::layout::StoreLayout;

/// The version of the manifest's format that this version writes: the second, which says what the checkpoint holds.
pub const FORMAT_VERSION: u32 = 2;
/// Ends before that field.
const WITHOUT_CONTENTS: u32 = 1;

const KIND: FileKind =
    FileKind { magic: *b"CGVMAN\r\n", name: "manifest", version: FORMAT_VERSION, features: 0 };
const NO_SEGMENT: SegmentId = SegmentId(0);

/// Reads the manifest of a generation.
///
/// # Errors
/// `NotFound`; `Corrupt` unless it is whole and obeys the rules; `Unsupported` for a newer format.
pub fn read(vfs: &dyn Vfs, layout: &StoreLayout, generation: Generation) -> Result<Manifest> {
    let path = layout.manifest_path(generation);
    read_open(&*vfs.open(&path, OpenMode::Read)?, &path, generation)
}

/// As [`read`], of the open file.
pub(super) fn read_open(file: &dyn VfsFile, path: &Path, generation: Generation) -> Result<Manifest> {
    let (envelope, _, mut body) = read_file(file, path, &KIND)?;
    if envelope.version == WITHOUT_CONTENTS {
        body.push(0); // They are not known: an option's byte.
    }
    let at_body = |error: Error| error.as_kind(ErrorKind::Corrupt).at(path).at_offset(ENVELOPE_BYTES as u64);
    let manifest: Manifest = wire::decode(&body).map_err(at_body)?;
    envelope.check_identity(manifest.store_id, NO_SEGMENT, generation, path)?;
    if manifest.generation != generation {
        return Err(at_body(Error::invalid("the manifest is of another generation than its header")));
    }
    rules::check(&manifest).map_err(at_body)?;
    Ok(manifest)
}

/// Lets a manifest, which obeys the rules, appear complete and durable.
pub(super) fn write(vfs: &dyn Vfs, path: &Path, manifest: &Manifest) -> Result<()> {
    let body = wire::encode(manifest).map_err(|error| error.at(path))?;
    let envelope = Envelope::around(&KIND, manifest.store_id, NO_SEGMENT, manifest.generation, &body);
    write_file(vfs, path, &KIND, &envelope, &body).map(|_| ())
}
