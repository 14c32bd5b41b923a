//! What filters mean, in Rust and in JSON, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::sample::{any_filter, any_metadata};
use super::*;
use crate::node::CodeNode;

fn node() -> NodeMetadata {
    CodeNode::new(1, vec![])
        .with_path("src/deep/a.rs")
        .with_kind("function")
        .with_language("rust")
        .with_lines(3, 9)
        .with_attribute("complexity", 7)
        .with_attribute("public", true)
        .with_attribute("weight", 0.5)
        .metadata()
}

fn matches(filter: Value) -> bool {
    Filter::from_json(&filter).expect("a filter").matches(1, &node())
}

fn refused(filter: Value) -> String {
    let error = Filter::from_json(&filter).expect_err("refused");
    assert_eq!(error.kind(), codegraph_vector_base::ErrorKind::InvalidInput);
    error.message().to_owned()
}

#[test]
fn the_examples_of_the_design() {
    for (filter, same) in [
        (json!({"language": "rust"}), Filter::eq("language", "rust")),
        (json!({"kind": {"in": ["function", "method"]}}), Filter::any_of("kind", ["method", "function"])),
        (json!({"start_line": {"gte": 1, "lt": 9}}), Filter::range("start_line", 1..9)),
        (json!({"path": {"prefix": "src/"}}), Filter::path_prefix("src/")),
        (json!({"path": {"glob": "**/*.rs"}}), Filter::path_glob("**/*.rs")),
        (
            json!({"and": [{"language": "rust"}, {"kind": "function"}]}),
            Filter::eq("language", "rust").and(Filter::eq("kind", "function")),
        ),
        (
            json!({"or": [{"language": "c"}, {"kind": "function"}]}),
            Filter::eq("language", "c").or(Filter::eq("kind", "function")),
        ),
        (json!({"not": {"language": "c"}}), !Filter::eq("language", "c")),
        (json!({"attributes.complexity": {"gt": 3}}), {
            let above = (Bound::Excluded(3), Bound::Unbounded);
            Filter::range("attributes.complexity", above)
        }),
        (
            json!({"node_id": {"in": [1, "2", "00000000-0000-0000-0000-000000000003"]}}),
            Filter::ids([3, 1, 2]),
        ),
    ] {
        let parsed = Filter::from_json(&filter).expect("a filter");
        assert_eq!(parsed, same);
        assert_eq!(Filter::from_json(&same.to_json().expect("written")).expect("read"), same);
        assert!(parsed.matches(1, &node()), "{filter}");
    }
    let several = json!({"kind": "function", "language": "rust"});
    let both = Filter::eq("kind", "function").and(Filter::eq("language", "rust"));
    assert_eq!(Filter::from_json(&several).expect("a filter"), both);
}

#[test]
fn what_conditions_mean() {
    for (filter, expected) in [
        (json!({}), true),
        (json!({"and": []}), true),
        (json!({"or": []}), false),
        (json!({"name": null}), true),
        (json!({"kind": null}), false),
        (json!({"kind": {"ne": null}}), true),
        (json!({"kind": {"eq": "function", "ne": "method", "prefix": "func"}}), true),
        (json!({"name": {"ne": "x"}}), true),
        (json!({"name": "x"}), false),
        (json!({"name": {"prefix": ""}}), false),
        (json!({"start_line": 3.0}), true),
        (json!({"start_line": {"gt": 2.5, "lte": 3}}), true),
        (json!({"start_line": {"gt": 3}}), false),
        (json!({"end_line": {"in": [8, 9.0]}}), true),
        (json!({"attributes.complexity": 7.0}), true),
        (json!({"attributes.complexity": "7"}), false),
        (json!({"attributes.complexity": {"ne": "7"}}), true),
        (json!({"attributes.public": true}), true),
        (json!({"attributes.public": 1}), false),
        (json!({"attributes.weight": {"gte": 0, "lt": 1}}), true),
        (json!({"attributes.absent": null}), true),
        (json!({"path": {"gte": "src/", "lt": "src0"}}), true),
        (json!({"path": {"glob": "src/*.rs"}}), false),
        (json!({"path": {"glob": "src/**"}}), true),
        (json!({"path": {"glob": "src/{deep,flat}/[ab].rs"}}), true),
        (json!({"node_id": 1}), true),
        (json!({"node_id": {"ne": 1}}), false),
    ] {
        assert_eq!(matches(filter.clone()), expected, "{filter}");
    }
}

