use super::*;

fn figures(name: &str, ours: bool, code_bytes: f64, recall: f64, scan_qps: f64) -> Figures {
    let known = |figure| ours.then_some(figure);
    Figures {
        name: name.to_owned(),
        ours,
        version: "1.0".to_owned(),
        code_bytes,
        bytes: code_bytes * 1000.0,
        recall,
        reranked: known(0.99),
        agreement: known(1.0),
        scan_qps,
        p50_us: known(100.0),
        encode_per_s: 1e6,
        train_s: if ours { 1.5 } else { 3.0 },
    }
}

#[test]
fn the_gap_is_closed_wholly_partly_or_widened() {
    assert_eq!(gap_closed(1.0, 0.5), Some(1.0));
    assert_eq!(gap_closed(0.75, 0.5), Some(0.5));
    assert_eq!(gap_closed(0.5, 0.5), Some(0.0));
    assert_eq!(gap_closed(0.25, 0.5), Some(-0.5));
    assert_eq!(gap_closed(1.0, 1.0), None);
}

#[test]
fn a_code_belongs_to_the_nearest_size() {
    let sizes =
        [(384.0, 4), (408.4, 4), (216.4, 8), (196.0, 8), (120.4, 16), (100.0, 16), (64.4, 32), (48.0, 32)];
    for (code_bytes, ratio) in sizes {
        assert_eq!(class_of(code_bytes, 384), ratio, "{code_bytes}");
    }
    assert_eq!((class_of(1.0, 384), class_of(5000.0, 384)), (32, 4));
}

#[test]
fn ours_has_no_more_bytes_than_its_class_and_than_the_peer() {
    let all = [
        figures("peer-good", false, 196.0, 0.94, 100.0),
        figures("peer-fast", false, 180.0, 0.8, 500.0),
        figures("peer-of-another-size", false, 96.0, 0.99, 9000.0),
        figures("fits", true, 192.0, 0.96, 700.0),
        figures("too-large", true, 195.0, 0.99, 9000.0),
        figures("small", true, 176.0, 0.5, 600.0),
    ];
    let best = best(&CLASSES[1], &all, 384);
    let name = |row: Option<&Figures>| row.map(|row| row.name.clone()).unwrap_or_default();
    assert_eq!((name(best.peer), name(best.fastest_peer)), ("peer-good".into(), "peer-fast".into()));
    assert_eq!(name(best.ours), "fits");
    // The fastest peer has 180 bytes, so 192 are too many to be held against it.
    assert_eq!(name(best.our_fastest), "small");
}

#[test]
fn tables_say_ratios_and_whether_goals_are_met() {
    let all = [
        figures("faiss-pq-8x", false, 192.0, 0.9, 1000.0),
        figures("product:m=192,nbits=8,rotate=false", true, 192.0, 0.91, 1100.0),
        figures("transform:bytes=192", true, 192.0, 0.95, 1300.0),
        figures("transform:bytes=96", true, 96.0, 0.9, 1300.0),
    ];
    let text = tables(&all, 384);
    let has = |line: &str| assert!(text.contains(line), "{line} in\n{text}");
    has("| 8x | faiss-pq-8x | 192 | 0.9000 | `transform:bytes=192` | 192 | 0.9500 | 50 % | ≥ 0.25 met |");
    has("| faiss-pq-8x | 1000 | `transform:bytes=192` | 1300 | 1.30 | ≥ 1.2 met |");
    has("| `transform:bytes=192` | 192 | 960 | 0.9900 | ≥ 0.99 met | 0.9500 |");
    has("| 16x | `transform:bytes=96` | 96 | 864 | 0.9900 | ≥ 0.985 met | 0.9000 |");
    has("| `product:m=192,nbits=8,rotate=false` | 1.50 | faiss-pq-8x | 3.00 | 0.50 | ≤ 1 met |");
    has("| faiss-pq-8x 1.0 | 8.0 | 192 | 0.2 | 0.9000 | 1000 | 1000000 | 3.00 s |");
    // Every line of a table has as many cells as its head.
    for part in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let cells: Vec<usize> = part.lines().map(|line| line.matches('|').count()).collect();
        assert!(cells.iter().all(|count| *count == cells[0]), "{part}");
    }
    let worse = [all[0].clone(), figures("transform:bytes=192", true, 192.0, 0.89, 900.0)];
    let text = tables(&worse, 384);
    assert!(text.contains("-10 % | ≥ 0.25 **missed**") && text.contains("0.90 | ≥ 1.2 **missed**"), "{text}");
}
