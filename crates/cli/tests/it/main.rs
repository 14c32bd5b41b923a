//! `cgv` through its front door: the real binary, real files.

#![allow(clippy::disallowed_methods)] // Tests look at what the binary did from outside.

mod beside;
mod cycle;
mod input;
mod kill;
mod mcp;
mod mcp_client;
mod mcp_files;
mod sample;
mod usage;
