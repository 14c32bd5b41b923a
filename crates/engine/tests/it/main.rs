//! The engine as a whole, on simulated and real disks.
#![allow(missing_docs, unreachable_pub)]

mod bad_input;
mod bad_input_places;
mod change_pins;
mod changes;
mod coded_search;
mod compression;
mod concurrency;
mod corruption;
mod corruption_examine;
mod crash_sim;
mod forks;
mod found_by_review;
mod hermitage;
mod histories;
mod index_life;
mod metadata_pass;
mod oracle;
mod properties;
mod read_only;
mod sample;
mod text_search;
mod transactions_found;
mod transactions_stress;
