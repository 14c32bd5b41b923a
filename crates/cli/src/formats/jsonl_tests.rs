//! Nodes come back from text as they were; what cannot be read names its line.

use std::num::NonZeroU8;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<ParsedNode> {
    let mut lines = Lines::new(text.as_bytes());
    lines.next()?.expect("a line").node()
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("refused").to_string()
}

#[test]
fn a_node_comes_back() {
    let node = CodeNode::new(1 << 100, vec![0.1, -0.0, 1e-45, f32::MAX, 16_777_217.0, 1.0])
        .with_path("src/a.rs")
        .with_lines(3, 9)
        .with_attribute("pi", 0.1);
    let text = serde_json::to_string(&NodeLine { node: &node, exact: true }).unwrap();
    let ParsedNode { id, vector, metadata } = parse(&text).unwrap();
    assert_eq!(CodeNode::from_parts(id.unwrap(), vector.clone(), metadata), node);
    assert!(vector[1].is_sign_negative());
}

#[test]
fn a_line_says_if_its_vector_is_not_what_was_given() {
    let node = CodeNode::new(7, vec![0.5]).with_name("f");
    let text = serde_json::to_string(&NodeLine { node: &node, exact: false }).unwrap();
    assert_eq!(text, r#"{"node_id":7,"name":"f","exact":false,"vector":[0.5]}"#);
    assert_eq!(parse(&text).unwrap().metadata, node.metadata());
}

#[test]
fn empty_lines_are_left_out_and_others_counted() {
    let text = "\n{\"vector\":[1]}\r\n  \n{\"vector\":[2,3],\"node_id\":7}";
    let mut lines = Lines::new(text.as_bytes());
    let first = lines.next().unwrap().unwrap();
    assert_eq!((first.number, first.offset, first.node().unwrap().vector), (2, 1, vec![1.0]));
    let second = lines.next().unwrap().unwrap();
    assert_eq!((second.number, second.node().unwrap().id), (4, Some(7)));
    assert_eq!(&text.as_bytes()[second.offset as usize..], second.text);
    assert!(lines.next().unwrap().is_none());
}

#[test]
fn what_cannot_be_read_says_why() {
    for (text, why) in [
        ("[]", "line 1, column 0: invalid type: sequence, expected an object with node_id and vector"),
        ("{\"node_id\":1}", "missing field `vector`"),
        ("{\"vector\":[NaN]}", "expected value"),
        ("{\"vector\":[1e39]}", "number out of range"),
        ("{\"vector\":[1],\"vector\":[2]}", "twice"),
        ("{\"vector\":[1],\"name\":\"a\",\"name\":\"b\"}", "twice"),
        ("{\"vector\":[1],\"colour\":\"red\"}", "line 1: unknown key \"colour\""),
        ("{\"vector\":[1],\"node_id\":-1}", "line 1: -1 is no node id"),
        ("{\"vector\":[1]", "EOF"),
        ("{\"vector\":[1],\"exact\":false,\"exact\":false}", "twice"),
        ("{\"vector\":[1],\"exact\":1}", "expected a boolean"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(why), "{refusal}");
    }
    assert!(refusal(&"[".repeat(100_000)).contains("line 1"));
    assert!(refusal(&format!("{{\"vector\":[{}1]}}", " ".repeat(17 << 20))).contains("longer than"));
}

proptest! {
    #[test]
    fn every_float_comes_back_bit_for_bit(bits in prop::collection::vec(any::<u32>(), 1..20), id: u128) {
        let vector: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).filter(|x| x.is_finite()).collect();
        let node = CodeNode::new(id, vector.clone());
        let parsed = parse(&serde_json::to_string(&NodeLine { node: &node, exact: true }).unwrap()).unwrap();
        let bits = |vector: &[f32]| vector.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&parsed.vector), bits(&vector));
        prop_assert_eq!(parsed.id, Some(id));
    }

    #[test]
    fn hostile_bytes_are_an_error(bytes in prop::collection::vec(any::<NonZeroU8>(), 0..60)) {
        let bytes: Vec<u8> = bytes.into_iter().map(NonZeroU8::get).collect();
        let mut lines = Lines::new(&bytes[..]);
        while let Ok(Some(line)) = lines.next() {
            let _ = line.node();
            let _ = line.metadata();
        }
    }

    #[test]
    fn hostile_json_is_an_error(text in "[{}\\[\\]\",:a-e0-9.vector-]{0,60}") {
        let _ = parse(&format!("{{\"vector\":[1],{text}}}"));
        let _ = parse(&format!("{{\"vector\":{text}}}"));
    }
}
