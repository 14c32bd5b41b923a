//! The first 128 bytes of manifest, segment and death files, the same for ever, so that every version can
//! tell damage (its checksum does not fit) from a newer format (it does, but the version is higher).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic |
//! | 8 | 4 | format version of this kind of file |
//! | 12 | 4 | zero |
//! | 16 | 8 | required features: a reader that lacks one refuses the file |
//! | 24 | 8 | optional features: a reader that lacks one reads on |
//! | 32 | 16 | store id |
//! | 48 | 8 | segment id; zero in a manifest |
//! | 56 | 8 | generation; zero in a segment |
//! | 64 | 8 | bytes after these; zero in a segment, whose end is in its trailer |
//! | 72 | 4 | CRC-32C of the bytes after these; zero in a segment |
//! | 76 | 48 | zero |
//! | 124 | 4 | CRC-32C of the 124 bytes above |

use std::path::Path;

use codegraph_vector_base::vfs::{Vfs, VfsFile, publish};
use codegraph_vector_base::{Error, ErrorKind, Generation, Result, SegmentId, StoreId, crc32c};

/// Bytes of an envelope.
pub(crate) const ENVELOPE_BYTES: usize = 128;

const VERSION_AT: usize = 8;
const REQUIRED_AT: usize = 16;
const STORE_AT: usize = 32;
const SEGMENT_AT: usize = 48;
const GENERATION_AT: usize = 56;
const BODY_BYTES_AT: usize = 64;
const BODY_CRC_AT: usize = 72;
const CRC_AT: usize = 124;
const _: () = assert!(CRC_AT + 4 == ENVELOPE_BYTES && ENVELOPE_BYTES.is_multiple_of(64));

/// A kind of file, and what this version knows of it.
#[derive(Debug)]
pub(crate) struct FileKind {
    /// The first bytes. `\r\n` at the end shows a transfer that took the file for text.
    pub(crate) magic: [u8; 8],
    /// In words.
    pub(crate) name: &'static str,
    /// The version that is written, and the newest that is read.
    pub(crate) version: u32,
    /// Required features that are understood.
    pub(crate) features: u64,
}

/// What an envelope says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The version of the file's format.
    pub(crate) version: u32,
    /// Features that a reader has to know.
    pub(crate) required: u64,
    pub(crate) store: StoreId,
    pub(crate) segment: SegmentId,
    pub(crate) generation: Generation,
    pub(crate) body_bytes: u64,
    pub(crate) body_crc: u32,
}

impl Envelope {
    /// Of a file whose bytes after the envelope are `body`.
    pub(crate) fn around(
        kind: &FileKind,
        store: StoreId,
        segment: SegmentId,
        generation: Generation,
        body: &[u8],
    ) -> Self {
        let (body_bytes, body_crc) = (body.len() as u64, crc32c(body));
        Self { version: kind.version, required: 0, store, segment, generation, body_bytes, body_crc }
    }

