//! What the tests of the store stand on: a simulated file system, clock and randomness, a
//! conformance suite for the file-system contract, a checker of histories of transactions, and generators of data.
//!
//! What always holds:
//! - everything is a function of seeds: the same calls on the same seeds give the same bytes;
//! - a [`SimVfs`] keeps, for each file and folder, what was written apart from what was synced,
//!   and [`SimVfs::crash`] may lose, reorder and tear whatever the contract in `base::vfs` lets a
//!   power cut lose, and nothing else;
//! - what [`SimVfs::crash`] and [`SimVfs::kill`] return is independent of the original and shares
//!   its pages, copy on write, so that a workload can be forked at every file-system call;
//! - an [`Observer`] runs on the calling thread with no lock of the simulation held;
//! - [`history`] judges what transactions saw by what they did, and knows no engine;
//! - [`conformance`] asks of any `Vfs` only what the contract promises.
//!
//! It ships with nothing: the crates above use it in their tests.

mod clock;
pub mod conformance;
pub mod corpus;
pub mod generators;
pub mod history;
#[cfg(feature = "git")]
pub mod repository;
mod rng;
pub mod scheduled;
mod sim;

pub use clock::SimClock;
pub use rng::{Rng, SeededRandom};
pub use sim::{Action, Call, Changes, CrashStyle, Fault, Lies, Observer, Op, SimVfs};
