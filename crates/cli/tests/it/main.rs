//! `cgv` through its front door: the real binary, real files.

#![allow(clippy::disallowed_methods)] // Tests look at what the binary did from outside.

mod bench;
mod beside;
mod changes;
mod compress;
mod cycle;
mod endpoint;
mod fork;
mod in_doubt;
mod index;
mod index_kill;
mod input;
mod kill;
mod manual;
mod mcp;
mod mcp_client;
mod mcp_files;
mod sample;
mod search;
mod usage;
