//! What lies on disk: the write-ahead log, segment files, death files and manifests of a store's folder.
//!
//! What always holds:
//! - files other than the log's appear whole, synced and under their final name, or not at all;
//! - every byte read is covered by a checksum, and damage is an error that names file and offset;
//! - a newer format is refused as such, never taken for damage, and never passed over.
//!
//! It does not look into a section of a segment, nor into a record of the log: those are the engine's.
//!
//! ```
//! use codegraph_vector_base::{SegmentId, StoreId, vfs::RealVfs};
//! use codegraph_vector_storage::{SectionKind, SegmentFile, SegmentWriter, StoreLayout};
//!
//! let folder = tempfile::tempdir()?;
//! let layout = StoreLayout::new(folder.path().join("store"));
//! layout.create_dirs(&RealVfs)?;
//! let (store, id) = (StoreId([1; 16]), SegmentId(1));
//!
//! let mut writer = SegmentWriter::create(&RealVfs, &layout, store, id)?;
//! writer.section(SectionKind(1), b"rows")?;
//! let file_ref = writer.finish()?; // For the manifest: without it the file is not opened.
//!
//! let file = SegmentFile::open(&RealVfs, &layout.segment_path(id), store, id, &file_ref)?;
//! let section = file.section(SectionKind(1)).expect("was written");
//! assert_eq!(section.bytes(1..3)?, b"ow");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod deaths;
mod envelope;
mod layout;
pub mod manifest;
mod segment;
pub mod wal;

pub use deaths::{DeathFileRef, read_deaths, write_deaths};
pub use layout::StoreLayout;
pub use manifest::EmbedderId;
pub use segment::{
    BLOCK_BYTES, BadBlock, LOSSY_VECTORS, Section, SectionKind, SegmentFile, SegmentFileRef, SegmentWriter,
    verify_segment,
};
