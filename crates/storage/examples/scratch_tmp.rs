//! scratch
#![allow(clippy::disallowed_methods)]
use codegraph_vector_base::{*, vfs::*};
use codegraph_vector_storage::*;
use std::time::Instant;
fn main() {
    let layout = StoreLayout::new("/tmp/scratch_seg");
    layout.create_dirs(&RealVfs).unwrap();
    let t = Instant::now();
    let mut w = SegmentWriter::create(&RealVfs, &layout, StoreId([1; 16]), SegmentId(1)).unwrap();
    let chunk = vec![7u8; 1 << 22];
    w.begin(SectionKind(1)).unwrap();
    for _ in 0..256 { w.write(&chunk).unwrap(); }
    w.end().unwrap();
    w.begin(SectionKind(2)).unwrap();
    for i in 0..10_000_000u64 { w.write(&i.to_le_bytes()).unwrap(); }
    w.end().unwrap();
    println!("written {:?}", t.elapsed());
    let r = w.finish().unwrap();
    println!("finished {:?}", t.elapsed());
    let path = layout.segment_path(SegmentId(1));
    let t = Instant::now();
    let f = SegmentFile::open(&RealVfs, &path, StoreId([1; 16]), SegmentId(1), &r).unwrap();
    println!("open {:?}", t.elapsed());
    let s = f.section(SectionKind(1)).unwrap();
    for pass in 0..3 {
        let t = Instant::now();
        let mut sum = 0u64; let n = s.len() / 1536; let mut at = 1usize;
        for _ in 0..n { at = (at * 7919) % n; sum += s.bytes(at * 1536..at * 1536 + 1536).unwrap()[0] as u64; if at == 0 { at = 1 } }
        println!("pass {pass}: {:?} a row ({sum})", t.elapsed() / n as u32);
    }
    let t = Instant::now(); s.bytes_all().unwrap(); println!("all {:?}", t.elapsed());
    let t = Instant::now(); let mut sum = 0u64;
    for i in 0..10_000_000usize { sum += s.bytes((i & 1023) * 1536..(i & 1023) * 1536 + 1536).unwrap()[0] as u64 }
    println!("hot {:?} a call ({sum})", t.elapsed() / 10_000_000);
    let t = Instant::now(); let v = verify_segment(&RealVfs, &path, StoreId([1; 16]), SegmentId(1), &r).unwrap(); println!("verify {:?} {}", t.elapsed(), v.len());
    std::fs::remove_dir_all("/tmp/scratch_seg").unwrap();
}
