//! Integration tests of the storage crate, in one binary so that linking stays quick.

mod damage;
mod durability;
mod fuzz_corpus;
mod golden;
mod real_disk;
mod sample;
mod wal;