    /// The envelope's bytes.
    pub(crate) fn encode(&self, kind: &FileKind) -> [u8; ENVELOPE_BYTES] {
        let mut bytes = [0; ENVELOPE_BYTES];
        bytes[..8].copy_from_slice(&kind.magic);
        bytes[VERSION_AT..][..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[REQUIRED_AT..][..8].copy_from_slice(&self.required.to_le_bytes());
        bytes[STORE_AT..][..16].copy_from_slice(&self.store.0);
        bytes[SEGMENT_AT..][..8].copy_from_slice(&self.segment.0.to_le_bytes());
        bytes[GENERATION_AT..][..8].copy_from_slice(&self.generation.0.to_le_bytes());
        bytes[BODY_BYTES_AT..][..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[BODY_CRC_AT..][..4].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The envelope at the front of `bytes`, which are of `path`.
    ///
    /// # Errors
    /// `Corrupt`, or `Unsupported` for a sound envelope of a newer format.
    pub(crate) fn decode(kind: &FileKind, bytes: &[u8], path: &Path) -> Result<Self> {
        let corrupt = |at: usize, what: String| Err(Error::corrupt(path, at as u64, what));
        let Some(bytes) = bytes.first_chunk::<ENVELOPE_BYTES>() else {
            return corrupt(bytes.len(), format!("the {} ends within its header", kind.name));
        };
        if bytes[..8] != kind.magic {
            return corrupt(0, format!("this is not a {}: the magic number is wrong", kind.name));
        }
        if envelope_crc(bytes) != crc32c(&bytes[..CRC_AT]) {
            return corrupt(0, format!("the {} header's checksum does not fit", kind.name));
        }
        let version = u32_at(bytes, VERSION_AT);
        let required = u64_at(bytes, REQUIRED_AT);
        let unknown = required & !kind.features;
        if version > kind.version || unknown != 0 {
            let what = match version > kind.version {
                true => format!("format version {version}, newer than {}", kind.version),
                false => format!("features {unknown:#x} unknown to this version"),
            };
            let message = format!("the {} has {what}; upgrade to open it", kind.name);
            return Err(Error::new(ErrorKind::Unsupported, message).at(path));
        }
        if version == 0 {
            return corrupt(VERSION_AT, format!("the {} has format version 0", kind.name));
        }
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[STORE_AT..][..16]);
        Ok(Self {
            version,
            required,
            store: StoreId(store),
            segment: SegmentId(u64_at(bytes, SEGMENT_AT)),
            generation: Generation(u64_at(bytes, GENERATION_AT)),
            body_bytes: u64_at(bytes, BODY_BYTES_AT),
            body_crc: u32_at(bytes, BODY_CRC_AT),
        })
    }

    /// Whether the file is the one that was looked for.
    ///
    /// # Errors
    /// `Corrupt` if it is of another store, segment or generation.
    pub(crate) fn check_identity(
        &self,
        store: StoreId,
        segment: SegmentId,
        generation: Generation,
        path: &Path,
    ) -> Result<()> {
        let wrong = |at: usize, what: String| Err(Error::corrupt(path, at as u64, what));
        if self.store != store {
            return wrong(STORE_AT, format!("the file belongs to store {}, not to {store}", self.store));
        }
        if self.segment != segment {
            return wrong(SEGMENT_AT, format!("the file is of segment {}, not of {segment}", self.segment));
        }
        if self.generation != generation {
            let what = format!("the file is of generation {}, not of {generation}", self.generation);
            return wrong(GENERATION_AT, what);
        }
        Ok(())
    }
}

/// Lets a file of envelope and body appear, complete and durable. Returns the envelope's checksum, which by way
/// of the body's covers the whole file.
pub(crate) fn write_file(
    vfs: &dyn Vfs,
    path: &Path,
    kind: &FileKind,
    envelope: &Envelope,
    body: &[u8],
) -> Result<u32> {
    let head = envelope.encode(kind);
    publish(vfs, path, |file| {
        file.write_at(&head, 0)?;
        file.write_at(body, ENVELOPE_BYTES as u64)
    })?;
    Ok(envelope_crc(&head))
}

/// A whole file of envelope and body, checked: the envelope, its checksum, and the body.
pub(crate) fn read_file(
    file: &dyn VfsFile,
    path: &Path,
    kind: &FileKind,
) -> Result<(Envelope, u32, Vec<u8>)> {
    let len = file.len().map_err(|error| error.at(path))?;
    let mut head = [0; ENVELOPE_BYTES];
    let got = file.read_at(&mut head, 0)?;
    let envelope = Envelope::decode(kind, &head[..got.min(ENVELOPE_BYTES)], path)?;
    if envelope.body_bytes.checked_add(ENVELOPE_BYTES as u64) != Some(len) {
        let what =
            format!("the {} has {len} bytes where its header says {} + 128", kind.name, envelope.body_bytes);
        return Err(Error::corrupt(path, len, what));
    }
    let mut body = vec![0; usize::try_from(envelope.body_bytes).unwrap_or(usize::MAX)];
    let got = file.read_at(&mut body, ENVELOPE_BYTES as u64)?;
    if got != body.len() || crc32c(&body) != envelope.body_crc {
        let what = format!("the {}'s checksum does not fit", kind.name);
        return Err(Error::corrupt(path, ENVELOPE_BYTES as u64, what));
    }
    Ok((envelope, envelope_crc(&head), body))
}

/// The checksum that an envelope carries.
pub(crate) fn envelope_crc(bytes: &[u8; ENVELOPE_BYTES]) -> u32 {
    u32_at(bytes, CRC_AT)
}

/// The u32 at `at`; the caller knows that it is there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// The u64 at `at`; the caller knows that it is there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
