//! `cgv` through its front door: the real binary, real files.

#![allow(clippy::disallowed_methods)] // Tests look at what the binary did from outside.

mod backup;
mod bench;
mod beside;
mod changes;
mod compress;
mod cycle;
mod damage;
mod endpoint;
mod fork;
mod in_doubt;
mod index;
mod index_git;
mod index_kill;
mod index_kill_modes;
mod index_watch;
mod input;
mod kill;
mod manual;
mod mcp;
mod mcp_client;
mod mcp_files;
mod merge_kill;
mod sample;
mod search;
mod usage;
