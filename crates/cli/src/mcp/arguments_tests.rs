use codegraph_vector_indexer::{Language, NodeKind};
use serde_json::{Value, from_value, json};

use super::*;

fn question(arguments: Value) -> Result<Question, String> {
    let arguments: SearchCode = from_value(arguments).map_err(|error| error.to_string())?;
    arguments.check().map_err(|refusal| refusal.0)
}

#[test]
fn a_question_has_limits() {
    let asked = question(json!({"query": "  open a store\n"})).unwrap();
    assert_eq!((&*asked.text, asked.limit, asked.is_narrowed()), ("open a store", 10, false));
    assert_eq!(question(json!({"query": "q".repeat(8 << 10), "limit": 50})).unwrap().limit, 50);
    assert_eq!(question(json!({"query": "q", "limit": null, "kind": ""})).unwrap().limit, 10);
    for (wrong, word) in [
        (json!({}), "query"),
        (json!({"query": 1}), "string"),
        (json!({"query": " \n"}), "empty"),
        (json!({"query": "q".repeat((8 << 10) + 1)}), "8193 bytes"),
        (json!({"query": "q", "limit": 0}), "from 1 to 50"),
        (json!({"query": "q", "limit": 51}), "from 1 to 50"),
        (json!({"query": "q", "limit": -1}), "invalid value"),
        (json!({"query": "q", "limit": "ten"}), "invalid type"),
        (json!({"query": "q", "lang": "rust"}), "lang"),
        (json!({"query": "q", "kind": "k".repeat(5000)}), "kind has 5000 bytes"),
    ] {
        let said = question(wrong.clone()).unwrap_err();
        assert!(said.contains(word), "{wrong}: {said}");
    }
}

#[test]
fn filters_are_what_was_asked_for() {
    let asked =
        question(json!({"query": "q", "language": "Rust", "kind": "method", "path_prefix": "./src/"}));
    let options = asked.unwrap().options(None).unwrap();
    let wanted = [Filter::eq("language", "rust"), Filter::eq("kind", "method"), Filter::path_prefix("src/")];
    assert_eq!((options.filter, options.limit), (Filter::all(wanted), 10));
    for all in ["", ".", "./", "/r", "/r/"] {
        let asked = question(json!({"query": "q", "path_prefix": all})).unwrap();
        assert!(asked.options(Some(Path::new("/r"))).unwrap().filter.is_everything(), "{all}");
    }
    let asked = question(json!({"query": "q", "path_prefix": "../other"})).unwrap();
    assert!(asked.options(None).is_err());
}

#[test]
fn a_definition_is_named_in_one_way() {
    let target =
        |arguments: Value| from_value::<GetNode>(arguments).unwrap().check().map_err(|refusal| refusal.0);
    assert_eq!(target(json!({"node_id": "7"})).unwrap(), (Target::Id(7), true));
    let place = Target::Place { path: "a.rs".into(), line: 3 };
    assert_eq!(
        target(json!({"path": "a.rs", "line": 3, "with_source": false})).unwrap(),
        (place.clone(), false)
    );
    assert_eq!(target(json!({"node_id": "", "path": "a.rs", "line": 3})).unwrap(), (place, true));
    for (wrong, word) in [
        (json!({}), "say which"),
        (json!({"line": 3}), "say which"),
        (json!({"path": "a.rs"}), "needs a line"),
        (json!({"path": "a.rs", "line": 0}), "count from 1"),
        (json!({"node_id": "7", "line": 3}), "not both"),
        (json!({"node_id": "seven"}), "neither a number nor a UUID"),
        (json!({"path": "p".repeat(5000), "line": 1}), "5000 bytes"),
    ] {
        let said = target(wrong.clone()).unwrap_err();
        assert!(said.contains(word), "{wrong}: {said}");
    }
}

#[test]
fn a_path_stays_below_the_root() {
    let root = Some(Path::new("/srv/code"));
    for (given, wanted) in [
        ("src/a.rs", "src/a.rs"),
        ("./src//a.rs", "src/a.rs"),
        ("src/./a.rs", "src/a.rs"),
        ("/srv/code/src/a.rs", "src/a.rs"),
        ("/srv/code", ""),
    ] {
        assert_eq!(relative("path", given, root).unwrap(), wanted, "{given}");
    }
    for given in ["../a.rs", "src/../../a.rs", "/etc/passwd", "/srv/codes/a.rs", "/srv/code/../x", "a\0b"] {
        assert!(relative("path", given, root).is_err(), "{given:?}");
    }
    assert!(relative("path", "/etc/passwd", None).is_err());
}

#[test]
fn the_schema_names_every_language_and_kind() {
    let schema = schemars::schema_for!(SearchCode);
    let described =
        |field: &str| schema.pointer(&format!("/properties/{field}/description")).unwrap().to_string();
    for language in Language::ALL {
        assert!(described("language").contains(language.name()), "{language:?}");
    }
    for kind in NodeKind::ALL {
        assert!(described("kind").contains(kind.name()), "{kind:?}");
    }
}
