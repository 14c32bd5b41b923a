//! The manifest of a backup, as a file of its own.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic `CGVBKP\r\n` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | zero |
//! | 16 | 8 | bytes of the body |
//! | 24 | 32 | BLAKE3 of the body |
//! | 56 | | body: the wire encoding of [`BackupManifest`], exactly |

use std::path::PathBuf;

use codegraph_vector_base::{Error, ErrorKind, Generation, Result, SegmentId, SeqNo, StoreId, wire};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{self, Manifest};
use wincode::{SchemaRead, SchemaWrite};

use super::repository::rfc3339;

const MAGIC: &[u8; 8] = b"CGVBKP\r\n";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 56;

/// What a backup is: everything that it takes to make the store again, by name and content.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct BackupManifest {
    /// Its name: time and last commit, `20261124T031500.123Z-42`.
    pub id: String,
    /// The store that it is of.
    pub store_id: StoreId,
    /// The backup that was the newest when this one was begun.
    pub parent: Option<String>,
    /// What its maker calls it; such a backup is kept until it is deleted by name.
    pub name: Option<String>,
    /// When it was begun, in µs since the Unix epoch.
    pub created_us: u64,
    /// How long it took, in µs.
    pub took_us: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Bytes of those that were not there yet.
    pub new_bytes: u64,
    /// Its files.
    pub files: Vec<BackupFile>,
    /// The store's own manifest, which needs nothing of the log.
    pub manifest: Manifest,
}

/// A file of a backup: an object by its content.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct BackupFile {
    /// The segment it belongs to.
    pub segment: SegmentId,
    /// If it is the segment's deaths, the generation in their name.
    pub deaths: Option<Generation>,
    /// BLAKE3 of its content.
    pub hash: [u8; 32],
    /// Its size.
    pub bytes: u64,
}

impl BackupFile {
    /// Where it lies in a store.
    pub(crate) fn path(&self, layout: &StoreLayout) -> PathBuf {
        match self.deaths {
            None => layout.segment_path(self.segment),
            Some(generation) => layout.deaths_path(self.segment, generation),
        }
    }
}

impl BackupManifest {
    /// The last commit in it.
    pub fn seqno(&self) -> SeqNo {
        self.manifest.checkpoint.seqno
    }

    /// That commit's time, in µs since the Unix epoch.
    pub fn commit_time_us(&self) -> u64 {
        self.manifest.checkpoint.commit_time_us
    }

    /// When it was begun, in UTC, as RFC 3339 writes it.
    pub fn created_at(&self) -> String {
        rfc3339(self.created_us)
    }

    /// The time of its last commit, likewise.
    pub fn commit_time(&self) -> String {
        rfc3339(self.commit_time_us())
    }

    /// Its bytes in a file.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let body = wire::encode(self)?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(blake3::hash(&body).as_bytes());
        bytes.extend(body);
        Ok(bytes)
    }

    /// What the bytes of a file say.
    ///
    /// # Errors
    /// `Corrupt` unless they are whole and agree with themselves; `Unsupported` for a newer format.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged =
            |what: &str| Error::new(ErrorKind::Corrupt, format!("the manifest of this backup {what}"));
        let (head, body) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(|| damaged("is cut off"))?;
        if head[..8] != *MAGIC {
            return Err(damaged("does not begin as one"));
        }
        let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if version > VERSION {
            let message =
                "this backup has a newer format; restore it with a newer version of CodeGraph Vector";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let len = u64::from_le_bytes(std::array::from_fn(|at| head[16 + at]));
        let is_whole = len == body.len() as u64 && *blake3::hash(body).as_bytes() == head[24..];
        if version != VERSION || head[12..16] != [0; 4] || !is_whole {
            return Err(damaged("is not what was written"));
        }
        let backup: Self =
            wire::decode(body).map_err(|error| error.context("the manifest of this backup"))?;
        backup.check()?;
        Ok(backup)
    }

    /// Whether its files are those that the store's manifest asks for.
    fn check(&self) -> Result<()> {
        let damaged =
            |what: &str| Error::new(ErrorKind::Corrupt, format!("the manifest of this backup {what}"));
        manifest::check(&self.manifest).map_err(|error| error.as_kind(ErrorKind::Corrupt))?;
        if self.manifest.store_id != self.store_id || !self.manifest.is_standalone() {
            return Err(damaged("names a state that it does not hold"));
        }
        let wanted = files_of(&self.manifest).map(|(segment, deaths, bytes)| (segment, deaths, Some(bytes)));
        let listed = self.files.iter().map(|file| (file.segment, file.deaths, Some(file.bytes)));
        if !wanted.eq(listed)
            || self.files.iter().map(|file| u128::from(file.bytes)).sum::<u128>() != u128::from(self.bytes)
        {
            return Err(damaged("does not name the files of its state"));
        }
        Ok(())
    }
}

/// The files that a store's manifest names, in the order of a backup: segment, generation of deaths, bytes.
pub(super) fn files_of(
    manifest: &Manifest,
) -> impl Iterator<Item = (SegmentId, Option<Generation>, u64)> + '_ {
    manifest.segments.iter().flat_map(|segment| {
        let deaths = segment.deaths.as_ref();
        let deaths = deaths.map(|deaths| (segment.id, Some(deaths.generation), deaths.file_bytes));
        std::iter::once((segment.id, None, segment.file.file_bytes)).chain(deaths)
    })
}
