//! Import: rows from files, numbered, with their metadata, committed in batches.
//!
//! What always holds: memory is flat, a few batches whatever the file's size; a batch is one commit,
//! and is reported only after its acknowledgement; reading the next batch, preparing one and syncing
//! another go on side by side.

mod metadata;
mod pipeline;
mod rows;

pub(crate) use metadata::MetadataFile;
pub(crate) use pipeline::{Acknowledged, commit_all};
pub(crate) use rows::Rows;
