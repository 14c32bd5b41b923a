//! Metadata as bytes and as JSON, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::filter::sample::any_metadata;

fn full() -> NodeMetadata {
    let node = CodeNode::new(7, vec![1.0])
        .with_path("src/a.rs")
        .with_name("parse")
        .with_kind("function")
        .with_language("rust")
        .with_lines(45, 56)
        .with_content_hash("8be1cb6e49d131eb")
        .with_attribute("async", true)
        .with_attribute("complexity", 7)
        .with_attribute("score", 0.5)
        .with_attribute("visibility", "pub");
    node.into_parts().2
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    error.message().to_owned()
}

#[test]
fn the_encoding_is_that_of_format_1() {
    let bytes = NodeMetadata {
        path: Some("a/b".to_owned()),
        start_line: Some(3),
        attributes: BTreeMap::from([("x".to_owned(), AttributeValue::Integer(-1))]),
        ..NodeMetadata::default()
    }
    .encode()
    .expect("valid");
    let mut expected = vec![1, 3, 0, 0, 0, 0, 0, 0, 0, b'a', b'/', b'b', 0, 0, 0, 1, 3, 0, 0, 0, 0, 0];
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'x', 1, 0, 0, 0]);
    expected.extend([0xff; 8]);
    assert_eq!(bytes, expected);
}

#[test]
fn terms_follow_what_was_there_before() {
    let without = full();
    let with = NodeMetadata { terms: Some("a b".to_owned()), ..without.clone() };
    let bytes = without.encode().expect("valid");
    let behind = [3, 0, 0, 0, 0, 0, 0, 0, b'a', b' ', b'b'];
    let longer = [&bytes[..], &behind].concat();
    assert_eq!(with.encode().expect("valid"), longer);
    assert_eq!(NodeMetadata::decode(&longer).expect("whole"), with);
    assert_eq!(NodeMetadata::decode(&bytes).expect("whole"), without);
    for cut in bytes.len() + 1..longer.len() {
        let error = NodeMetadata::decode(&longer[..cut]).expect_err("cut short");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    assert!(NodeMetadata::decode(&[&longer[..], &[0]].concat()).is_err(), "more than one value");
}

#[test]
fn parts_come_back() {
    let node = CodeNode::from_parts(9, vec![0.5, 1.5], full());
    assert_eq!(node.metadata(), full());
    assert_eq!(node.into_parts(), (9, vec![0.5, 1.5], full()));
}

#[test]
fn paths_are_relative_and_plain() {
    let check = |path: &str| NodeMetadata { path: Some(path.to_owned()), ..NodeMetadata::default() }.encode();
    for good in ["a", "src/a.rs", ".gitignore", "a..b/c...", "über/ß.rs", "a b/c", "x:y/z", "C:x"] {
        assert!(check(good).is_ok(), "{good}");
    }
    for (bad, why) in [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("C:/x", "is absolute"),
        ("a//b", "empty component"),
        ("a/", "empty component"),
        ("./a", "component \".\""),
        ("a/../b", "component \"..\""),
        ("a\\b", "backslash"),
        ("a\0b", "NUL"),
    ] {
        let message = message(check(bad));
        assert!(message.contains(why), "{message}");
    }
    assert!(message(check(&"a/".repeat(3000))).contains("over the limit of 4096"));
}

#[test]
fn odd_lines_and_attributes_are_refused() {
    let lines = |start, end| {
        NodeMetadata { start_line: start, end_line: end, ..NodeMetadata::default() }.encode().map(|_| ())
    };
    assert!(lines(Some(3), Some(3)).is_ok());
    assert!(message(lines(Some(4), Some(3))).contains("start_line 4 is after end_line 3"));
    assert!(message(lines(None, Some(NO_LINE))).contains("end_line"));
    let attribute = |name: &str, value: AttributeValue| {
        let attributes = BTreeMap::from([(name.to_owned(), value)]);
        NodeMetadata { attributes, ..NodeMetadata::default() }.encode().map(|_| ())
    };
    assert!(attribute("x", AttributeValue::Number(1.0)).is_ok());
    assert!(message(attribute("", AttributeValue::Flag(true))).contains("empty"));
    assert!(message(attribute("a\0", AttributeValue::Flag(true))).contains("NUL"));
    assert!(message(attribute(&"n".repeat(129), AttributeValue::Flag(true))).contains("129 bytes"));
    assert!(message(attribute("x", AttributeValue::Number(f64::NAN))).contains("finite"));
}

#[test]
fn too_much_metadata_is_refused_with_both_numbers() {
    let metadata = CodeNode::new(1, vec![]).with_attribute("text", "x".repeat(MAX_METADATA_BYTES)).metadata();
    let error = metadata.encode().expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("1048576") && error.message().contains("10486"), "{error}");
}

