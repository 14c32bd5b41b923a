//! Bad histories, one or more of each class, with all that the checker has to find in them.

use codegraph_vector_testkit::history::Class::{self, G0, G1a, G1b, G1c, G2, G2Item, GSingle, Otv, P4, Pmp};
use codegraph_vector_testkit::history::{History, Level, anomalies};

use super::{found, shown};

/// A history's transactions without their levels.
fn parse(lines: &[&str]) -> History {
    let text: Vec<_> = lines
        .iter()
        .map(|line| match line.split_once(':') {
            Some((head, rest)) if !head.contains(' ') => format!("{head} serializable:{rest}"),
            _ => (*line).to_owned(),
        })
        .collect();
    text.join("\n").parse().unwrap()
}

#[track_caller]
fn assert_shows(lines: &[&str], classes: &[Class]) {
    let history = parse(lines);
    assert_eq!(shown(&history), classes, "\n{history}");
    for level in Level::ALL {
        let forbidden: Vec<_> = classes.iter().copied().filter(|class| class.forbidden_at(level)).collect();
        assert_eq!(found(&history.at(level)), forbidden, "at {level}\n{history}");
    }
}

#[test]
fn dirty_writes() {
    // Items 1 and 2 end with writes of different transactions on top.
    assert_shows(
        &["1: w(1:11) w(2:12) commit(1)", "2: w(1:21) w(2:22) commit(2)", "order 1: 11 21", "order 2: 22 12"],
        &[G0],
    );
    assert_shows(&["1: w(1:11) w(2:12) commit(1)", "2: w(1:21) w(2:22) commit(2)"], &[]);
}

#[test]
fn aborted_reads() {
    assert_shows(&["1: w(1:11) abort", "2: r(1:11) commit"], &[G1a]);
    // A search that went by an aborted version has read it, whether it fits or not.
    assert_shows(&["1: w(1:11) abort", "2: s(; 1:11; ) commit"], &[G1a]);
    // What a savepoint took back never happened either.
    assert_shows(&["1: w(1:11) undo(11) w(2:12) commit(1)", "2: r(1:11) commit"], &[G1a]);
    // Nor does it help that the reader gave up.
    assert_shows(&["1: w(1:11) abort", "2: r(1:11) abort"], &[G1a]);
    assert_shows(&["1: w(1:11) abort", "2: r(1:0) commit"], &[]);
}

#[test]
fn intermediate_reads() {
    assert_shows(&["1: w(1:11) w(1:12) commit(1)", "2: r(1:11) commit"], &[G1b]);
    assert_shows(&["1: w(1:11) r(1:11) w(1:12) r(1:12) commit(1)", "2: r(1:12) commit"], &[]);
    // The second write was taken back, so the first is final.
    assert_shows(&["1: w(1:11) w(1:12) undo(12) commit(1)", "2: r(1:11) commit"], &[]);
}

#[test]
fn circular_information_flow() {
    // Each has read what the other wrote.
    assert_shows(&["1: w(1:11) r(2:21) commit(1)", "2: w(2:21) r(1:11) commit(2)"], &[G1c]);
    // Written over, and read: what was written later was known before.
    assert_shows(&["1: w(1:11) r(2:22) commit(1)", "2: w(1:21) w(2:22) commit(2)"], &[G1c]);
    // Through what a search found.
    assert_shows(&["1: w(1:11) s(; 2:21; 21) commit(1)", "2: w(2:21) r(1:11) commit(2)"], &[G1c]);
    // A search is no flow from who changed nothing about what it finds.
    assert_shows(&["1: w(1:11) s(; 2:21; 99) commit(1)", "2: w(2:21) r(1:11) commit(2)"], &[]);
}

