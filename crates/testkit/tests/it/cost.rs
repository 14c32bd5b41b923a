//! Forks have to be cheap: a workload is forked at every call, for thousands of seeds.

use std::path::Path;

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{Clock, SystemClock};
use codegraph_vector_testkit::{CrashStyle, Rng, SimVfs};

use super::create_durable;

/// Prints what a fork costs (`--nocapture`); fails only if it is out of all proportion.
#[test]
fn forks_are_cheap() {
    let sim = SimVfs::new(1);
    sim.create_dir_all(Path::new("/db/wal")).unwrap();
    sim.sync_dir(Path::new("/db")).unwrap();
    sim.sync_dir(Path::new("/")).unwrap();
    let zeros = vec![0; 64 << 10];
    let files: Vec<_> = (0..8).map(|i| create_durable(&sim, &format!("/db/wal/{i}"), &zeros)).collect();
    for (i, file) in files.iter().enumerate() {
        (0..16).for_each(|page| file.write_at(&[1; 300], page * 4096).unwrap());
        file.sync_data().unwrap();
        (0..4).for_each(|write| file.write_at(&[i as u8; 700], write * 700).unwrap());
    }
    let clock = SystemClock::new();
    let mut rng = Rng::new(1);
    let mut measure = |name: &str, fork: &mut dyn FnMut(&mut Rng) -> SimVfs| {
        const FORKS: u32 = 2_000;
        let start = clock.monotonic();
        (0..FORKS).for_each(|_| drop(fork(&mut rng)));
        let each = (clock.monotonic() - start) / FORKS;
        println!("{name}: {each:?}");
        assert!(each.as_micros() < 1_000, "{name} takes {each:?}");
    };
    for style in CrashStyle::ALL {
        measure(&format!("crash {style:?}"), &mut |rng| sim.crash(rng, style));
    }
    measure("kill", &mut |_| sim.kill());
    measure("kill, then write to all", &mut |_| {
        let fork = sim.kill();
        for i in 0..8 {
            let path = format!("/db/wal/{i}");
            let file = fork.open(Path::new(&path), codegraph_vector_base::vfs::OpenMode::ReadWrite).unwrap();
            file.write_at(&[7; 100], 3_000).unwrap();
            file.sync_data().unwrap();
        }
        fork
    });
}
