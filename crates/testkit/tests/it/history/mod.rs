//! The checker of histories: it names what is bad in bad ones, and finds nothing in good ones.

mod good;
mod seeded;

use codegraph_vector_testkit::history::{Class, History, Level, anomalies};

/// What a history shows, whatever its levels.
fn shown(history: &History) -> Vec<Class> {
    found(&history.at(Level::Serializable))
}

/// What a history shows that its levels forbid.
fn found(history: &History) -> Vec<Class> {
    history.check_form().unwrap();
    anomalies(history).into_iter().map(|anomaly| anomaly.class).collect()
}

#[test]
fn the_table_is_the_designs() {
    use Class::{G0, G1a, G1b, G1c, G2, G2Item, GSingle, Otv, P4, Pmp};
    let forbidden =
        |level| Class::ALL.into_iter().filter(|class| class.forbidden_at(level)).collect::<Vec<_>>();
    assert_eq!(forbidden(Level::ReadUncommitted), [G0]);
    assert_eq!(forbidden(Level::ReadCommitted), [G0, G1a, G1b, G1c, Otv]);
    assert_eq!(forbidden(Level::RepeatableRead), [G0, G1a, G1b, G1c, Otv, Pmp, P4, GSingle, G2Item]);
    assert_eq!(forbidden(Level::Serializable), [G0, G1a, G1b, G1c, Otv, Pmp, P4, GSingle, G2Item, G2]);
}

#[test]
fn a_history_survives_its_text_form() {
    let text = "1 serializable: w(7:10) d(8:11) undo(11) commit(1)\n\
                2 read_committed: r(7:10 8:0) s(7:10; 7:10 8:0; 10 14) s(; 7:10; ; serializable) abort\n\
                3 repeatable_read: commit\n\
                order 7: 10\n";
    let history: History = text.parse().unwrap();
    assert_eq!(history.to_string(), text);
    history.check_form().unwrap();
    for bad in [
        "1 serializable w(7:10)",
        "1 strict: commit",
        "1 serializable: w(7) commit",
        "1 serializable: r(7:1)",
    ] {
        assert!(bad.parse::<History>().is_err(), "{bad}");
    }
}

#[test]
fn what_is_no_history_is_refused() {
    let cases = [
        ("1 serializable: r(7:10) commit", "nobody wrote"),
        ("1 serializable: w(7:10) commit(1)\n2 serializable: r(8:10) commit", "nobody wrote"),
        ("1 serializable: w(7:10) commit(1)\n2 serializable: w(8:10) commit(2)", "anew"),
        (
            "1 serializable: w(7:10) commit(1)\n2 serializable: w(8:11) commit(1)",
            "two transactions are commit",
        ),
        ("1 serializable: commit\n1 serializable: commit", "two transactions 1"),
        ("1 serializable: w(7:10) r(7:0) commit(1)", "had written 10"),
        ("1 serializable: w(7:10) undo(10) r(7:10) commit", "taken back"),
        ("1 serializable: w(7:10) s(; 7:0; ) commit(1)", "had written 10"),
        ("1 serializable: undo(10) commit", "not there"),
        ("1 serializable: w(7:10) commit", "no place"),
    ];
    for (text, piece) in cases {
        let error = text.parse::<History>().unwrap().check_form().unwrap_err();
        assert!(error.contains(piece), "{text}: {error}");
    }
}
