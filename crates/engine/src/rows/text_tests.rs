//! Section *text* against a map, and what hostile bytes do to it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::node::NodeMetadata;
use crate::rows::TextIndexBuilder;
use crate::rows::tests::written;
use crate::text::each_count;

const WORDS: [&str; 6] = ["parse", "config", "store", "größe", "a", "xyzzy"];

fn any_row() -> impl Strategy<Value = NodeMetadata> {
    let text = || vec(select(WORDS.as_slice()), 0..5).prop_map(|words| words.join(" "));
    (text(), text()).prop_map(|(name, terms)| NodeMetadata {
        name: Some(name.replace(' ', "_")),
        terms: (!terms.is_empty()).then_some(terms),
        ..NodeMetadata::default()
    })
}

fn section(rows: &[NodeMetadata]) -> Vec<u8> {
    let mut builder = TextIndexBuilder::default();
    rows.iter().for_each(|row| builder.push(row).expect("few rows"));
    written(|sink| builder.finish(sink))
}

/// Postings by term, and lengths.
fn all_of<B: SectionBytes>(text: &TextIndex<B>, terms: &[&str]) -> Result<Vec<Vec<(RowOrdinal, u32)>>> {
    let postings = terms.iter().map(|term| {
        let mut found = Vec::new();
        if let Some(mut postings) = text.find(term)? {
            let count = postings.count();
            while let Some(posting) = text.step(&mut postings)? {
                found.push(posting);
            }
            assert_eq!(found.len(), count as usize);
        }
        Ok(found)
    });
    postings.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_was_written(rows in vec(any_row(), 0..40)) {
        let mut expected: BTreeMap<String, BTreeMap<RowOrdinal, u32>> = BTreeMap::new();
        let mut lengths = Vec::new();
        for (ordinal, row) in (0..).zip(&rows) {
            lengths.push(each_count(row, &mut |term, count| {
                *expected.entry(term.to_owned()).or_default().entry(ordinal).or_default() += count;
            }));
        }
        let text = TextIndex::open(section(&rows), rows.len()).unwrap();
        text.verify().unwrap();
        prop_assert_eq!(text.total_length(), lengths.iter().map(|length| u64::from(*length)).sum::<u64>());
        let found: Vec<u32> = text.lengths().unwrap().iter().map(|length| u32::from_le_bytes(*length)).collect();
        prop_assert_eq!(found, lengths);
        let terms: Vec<&str> = expected.keys().map(|term| &**term).collect();
        for (found, expected) in all_of(&text, &terms).unwrap().into_iter().zip(expected.values()) {
            prop_assert_eq!(found, expected.iter().map(|(row, count)| (*row, *count)).collect::<Vec<_>>());
        }
        prop_assert!(text.find("nowhere").unwrap().is_none());
    }

    #[test]
    fn hostile_bytes_are_an_error(
        rows in vec(any_row(), 1..20),
        at: prop::sample::Index,
        byte: u8,
        cut: prop::sample::Index,
    ) {
        let mut bytes = section(&rows);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let terms = ["pars", "config", "=xyzzy", "a"];
        let read = |bytes: &[u8]| {
            let text = TextIndex::open(bytes, rows.len())?;
            let verified = text.verify();
            let found = all_of(&text, &terms)?;
            assert!(found.iter().flatten().all(|(row, count)| *row < text.rows() && *count > 0));
            verified
        };
        let _ = read(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        let error = read(&bytes).expect_err("a section that is cut short");
        prop_assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported));
    }
}

#[test]
fn each_lie_is_met() {
    let row = |name: &str| NodeMetadata { name: Some(name.to_owned()), ..NodeMetadata::default() };
    let bytes = section(&[row("a"), row("a b"), row("b")]);
    TextIndex::open(&bytes[..], 3).expect("sound").verify().expect("sound");
    assert_eq!(TextIndex::open(&bytes[..], 2).expect_err("of three rows").kind(), ErrorKind::Corrupt);
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        bytes
    };
    let newer = changed(0, FORMAT as u8 + 1);
    assert_eq!(TextIndex::open(&newer[..], 3).expect_err("newer").kind(), ErrorKind::Unsupported);
    let longer = changed(16, bytes[16] + 1);
    let error = TextIndex::open(&longer[..], 3).expect("opened").verify().expect_err("lengths do not add up");
    assert!(error.message().contains("add up"), "{error}");
    // The last posting is that of the last term.
    let beyond = changed(bytes.len() - 2, 0x0e);
    let error = TextIndex::open(&beyond[..], 3).expect("opened").verify().expect_err("a row beyond the last");
    assert!(error.message().contains("postings"), "{error}");
}
