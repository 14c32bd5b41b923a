//! Files of numbers, and time, for the benchmarks of this folder.

use std::sync::LazyLock;
use std::time::Instant;

/// What this thread has had of the processor, so that others on the machine do not count; else the time of day.
pub(crate) fn spent_ns() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = spent.and_then(|text| text.split(' ').next()?.parse().ok());
    spent.unwrap_or_else(|| START.elapsed().as_secs_f64() * 1e9)
}

/// The numbers of a file of float16 in C order, and how many a row has.
pub(crate) fn read(path: &str) -> (Vec<f32>, usize) {
    let bytes = std::fs::read(path).expect("a file that can be read");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..10 + length]);
    assert!(header.contains("'<f2'") && header.contains("'fortran_order': False"), "{header}");
    let shape =
        header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).expect("a shape").0;
    let dim = shape.split(',').nth(1).and_then(|text| text.trim().parse().ok()).expect("two dimensions");
    let numbers =
        bytes[10 + length..].chunks_exact(2).map(|half| widen(u16::from_le_bytes([half[0], half[1]])));
    (numbers.collect(), dim)
}

/// IEEE half to float.
fn widen(half: u16) -> f32 {
    let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f32::from(half & 0x3ff);
    let size = match half >> 10 & 0x1f {
        0 => fraction * 2.0_f32.powi(-24),
        exponent => (1024.0 + fraction) * 2.0_f32.powi(i32::from(exponent) - 25),
    };
    sign * size
}
