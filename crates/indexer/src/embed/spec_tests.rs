//! Names of embedders: what is taken, what is refused and with which words, and that they survive the store.

use codegraph_vector::{EmbedderId, ErrorKind, OpenOptions, PersistentVectorStore};
use proptest::prelude::*;

use super::EmbedderSpec;

fn refusal(text: &str) -> String {
    let error = text.parse::<EmbedderSpec>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    error.to_string()
}

fn openai(url: &str, model: &str) -> EmbedderSpec {
    EmbedderSpec::OpenAi { url: url.to_owned(), model: model.to_owned() }
}

#[test]
fn the_three_forms_are_taken() {
    assert_eq!("lexical".parse::<EmbedderSpec>().unwrap(), EmbedderSpec::Lexical);
    assert_eq!(
        "openai:http://localhost:11434/v1,nomic-embed-text:latest".parse::<EmbedderSpec>().unwrap(),
        openai("http://localhost:11434/v1", "nomic-embed-text:latest")
    );
    assert_eq!(
        "model2vec:C:/models/potion, small".parse::<EmbedderSpec>().unwrap(),
        EmbedderSpec::Model2Vec { folder: "C:/models/potion, small".to_owned() }
    );
}

#[test]
fn an_endpoint_s_base_has_one_form() {
    for url in ["http://[::1]:8080/v1", "http://[::1]:8080/v1/", "http://[::1]:8080/v1/embeddings"] {
        let spec: EmbedderSpec = format!("openai:{url},BAAI/bge-small, q8").parse().unwrap();
        assert_eq!(spec, openai("http://[::1]:8080/v1", "BAAI/bge-small, q8"));
    }
}

#[test]
fn what_is_wrong_is_said() {
    for text in ["", "Lexical", "bert", "https://host/v1,model"] {
        let message = refusal(text);
        assert!(message.contains("`openai:URL,MODEL`") && message.contains("`lexical`"), "{message}");
    }
    assert!(refusal("lexical:x").contains("nothing after"));
    assert!(refusal("model2vec").contains("model2vec:DIR"));
    assert!(refusal("model2vec:").contains("model2vec:DIR"));
    for text in ["openai", "openai:", "openai:,model"] {
        assert!(refusal(text).contains("openai:URL,MODEL"));
    }
    for text in ["openai:localhost:11434/v1,m", "openai:ftp://host/v1,m", "openai:host,m"] {
        assert!(refusal(text).contains("http:// or https://"));
    }
    for text in ["openai:http://host/v1", "openai:http://host/v1,", "openai:http://host/v1, m"] {
        assert!(refusal(text).contains("needs a model"));
    }
    for text in ["openai:http://,m", "openai:http:///v1,m", "openai:http://a b/,m", "openai:http://h:x/,m"] {
        assert!(refusal(text).contains("no URL"), "{text}");
    }
}

#[test]
fn secrets_are_refused_and_not_repeated() {
    for text in [
        "openai:https://me:hunter2@host/v1,m",
        "openai:https://hunter2@host/v1,m",
        "openai:https://host/v1?key=hunter2,m",
        "openai:https://host/v1#hunter2,m",
        "https://me:hunter2@host/v1,m",
    ] {
        let message = refusal(text);
        assert!(!message.contains("hunter2"), "{message}");
        if text.starts_with("openai") {
            assert!(message.contains("CGV_OPENAI_API_KEY"), "{message}");
        }
    }
}

#[test]
fn a_store_remembers_its_embedder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = PersistentVectorStore::new(&path, folder.path().join("backups"), 4).unwrap();
    assert_eq!(EmbedderSpec::of_store(&store).unwrap(), None);
    for spec in [EmbedderSpec::Lexical, openai("https://host:1/v1", "m")] {
        spec.record(&store).unwrap();
        assert_eq!(EmbedderSpec::of_store(&store).unwrap(), Some(spec));
    }
    EmbedderSpec::Model2Vec { folder: "models/small".to_owned() }.record(&store).unwrap();
    drop(store);
    let store = PersistentVectorStore::new(&path, folder.path().join("backups"), 4).unwrap();
    let Some(EmbedderSpec::Model2Vec { folder }) = EmbedderSpec::of_store(&store).unwrap() else {
        panic!("another embedder")
    };
    assert!(std::path::Path::new(&folder).is_absolute() && folder.ends_with("small"), "{folder}");

    store.set_property(super::PROPERTY, Some("oracle:delphi")).unwrap();
    let error = EmbedderSpec::of_store(&store).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("oracle"), "{error}");
}

#[test]
fn an_endpoint_is_not_asked_for_the_dimension_that_the_store_has() {
    let folder = tempfile::tempdir().unwrap();
    let embedder = EmbedderId { name: "openai".into(), version: "m".into(), parameters: String::new() };
    let options =
        OpenOptions { dimension: Some(5), embedder: Some(embedder.clone()), ..OpenOptions::default() };
    let store = PersistentVectorStore::open(folder.path().join("store"), options).unwrap();
    // Nobody listens there.
    let client = openai("http://127.0.0.1:1/v1", "m").open(Some(&store)).unwrap();
    assert_eq!((client.dimension(), client.id()), (5, embedder));
}

fn any_spec() -> impl Strategy<Value = EmbedderSpec> {
    let url = "https?://([a-z][a-z0-9.-]{0,12}|\\[::1\\]|127\\.0\\.0\\.1)(:[1-9][0-9]{0,3})?(/[a-z0-9._~-]{1,6}){0,3}";
    let model = "[!-~]([ -~äß漢]{0,20}[!-~])?";
    prop_oneof![
        Just(EmbedderSpec::Lexical),
        (url, model).prop_map(|(url, model)| openai(&url, &model)),
        "\\PC{1,40}".prop_map(|folder| EmbedderSpec::Model2Vec { folder }),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_parses_the_same(spec in any_spec()) {
        let EmbedderSpec::OpenAi { url, .. } = &spec else {
            prop_assert_eq!(spec.to_string().parse::<EmbedderSpec>().unwrap(), spec);
            return Ok(());
        };
        prop_assume!(!url.ends_with("/embeddings"));
        prop_assert_eq!(spec.to_string().parse::<EmbedderSpec>().unwrap(), spec);
    }

    #[test]
    fn what_parses_prints_as_what_parses_the_same(text in "(openai:(https?://)?|model2vec:|lexical)?\\PC{0,40}") {
        if let Ok(spec) = text.parse::<EmbedderSpec>() {
            prop_assert_eq!(spec.to_string().parse::<EmbedderSpec>().unwrap(), spec);
        }
    }
}
