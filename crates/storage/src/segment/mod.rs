//! Segment files: immutable, checksummed, opened as a map. What is in a section is the engine's affair.
//!
//! What always holds:
//! - a segment appears under its name complete and durable, and is never written again;
//! - every byte is covered: sections by block checksums, header, checksums and table by the trailer's, padding is zero;
//! - the manifest's [`SegmentFileRef`] pins length and table, and so the whole file;
//! - a block is checked before its bytes are first handed out; a bad one is remembered, and the others keep answering.
//!
//! | part | bytes |
//! | --- | --- |
//! | header | 128: the envelope (`envelope.rs`), segment id set |
//! | sections | each from a multiple of 64, zeros between |
//! | block checksums | from a multiple of 64: CRC-32C (u32) of each 64 KiB of each section, the last block shorter |
//! | section table | wire-encoded list of (kind u16, reserved u16, offset u64, length u64, checksums' offset u64) |
//! | trailer | 48, see `format.rs` |
//!
//! Sections, their checksums, table and trailer follow each other without gaps, so that the table says nothing
//! that a reader cannot check.

mod blocks;
mod format;
mod reader;
mod scrub;
mod writer;

pub use format::{BLOCK_BYTES, LOSSY_VECTORS, SectionKind, SegmentFileRef};
pub use reader::{Section, SegmentFile};
pub use scrub::{BadBlock, verify_segment};
pub use writer::SegmentWriter;

#[cfg(test)]
mod sample;
