//! The indexer through its public door, over real folders and real stores.
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::disallowed_methods)] // The tests make source files, which are no store's.

mod harness;
mod index_basics;
mod index_commits;
mod index_files;
mod index_interrupted;
mod index_steps;
mod index_stores;
mod index_walk;
