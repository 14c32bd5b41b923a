//! What lies on disk: the write-ahead log, segment files, death files and manifests of a store's folder.
//!
//! What always holds:
//! - files other than the log's appear whole, synced and under their final name, or not at all;
//! - every byte read is covered by a checksum, and damage is an error that names file and offset;
//! - a newer format is refused as such, never taken for damage, and never passed over.
//!
//! It does not look into a section of a segment, nor into a record of the log: those are the engine's.

mod deaths;
mod envelope;
mod layout;
pub mod manifest;
mod segment;
pub mod wal;

pub use deaths::{DeathFileRef, read_deaths, write_deaths};
pub use layout::StoreLayout;
pub use segment::{
    BLOCK_BYTES, BadBlock, Section, SectionKind, SegmentFile, SegmentFileRef, SegmentWriter, verify_segment,
};