#[test]
fn observed_transactions_vanish() {
    // As in Hermitage: 3 sees 2's second row, then the first one from before 2.
    assert_shows(
        &["1: w(1:11) w(2:12) commit(1)", "2: w(1:21) w(2:22) commit(2)", "3: r(2:22) r(1:11) commit"],
        &[Otv, GSingle],
    );
    // The other way round it is an unrepeatable view, and nothing has vanished.
    assert_shows(
        &["1: w(1:11) w(2:12) commit(1)", "2: w(1:21) w(2:22) commit(2)", "3: r(1:11) r(2:22) commit"],
        &[GSingle],
    );
    // In one statement there is no way round: a part of a transaction was seen.
    assert_shows(
        &["1: w(1:11) w(2:12) commit(1)", "2: w(1:21) w(2:22) commit(2)", "3: r(1:11 2:22) commit"],
        &[Otv, GSingle],
    );
    // A row that a search should have found.
    assert_shows(&["1: w(1:11) w(2:12) commit(1)", "2: r(1:11) s(; 2:0; 12) commit"], &[Otv, GSingle]);
    assert_shows(&["1: w(1:11) w(2:12) commit(1)", "2: r(1:11) s(; 2:0; 99) commit"], &[]);
}

#[test]
fn predicates_with_many_preceders() {
    assert_shows(&["1: w(1:11) commit(1)", "2: s(; 1:0; 11) s(1:11; 1:11; 11) commit"], &[Pmp, GSingle]);
    // Searches that overlap, but not where something was changed.
    assert_shows(
        &["1: w(1:11) commit(1)", "2: w(1:21) commit(2)", "3: s(; 1:11; 11) s(; 1:21; 21) commit"],
        &[GSingle],
    );
    // A delete, seen by the second of two searches that have the row in common.
    assert_shows(
        &["1: w(1:11) commit(1)", "2: d(1:21) commit(2)", "3: s(1:11; 1:11; 11) s(; 1:21; 11) commit"],
        &[Pmp, GSingle],
    );
}

#[test]
fn lost_updates() {
    assert_shows(&["1: r(1:0) w(1:11) commit(1)", "2: r(1:0) w(1:21) commit(2)"], &[P4, GSingle]);
    assert_shows(&["1: r(1:0) w(1:11) commit(1)", "2: r(1:11) w(1:21) commit(2)"], &[]);
    // Written without having been read: nothing is lost that anybody built on.
    assert_shows(&["1: r(1:0) w(1:11) commit(1)", "2: w(1:21) commit(2)"], &[]);
}

#[test]
fn read_skew() {
    assert_shows(&["1: r(1:0) r(2:22) commit", "2: w(1:21) w(2:22) commit(1)"], &[GSingle]);
    // The same row twice.
    assert_shows(&["1: r(1:0) r(1:21) commit", "2: w(1:21) commit(1)"], &[GSingle]);
    // A chain: 1 read before 2, and after 3, which read from 2.
    assert_shows(
        &["1: r(1:0) r(2:32) commit", "2: w(1:21) commit(1)", "3: r(1:21) w(2:32) commit(2)"],
        &[GSingle],
    );
    // A search that missed what a read found (Hermitage: G-single with dependencies).
    assert_shows(&["1: s(; 1:0; 21) r(2:22) commit", "2: w(1:21) w(2:22) commit(1)"], &[GSingle]);
}

#[test]
fn write_skew_on_items() {
    assert_shows(&["1: r(1:0 2:0) w(1:11) commit(1)", "2: r(1:0 2:0) w(2:22) commit(2)"], &[G2Item]);
    // Three of them in a ring.
    assert_shows(
        &["1: r(2:0) w(1:11) commit(1)", "2: r(3:0) w(2:22) commit(2)", "3: r(1:0) w(3:33) commit(3)"],
        &[G2Item],
    );
    // The read-only transaction that sees what no serial order gives (Fekete, O'Neil, O'Neil 2004).
    assert_shows(
        &["1: r(1:0 2:0) w(1:11) commit(2)", "2: r(2:0) w(2:22) commit(1)", "3: r(1:0 2:22) commit"],
        &[G2Item],
    );
}

