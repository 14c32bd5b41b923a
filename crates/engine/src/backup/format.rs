//! The manifest of a backup, as a file of its own.
//!
//! A sealed body (`envelope.rs`), magic `CGVBKP\r\n`, version 1: the wire encoding of [`BackupManifest`], exactly.

use std::path::PathBuf;

use codegraph_vector_base::{ErrorKind, Generation, Result, SegmentId, SeqNo, StoreId, wire};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{self, Manifest};
use wincode::{SchemaRead, SchemaWrite};

use super::envelope::Kind;
use super::repository::rfc3339;

const KIND: Kind = Kind { magic: b"CGVBKP\r\n", version: 1, name: "the manifest of this backup" };

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
        Ok(KIND.seal(&wire::encode(self)?))
    }

    /// Any body as a file.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn seal_bytes(body: &[u8]) -> Vec<u8> {
        KIND.seal(body)
    }

    /// What the bytes of a file say.
    ///
    /// # Errors
    /// `Corrupt` unless they are whole and agree with themselves; `Unsupported` for a newer format.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let body = KIND.open(bytes)?;
        let backup: Self = wire::decode(body).map_err(|error| error.context(KIND.name))?;
        backup.check()?;
        Ok(backup)
    }

    /// Whether its files are those that the store's manifest asks for.
    fn check(&self) -> Result<()> {
        manifest::check(&self.manifest).map_err(|error| error.as_kind(ErrorKind::Corrupt))?;
        if self.manifest.store_id != self.store_id || !self.manifest.is_standalone() {
            return Err(KIND.damaged("names a state that it does not hold"));
        }
        let wanted = files_of(&self.manifest).map(|(segment, deaths, bytes)| (segment, deaths, Some(bytes)));
        let listed = self.files.iter().map(|file| (file.segment, file.deaths, Some(file.bytes)));
        if !wanted.eq(listed)
            || self.files.iter().map(|file| u128::from(file.bytes)).sum::<u128>() != u128::from(self.bytes)
        {
            return Err(KIND.damaged("does not name the files of its state"));
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

/// A backup of an empty store.
#[cfg(test)]
pub(super) fn sample() -> BackupManifest {
    use codegraph_vector_storage::manifest::{MetricCode, StoreSchema};
    let schema = StoreSchema { dimension: 2, metric: MetricCode(1), embedder: None };
    BackupManifest {
        id: "20261124T031500.123Z-0".to_owned(),
        store_id: StoreId([1; 16]),
        parent: None,
        name: None,
        created_us: 1_767_571_200_000_000,
        took_us: 0,
        bytes: 0,
        new_bytes: 0,
        files: Vec::new(),
        manifest: Manifest::initial(StoreId([1; 16]), schema, 0),
    }
}