#[test]
fn mistakes_are_refused_naming_the_place() {
    let deep =
        (0..40).fold(json!({"kind": "x"}), |filter, _| json!({"and": [filter, {"not": {"kind": "y"}}]}));
    for (filter, why) in [
        (json!([]), "filter: expected an object, not a list"),
        (json!({"langage": "rust"}), "filter.langage: unknown field \"langage\""),
        (json!({"attributes": {"a": 1}}), "free attributes as \"attributes.NAME\""),
        (json!({"attributes.": 1}), "unknown field"),
        (json!({"and": [{}, {"or": {}}]}), "filter.and[1].or: expected a list, not an object"),
        (json!({"not": [{}]}), "filter.not: expected an object, not a list"),
        (json!({"kind": {"like": "x"}}), "filter.kind: unknown operator \"like\""),
        (json!({"kind": {}}), "filter.kind: expected an operator"),
        (json!({"kind": 3}), "kind: expected text, not a number"),
        (json!({"kind": ["a"]}), "filter.kind: expected text, a number or true/false, not a list"),
        (json!({"kind": {"in": "a"}}), "filter.kind: expected a list, not text"),
        (json!({"kind": {"in": [null]}}), "filter.kind: expected text, a number or true/false, not null"),
        (json!({"start_line": "3"}), "start_line: expected a number, not text"),
        (json!({"start_line": {"prefix": "3"}}), "start_line: expected a number, not text"),
        (json!({"start_line": {"gt": 1, "gte": 1}}), "filter.start_line: two bounds"),
        (json!({"attributes.a": {"gt": 1, "lt": "x"}}), "a range from a number to text is empty"),
        (json!({"attributes.a": {"gt": true}}), "a range is of numbers or text"),
        (json!({"path": {"glob": 1}}), "filter.path: a prefix or a pattern is text, not a number"),
        (json!({"path": {"glob": "a["}}), "bad pattern"),
        (json!({"path": {"glob": "a".repeat(5000)}}), "pattern is over 4096 bytes"),
        (json!({"node_id": {"gt": 1}}), "filter.node_id: unknown operator \"gt\""),
        (json!({"node_id": "x"}), "filter.node_id: \"x\" is no node id"),
        (json!({"kind": {"in": vec!["x"; 10_001]}}), "10001 values are over 10000"),
        (
            json!({"path": {"in": (0..9000).map(|n| n.to_string()).collect::<Vec<_>>()},
                "node_id": {"in": (0..1001).collect::<Vec<_>>()}}),
            "at most 10000 values",
        ),
        (json!({"or": vec![json!({"path": {"glob": "*.rs"}}); 101]}), "at most 10000 values"),
        (deep, "at most 32 levels"),
    ] {
        let message = refused(filter);
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn a_mistake_matches_nothing_in_any_combination() {
    let mistake = Filter::eq("langage", "rust");
    for filter in [
        mistake.clone(),
        !mistake.clone(),
        !!mistake.clone(),
        mistake.clone().or(Filter::everything()),
        !Filter::everything().and(mistake.clone()),
        Filter::range("kind", 1..2),
        !Filter::path_glob("["),
        Filter::eq("attributes.x", f64::NAN),
    ] {
        assert!(!filter.matches(1, &node()));
        assert!(filter.check().is_err() && filter.to_json().is_err() && !filter.is_everything());
    }
    let deep = (0..100).fold(Filter::eq("kind", "x"), |filter, _| !filter.or(Filter::eq("kind", "y")));
    assert!(deep.check().expect_err("deep").message().contains("32 levels"));
    let wide = (0..5000).fold(Filter::everything(), |filter, _| filter.and(Filter::eq("kind", "function")));
    assert!(wide.check().is_ok() && wide.matches(1, &node()));
}

#[test]
fn everything_is_told_apart() {
    assert!(Filter::from_json(&json!({})).expect("a filter").is_everything());
    assert!(Filter::everything().and(Filter::everything()).is_everything());
    assert!(!Filter::nothing().is_everything());
    assert!(!Filter::nothing().matches(1, &node()));
}

#[test]
fn patterns_are_plain_and_of_bounded_cost() {
    let matches = |pattern: &str, text: &str| Pattern::new(pattern).expect("a pattern").matches(text);
    assert!(matches("[a-c]?", "bx") && !matches("[a-c]", "d"));
    assert!(
        matches("*é*", "aéa")
            && matches("ü/{é,ö}.rs", "ü/ö.rs")
            && matches("\\*", "*")
            && !matches("\\*", "a")
    );
    assert!(matches("\\[é\\]", "[é]"));
    for bad in ["[é]", "x/[!é-ü]*"] {
        assert!(Pattern::new(bad).expect_err("odd").message().contains("ASCII"));
    }
    let deep = format!("{}b{}", "{a,".repeat(1000), "}".repeat(1000));
    assert!(Pattern::new(&deep).is_err());
    for piece in ["?", "*", "**/", "[!a]", "[a-z]", "[!é-ü]", "{a,b}", "é", "{a,", "[", "\\", "!", "]", "}"]
    {
        let pattern = Pattern::new(&piece.repeat(4096 / piece.len()));
        _ = pattern.map(|pattern| pattern.matches(&"a/é".repeat(1000)));
    }
}

#[test]
fn integers_and_numbers_compare_exactly() {
    let (large, next) = (1i64 << 53, (1i64 << 53) + 1);
    let order = |a: AttributeValue, b: AttributeValue| Operand::from(&a).order(Operand::from(&b));
    assert!(order(next.into(), (large as f64).into()).is_gt());
    assert!(order(large.into(), (large as f64).into()).is_eq());
    assert!(order(i64::MAX.into(), 2f64.powi(63).into()).is_lt());
    assert!(order(i64::MIN.into(), (-2f64.powi(63)).into()).is_eq());
    assert!(order(i64::MIN.into(), (-1e300).into()).is_gt());
    assert!(order((-1).into(), (-1.5).into()).is_gt());
    assert!(order(0.0.into(), (-0.0).into()).is_eq());
}

proptest! {
    #[test]
    fn odd_patterns_never_panic(pattern in "[a*?é!^/,{}\\[\\]\\\\-]{0,12}", text in "[aé/*-]{0,6}") {
        if let Ok(pattern) = Pattern::new(&pattern)
            && pattern.matches(&text)
        {
            prop_assert!(text.starts_with(pattern.literal_prefix()), "{:?} {text:?}", pattern.text());
        }
    }

    #[test]
    fn json_comes_back(filter in any_filter(false)) {
        let json: Value = serde_json::from_str(&filter.to_json().unwrap().to_string()).unwrap();
        prop_assert_eq!(Filter::from_json(&json).unwrap(), filter);
    }

    #[test]
    fn combinations_mean_what_they_say(
        a in any_filter(false), b in any_filter(false), metadata in any_metadata(), id in 0..80u128,
    ) {
        let (in_a, in_b) = (a.matches(id, &metadata), b.matches(id, &metadata));
        prop_assert_eq!(a.clone().and(b.clone()).matches(id, &metadata), in_a && in_b);
        prop_assert_eq!(a.clone().or(b).matches(id, &metadata), in_a || in_b);
        prop_assert_eq!((!a).matches(id, &metadata), !in_a);
    }
}
