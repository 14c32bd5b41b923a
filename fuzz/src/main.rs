//! One program for all targets, so that a build links once: `FUZZ_TARGET` names the decoder that the
//! bytes go to; everything else is libFuzzer's. See `../run`.
#![no_main]

mod cli;
mod storage;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fn target() -> fn(&[u8]) {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let all = storage::TARGETS.iter().chain(&cli::TARGETS).chain(&codegraph_vector::fuzzing::TARGETS);
        let found = all.clone().find(|(name, _)| *name == wanted);
        let names: Vec<_> = all.map(|(name, _)| *name).collect();
        found.unwrap_or_else(|| panic!("FUZZ_TARGET={wanted:?} is not one of {names:?}")).1
    })
}

fuzz_target!(|bytes: &[u8]| target()(bytes));