#[test]
fn write_skew_on_predicates() {
    assert_shows(
        &["1: s(; 1:0 2:0; 11 22) w(1:11) commit(1)", "2: s(; 1:0 2:0; 11 22) w(2:22) commit(2)"],
        &[G2],
    );
    // One of the two read an item.
    assert_shows(&["1: s(; 2:0; 22) w(1:11) commit(1)", "2: r(1:0) w(2:22) commit(2)"], &[G2]);
    // Neither changes what the other looked for.
    assert_shows(&["1: s(; 1:0 2:0; 99) w(1:11) commit(1)", "2: s(; 1:0 2:0; 99) w(2:22) commit(2)"], &[]);
    // Hermitage: two anti-dependency edges. 3 sees what 2 did and not what 1 is about to do.
    assert_shows(
        &[
            "1: s(; 1:0 2:0; 11 22) w(1:11) commit(2)",
            "2: w(2:22) commit(1)",
            "3: s(2:22; 1:0 2:22; 11 22) commit",
        ],
        &[G2],
    );
}

#[test]
fn where_levels_are_mixed_an_edge_is_the_readers_concern() {
    let skew = |one: &str, other: &str| {
        parse(&[
            &format!("1 {one}: r(1:0 2:0) w(1:11) commit(1)"),
            &format!("2 {other}: r(1:0 2:0) w(2:22) commit(2)"),
        ])
    };
    assert_eq!(found(&skew("repeatable_read", "serializable")), [G2Item]);
    assert_eq!(found(&skew("read_committed", "serializable")), []);
    // The dirty reader asked for it.
    assert_eq!(found(&parse(&["1 serializable: w(1:11) abort", "2 read_uncommitted: r(1:11) commit"])), []);
    assert_eq!(
        found(&parse(&["1 read_uncommitted: w(1:11) abort", "2 read_committed: r(1:11) commit"])),
        [G1a]
    );
    // A cycle through a dirty read is no cycle to the other.
    let flow = ["w(1:11) r(2:21) commit(1)", "w(2:21) r(1:11) commit(2)"];
    let mixed =
        |first: &str| parse(&[&format!("1 {first}: {}", flow[0]), &format!("2 serializable: {}", flow[1])]);
    assert_eq!(found(&mixed("read_uncommitted")), []);
    assert_eq!(found(&mixed("read_committed")), [G1c]);
    // A lost update is the loss of who had read.
    let lost = |first: &str, second: &str| {
        parse(&[
            &format!("1 {first}: r(1:0) w(1:11) commit(1)"),
            &format!("2 {second}: r(1:0) w(1:21) commit(2)"),
        ])
    };
    assert_eq!(found(&lost("read_committed", "repeatable_read")), [P4, GSingle]);
    assert_eq!(found(&lost("repeatable_read", "read_committed")), []);
    // A predicate write is validated at any level.
    let write = |level: &str| {
        parse(&[
            &format!("1 read_committed: s(; 1:0 2:0; 11 22{level}) w(1:11) commit(1)"),
            &format!("2 read_committed: s(; 1:0 2:0; 11 22{level}) w(2:22) commit(2)"),
        ])
    };
    assert_eq!(found(&write("")), []);
    assert_eq!(found(&write("; serializable")), [G2]);
}

#[test]
fn an_anomaly_says_where_it_is() {
    let history = parse(&["1: r(1:0 2:0) w(1:11) commit(1)", "2: r(1:0 2:0) w(2:22) commit(2)"]);
    let told: Vec<_> = anomalies(&history).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["G2-item: 1 -rw 2-> 2 -rw 1-> 1"]);
    let history = parse(&["7: w(1:11) abort", "8: r(1:11) commit"]);
    assert_eq!(anomalies(&history)[0].to_string(), "G1a: transaction 8 read version 11 of transaction 7");
}