#[test]
fn a_line_of_nodes_jsonl_is_read_and_written() {
    let line = json!({
        "node_id": 0, "name": "test_fixed_offsets_property", "kind": "function", "language": "rust",
        "path": "crates/hegeltest-0.51.0/tests/chrono/offset.rs", "start_line": 45, "end_line": 56,
        "content_hash": "8be1cb6e49d131eb", "attributes": {"async": true, "depth": 3, "weight": 0.5, "owner": "x"}
    });
    let (id, metadata) = NodeMetadata::from_json_with_id(&line).expect("valid");
    assert_eq!(id, Some(0));
    assert_eq!(metadata.attributes["depth"], AttributeValue::Integer(3));
    let mut written = metadata.to_json();
    written["node_id"] = node_id_to_json(0);
    assert_eq!(written, line);
    assert!(message(NodeMetadata::from_json(&line)).contains("node_id"));
}

#[test]
fn wrong_json_is_refused_naming_the_key() {
    for (value, why) in [
        (json!([]), "an object, not a list"),
        (
            json!({"visibility": "pub"}),
            "unknown key \"visibility\" in metadata; free attributes belong under",
        ),
        (json!({"name": 1}), "\"name\" is text, not a number"),
        (json!({"start_line": -1}), "\"start_line\" is a line number, not -1"),
        (json!({"start_line": 1.5}), "not 1.5"),
        (json!({"end_line": "3"}), "\"end_line\" is a line number, not text"),
        (json!({"attributes": []}), "\"attributes\" is an object, not a list"),
        (
            json!({"attributes": {"a": [1]}}),
            "attribute \"a\": expected text, a number or true/false, not a list",
        ),
        (json!({"attributes": {"a": u64::MAX}}), "attribute \"a\": 18446744073709551615 is over"),
        (json!({"path": "/a"}), "is absolute"),
    ] {
        let message = message(NodeMetadata::from_json(&value));
        assert!(message.contains(why), "{message}");
    }
    let nulls = json!({"name": null, "path": null, "attributes": {"a": null}});
    assert_eq!(NodeMetadata::from_json(&nulls).expect("absent"), NodeMetadata::default());
}

#[test]
fn ids_in_json_are_numbers_or_uuids() {
    let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let id = 0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8;
    assert_eq!(node_id_to_json(id), json!(uuid));
    assert_eq!(node_id_to_json((1 << 53) - 1), json!((1u64 << 53) - 1));
    assert_eq!(node_id_to_json(1 << 53), json!("00000000-0000-0000-0020-000000000000"));
    for (value, id) in [
        (json!(uuid), id),
        (json!(uuid.to_uppercase()), id),
        (json!("123"), 123),
        (json!("340282366920938463463374607431768211455"), u128::MAX),
        (json!(0), 0),
    ] {
        assert_eq!(node_id_from_json(&value).expect("an id"), id);
    }
    let wrong = [
        json!(1u64 << 53),
        json!(-1),
        json!(1.5),
        json!(null),
        json!(""),
        json!("+1"),
        json!("340282366920938463463374607431768211456"),
        json!("67e5504410b1426f9247bb680e5fe0c8"),
        json!("67e55044-10b1-426f-9247_bb680e5fe0c8"),
        json!("67e55044-10b1-426f-9247-bb680e5fe0cg"),
        json!("é7e55044-10b1-426f-9247-bb680e5fe0c"),
    ];
    for value in wrong {
        assert!(message(node_id_from_json(&value)).contains("2^53"), "{value}");
    }
}

proptest! {
    #[test]
    fn bytes_and_json_come_back(metadata in any_metadata(), id: u128) {
        let bytes = metadata.encode().unwrap();
        prop_assert_eq!(NodeMetadata::decode(&bytes).unwrap(), metadata.clone());
        let json: Value = serde_json::from_str(&metadata.to_json().to_string()).unwrap();
        prop_assert_eq!(NodeMetadata::from_json(&json).unwrap(), metadata);
        prop_assert_eq!(parse_node_id(&node_id_text(id)).unwrap(), id);
        prop_assert_eq!(node_id_from_json(&node_id_to_json(id)).unwrap(), id);
    }

    #[test]
    fn hostile_bytes_are_an_error(metadata in any_metadata(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = metadata.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = NodeMetadata::decode(&bytes).map(|metadata| metadata.encode());
        bytes.truncate(cut.index(bytes.len()));
        let _ = NodeMetadata::decode(&bytes);
    }
}
