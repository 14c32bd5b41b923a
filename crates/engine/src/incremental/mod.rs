//! Incremental updates: single changes in, from whoever has some; few, large commits out.
//!
//! Read in this order: [`manager`] (what there is), [`graph`] (who waits for whom), [`pipeline`] and [`workers`] (getting
//! in, being taken, and who does the work), [`batch`] (a batch on its way into the log), [`prepare`] and [`resolve`] (what operations
//! come to), [`ticket`], [`seal`].

mod batch;
mod config;
mod graph;
mod manager;
mod operation;
mod pipeline;
mod prepare;
mod resolve;
mod seal;
mod statistics;
mod ticket;
mod workers;

pub use config::{IncrementalConfig, IncrementalMode, WhenFull};
#[cfg(feature = "test-switches")]
pub use config::{Moment, Probe};
pub use manager::IncrementalUpdateManager;
pub use operation::{IncrementalOperation, Priority};
pub use statistics::IncrementalStatistics;
pub use ticket::{Ticket, TicketOutcome};
